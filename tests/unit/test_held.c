/* SPDX-License-Identifier: MIT */
#include "store/held.h"

#include "ledger_fixture.h"

#include <fcntl.h>
#include <sys/wait.h>

static struct ledger_change granted(int64_t grant)
{
        return (struct ledger_change){
                .kind = LEDGER_SLOT_GRANTED,
                .time_usec = NOW,
                .grant = grant,
                .lease = 7,
                .slot = 1,
                .uid = 1000,
                .namespace = "mydebug",
                .worker = "gw3",
                .cluster = "4711@5432",
                .request = "the first",
                .process = {.pid = 42, .start_ticks = 43, .boot_id = "b"},
                .exit_status = -1,
        };
}

static struct ledger_change freed(int64_t grant)
{
        return (struct ledger_change){
                .kind = LEDGER_SLOT_FREED, .time_usec = NOW, .grant = grant, .exit_status = -1};
}

struct seen {
        unsigned n;
        int64_t sum;
        char request[65], cluster[160];
};

static void see(void *owner, const struct ledger_change *row)
{
        struct seen *seen = owner;

        if (row->kind != LEDGER_SLOT_GRANTED)
                return;
        seen->n++;
        seen->sum += row->grant;
        (void)snprintf(seen->request, sizeof(seen->request), "%s", row->request ? row->request : "");
        (void)snprintf(seen->cluster, sizeof(seen->cluster), "%s", row->cluster ? row->cluster : "");
        assert_int_equal(row->process.pid, 42);
        assert_string_equal(row->namespace, "mydebug");
}

static void note(struct held *held, struct ledger_change change)
{
        held_note(held, &change);
}

static void what_is_held_outlives_whoever_noted_it(void **state)
{
        struct fixture *f = *state;
        struct held first, second;
        struct seen seen = {0};

        assert_int_equal(held_open(&first, f->directory), 0);
        assert_false(first.is_known);
        for (int64_t grant = 1; grant <= 5; grant++)
                note(&first, granted(grant));
        note(&first, freed(2));
        note(&first, freed(5));
        note(&first, freed(99));
        /* Not closed: it was killed. */
        assert_int_equal(held_open(&second, f->directory), 0);
        assert_true(second.is_known);
        held_each(&second, see, &seen);
        assert_int_equal(seen.n, 3);
        assert_int_equal(seen.sum, 1 + 3 + 4);
        assert_string_equal(seen.request, "the first");
        held_close(&second);
        held_close(&first);
}

static void another_boot_knows_nothing(void **state)
{
        struct fixture *f = *state;
        struct held held;
        char path[PATH_MAX];
        int fd;

        assert_int_equal(held_open(&held, f->directory), 0);
        note(&held, granted(1));
        held_close(&held);
        path_of(f, "ledger.held", path);
        fd = open(path, O_RDWR | O_CLOEXEC);
        assert_int_equal(pwrite(fd, "x", 1, 16), 1); /* the first letter of the boot id */
        (void)close(fd);
        assert_int_equal(held_open(&held, f->directory), 0);
        assert_false(held.is_known);
        assert_int_equal(held.n_used, 0);
        held_close(&held);
}

static void more_than_there_is_room_for_proves_nothing(void **state)
{
        struct fixture *f = *state;
        struct held held;

        assert_int_equal(held_open(&held, f->directory), 0);
        for (int64_t grant = 1; grant <= 1025; grant++)
                note(&held, granted(grant));
        held_close(&held);
        assert_int_equal(held_open(&held, f->directory), 0);
        assert_false(held.is_known);
        held_close(&held);
}

/* In a process that ends at once behind it, as by kill -9. */
static void submit_and_die(struct fixture *f, const struct ledger_change *changes, unsigned n, bool flush)
{
        pid_t pid = fork();
        int status;

        if (!pid) {
                fixture_open(f);
                for (unsigned i = 0; i < n; i++) {
                        f->seam->ops->submit(f->seam, &changes[i], NULL, NULL, 0);
                        if (flush && !i)
                                (void)usleep(200000);
                }
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

static void load(struct fixture *f, struct seen *seen)
{
        assert_int_equal(fixture_try(f, false), 0);
        assert_int_equal(ledger_sqlite_load(f->ledger, see, seen, &f->next), 0);
}

static void a_grant_behind_which_the_daemon_is_killed_is_loaded(void **state)
{
        struct fixture *f = *state;
        const struct ledger_change change = granted(11);
        struct seen seen = {0}, again = {0};

        submit_and_die(f, &change, 1, false);
        load(f, &seen);
        assert_int_equal(seen.n, 1);
        assert_string_equal(seen.request, "the first");
        assert_string_equal(seen.cluster, "4711@5432");
        assert_true(f->next.grant > 11);
        fixture_close(f); /* and now it is in the tables as well */
        load(f, &again);
        assert_int_equal(again.n, 1);
}

static void an_end_behind_which_the_daemon_is_killed_is_no_longer_held(void **state)
{
        struct fixture *f = *state;
        const struct ledger_change changes[] = {granted(11), freed(11)};
        struct seen seen = {0};

        submit_and_die(f, changes, 2, true); /* the grant has reached the tables, its end has not */
        load(f, &seen);
        assert_int_equal(seen.n, 0);
}

static void without_the_file_the_tables_count(void **state)
{
        struct fixture *f = *state;
        const struct ledger_change changes[] = {granted(11), granted(12)};
        struct seen seen = {0};
        char path[PATH_MAX];

        submit_and_die(f, changes, 2, true);
        path_of(f, "ledger.held", path);
        assert_int_equal(unlink(path), 0);
        load(f, &seen);
        assert_true(seen.n >= 1);
        assert_string_equal(seen.request, "");
        fixture_close(f);
        seen = (struct seen){0};
        load(f, &seen); /* what the tables had was noted again */
        assert_true(seen.n >= 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_directory, fixture_teardown)
        const struct CMUnitTest tests[] = {
                TEST(what_is_held_outlives_whoever_noted_it),
                TEST(another_boot_knows_nothing),
                TEST(more_than_there_is_room_for_proves_nothing),
                TEST(a_grant_behind_which_the_daemon_is_killed_is_loaded),
                TEST(an_end_behind_which_the_daemon_is_killed_is_no_longer_held),
                TEST(without_the_file_the_tables_count),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
