/* SPDX-License-Identifier: MIT */

/* Databases and their clusters, and who blocks whom in them, over servers that answer when the test says so.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_env.h"
#include "service/databases.h"
#include "service/locks.h"
#include "util/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define TOLD_MAX 4

struct pg_connection {
        TAILQ_ENTRY(pg_connection) link; /* stage::connections */
        struct stage *stage;
        char *conninfo;
        enum pg_question question;
        pg_answered_fn *answered;
        void *owner;
};

struct told {
        uint64_t id;
        unsigned cluster;
        char text[128];
};

struct stage {
        struct pg pg; /* first: ops are given it */
        struct fake_env *fake;
        struct settings settings;
        struct database_setting named[2];
        struct databases *databases;
        struct locks *locks;
        TAILQ_HEAD(, pg_connection) connections;
        struct told told[TOLD_MAX];
        unsigned n_told;
};

/* ---- servers ---- */

static struct pg_connection *pg_open(struct pg *pg, const char *conninfo, uint64_t timeout_usec,
                                     pg_answered_fn *answered, void *owner)
{
        struct stage *stage = (struct stage *)pg;
        struct pg_connection *connection = NEW(struct pg_connection);

        (void)timeout_usec;
        connection->stage = stage;
        connection->conninfo = alloc_string(conninfo);
        connection->question = PG_CONNECT;
        connection->answered = answered;
        connection->owner = owner;
        TAILQ_INSERT_TAIL(&stage->connections, connection, link);
        return connection;
}

static void pg_ask(struct pg_connection *connection, enum pg_question question,
                   const char *const parameters[PG_PARAMETERS_MAX], uint64_t timeout_usec)
{
        (void)parameters;
        (void)timeout_usec;
        connection->question = question;
}

static void pg_close(struct pg_connection *connection)
{
        if (!connection)
                return;
        TAILQ_REMOVE(&connection->stage->connections, connection, link);
        free(connection->conninfo);
        free(connection);
}

static const struct pg_ops pg_ops = {pg_open, pg_ask, pg_close};

static struct pg_connection *connection_to(struct stage *stage, const char *conninfo)
{
        struct pg_connection *connection;

        TAILQ_FOREACH (connection, &stage->connections, link)
                if (!strcmp(connection->conninfo, conninfo))
                        return connection;
        fail_msg("nobody connects to %s", conninfo);
        return NULL;
}

static void answer(struct stage *stage, struct pg_connection *connection, struct pg_answer answer)
{
        answer.question = connection->question;
        answer.message = answer.message ? answer.message : "";
        fake_env_enter(stage->fake);
        connection->answered(connection->owner, &answer);
        fake_env_leave(stage->fake);
}

static void refuse(struct stage *stage, const char *conninfo)
{
        answer(stage, connection_to(stage, conninfo),
               (struct pg_answer){.outcome = PG_LOST, .message = "refused"});
}

/* It connects, and is a database of that server. */
static void identify(struct stage *stage, const char *conninfo, const char *system_identifier,
                     const char *address, const char *started_usec)
{
        const char *cells[PG_IDENTIFY_COLUMNS_] = {
                [PG_IDENTIFY_SYSTEM_IDENTIFIER] = system_identifier,
                [PG_IDENTIFY_STARTED_USEC] = started_usec,
                [PG_IDENTIFY_ADDRESS] = address,
                [PG_IDENTIFY_DATABASE_OID] = "16384",
        };
        struct pg_connection *connection = connection_to(stage, conninfo);

        answer(stage, connection, (struct pg_answer){.outcome = PG_OK});
        answer(stage, connection,
               (struct pg_answer){
                       .outcome = PG_OK, .n_rows = 1, .n_columns = PG_IDENTIFY_COLUMNS_, .cells = cells});
        (void)fake_env_turn(stage->fake);
}

/* ---- the stage ---- */

static struct told *note(struct stage *stage, uint64_t id)
{
        assert_true(fake_env_in_loop(stage->fake));
        assert_true(stage->n_told < TOLD_MAX);
        stage->told[stage->n_told].id = id;
        return &stage->told[stage->n_told++];
}

static void resolved(void *owner, uint64_t id, unsigned cluster, const char *why)
{
        struct told *told = note(owner, id);

        told->cluster = cluster;
        (void)snprintf(told->text, sizeof(told->text), "%s", why ? why : "");
}

static void lock_found(void *owner, uint64_t caller, const struct lock_pair *pair, const char *database,
                       const char *error)
{
        struct told *told = note(owner, caller);

        assert_null(pair);
        if (error)
                (void)snprintf(told->text, sizeof(told->text), "%s: %s", database, error);
}

static int setup(void **state)
{
        struct stage *stage = NEW(struct stage);

        stage->pg.ops = &pg_ops;
        stage->fake = fake_env_new();
        stage->named[0] = (struct database_setting){alloc_string("one"), alloc_string("at one")};
        stage->named[1] = (struct database_setting){alloc_string("two"), alloc_string("at two")};
        stage->settings = (struct settings){
                .connect_timeout = USEC_PER_SEC, .databases = stage->named, .n_databases = 2};
        TAILQ_INIT(&stage->connections);
        stage->databases = databases_new(fake_env(stage->fake), &stage->pg, &stage->settings);
        stage->locks = locks_new(fake_env(stage->fake), &stage->pg, stage->databases, &stage->settings,
                                 lock_found, stage);
        (void)fake_env_turn(stage->fake);
        *state = stage;
        return 0;
}

static int teardown(void **state)
{
        struct stage *stage = *state;

        stage->locks = locks_free(stage->locks);
        stage->databases = databases_free(stage->databases);
        assert_true(TAILQ_EMPTY(&stage->connections));
        stage->fake = fake_env_free(stage->fake);
        for (unsigned i = 0; i < 2; i++) {
                free(stage->named[i].name);
                free(stage->named[i].conninfo);
        }
        free(stage);
        return 0;
}

static void configure(struct stage *stage, unsigned n_databases)
{
        stage->settings.n_databases = n_databases;
        databases_configure(stage->databases, &stage->settings);
}

static void ask(struct stage *stage, const char *name, const char *system_identifier, uint64_t id)
{
        assert_int_equal(databases_resolve(stage->databases, name, system_identifier, resolved, stage, id),
                         0);
}

static unsigned cluster_of(struct stage *stage, const char *name)
{
        return databases_known_cluster(stage->databases, name, NULL);
}

/* ---- clusters ---- */

static void two_databases_of_one_server_are_of_one_cluster(void **state)
{
        struct stage *stage = *state;

        databases_identify(stage->databases);
        identify(stage, "at one", "7", "5432", "1000");
        assert_int_equal(cluster_of(stage, NULL), 0); /* the other one may be elsewhere */
        identify(stage, "at two", "7", "5432", "1000");
        assert_int_equal(cluster_of(stage, "one"), cluster_of(stage, "two"));
        assert_int_equal(cluster_of(stage, NULL), 1);
}

static void a_clone_that_runs_beside_its_original_is_another_cluster(void **state)
{
        struct stage *stage = *state;

        databases_identify(stage->databases);
        identify(stage, "at one", "7", "5432", "1000");
        identify(stage, "at two", "7", "5433", "2000");
        assert_int_equal(cluster_of(stage, "one"), 1);
        assert_int_equal(cluster_of(stage, "two"), 2);
}

static void a_server_that_was_restarted_keeps_its_cluster(void **state)
{
        struct stage *stage = *state;

        databases_identify(stage->databases);
        identify(stage, "at one", "7", "5432", "1000");
        identify(stage, "at two", "7", "5432", "3000");
        assert_int_equal(cluster_of(stage, "one"), cluster_of(stage, "two"));
}

static void clusters_that_are_only_asked_for_are_not_without_number(void **state)
{
        struct stage *stage = *state;
        char identifier[24];

        configure(stage, 0);
        assert_int_equal(databases_known_cluster(stage->databases, NULL, "7"), 1);
        for (unsigned i = 100; i < 3000; i++) {
                (void)snprintf(identifier, sizeof(identifier), "%u", i);
                (void)databases_known_cluster(stage->databases, NULL, identifier);
        }
        assert_int_equal(databases_n_clusters(stage->databases), 1000);
        assert_int_equal(databases_known_cluster(stage->databases, NULL, "7"), 1);
        ask(stage, NULL, "99999", 5);
        (void)fake_env_turn(stage->fake);
        assert_int_equal(stage->n_told, 1);
        assert_int_equal(stage->told[0].cluster, 0);
}

/* ---- those who wait for one ---- */

static void who_waits_for_a_server_that_refuses_is_told_why(void **state)
{
        struct stage *stage = *state;

        ask(stage, "one", NULL, 5);
        (void)fake_env_turn(stage->fake);
        assert_int_equal(stage->n_told, 0);
        refuse(stage, "at one");
        (void)fake_env_turn(stage->fake);
        assert_int_equal(stage->n_told, 1);
        assert_string_equal(stage->told[0].text, "database one: refused");
}

static void who_waits_for_a_database_that_a_reload_took_away_is_told(void **state)
{
        struct stage *stage = *state;

        ask(stage, "two", NULL, 5);
        configure(stage, 1);
        (void)fake_env_turn(stage->fake);
        assert_int_equal(stage->n_told, 1);
        assert_string_equal(stage->told[0].text, "database two is not configured any more");
}

static void a_server_of_a_database_that_was_taken_away_is_the_last_to_answer(void **state)
{
        struct stage *stage = *state;

        ask(stage, NULL, "8", 5);
        refuse(stage, "at one");
        configure(stage, 1);
        (void)fake_env_turn(stage->fake);
        assert_int_equal(stage->n_told, 0);
        refuse(stage, "at two");
        (void)fake_env_turn(stage->fake);
        assert_int_equal(stage->n_told, 1);
        assert_int_equal(stage->told[0].cluster, 0);
}

/* ---- locks ---- */

static void each_who_asks_for_locks_where_there_is_no_database_is_answered(void **state)
{
        struct stage *stage = *state;

        configure(stage, 0);
        assert_int_equal(locks_ask(stage->locks, 5, NULL), 0);
        assert_int_equal(locks_ask(stage->locks, 6, NULL), 0);
        assert_int_equal(locks_ask(stage->locks, 7, NULL), 0);
        locks_forget_caller(stage->locks, 6);
        (void)fake_env_turn(stage->fake);
        assert_int_equal(stage->n_told, 2);
        assert_int_equal(stage->told[0].id, 5);
        assert_int_equal(stage->told[1].id, 7);
}

static void a_database_that_could_not_be_asked_for_locks_is_named(void **state)
{
        struct stage *stage = *state;

        assert_int_equal(locks_ask(stage->locks, 5, "nowhere"), DATABASES_E_NO_SUCH_DATABASE);
        assert_int_equal(locks_ask(stage->locks, 5, "two"), 0);
        refuse(stage, "at two");
        assert_int_equal(stage->n_told, 2);
        assert_string_equal(stage->told[0].text, "two: refused");
        assert_string_equal(stage->told[1].text, "");
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                STORY(two_databases_of_one_server_are_of_one_cluster),
                STORY(a_clone_that_runs_beside_its_original_is_another_cluster),
                STORY(a_server_that_was_restarted_keeps_its_cluster),
                STORY(clusters_that_are_only_asked_for_are_not_without_number),
                STORY(who_waits_for_a_server_that_refuses_is_told_why),
                STORY(who_waits_for_a_database_that_a_reload_took_away_is_told),
                STORY(a_server_of_a_database_that_was_taken_away_is_the_last_to_answer),
                STORY(each_who_asks_for_locks_where_there_is_no_database_is_answered),
                STORY(a_database_that_could_not_be_asked_for_locks_is_named),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
