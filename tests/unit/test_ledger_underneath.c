/* SPDX-License-Identifier: MIT */

/*
 * Somebody else at the ledger's files while the daemon has them open: removed, replaced or cut short, which ends
 * the daemon before it answers; read for ever, which is told; checkpointed or compacted, which is harmless.
 */

#include "ledger_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static void start_again(struct fixture *f)
{
        (void)ledger_sqlite_close(f->ledger);
        f->ledger = NULL;
        f->n_done = f->n_failed = 0;
        fixture_open(f);
}

/* ---- removed, replaced ---- */

static const char *const names[] = {"ledger.db", "ledger.db-wal", "ledger.db-shm", "ledger.lock"};

#define N_NAMES (sizeof(names) / sizeof(*names))

static void a_file_removed_underneath_is_noticed_with_nothing_to_write(void **state)
{
        struct fixture *f = *state;
        char path[PATH_MAX], away[PATH_MAX + 8];

        for (size_t i = 0; i < N_NAMES; i++) {
                path_of(f, names[i], path);
                (void)snprintf(away, sizeof(away), "%s.away", path);
                assert_int_equal(rename(path, away), 0);
                wait_for_doubt(f);
                assert_int_equal(rename(away, path), 0);
                start_again(f);
        }
}

/* As if the system had no watch left to give. */
static void a_file_removed_underneath_is_noticed_before_the_answer(void **state)
{
        struct fixture *f = *state;
        char path[PATH_MAX], away[PATH_MAX + 8];

        for (size_t i = 0; i < N_NAMES; i++) {
                path_of(f, names[i], path);
                (void)snprintf(away, sizeof(away), "%s.away", path);
                submit_and_tell(f, lease_granted(1, "alpha"), 1);
                assert_int_equal(rename(path, away), 0);
                /* Whichever comes first: the turn does not look at the watch before the writer's word. */
                wait_for_doubt(f);
                assert_true(f->n_done <= 1);
                submit_and_tell(f, lease_granted(2, "beta"), 2);
                (void)ledger_sqlite_close(f->ledger);
                f->ledger = NULL;
                assert_true(f->n_done <= 1);
                assert_int_equal(rename(away, path), 0);
                f->last_ticket = 0;
                start_again(f);
        }
}

static void a_file_replaced_underneath_is_not_taken_for_the_ledger(void **state)
{
        struct fixture *f = *state;
        char path[PATH_MAX], copy[PATH_MAX], command[2 * PATH_MAX + 16];

        path_of(f, "ledger.db", path);
        path_of(f, "copy.db", copy);
        (void)snprintf(command, sizeof(command), "cp %s %s", path, copy);
        assert_int_equal(system(command), 0);
        assert_int_equal(rename(copy, path), 0);
        wait_for_doubt(f);
}

/* ---- cut short ---- */

static void cut(const struct fixture *f, const char *name, off_t size)
{
        char path[PATH_MAX];

        path_of(f, name, path);
        assert_int_equal(truncate(path, size), 0);
}

/* SQLite itself writes on behind the gap and acknowledges; the next start would find nothing. */
static void a_wal_cut_short_grants_nothing_any_more(void **state)
{
        struct fixture *f = *state;
        static const off_t sizes[] = {0, 4096 + 32 + 24};

        start_again(f); /* moves the tables into the file */
        for (size_t i = 0; i < 2; i++) {
                submit(f, lease_granted(1, "alpha"));
                flush(f);
                f->n_done = 0;
                cut(f, "ledger.db-wal", sizes[i]);
                submit_and_tell(f, lease_granted(2, "beta"), f->last_ticket + 1);
                wait_for_doubt(f);
                assert_int_equal(f->n_done, 0);
                start_again(f);
        }
}

static void a_file_cut_short_grants_nothing_any_more(void **state)
{
        struct fixture *f = *state;

        for (int64_t i = 1; i <= 200; i++)
                submit(f, lease_granted(i, "alpha"));
        flush(f);
        start_again(f);
        submit(f, lease_granted(201, "alpha"));
        flush(f);
        f->n_done = 0;
        cut(f, "ledger.db", 4096);
        submit_and_tell(f, lease_granted(202, "beta"), f->last_ticket + 1);
        wait_for_doubt(f);
        assert_int_equal(f->n_done, 0);
}

/* ---- what an operator may do ---- */

static void an_operators_checkpoint_and_vacuum_disturb_nobody(void **state)
{
        static const char *const statements[] = {"PRAGMA wal_checkpoint(TRUNCATE)", "VACUUM",
                                                 "PRAGMA wal_checkpoint(TRUNCATE)"};
        struct fixture *f = *state;
        sqlite3 *db = other_connection(f);

        for (int64_t i = 1; i <= 2000; i++)
                submit(f, lease_granted(i, "alpha"));
        flush(f);
        ledger_sqlite_prune(f->ledger, NOW + 1);
        /* The writer prunes meanwhile: operators wait, as a shell with .timeout does. */
        (void)sqlite3_busy_timeout(db, 30000);
        for (size_t i = 0; i < 3; i++) {
                assert_int_equal(sqlite3_exec(db, statements[i], NULL, NULL, NULL), SQLITE_OK);
                flush(f);
                assert_int_equal(query(db, "SELECT count(*) FROM lease"), 2000);
        }
        (void)sqlite3_close(db);
}

/* ---- a reader that stays ---- */

static pid_t park_reader(const struct fixture *f)
{
        int ready[2];
        char byte;
        pid_t pid;

        assert_int_equal(pipe(ready), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (!pid) {
                sqlite3 *db = other_connection(f);

                if (prctl(PR_SET_PDEATHSIG, SIGKILL) ||
                    sqlite3_exec(db, "BEGIN; SELECT count(*) FROM lease", NULL, NULL, NULL) ||
                    write(ready[1], "r", 1) != 1)
                        _exit(1);
                for (;;)
                        (void)pause();
        }
        assert_int_equal(read(ready[0], &byte, 1), 1);
        (void)close(ready[0]);
        (void)close(ready[1]);
        return pid;
}

static void sweep_with_a_long_result(struct fixture *f, const char *text)
{
        submit(f, (struct ledger_change){.kind = LEDGER_SWEPT, .time_usec = NOW, .sweep = 1, .detail = text});
        flush(f);
}

static int64_t wal_size(const struct fixture *f)
{
        char path[PATH_MAX];
        struct stat st;

        path_of(f, "ledger.db-wal", path);
        assert_int_equal(stat(path, &st), 0);
        return st.st_size;
}

static void a_parked_reader_is_named_and_the_wal_cut_back_when_it_has_gone(void **state)
{
        struct fixture *f = *state;
        const size_t size = 1 << 20;
        char *text = test_malloc(size), pid[32];
        struct ledger_news news = {.warning = ""};
        const pid_t reader = park_reader(f);

        memset(text, 'x', size - 1);
        text[size - 1] = '\0';
        for (int i = 0; i < 160 && !*news.warning; i++) {
                sweep_with_a_long_result(f, text);
                (void)ledger_sqlite_news(f->ledger, &news);
        }
        (void)snprintf(pid, sizeof(pid), "pid %d (", reader);
        if (!strstr(news.warning, pid))
                fail_msg("does not name %s: %s", pid, news.warning);
        assert_true(f->seam->ops->healthy(f->seam));
        assert_in_range(wal_size(f), 64 << 20, 80 << 20);

        assert_int_equal(kill(reader, SIGKILL), 0);
        assert_int_equal(waitpid(reader, NULL, 0), reader);
        for (int i = 0; i < 10 && *news.warning; i++) {
                sweep_with_a_long_result(f, "short");
                (void)ledger_sqlite_news(f->ledger, &news);
        }
        assert_string_equal(news.warning, "");
        assert_true(wal_size(f) <= 32 << 20);
        test_free(text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(a_file_removed_underneath_is_noticed_with_nothing_to_write),
                TEST(a_file_removed_underneath_is_noticed_before_the_answer),
                TEST(a_file_replaced_underneath_is_not_taken_for_the_ledger),
                TEST(a_wal_cut_short_grants_nothing_any_more),
                TEST(a_file_cut_short_grants_nothing_any_more),
                TEST(an_operators_checkpoint_and_vacuum_disturb_nobody),
                TEST(a_parked_reader_is_named_and_the_wal_cut_back_when_it_has_gone),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
