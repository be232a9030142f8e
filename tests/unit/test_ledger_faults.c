/* SPDX-License-Identifier: MIT */

/*
 * The ledger when things go wrong: another program holds the lock, the disk is full, a sync fails, the files
 * vanish, the process is killed. What was called back is on the disk; what failed is not; what must be
 * written is written later, in its order; and nobody waits for ever.
 */

#include "ledger_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mount.h>
#include <sys/wait.h>

/* ---- a VFS that fails on command ---- */

static struct {
        atomic_bool fail_sync; /* of the WAL, as a dying disk would */
} faults;

static sqlite3_io_methods wal_methods;
static const sqlite3_io_methods *real_methods;
static sqlite3_vfs faulty_vfs;
static int (*real_open)(sqlite3_vfs *, const char *, sqlite3_file *, int, int *);

static int faulty_sync(sqlite3_file *file, int flags)
{
        if (atomic_load(&faults.fail_sync))
                return SQLITE_IOERR_FSYNC;
        return real_methods->xSync(file, flags);
}

static int faulty_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
        int r = real_open(vfs, name, file, flags, ret_flags);

        if (r || !(flags & SQLITE_OPEN_WAL))
                return r;
        real_methods = file->pMethods;
        wal_methods = *real_methods;
        wal_methods.xSync = faulty_sync;
        file->pMethods = &wal_methods;
        return SQLITE_OK;
}

static int install_vfs(void **state)
{
        (void)state;
        faulty_vfs = *sqlite3_vfs_find(NULL);
        real_open = faulty_vfs.xOpen;
        faulty_vfs.zName = "faulty";
        faulty_vfs.xOpen = faulty_open;
        return sqlite3_vfs_register(&faulty_vfs, 1);
}

/* ---- another program's lock ---- */

static sqlite3 *hold_lock(const struct fixture *f)
{
        sqlite3 *db = other_connection(f);

        assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
        return db;
}

static void let_go(sqlite3 *db)
{
        assert_int_equal(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
        (void)sqlite3_close(db);
}

static void a_short_lock_only_delays(void **state)
{
        struct fixture *f = *state;
        sqlite3 *db = hold_lock(f);

        submit_and_tell(f, lease_granted(1, "alpha"), 1);
        wait_for_health(f, false);
        assert_int_equal(f->n_done, 0);
        let_go(db);
        wait_for_done(f, 1);
        assert_int_equal(f->n_failed, 0);
        assert_true(f->seam->ops->healthy(f->seam));
}

static void a_parked_lock_is_an_error_by_the_deadline_and_no_more(void **state)
{
        struct fixture *f = *state;
        sqlite3 *db = hold_lock(f);
        const uint64_t start = monotonic_msec();
        struct ledger_news news;

        submit(f, lease_ended(1, "alpha", NOW));
        submit_and_tell(f, lease_granted(2, "beta"), 1);
        submit(f, slot_granted(3));
        wait_for_done(f, 1);
        assert_int_equal(f->n_failed, 1);
        assert_in_range(monotonic_msec() - start, 1900, 4000);
        assert_false(f->seam->ops->healthy(f->seam));
        assert_true(ledger_sqlite_news(f->ledger, &news));
        assert_non_null(strstr(news.trouble, "locked"));

        let_go(db);
        submit_and_tell(f, lease_granted(4, "gamma"), 2);
        wait_for_done(f, 2);
        assert_int_equal(f->n_failed, 1);
        assert_true(f->seam->ops->healthy(f->seam));
        assert_true(ledger_sqlite_news(f->ledger, &news));
        assert_string_equal(news.trouble, "");
        assert_false(ledger_sqlite_news(f->ledger, &news));
        /* What must be written has been; what was answered with an error has not, and never will be. */
        assert_int_equal(query_file(f, "SELECT count(*) FROM event WHERE event = 'lease_ended'"), 1);
        assert_int_equal(query_file(f, "SELECT sum(grant) FROM slot"), 3);
        assert_int_equal(query_file(f, "SELECT group_concat(id) FROM lease"), 4);
}

static void what_must_be_written_keeps_its_order(void **state)
{
        struct fixture *f = *state;
        sqlite3 *db;

        submit(f, lease_granted(1, "alpha"));
        flush(f);
        db = hold_lock(f);
        submit(f, slot_granted(1));
        submit(f, lease_ended(1, "alpha", NOW + 1));
        wait_for_health(f, false);
        submit(f, slot_freed(1));
        submit(f, lease_granted(1, "alpha"));
        submit(f, slot_granted(2));
        let_go(db);
        flush(f);
        assert_int_equal(query_file(f, "SELECT count(*) FROM live_leases"), 1);
        assert_int_equal(query_file(f, "SELECT group_concat(grant) FROM slot"), 2);
}

static void readers_disturb_nobody(void **state)
{
        struct fixture *f = *state;
        sqlite3 *db = other_connection(f);

        assert_int_equal(sqlite3_exec(db, "BEGIN; SELECT count(*) FROM lease", NULL, NULL, NULL), SQLITE_OK);
        for (int64_t i = 1; i <= 2000; i++)
                submit_and_tell(f, lease_granted(i, "alpha"), (uint64_t)i);
        wait_for_done(f, 2000);
        assert_int_equal(f->n_failed, 0);
        assert_int_equal(query(db, "SELECT count(*) FROM lease"), 0); /* its snapshot */
        let_go(db);
}

static void a_stop_does_not_wait_for_ever_and_says_what_was_lost(void **state)
{
        struct fixture *f = *state;
        sqlite3 *db = hold_lock(f);
        const uint64_t start = monotonic_msec();

        submit(f, lease_ended(1, "alpha", NOW));
        assert_int_equal(ledger_sqlite_close(f->ledger), LEDGER_E_UNAVAILABLE);
        f->ledger = NULL;
        assert_true(monotonic_msec() - start < 5000);
        let_go(db);
}

static void on_event(void *owner, uint64_t ticket, const struct ledger_event *event, int error)
{
        unsigned *n = owner;

        assert_int_equal(error, 0);
        *n += event ? 1 : (unsigned)ticket;
}

static void history_is_told_while_nothing_can_be_written(void **state)
{
        struct fixture *f = *state;
        unsigned n = 0;
        sqlite3 *db;

        submit(f, lease_granted(1, "alpha"));
        flush(f);
        db = hold_lock(f);
        submit(f, lease_ended(1, "alpha", NOW));
        f->seam->ops->history(f->seam, "alpha", 0, 0, 0, on_event, &n, 1000);
        while (n < 1000)
                assert_int_equal(turn(f), 0);
        assert_int_equal(n, 1001);
        let_go(db);
}

/* ---- a full disk ---- */

static int mount_small_disk(void **state)
{
        struct fixture *f;

        fixture_directory(state);
        f = *state;
        if (mount("none", f->directory, "tmpfs", 0, "size=400k,mode=0700")) {
                print_message("skipped: no tmpfs may be mounted here: %s\n", strerror(errno));
                return 0;
        }
        fixture_open(f);
        return 0;
}

static int unmount_small_disk(void **state)
{
        struct fixture *f = *state;

        (void)ledger_sqlite_close(f->ledger);
        f->ledger = NULL;
        (void)umount(f->directory);
        return fixture_teardown(state);
}

static void fill_disk(int fd)
{
        static const char block[4096] = {1};

        while (write(fd, block, sizeof(block)) > 0)
                ;
}

static void a_full_disk_fails_grants_at_once_and_keeps_releases(void **state)
{
        struct fixture *f = *state;
        char path[PATH_MAX];
        unsigned n_granted;
        int ballast;

        if (!f->ledger)
                skip();
        submit(f, lease_granted(1, "alpha"));
        submit(f, slot_granted(1));
        flush(f);
        path_of(f, "ballast", path);
        ballast = open(path, O_WRONLY | O_CREAT, 0600);
        assert_true(ballast >= 0);
        fill_disk(ballast);

        f->n_done = 0;
        for (uint64_t i = 2; !f->n_failed; i++) {
                uint64_t start = monotonic_msec();

                submit_and_tell(f, lease_granted((int64_t)i, "beta"), 1000 + i);
                wait_for_done(f, (unsigned)i - 1);
                assert_true(monotonic_msec() - start < 1500);
        }
        submit(f, lease_ended(1, "alpha", NOW));
        submit(f, slot_freed(1));
        wait_for_health(f, false);

        assert_int_equal(ftruncate(ballast, 0), 0);
        (void)close(ballast);
        wait_for_health(f, true);
        n_granted = f->n_done - f->n_failed;
        flush(f);
        assert_int_equal(query_file(f, "SELECT count(*) FROM lease WHERE id = 1 AND outcome = 'released'"),
                         1);
        assert_int_equal(query_file(f, "SELECT count(*) FROM slot"), 0);
        assert_int_equal(query_file(f, "SELECT count(*) FROM live_leases"), n_granted);
        assert_int_equal(
                query_file(f, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"), 1);
        assert_int_equal(f->n_failed, 1);
        assert_false(ledger_sqlite_is_doubtful(f->ledger));
        assert_int_equal(
                query_file(f, "SELECT count(*) FROM event WHERE event = 'noted' AND detail LIKE '%full%'"),
                1);
}

/* No release waits for space here, so only the daemon itself can find out. */
static void a_disk_that_has_room_again_is_noticed_by_itself(void **state)
{
        struct fixture *f = *state;
        struct ledger_news news;
        char path[PATH_MAX];
        int ballast;

        if (!f->ledger)
                skip();
        path_of(f, "ballast", path);
        ballast = open(path, O_WRONLY | O_CREAT, 0600);
        assert_true(ballast >= 0);
        fill_disk(ballast);
        for (uint64_t i = 1; !f->n_failed; i++) {
                submit_and_tell(f, lease_granted((int64_t)i, "beta"), i);
                wait_for_done(f, (unsigned)i);
        }
        assert_false(f->seam->ops->healthy(f->seam));
        assert_true(ledger_sqlite_news(f->ledger, &news));
        assert_non_null(strstr(news.trouble, "make room"));

        assert_int_equal(ftruncate(ballast, 0), 0);
        (void)close(ballast);
        wait_for_health(f, true);
        assert_true(ledger_sqlite_news(f->ledger, &news));
        assert_string_equal(news.trouble, "");
}

/* ---- doubt ---- */

static void a_failed_sync_is_neither_yes_nor_no(void **state)
{
        struct fixture *f = *state;

        submit_and_tell(f, lease_granted(1, "alpha"), 1);
        wait_for_done(f, 1);
        atomic_store(&faults.fail_sync, true);
        submit_and_tell(f, lease_granted(2, "beta"), 2);
        wait_for_doubt(f);
        atomic_store(&faults.fail_sync, false);
        assert_int_equal(f->n_done, 1);

        /* Never go on with that handle, though the disk is well again. */
        submit_and_tell(f, lease_granted(3, "gamma"), 3);
        (void)ledger_sqlite_close(f->ledger);
        assert_int_equal(f->n_done, 1);
        fixture_open(f);
        assert_int_equal(query_file(f, "SELECT count(*) FROM lease WHERE id = 1"), 1);
        assert_int_equal(query_file(f, "SELECT count(*) FROM lease WHERE id = 3"), 0);
}

/* ---- kill -9 ---- */

#define OUTSTANDING 16
#define CYCLES      50
#define LEASES_MAX  400000

static int acknowledged_fd;

static void on_granted(void *owner, uint64_t ticket, int error)
{
        struct fixture *f = owner;
        struct ledger_change next = lease_granted(f->next.lease++, "killed");

        if (error || write(acknowledged_fd, &ticket, sizeof(ticket)) != sizeof(ticket))
                _exit(1);
        f->seam->ops->submit(f->seam, &next, on_granted, f, (uint64_t)next.lease);
}

/* A daemon with 16 callers who ask again and again; it writes down what they were told. */
static void serve_until_killed(struct fixture *f)
{
        fixture_open(f);
        for (int i = 0; i < OUTSTANDING; i++) {
                struct ledger_change change = lease_granted(f->next.lease++, "killed");

                f->seam->ops->submit(f->seam, &change, on_granted, f, (uint64_t)change.lease);
        }
        for (;;)
                (void)turn(f);
}

/* Kills after n answers; returns how many had been given. */
static unsigned one_life(struct fixture *f, unsigned n, bool *acknowledged)
{
        unsigned n_told = 0;
        uint64_t lease;
        int fds[2];
        pid_t pid;

        assert_int_equal(pipe(fds), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (!pid) {
                (void)close(fds[0]);
                acknowledged_fd = fds[1];
                serve_until_killed(f);
        }
        (void)close(fds[1]);
        while (read(fds[0], &lease, sizeof(lease)) == sizeof(lease)) {
                assert_true(lease < LEASES_MAX);
                assert_false(acknowledged[lease]); /* and no number twice */
                acknowledged[lease] = true;
                if (++n_told == n)
                        assert_int_equal(kill(pid, SIGKILL), 0);
        }
        (void)close(fds[0]);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        return n_told;
}

static void note_lease(void *owner, const struct ledger_change *row)
{
        bool *found = owner;

        if (row->kind == LEDGER_LEASE_GRANTED && row->lease < LEASES_MAX)
                found[row->lease] = true;
}

static void nothing_acknowledged_is_lost_by_kill_9(void **state)
{
        struct fixture *f = *state;
        bool *acknowledged = calloc(LEASES_MAX, 1), *found = calloc(LEASES_MAX, 1);
        unsigned n_told = 0, n_lost = 0;

        srandom((unsigned)getpid());
        for (int cycle = 0; cycle < CYCLES; cycle++)
                n_told += one_life(f, 1 + (unsigned)random() % 300, acknowledged);
        assert_int_equal(fixture_try(f, false), 0);
        assert_int_equal(ledger_sqlite_load(f->ledger, note_lease, found, &f->next), 0);
        for (unsigned i = 0; i < LEASES_MAX; i++)
                n_lost += acknowledged[i] && !found[i];
        print_message("%d times killed, %u leases acknowledged, %u lost\n", CYCLES, n_told, n_lost);
        assert_int_equal(n_lost, 0);
        assert_true(n_told > CYCLES);
        assert_int_equal(
                query_file(f, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"), 1);
        free(acknowledged);
        free(found);
}

/* ---- speed, to be read by people ---- */

static void on_counted(void *owner, uint64_t ticket, int error)
{
        struct fixture *f = owner;
        struct ledger_change next = lease_granted(f->next.lease++, "p18234t1790000000r0a1b2c3d");

        (void)ticket;
        assert_int_equal(error, 0);
        f->n_done++;
        f->seam->ops->submit(f->seam, &next, on_counted, f, 0);
}

static void sixteen_callers_are_served_side_by_side(void **state)
{
        struct fixture *f = *state;
        const uint64_t start = monotonic_msec();
        const unsigned before = ledger_sqlite_n_commits(f->ledger);

        for (int i = 0; i < OUTSTANDING; i++)
                on_counted(f, 0, 0);
        while (monotonic_msec() - start < 1000)
                assert_int_equal(turn(f), 0);
        print_message("%u grants/s with %d callers, %.1f a commit\n", f->n_done, OUTSTANDING,
                      (double)f->n_done / (ledger_sqlite_n_commits(f->ledger) - before));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(a_short_lock_only_delays),
                TEST(a_parked_lock_is_an_error_by_the_deadline_and_no_more),
                TEST(what_must_be_written_keeps_its_order),
                TEST(readers_disturb_nobody),
                TEST(a_stop_does_not_wait_for_ever_and_says_what_was_lost),
                TEST(history_is_told_while_nothing_can_be_written),
                cmocka_unit_test_setup_teardown(a_full_disk_fails_grants_at_once_and_keeps_releases,
                                                mount_small_disk, unmount_small_disk),
                cmocka_unit_test_setup_teardown(a_disk_that_has_room_again_is_noticed_by_itself,
                                                mount_small_disk, unmount_small_disk),
                TEST(a_failed_sync_is_neither_yes_nor_no),
                cmocka_unit_test_setup_teardown(nothing_acknowledged_is_lost_by_kill_9, fixture_directory,
                                                fixture_teardown),
                TEST(sixteen_callers_are_served_side_by_side),
        };

        return cmocka_run_group_tests(tests, install_vfs, NULL);
}
