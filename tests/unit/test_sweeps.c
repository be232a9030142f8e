/* SPDX-License-Identifier: MIT */

/* When sweeps come, and what of them is on record. One database, with one schema that no ledger knows. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_env.h"
#include "memory_ledger.h"
#include "proto/json.h"
#include "service/explain.h"
#include "service/sweep.h"
#include "util/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_USEC    (10 * USEC_PER_MSEC)
#define SWEEP_INTERVAL (60 * USEC_PER_SEC)
#define CALLER         7
#define SCHEMA         "test_abc_gw0"
#define OID            "16400"
#define LABEL          "berthd-system-p7t1700000000r00000001"

struct story {
        struct pg pg; /* first */
        struct fake_env *fake;
        struct memory_ledger *memory;
        struct settings settings;
        struct database_setting database;
        struct databases *databases;
        struct leases *leases;
        struct slots *slots;
        struct sweeper *sweeper;
        unsigned n_dry, n_real; /* finished */
        bool asks_again;        /* for a dry run, as soon as one has finished */
        bool falls_short;       /* a sweep is not complete to the end */
        int last_pid,
                commits; /* backends; that of the drop whose COMMIT is not answered, while it is there */
        bool loses_commits;
};

/* ---- the server ---- */

struct pg_connection {
        struct story *story;
        pg_answered_fn *answered;
        void *owner;
        enum pg_question question;
        struct timer *reply;
        int pid;
};

/* Whoever asks; another connection of ours, which looks at something; and the drop that was lost. */
static void list_sessions(struct pg_connection *c, struct pg_answer *answer)
{
        static char pids[3][12];
        static const char *cells[3 * 3];
        const int all[] = {c->pid, 4000, c->story->commits};

        answer->n_rows = c->story->commits ? 3 : 2;
        answer->n_columns = 3;
        answer->cells = cells;
        for (unsigned i = 0; i < answer->n_rows; i++) {
                (void)snprintf(pids[i], sizeof(pids[i]), "%d", all[i]);
                cells[3 * i] = LABEL;
                cells[3 * i + 1] = pids[i];
                cells[3 * i + 2] = "main";
        }
}

static void lose_commit(struct pg_connection *c, struct pg_answer *answer)
{
        answer->outcome = PG_LOST;
        answer->message = "it is not there";
        c->story->commits = c->pid;
}

/* A drop comes to nothing: somebody uses it. */
static void on_reply(void *owner)
{
        char pid[12];
        const char *const identity[PG_IDENTIFY_COLUMNS_] = {
                "1", "1", "86400000000", "here", "1", "f", "f", pid, "t", "6400", "1000", "150000"};
        static const char *const schema[] = {SCHEMA, OID, "somebody", "t", "f"};
        static const char *const pin[] = {OID};
        struct pg_connection *c = owner;
        struct pg_answer answer = {.question = c->question, .message = "", .backend_pid = c->pid};

        (void)snprintf(pid, sizeof(pid), "%d", c->pid);
        if (c->question == PG_IDENTIFY) {
                answer.n_rows = 1;
                answer.n_columns = PG_IDENTIFY_COLUMNS_;
                answer.cells = identity;
        } else if (c->question == PG_SCHEMAS) {
                answer.n_rows = 1;
                answer.n_columns = 5;
                answer.cells = schema;
        } else if (c->question == PG_DROP_PIN) {
                answer.n_rows = answer.n_columns = 1;
                answer.cells = pin;
        } else if (c->question == PG_SESSIONS) {
                list_sessions(c, &answer);
        } else if (c->question == PG_COMMIT && c->story->loses_commits) {
                lose_commit(c, &answer);
        } else if (c->question == PG_DROP && !c->story->loses_commits) {
                answer.outcome = PG_SQL_ERROR;
                (void)strcpy(answer.sqlstate, "55006");
        }
        c->answered(c->owner, &answer);
}

static void ask(struct pg_connection *c, enum pg_question question,
                const char *const parameters[PG_PARAMETERS_MAX], uint64_t timeout_usec)
{
        (void)parameters, (void)timeout_usec;
        c->question = question;
        fake_env(c->story->fake)->ops->timer_arm(c->reply, ANSWER_USEC);
}

static struct pg_connection *open_connection(struct pg *pg, const char *conninfo, uint64_t timeout_usec,
                                             pg_answered_fn *answered, void *owner)
{
        struct story *story = (struct story *)pg;
        struct env *env = fake_env(story->fake);
        struct pg_connection *c = NEW(struct pg_connection);

        (void)conninfo;
        *c = (struct pg_connection){
                .story = story, .answered = answered, .owner = owner, .pid = 5000 + ++story->last_pid};
        c->reply = env->ops->timer_new(env, on_reply, c);
        ask(c, PG_CONNECT, NULL, timeout_usec);
        return c;
}

static void close_connection(struct pg_connection *c)
{
        if (!c)
                return;
        fake_env(c->story->fake)->ops->timer_free(c->reply);
        free(c);
}

/* ---- the story ---- */

static void ask_for_a_dry_run(struct story *story)
{
        (void)sweeper_start(story->sweeper, &(struct sweep_request){.caller = CALLER, .dry_run = true});
}

static void on_verdict(void *owner, uint64_t caller, const struct sweep_item *item)
{
        (void)owner, (void)caller, (void)item;
}

static void on_slots_changed(void *owner, unsigned cluster)
{
        (void)owner, (void)cluster;
}

static void on_finished(void *owner, uint64_t caller, const struct sweep_result *result)
{
        struct story *story = owner;

        (void)caller;
        assert_int_equal(result->complete, !story->falls_short);
        story->n_dry += result->dry_run;
        story->n_real += !result->dry_run;
        if (story->asks_again)
                ask_for_a_dry_run(story);
}

static int set_up(void **state)
{
        static const struct pg_ops ops = {.open = open_connection, .ask = ask, .close = close_connection};
        static const struct lease_events lease_events;
        static const struct slot_events slot_events = {.changed = on_slots_changed};
        static const struct sweep_events sweep_events = {on_verdict, on_finished};
        struct story *story = NEW(struct story);
        struct env *env;

        story->pg.ops = &ops;
        story->fake = fake_env_new();
        env = fake_env(story->fake);
        story->memory = memory_ledger_new(story->fake);
        story->database = (struct database_setting){(char *)"main", (char *)"host=here"};
        story->settings = (struct settings){.ddl_slots = 2,
                                            .connect_timeout = 5 * USEC_PER_SEC,
                                            .lock_timeout = 5 * USEC_PER_SEC,
                                            .statement_timeout = 30 * USEC_PER_SEC,
                                            .unleased_grace = 12 * 3600 * USEC_PER_SEC,
                                            .sweep_interval = SWEEP_INTERVAL,
                                            .databases = &story->database,
                                            .n_databases = 1};
        story->databases = databases_new(env, &story->pg, &story->settings);
        story->leases = leases_new(env, memory_ledger(story->memory), &story->settings, &lease_events, story);
        story->slots = slots_new(env, memory_ledger(story->memory), story->databases, &story->pg,
                                 &story->settings, &slot_events, story);
        story->sweeper = sweeper_new(env, &story->pg, memory_ledger(story->memory), story->databases,
                                     story->leases, story->slots, &story->settings, &sweep_events, story);
        sweeper_loaded(story->sweeper, &(struct ledger_numbers){1, 1, 1, 1});
        *state = story;
        return 0;
}

static int tear_down(void **state)
{
        struct story *story = *state;

        sweeper_free(story->sweeper);
        slots_free(story->slots);
        leases_free(story->leases);
        databases_free(story->databases);
        memory_ledger_free(story->memory);
        fake_env_free(story->fake);
        free(story);
        return 0;
}

/* The disk is as fast as it can be. */
static void pass(struct story *story, uint64_t usec)
{
        for (uint64_t passed = 0; passed < usec; passed += ANSWER_USEC) {
                fake_env_pass(story->fake, ANSWER_USEC);
                (void)memory_ledger_confirm(story->memory);
        }
}

static unsigned n_verdicts(const struct story *story)
{
        return memory_ledger_count(story->memory, LEDGER_VERDICT);
}

/* ---- what is on record ---- */

static void why_it_is_kept_is_recorded_once_also_if_a_dry_run_found_it_first(void **state)
{
        struct story *story = *state;

        ask_for_a_dry_run(story);
        pass(story, USEC_PER_SEC / 2);
        assert_int_equal(story->n_dry, 1);
        assert_int_equal(n_verdicts(story), 0);

        pass(story, 2 * USEC_PER_SEC);
        assert_int_equal(story->n_real, 1);
        assert_int_equal(n_verdicts(story), 1);
        assert_string_equal(memory_ledger_last(story->memory, LEDGER_VERDICT)->reason, "unleased_recent");

        ask_for_a_dry_run(story);
        pass(story, 2 * SWEEP_INTERVAL);
        assert_true(story->n_real > 1);
        assert_int_equal(n_verdicts(story), 1);
}

static void of_two_sweeps_the_one_that_runs_has_the_last_word(void **state)
{
        const struct ledger_change dropped = {.kind = LEDGER_VERDICT,
                                              .sweep = 2,
                                              .database = "main",
                                              .schema = SCHEMA,
                                              .oid = OID,
                                              .detail = "dropped"};
        struct story *story = *state;
        const struct explain_tools tools = {fake_env(story->fake), story->leases, story->sweeper,
                                            &story->settings};
        struct explanation e = {.name = (char *)SCHEMA, .kind = EXPLAIN_SCHEMA};

        pass(story, 2 * USEC_PER_SEC);
        assert_int_equal(sweeper_last(story->sweeper)->id, 1);
        assert_int_equal(sweeper_last(story->sweeper)->items[0].verdict, SWEEP_KEPT);

        assert_true(names_parse_schema(SCHEMA, &e.parsed));
        explain_add_verdict(&e, &dropped);
        explain_judge(&e, &tools);
        assert_int_equal(e.n_schemas, 1);
        assert_string_equal(explain_standing_name(e.schemas[0].standing), "dropped");
        assert_int_equal(e.schemas[0].n_verdicts, 1);

        free(e.schemas[0].verdicts[0].oid);
        free(e.schemas[0].verdicts[0].verdict);
        free(e.schemas[0].verdicts);
        free(e.schemas[0].database);
        free(e.schemas[0].schema);
        free(e.schemas);
        json_free(e.sweep);
}

static void a_sweep_that_the_ledger_stops_says_that_it_is_not_complete(void **state)
{
        struct story *story = *state;
        const struct sweep_result *last;

        story->settings.unleased_grace = 0;
        story->falls_short = true;
        while (!memory_ledger_count(story->memory, LEDGER_CLAIMED))
                fake_env_pass(story->fake, ANSWER_USEC);
        (void)memory_ledger_refuse(story->memory);
        fake_env_pass(story->fake, ANSWER_USEC);
        assert_int_equal(story->n_real, 1);
        last = sweeper_last(story->sweeper);
        assert_string_equal(last->incomplete_reason, "the ledger cannot be written");
        assert_int_equal(last->items[0].reason, KEPT_ACTIVE_DETECTION_INCOMPLETE);
        assert_false(memory_ledger_last(story->memory, LEDGER_SWEPT)->complete);
}

/* ---- claims ---- */

static void a_lost_drop_is_waited_for_and_not_whoever_else_of_us_is_connected(void **state)
{
        struct story *story = *state;

        story->settings.unleased_grace = 0;
        story->loses_commits = true;
        pass(story, 15 * USEC_PER_SEC);
        assert_int_equal(sweeper_last(story->sweeper)->items[0].verdict, SWEEP_UNKNOWN);
        story->loses_commits = false;
        pass(story, SWEEP_INTERVAL);
        assert_true(story->n_real > 1);
        assert_int_equal(sweeper_last(story->sweeper)->items[0].verdict, SWEEP_UNKNOWN);
        assert_int_equal(memory_ledger_count(story->memory, LEDGER_UNCLAIMED), 0);
        story->commits = 0;
        pass(story, SWEEP_INTERVAL + 2 * USEC_PER_SEC);
        assert_int_equal(sweeper_last(story->sweeper)->items[0].verdict, SWEEP_FAILED);
        assert_true(memory_ledger_count(story->memory, LEDGER_UNCLAIMED) > 0);
}

/* ---- when they come ---- */

static void a_dry_run_does_not_put_off_the_next_try_of_a_drop(void **state)
{
        struct story *story = *state;

        story->settings.unleased_grace = 0;
        pass(story, 2 * USEC_PER_SEC);
        assert_string_equal(memory_ledger_last(story->memory, LEDGER_VERDICT)->detail, "failed");
        assert_int_equal(n_verdicts(story), 1);
        ask_for_a_dry_run(story);
        pass(story, SWEEP_INTERVAL * 2 / 3);
        assert_int_equal(story->n_dry, 1);
        assert_true(story->n_real > 1);
}

static void one_dry_run_after_the_other_keeps_no_sweep_from_its_turn(void **state)
{
        struct story *story = *state;

        pass(story, 2 * USEC_PER_SEC);
        assert_int_equal(story->n_real, 1);
        story->asks_again = true;
        ask_for_a_dry_run(story);
        pass(story, SWEEP_INTERVAL);
        assert_int_equal(story->n_real, 2);
        assert_true(story->n_dry > 100);
        /* Something has ended. */
        sweeper_soon(story->sweeper);
        pass(story, 2 * USEC_PER_SEC);
        assert_int_equal(story->n_real, 3);
        story->asks_again = false;
}

static void a_sweep_of_one_database_does_not_stand_for_the_one_of_all(void **state)
{
        struct story *story = *state;

        sweeper_soon(story->sweeper);
        assert_int_equal(
                sweeper_start(story->sweeper, &(struct sweep_request){.caller = CALLER, .database = "main"}),
                0);
        pass(story, 3 * USEC_PER_SEC);
        assert_int_equal(story->n_real, 2);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        const struct CMUnitTest tests[] = {
                STORY(why_it_is_kept_is_recorded_once_also_if_a_dry_run_found_it_first),
                STORY(of_two_sweeps_the_one_that_runs_has_the_last_word),
                STORY(a_sweep_that_the_ledger_stops_says_that_it_is_not_complete),
                STORY(a_lost_drop_is_waited_for_and_not_whoever_else_of_us_is_connected),
                STORY(a_dry_run_does_not_put_off_the_next_try_of_a_drop),
                STORY(one_dry_run_after_the_other_keeps_no_sweep_from_its_turn),
                STORY(a_sweep_of_one_database_does_not_stand_for_the_one_of_all),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
