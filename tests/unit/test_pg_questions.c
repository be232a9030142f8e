/* SPDX-License-Identifier: MIT */

/* Every question, asked of a real server. */
#include "pg_fixture.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define assert_outcome(f, expected, actual)                                                                  \
        do {                                                                                                 \
                enum pg_outcome _outcome = (actual);                                                         \
                if (_outcome != (expected))                                                                  \
                        fail_msg("%s %s", (f)->heard.sqlstate, (f)->heard.message);                          \
        } while (0)
#define assert_ok(f, actual) assert_outcome(f, PG_OK, actual)
#define assert_refused(f, state, actual)                                                                     \
        do {                                                                                                 \
                assert_outcome(f, PG_SQL_ERROR, actual);                                                     \
                assert_string_equal((f)->heard.sqlstate, state);                                             \
        } while (0)

static unsigned long long number(const struct fixture *f, unsigned column)
{
        assert_non_null(cell(f, 0, column));
        return strtoull(cell(f, 0, column), NULL, 10);
}

static void a_server_says_who_it_is(void **state)
{
        struct fixture *f = *state;
        struct pg_connection *c = open_ok(f, f->conninfo);
        char address[128];

        assert_ok(f, ask(f, c, PG_IDENTIFY, NULL, NULL));
        assert_int_equal(f->heard.n_rows, 1);
        assert_int_equal(f->heard.n_columns, PG_IDENTIFY_COLUMNS_);
        assert_int_equal(number(f, PG_IDENTIFY_BACKEND_PID), f->heard.backend_pid);
        assert_true(number(f, PG_IDENTIFY_STARTED_USEC) > 1700000000000000ULL);
        assert_true(number(f, PG_IDENTIFY_UPTIME_USEC) < 600 * SECOND);
        assert_string_equal(cell(f, 0, PG_IDENTIFY_IN_RECOVERY), "f");
        assert_string_equal(cell(f, 0, PG_IDENTIFY_READ_ONLY), "f");
        assert_string_equal(cell(f, 0, PG_IDENTIFY_SEES_ALL), "t");
        assert_int_equal(number(f, PG_IDENTIFY_LOCK_TABLE), 64 * (150 + 10));
        assert_int_equal(number(f, PG_IDENTIFY_DEADLOCK_TIMEOUT_MSEC), 1000);
        assert_true(number(f, PG_IDENTIFY_VERSION) >= 140000);
        assert_string_equal(sql(f->admin, "SELECT system_identifier FROM pg_control_system()"),
                            cell(f, 0, PG_IDENTIFY_SYSTEM_IDENTIFIER));
        assert_string_equal(sql(f->admin, "SELECT oid FROM pg_database WHERE datname = 'postgres'"),
                            cell(f, 0, PG_IDENTIFY_DATABASE_OID));
        strcpy(address, cell(f, 0, PG_IDENTIFY_ADDRESS));
        pg_close(f, c);

        /* The same server, come to by TCP, as a role that may see little. */
        sql(f->admin, "CREATE ROLE plain LOGIN");
        c = open_ok(f, by_tcp(f, "user=plain dbname=postgres"));
        assert_ok(f, ask(f, c, PG_IDENTIFY, NULL, NULL));
        assert_string_equal(cell(f, 0, PG_IDENTIFY_ADDRESS), address);
        assert_string_equal(cell(f, 0, PG_IDENTIFY_SEES_ALL), "f");
        assert_non_null(strstr(address, f->port));
        pg_close(f, c);
}

static void schemas_come_with_owner_and_right_to_drop(void **state)
{
        struct fixture *f = *state;
        struct pg_connection *c;
        PGconn *owner;
        int row;

        sql(f->admin, "CREATE ROLE sweeper LOGIN; CREATE ROLE tester; GRANT tester TO sweeper");
        sql(f->admin, "CREATE SCHEMA test_a_gw0 AUTHORIZATION tester; CREATE SCHEMA test_b_gw0;"
                      "CREATE SCHEMA \"Te\"\"st\n; x\"");
        sql(f->admin, "CREATE DATABASE owned OWNER sweeper");
        owner = session(f, "user=postgres dbname=owned");
        sql(owner, "CREATE SCHEMA test_c_gw0");
        PQfinish(owner);
        c = open_ok(f, by_socket(f, "user=sweeper dbname=owned"));
        assert_ok(f, ask(f, c, PG_SCHEMAS, NULL, NULL));
        row = row_of(f, 0, "test_c_gw0");
        assert_string_equal(cell(f, (unsigned)row, 3), "f"); /* the owner of the database may not drop it */
        pg_close(f, c);

        c = open_ok(f, by_socket(f, "user=sweeper dbname=postgres"));
        assert_ok(f, ask(f, c, PG_SCHEMAS, NULL, NULL));
        row = row_of(f, 0, "test_a_gw0");
        assert_true(row >= 0);
        assert_string_equal(cell(f, (unsigned)row, 2), "tester");
        assert_string_equal(cell(f, (unsigned)row, 3), "t");
        assert_string_equal(sql(f->admin, "SELECT 'test_a_gw0'::regnamespace::oid"),
                            cell(f, (unsigned)row, 1));
        row = row_of(f, 0, "test_b_gw0");
        assert_string_equal(cell(f, (unsigned)row, 2), "postgres");
        assert_string_equal(cell(f, (unsigned)row, 3), "f");
        assert_true(row_of(f, 0, "Te\"st\n; x") >= 0);
        assert_true(row_of(f, 0, "public") >= 0);
        assert_int_equal(row_of(f, 0, "pg_catalog"), -1);
        assert_int_equal(row_of(f, 0, "information_schema"), -1);
        pg_close(f, c);
        sql(f->admin, "DROP SCHEMA test_a_gw0, test_b_gw0, \"Te\"\"st\n; x\"");
}

static void sessions_are_those_of_the_whole_cluster_now(void **state)
{
        struct fixture *f = *state;
        struct pg_connection *c = open_ok(f, by_socket(f, "user=plain dbname=postgres"));
        PGconn *one, *two;
        char pid[16];
        int row;

        one = session(f, "user=postgres dbname=template1 application_name=pytest_gw1_one");
        assert_ok(f, ask(f, c, PG_SESSIONS, NULL, NULL));
        row = row_of(f, 0, "pytest_gw1_one");
        assert_true(row >= 0);
        (void)snprintf(pid, sizeof(pid), "%d", PQbackendPID(one));
        assert_string_equal(cell(f, (unsigned)row, 1), pid);
        assert_string_equal(cell(f, (unsigned)row, 2), "template1");
        assert_true(row_of(f, 0, "berthd-test") >= 0);
        PQfinish(one);
        pg_close(f, c);

        /* Inside a transaction the view is frozen; the question thaws it. */
        c = open_ok(f, f->conninfo);
        assert_ok(f, ask(f, c, PG_DROP_BEGIN, "5000", "30000"));
        assert_ok(f, ask(f, c, PG_SESSIONS, NULL, NULL));
        assert_int_equal(row_of(f, 0, "pytest_gw1_two"), -1);
        two = session(f, "user=postgres dbname=postgres application_name=pytest_gw1_two");
        assert_ok(f, ask(f, c, PG_SESSIONS, NULL, NULL));
        assert_true(row_of(f, 0, "pytest_gw1_two") >= 0);
        PQfinish(two);
        pg_close(f, c);
}

static void a_drop_from_begin_to_commit(void **state)
{
        struct fixture *f = *state;
        struct pg_connection *c = open_ok(f, f->conninfo);
        char oid[16];

        sql(f->admin,
            "CREATE SCHEMA test_dead_gw0; CREATE TABLE test_dead_gw0.t(id serial PRIMARY KEY, x text)");
        strcpy(oid, sql(f->admin, "SELECT 'test_dead_gw0'::regnamespace::oid"));
        assert_ok(f, ask(f, c, PG_DROP_BEGIN, "5000", "30000"));
        assert_ok(f, ask(f, c, PG_DROP_PIN, "test_dead_gw0", NULL));
        assert_string_equal(cell(f, 0, 0), oid);
        assert_ok(f, ask(f, c, PG_DROP_DEPENDENTS, "test_dead_gw0", "dead"));
        assert_int_equal(f->heard.n_rows, 1);
        assert_string_equal(cell(f, 0, 0), "size");
        assert_ok(f, ask(f, c, PG_LOOKUP, oid, NULL));
        assert_int_equal(f->heard.n_rows, 1);
        assert_ok(f, ask(f, c, PG_DROP, "test_dead_gw0", NULL));
        assert_ok(f, ask(f, c, PG_LOOKUP, oid, NULL));
        assert_int_equal(f->heard.n_rows, 0);
        assert_ok(f, ask(f, c, PG_COMMIT, NULL, NULL));
        assert_ok(f, ask(f, c, PG_LOOKUP, oid, NULL));
        assert_int_equal(f->heard.n_rows, 0);
        assert_string_equal(sql(f->admin, "SELECT count(*) FROM pg_namespace WHERE oid = %s", oid), "0");
        pg_close(f, c);
}

static void a_drop_that_is_rolled_back_leaves_all(void **state)
{
        struct fixture *f = *state;
        struct pg_connection *c = open_ok(f, f->conninfo);

        sql(f->admin, "CREATE SCHEMA test_stay_gw0");
        assert_ok(f, ask(f, c, PG_DROP_BEGIN, "5000", "30000"));
        assert_ok(f, ask(f, c, PG_DROP, "test_stay_gw0", NULL));
        assert_ok(f, ask(f, c, PG_ROLLBACK, NULL, NULL));
        assert_string_equal(
                sql(f->admin, "SELECT count(*) FROM pg_namespace WHERE nspname = 'test_stay_gw0'"), "1");

        assert_ok(f, ask(f, c, PG_DROP_BEGIN, "5000", "30000"));
        assert_refused(f, "3F000", ask(f, c, PG_DROP_PIN, "test_none_gw0", NULL));
        assert_refused(f, "25P02", ask(f, c, PG_SESSIONS, NULL, NULL));
        /* The server calls this a success, and rolls back. */
        assert_refused(f, "25P02", ask(f, c, PG_COMMIT, NULL, NULL));
        assert_ok(f, ask(f, c, PG_SESSIONS, NULL, NULL));
        pg_close(f, c);
        sql(f->admin, "DROP SCHEMA test_stay_gw0");
}

static void without_a_transaction_nothing_is_dropped(void **state)
{
        struct fixture *f = *state;
        struct pg_connection *c = open_ok(f, f->conninfo);

        sql(f->admin, "CREATE SCHEMA test_stay_gw0");
        assert_outcome(f, PG_LOST, ask(f, c, PG_DROP, "test_stay_gw0", NULL));
        pg_close(f, c);
        c = open_ok(f, f->conninfo);
        assert_outcome(f, PG_LOST, ask(f, c, PG_COMMIT, NULL, NULL));
        pg_close(f, c);
        sql(f->admin, "DROP SCHEMA test_stay_gw0"); /* fails if it is gone */
}

static void names_are_quoted_whatever_they_are(void **state)
{
        static const char *const name = "a\"b'; DROP SCHEMA test_other_gw0; -- {L1} :'schema' %s $berth$";
        struct fixture *f = *state;
        struct pg_connection *c = open_ok(f, f->conninfo);

        sql(f->admin,
            "CREATE SCHEMA test_other_gw0; CREATE SCHEMA \"a\"\"b'; DROP SCHEMA test_other_gw0; -- {L1} "
            ":'schema' %%s $berth$\"; CREATE TABLE \"a\"\"b'; DROP SCHEMA test_other_gw0; -- {L1} :'schema' %%s "
            "$berth$\".\"$berth$\"()");
        assert_ok(f, ask(f, c, PG_DROP_BEGIN, "5000", "30000"));
        assert_ok(f, ask(f, c, PG_DROP_PIN, name, NULL));
        assert_ok(f, ask(f, c, PG_DROP_DEPENDENTS, name, "dead"));
        assert_ok(f, ask(f, c, PG_DROP_UNTIE, name, "dead"));
        assert_ok(f, ask(f, c, PG_DROP_BATCH, name, "10"));
        assert_string_equal(cell(f, 0, 0), "1");
        assert_ok(f, ask(f, c, PG_DROP, name, NULL));
        assert_ok(f, ask(f, c, PG_COMMIT, NULL, NULL));
        sql(f->admin, "DROP SCHEMA test_other_gw0");
        assert_outcome(f, PG_LOST, ask(f, c, PG_LOOKUP, NULL, NULL)); /* a parameter is missing */
        pg_close(f, c);
        c = open_ok(f, f->conninfo);
        assert_refused(f, "22P02", ask(f, c, PG_LOOKUP, "not a number", NULL));
        pg_close(f, c);
}

static void time_outs_hold_inside_the_transaction_only(void **state)
{
        struct fixture *f = *state;
        struct pg_connection *c = open_ok(f, f->conninfo);
        PGconn *holder = session(f, "user=postgres dbname=postgres");

        sql(f->admin, "CREATE SCHEMA test_held_gw0; CREATE TABLE test_held_gw0.t()");
        sql(holder, "BEGIN; LOCK TABLE test_held_gw0.t IN ACCESS SHARE MODE");
        assert_ok(f, ask(f, c, PG_DROP_BEGIN, "20", "30000"));
        assert_refused(f, "55P03", ask(f, c, PG_DROP, "test_held_gw0", NULL));
        assert_ok(f, ask(f, c, PG_ROLLBACK, NULL, NULL));
        assert_ok(f, ask(f, c, PG_DROP_BEGIN, "30000", "20"));
        assert_refused(f, "57014", ask(f, c, PG_DROP, "test_held_gw0", NULL));
        PQfinish(holder);
        pg_close(f, c);
        sql(f->admin, "DROP SCHEMA test_held_gw0 CASCADE");
}

/* A DROP outlives the client that sent it, unless the server looks for the client now and then. */
static void a_drop_dies_with_its_connection(void **state)
{
        const char *const parameters[PG_PARAMETERS_MAX] = {"test_held_gw0", NULL};
        struct fixture *f = *state;
        struct pg_connection *c = open_ok(f, f->conninfo), *other;
        PGconn *holder = session(f, "user=postgres dbname=postgres");
        unsigned long long closed;
        char pid[16];

        (void)snprintf(pid, sizeof(pid), "%d", f->heard.backend_pid);
        sql(f->admin, "CREATE SCHEMA test_held_gw0; CREATE TABLE test_held_gw0.t()");
        sql(holder, "BEGIN; LOCK TABLE test_held_gw0.t IN ACCESS SHARE MODE");
        assert_ok(f, ask(f, c, PG_DROP_BEGIN, "30000", "30000"));
        f->pg->ops->ask(c, PG_DROP, parameters, 30 * SECOND);
        other = open_ok(f, f->conninfo);
        do
                assert_ok(f, ask(f, other, PG_BLOCKERS, NULL, NULL));
        while (row_of(f, PG_BLOCKED_PID, pid) < 0);
        pg_close(f, c);
        closed = now_usec();
        do
                assert_ok(f, ask(f, other, PG_SESSIONS, NULL, NULL));
        while (row_of(f, 1, pid) >= 0);
        assert_true(now_usec() - closed < 15 * SECOND); /* half of its lock_timeout */
        PQfinish(holder);
        pg_close(f, other);
        sql(f->admin, "DROP SCHEMA test_held_gw0 CASCADE");
}

static void lock_holders_are_sessions_and_prepared_transactions(void **state)
{
        struct fixture *f = *state;
        struct pg_connection *c = open_ok(f, f->conninfo);
        PGconn *holder = session(f, "user=postgres dbname=postgres application_name=pytest_gw3_held");
        PGconn *builder = session(f, "user=postgres dbname=postgres application_name=pytest_gw4_held");
        int row;

        sql(f->admin, "CREATE SCHEMA test_held_gw0; CREATE TABLE test_held_gw0.t()");
        sql(f->admin, "CREATE SCHEMA test_other_gw0; CREATE TABLE test_other_gw0.t()");
        sql(f->admin, "BEGIN; INSERT INTO test_held_gw0.t DEFAULT VALUES; PREPARE TRANSACTION 'forgotten'");
        sql(f->admin, "BEGIN; INSERT INTO test_other_gw0.t DEFAULT VALUES; PREPARE TRANSACTION 'elsewhere'");
        sql(holder, "BEGIN; LOCK TABLE test_held_gw0.t IN ACCESS SHARE MODE");
        sql(builder, "BEGIN; CREATE TABLE test_held_gw0.under_way()");
        assert_ok(f, ask(f, c, PG_LOCK_HOLDERS, "test_held_gw0", "inside"));
        assert_int_equal(f->heard.n_rows, 3);
        assert_true(row_of(f, 1, "pytest_gw3_held") >= 0);
        assert_true(row_of(f, 1, "pytest_gw4_held") >=
                    0); /* its table is not committed: by the lock on the schema */
        row = row_of(f, 2, "forgotten");
        assert_true(row >= 0);
        assert_null(cell(f, (unsigned)row, 0));
        assert_int_equal(row_of(f, 2, "elsewhere"), -1);
        PQfinish(holder);
        PQfinish(builder);
        pg_close(f, c);
        sql(f->admin, "ROLLBACK PREPARED 'forgotten'");
        sql(f->admin, "ROLLBACK PREPARED 'elsewhere'");
        sql(f->admin, "DROP SCHEMA test_held_gw0 CASCADE; DROP SCHEMA test_other_gw0 CASCADE");
}

/* Asked by a role that sees nobody's state. */
static void who_builds_is_busy_and_who_reads_is_not(void **state)
{
        struct fixture *f = *state;
        struct pg_connection *c;
        PGconn *builder = session(f, "user=postgres dbname=postgres application_name=pytest_gw1_busy_engine");
        PGconn *reader = session(f, "user=postgres dbname=postgres application_name=pytest_gw2_busy");
        PGconn *waiter = session(f, "user=postgres dbname=postgres application_name=pytest_gw3_busy");
        char pid[16];

        sql(f->admin,
            "DROP ROLE IF EXISTS blind; CREATE ROLE blind LOGIN; CREATE TABLE public.looked_at (id int)");
        c = open_ok(f, by_socket(f, "user=blind dbname=postgres"));
        sql(builder, "BEGIN");
        sql(reader, "BEGIN; SELECT count(*) FROM public.looked_at");
        assert_ok(f, ask(f, c, PG_HOLDER_BUSY, "gw1", "busy"));
        assert_int_equal(f->heard.n_rows, 0);
        sql(builder, "CREATE TABLE public.built (id int)");
        (void)snprintf(pid, sizeof(pid), "%d", PQbackendPID(builder));
        assert_ok(f, ask(f, c, PG_HOLDER_BUSY, "gw1", "busy"));
        assert_int_equal(f->heard.n_rows, 1);
        assert_string_equal(cell(f, 0, 0), pid);

        assert_ok(f, ask(f, c, PG_HOLDER_BUSY, "gw2", "busy"));
        assert_int_equal(f->heard.n_rows, 0);
        assert_ok(f, ask(f, c, PG_HOLDER_BUSY, "gw1", "bus"));
        assert_int_equal(f->heard.n_rows, 0);
        assert_ok(f, ask(f, c, PG_HOLDER_BUSY, "gw", "busy"));
        assert_int_equal(f->heard.n_rows, 0);
        assert_ok(f, ask(f, c, PG_HOLDER_BUSY, "%", "busy'"));
        assert_int_equal(f->heard.n_rows, 0);

        /* It has built nothing yet, and will. */
        assert_int_equal(PQsendQuery(waiter, "DROP TABLE public.looked_at"), 1);
        while (!*sql(f->admin, "SELECT 1 FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'"))
                ;
        assert_ok(f, ask(f, c, PG_HOLDER_BUSY, "gw3", "busy"));
        assert_int_equal(f->heard.n_rows, 1);

        sql(builder, "ROLLBACK");
        assert_ok(f, ask(f, c, PG_HOLDER_BUSY, "gw1", "busy"));
        assert_int_equal(f->heard.n_rows, 0);
        PQfinish(reader);
        PQfinish(waiter);
        PQfinish(builder);
        pg_close(f, c);
        sql(f->admin, "DROP TABLE IF EXISTS public.looked_at; DROP ROLE blind");
}

/* Objects, not modes: the lock table has one entry for both. */
static void locks_are_counted_by_object(void **state)
{
        struct fixture *f = *state;
        struct pg_connection *c = open_ok(f, f->conninfo);
        PGconn *builder = session(f, "user=postgres dbname=postgres application_name=pytest_gw1_counts");
        PGconn *reader = session(f, "user=postgres dbname=postgres application_name=pytest_gw2_counts");
        unsigned long long objects;

        sql(reader, "BEGIN; SELECT count(*) FROM pg_class"); /* fast path only */
        sql(builder, "BEGIN; CREATE SCHEMA test_counts_gw1");
        sql(builder, "DO $$ BEGIN FOR i IN 1..20 LOOP EXECUTE format('CREATE TABLE test_counts_gw1.t%%s "
                     "(id serial PRIMARY KEY, a text REFERENCES test_counts_gw1.t1 (a), UNIQUE (a))', i); "
                     "END LOOP; END $$");
        assert_ok(f, ask(f, c, PG_LOCK_COUNTS, NULL, NULL));
        assert_int_equal(f->heard.n_columns, 2);
        assert_int_equal(row_of(f, 0, "pytest_gw2_counts"), -1);
        assert_true(row_of(f, 0, "pytest_gw1_counts") >= 0);
        objects = strtoull(cell(f, (unsigned)row_of(f, 0, "pytest_gw1_counts"), 1), NULL, 10);
        assert_string_equal(
                cell(f, (unsigned)row_of(f, 0, "pytest_gw1_counts"), 1),
                sql(f->admin,
                    "SELECT count(*) FROM (SELECT DISTINCT locktype, database, relation, classid, "
                    "objid, transactionid FROM pg_locks WHERE NOT fastpath AND pid = %d) one",
                    PQbackendPID(builder)));
        assert_true(objects > 20 * 6);
        assert_true(objects < strtoull(sql(f->admin, "SELECT count(*) FROM pg_locks WHERE pid = %d",
                                           PQbackendPID(builder)),
                                       NULL, 10));
        PQfinish(reader);
        PQfinish(builder);
        pg_close(f, c);
}

static void holders_are_told_by_schema_also_when_nobody_waits(void **state)
{
        struct fixture *f = *state;
        struct pg_connection *c = open_ok(f, f->conninfo);
        PGconn *holder = session(f, "user=postgres dbname=postgres application_name=pytest_gw3_held");
        unsigned row;

        sql(f->admin, "CREATE SCHEMA test_held_gw0; CREATE TABLE test_held_gw0.t()");
        sql(f->admin, "BEGIN; LOCK TABLE test_held_gw0.t IN ACCESS SHARE MODE; PREPARE TRANSACTION 'forgotten'");
        sql(holder, "BEGIN; LOCK TABLE test_held_gw0.t IN ROW EXCLUSIVE MODE");
        assert_ok(f, ask(f, c, PG_HOLDERS, NULL, NULL));
        assert_int_equal(f->heard.n_rows, 2);
        row = (unsigned)row_of(f, PG_HOLDER_APPLICATION_NAME, "pytest_gw3_held");
        assert_string_equal(cell(f, row, PG_HOLDER_SCHEMA), "test_held_gw0");
        assert_int_equal(atoi(cell(f, row, PG_HOLDER_PID)), PQbackendPID(holder));
        assert_string_equal(cell(f, row, PG_HOLDER_LOCKS), "t RowExclusiveLock");
        assert_non_null(strstr(cell(f, row, PG_HOLDER_QUERY), "ROW EXCLUSIVE"));
        assert_non_null(cell(f, row, PG_HOLDER_TRANSACTION_USEC));
        row = (unsigned)row_of(f, PG_HOLDER_QUERY, "forgotten");
        assert_null(cell(f, row, PG_HOLDER_PID));
        assert_string_equal(cell(f, row, PG_HOLDER_LOCKS), "t AccessShareLock");

        PQfinish(holder);
        sql(f->admin, "ROLLBACK PREPARED 'forgotten'");
        sql(f->admin, "DROP SCHEMA test_held_gw0 CASCADE");
        pg_close(f, c);
}

static void blockers_have_both_sides(void **state)
{
        struct fixture *f = *state;
        struct pg_connection *c = open_ok(f, f->conninfo);
        PGconn *holder = session(f, "user=postgres dbname=postgres application_name=pytest_gw0_holder");
        PGconn *waiter = session(f, "user=postgres dbname=postgres application_name=pytest_gw0_waiter");
        unsigned row;

        sql(f->admin, "CREATE TABLE blocked(); CREATE SCHEMA test_pa_gw1; CREATE TABLE test_pa_gw1.t()");
        assert_ok(f, ask(f, c, PG_BLOCKERS, NULL, NULL));
        assert_int_equal(f->heard.n_rows, 0);
        assert_int_equal(f->heard.n_columns, PG_BLOCKER_COLUMNS_);

        sql(f->admin, "BEGIN; LOCK TABLE blocked, test_pa_gw1.t IN SHARE MODE; PREPARE TRANSACTION 'forgotten'");
        sql(holder, "BEGIN; LOCK TABLE blocked IN SHARE MODE");
        assert_int_equal(PQsendQuery(waiter, "LOCK TABLE blocked IN ACCESS EXCLUSIVE MODE; SELECT 1"), 1);
        do
                assert_ok(f, ask(f, c, PG_BLOCKERS, NULL, NULL));
        while (f->heard.n_rows < 2);
        assert_int_equal(f->heard.n_rows, 2);

        row = (unsigned)row_of(f, PG_BLOCKER_APPLICATION_NAME, "pytest_gw0_holder");
        assert_string_equal(cell(f, row, PG_BLOCKED_APPLICATION_NAME), "pytest_gw0_waiter");
        assert_non_null(strstr(cell(f, row, PG_BLOCKED_QUERY), "ACCESS EXCLUSIVE"));
        assert_non_null(strstr(cell(f, row, PG_BLOCKER_QUERY), "SHARE MODE"));
        assert_string_equal(cell(f, row, PG_BLOCKED_WAIT_EVENT), "relation");
        assert_int_equal(atoi(cell(f, row, PG_BLOCKER_PID)), PQbackendPID(holder));
        assert_non_null(cell(f, row, PG_BLOCKED_WAIT_USEC));
        assert_non_null(cell(f, row, PG_BLOCKED_TRANSACTION_USEC));

        row = (unsigned)row_of(f, PG_BLOCKER_PID, "0");
        assert_string_equal(cell(f, row, PG_BLOCKER_QUERY), "forgotten");
        assert_string_equal(cell(f, row, PG_BLOCKER_GID), "forgotten");
        assert_string_equal(cell(f, row, PG_BLOCKER_SCHEMA), "test_pa_gw1");
        assert_null(cell(f, row, PG_BLOCKER_APPLICATION_NAME));
        assert_true(strtoull(cell(f, row, PG_BLOCKER_TRANSACTION_USEC), NULL, 10) < 600 * SECOND);
        PQfinish(holder);
        PQfinish(waiter);
        pg_close(f, c);
        sql(f->admin, "ROLLBACK PREPARED 'forgotten'");
        sql(f->admin, "DROP TABLE blocked");
}

/* Whoever owns the database decides where names are looked up first. */
static void nobody_redefines_what_is_asked(void **state)
{
        struct fixture *f = *state;
        struct pg_connection *c;
        PGconn *owner;

        sql(f->admin, "CREATE DATABASE evil");
        owner = session(f, "user=postgres dbname=evil");
        sql(owner,
            "CREATE SCHEMA evil;"
            "CREATE VIEW evil.pg_stat_activity AS SELECT ''::text AS application_name, 1 AS pid, ''::name AS "
            "datname WHERE false;"
            "CREATE FUNCTION evil.no(oid, oid) RETURNS bool LANGUAGE sql AS 'SELECT false';"
            "CREATE OPERATOR evil.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = evil.no);"
            "CREATE FUNCTION evil.pg_backend_pid() RETURNS int LANGUAGE sql AS 'SELECT 1';"
            "ALTER DATABASE evil SET search_path = evil, pg_catalog");
        PQfinish(owner);
        c = open_ok(f, by_socket(f, "user=postgres dbname=evil"));
        assert_ok(f, ask(f, c, PG_SESSIONS, NULL, NULL));
        assert_true(row_of(f, 0, "berthd-test") >= 0);
        assert_ok(f, ask(f, c, PG_IDENTIFY, NULL, NULL));
        assert_int_equal(number(f, PG_IDENTIFY_BACKEND_PID), f->heard.backend_pid);
        assert_ok(f, ask(f, c, PG_LOOKUP, "2200", NULL)); /* public */
        assert_int_equal(f->heard.n_rows, 1);
        pg_close(f, c);
        sql(f->admin, "DROP DATABASE evil");
}

/* The postmaster stays the same when it ends all sessions because one of them crashed. */
static void the_uptime_begins_anew_when_the_sessions_do(void **state)
{
        struct fixture *f = *state;
        struct pg_connection *c = open_ok(f, f->conninfo);
        unsigned long long started, since;

        assert_ok(f, ask(f, c, PG_IDENTIFY, NULL, NULL));
        started = number(f, PG_IDENTIFY_STARTED_USEC);
        since = now_usec();
        assert_int_equal(kill(f->heard.backend_pid, SIGKILL), 0);
        assert_outcome(f, PG_LOST, ask(f, c, PG_IDENTIFY, NULL, NULL));
        /* The postmaster may let one in before it has noticed. */
        do {
                pg_close(f, c);
                c = try_open(f, f->conninfo, 10 * SECOND);
                assert_true(now_usec() - since < 20 * SECOND);
        } while (f->heard.outcome != PG_OK || ask(f, c, PG_IDENTIFY, NULL, NULL) != PG_OK ||
                 number(f, PG_IDENTIFY_UPTIME_USEC) > now_usec() - since);
        assert_int_equal(number(f, PG_IDENTIFY_STARTED_USEC), started);
        pg_close(f, c);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_server_says_who_it_is),
                cmocka_unit_test(schemas_come_with_owner_and_right_to_drop),
                cmocka_unit_test(sessions_are_those_of_the_whole_cluster_now),
                cmocka_unit_test(a_drop_from_begin_to_commit),
                cmocka_unit_test(a_drop_that_is_rolled_back_leaves_all),
                cmocka_unit_test(without_a_transaction_nothing_is_dropped),
                cmocka_unit_test(names_are_quoted_whatever_they_are),
                cmocka_unit_test(time_outs_hold_inside_the_transaction_only),
                cmocka_unit_test(a_drop_dies_with_its_connection),
                cmocka_unit_test(lock_holders_are_sessions_and_prepared_transactions),
                cmocka_unit_test(who_builds_is_busy_and_who_reads_is_not),
                cmocka_unit_test(locks_are_counted_by_object),
                cmocka_unit_test(holders_are_told_by_schema_also_when_nobody_waits),
                cmocka_unit_test(blockers_have_both_sides),
                cmocka_unit_test(nobody_redefines_what_is_asked),
                cmocka_unit_test(
                        the_uptime_begins_anew_when_the_sessions_do), /* the last one: admin is gone */
        };

        return cmocka_run_group_tests(tests, fixture_set_up, fixture_tear_down);
}
