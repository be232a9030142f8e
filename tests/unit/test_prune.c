/* SPDX-License-Identifier: MIT */

/* Forgetting in pieces: all that is old, nothing that is needed, and never much at a time. */

#include "store/prune.h"
#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define DAY (24 * 3600 * UINT64_C(1000000))

static int setup(void **state)
{
        struct store *store;

        assert_int_equal(store_open_memory(&store), 0);
        *state = store;
        return 0;
}

static int teardown(void **state)
{
        (void)store_free(*state);
        return 0;
}

static void sql(struct store *store, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void sql(struct store *store, const char *format, ...)
{
        char *text;
        va_list arguments;

        va_start(arguments, format);
        assert_true(vasprintf(&text, format, arguments) > 0);
        va_end(arguments);
        if (sqlite_run(&store->sqlite, text))
                fail_msg("%s: %s", text, store_error(store));
        free(text);
}

static int64_t number(struct store *store, const char *query)
{
        int64_t n;

        assert_int_equal(sqlite_integer(&store->sqlite, query, &n), 0);
        return n;
}

/* n runs of four members, one after the other within that day, each with its sweep. */
static void live_through(struct store *store, unsigned day, unsigned n)
{
        const unsigned long long start = (day + 1) * DAY, each = DAY / n;

        sql(store,
            "CREATE TEMP TABLE run AS WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i "
            "< %u)"
            " SELECT 'p' || %u || 't' || i AS namespace, %llu + i * %llu AS at FROM n",
            n - 1, day, start, each);
        sql(store,
            "INSERT INTO lease (namespace, uid, forced, secret_hash, granted_usec, ended_usec, outcome)"
            " SELECT namespace, 1, 0, x'00', at, at + 1000, 'released' FROM run");
        sql(store, "INSERT INTO member (lease, role, uid, joined_usec, left_usec)"
                   " SELECT lease.id, 'worker', 1, at, at + 1000 FROM run JOIN lease USING (namespace), "
                   "(VALUES (1), (2), (3), (4))");
        sql(store,
            "INSERT INTO event (time_usec, event, namespace) SELECT at, 'granted', namespace FROM run");
        sql(store, "INSERT INTO sweep (dry_run, complete, finished_usec, result)"
                   " SELECT 0, 1, at + 2000, printf('%%300s', 'x') FROM run");
        sql(store, "INSERT INTO verdict SELECT sweep.id, 'd', 'test_' || namespace || '_gw0', '1', "
                   "namespace, 'dropped', NULL, NULL,"
                   " NULL, at + 2000 FROM run JOIN sweep ON finished_usec = at + 2000");
        sql(store, "DROP TABLE run");
}

static int count_step(void *n)
{
        ++*(uint64_t *)n;
        return 0;
}

/* A whole pass. Returns how many steps of SQLite's machine the longest of ours took. */
static uint64_t prune(struct store *store, uint64_t before)
{
        struct prune_pass pass = {0};
        uint64_t most = 0;
        bool more = true;

        while (more) {
                uint64_t n = 0;

                sqlite3_progress_handler(store->sqlite.db, 1, count_step, &n);
                assert_int_equal(prune_step(store, &pass, before, &more), 0);
                sqlite3_progress_handler(store->sqlite.db, 0, NULL, NULL);
                most = n > most ? n : most;
        }
        return most;
}

static void a_pass_forgets_all_that_is_old(void **state)
{
        static const char *const tables[] = {"lease", "member", "event", "sweep", "verdict"};
        struct store *store = *state;
        char query[64];

        for (unsigned day = 0; day < 4; day++)
                live_through(store, day, 1000);
        (void)prune(store, 4 * DAY);
        for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++) {
                (void)snprintf(query, sizeof(query), "SELECT count(*) FROM %s", tables[i]);
                assert_int_equal(number(store, query), i == 1 ? 4000 : 1000);
        }
}

/* Among a thousand that go, in the middle of windows and at their ends. */
static void what_is_needed_stays_wherever_it_stands(void **state)
{
        struct store *store = *state;

        live_through(store, 0, 1000);
        live_through(store, 1, 10);
        sql(store, "UPDATE lease SET ended_usec = NULL, outcome = NULL WHERE id IN (1, 128, 500)");
        sql(store, "UPDATE member SET left_usec = NULL WHERE lease IN (1, 128, 500)");
        sql(store, "INSERT INTO keep SELECT namespace, %llu, 1 FROM lease WHERE id = 300",
            (unsigned long long)(9 * DAY));
        sql(store, "INSERT INTO claim SELECT 'd', 'test_' || namespace || '_gw0', '1', NULL, NULL, 1 FROM "
                   "lease WHERE id = 129");
        sql(store, "INSERT INTO sighting SELECT 'd', 'test_' || namespace || '_gw0', '1', 1 FROM lease WHERE "
                   "id = 256");
        sql(store, "UPDATE lease SET ended_usec = %llu WHERE id = 700",
            (unsigned long long)(3 * DAY)); /* a long run */
        (void)prune(store, 2 * DAY);
        assert_int_equal(number(store, "SELECT count(*) FROM lease WHERE id <= 1000"), 7);
        assert_int_equal(
                number(store, "SELECT count(*) FROM lease WHERE id IN (1, 128, 129, 256, 300, 500, 700)"), 7);
        assert_int_equal(number(store, "SELECT count(*) FROM member WHERE left_usec IS NULL"), 12);
        assert_int_equal(number(store, "SELECT count(*) FROM lease WHERE id > 1000"), 10);
}

static void a_step_costs_the_same_however_large_the_ledger_is(void **state)
{
        struct store *store = *state;
        uint64_t small, large;

        live_through(store, 0, 600);
        live_through(store, 1, 600);
        small = prune(store, 2 * DAY);
        live_through(store, 2, 600);
        live_through(store, 3, 20000);
        large = prune(store, 3 * DAY);
        assert_true(small > 1000);
        assert_in_range(large, small / 2, small * 5 / 4);
        /* and one that finds nothing to do costs next to nothing */
        assert_in_range(prune(store, 3 * DAY), 1, small / 4);
}

/* What was forgotten makes room for what comes. */
static void the_file_does_not_grow_for_ever(void **state)
{
        struct store *store = *state;
        int64_t pages = 0;

        for (unsigned day = 0; day < 24; day++) {
                live_through(store, day, 200);
                if (day >= 8)
                        (void)prune(store, (day - 6) * DAY);
                if (day == 12)
                        pages = number(store, "PRAGMA page_count");
        }
        assert_int_equal(number(store, "SELECT count(*) FROM lease"), 8 * 200);
        assert_in_range(number(store, "PRAGMA page_count"), 1, pages * 11 / 10);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(a_pass_forgets_all_that_is_old),
                TEST(what_is_needed_stays_wherever_it_stands),
                TEST(a_step_costs_the_same_however_large_the_ledger_is),
                TEST(the_file_does_not_grow_for_ever),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
