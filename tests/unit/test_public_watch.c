/* SPDX-License-Identifier: MIT */

/* When public is looked at, and whom what is found there is laid to. */

#include "fake_server.h"
#include "lease_story.h"

#include "service/public_watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PERIOD (10 * USEC_PER_SEC)

static struct fake_server *server;
static struct databases *databases;
static struct settings settings;
static struct public_watch *watch;

static void pass_on(struct story *story, const struct telling *telling)
{
        static struct lease lease;

        (void)story;
        if (telling->what == TOLD_GRANTED)
                public_watch_granted(watch);
        if (telling->what != TOLD_ENDED)
                return;
        lease.id++;
        (void)strcpy(lease.namespace, telling->namespace);
        public_watch_ended(watch, &lease);
}

static void look_there(const char *since, const char *writes, bool with_another)
{
        static struct fake_table tables[2];

        tables[0] = (struct fake_table){since, "10", "public.t", writes};
        tables[1] = (struct fake_table){since, "20", "public.u", "0"};
        fake_server_set_public(server, tables, with_another ? 2 : 1);
}

static int set_up(void **state)
{
        static struct database_setting all[] = {{(char *)"main", (char *)"1"}};
        struct story *story;

        if (story_setup(state))
                return -1;
        story = *state;
        story->watcher = pass_on;
        settings = (struct settings){.connect_timeout = 5 * USEC_PER_SEC,
                                     .databases = all,
                                     .n_databases = 1,
                                     .public_watch = true};
        server = fake_server_new(story->fake);
        databases = databases_new(fake_env(story->fake), fake_server_pg(server), &settings);
        watch = public_watch_new(fake_env(story->fake), fake_server_pg(server), memory_ledger(story->memory),
                                 databases, story->leases, &settings);
        look_there("start", "100", false);
        return 0;
}

static int tear_down(void **state)
{
        watch = public_watch_free(watch);
        databases_free(databases);
        fake_server_free(server);
        return story_teardown(state);
}

static unsigned n_looks(void)
{
        return fake_server_n_asked(server, PG_PUBLIC);
}

static void append(void *owner, const struct public_written *written)
{
        char *text = owner;
        size_t n = strlen(text);

        n += (size_t)sprintf(text + n, "%s%s %s %s %llu:", n ? "; " : "", written->database, written->table,
                             public_write_kind_name(written->kind), (unsigned long long)written->rows);
        for (unsigned i = 0; i < written->n_namespaces; i++)
                n += (size_t)sprintf(text + n, " %s", written->namespaces[i]);
}

static const char *told(void)
{
        static char text[65536];

        text[0] = '\0';
        public_watch_each(watch, append, text);
        return text;
}

static struct lease_request begin(struct story *story, const char *namespace)
{
        struct telling telling;
        struct peer peer = story_peer(story);
        struct lease_request request = story_acquire_name(story, &peer, namespace, &telling);

        story_settle(story);
        return request;
}

static void end(struct story *story, const struct lease_request *request)
{
        assert_int_equal(story_release(story, request->connection), 0);
        story_settle(story);
}

static void what_was_there_before_the_first_lease_is_nobody_s(void **state)
{
        struct story *story = *state;

        (void)begin(story, "one");
        assert_int_equal(n_looks(), 1);
        story_pass(story, PERIOD);
        assert_int_equal(n_looks(), 2);
        assert_string_equal(told(), "");
}

static void rows_are_laid_to_all_who_live_and_told_once(void **state)
{
        struct story *story = *state;

        (void)begin(story, "one");
        (void)begin(story, "two");
        look_there("start", "103", false);
        story_pass(story, PERIOD);
        assert_string_equal(told(), "main public.t rows 3: one two");
        assert_int_equal(memory_ledger_count(story->memory, LEDGER_PUBLIC_WRITTEN), 2);
        assert_string_equal(memory_ledger_last(story->memory, LEDGER_PUBLIC_WRITTEN)->detail,
                            "3 rows of public.t written");
        look_there("start", "104", false);
        story_pass(story, PERIOD);
        assert_string_equal(told(), "main public.t rows 4: one two");
        assert_int_equal(memory_ledger_count(story->memory, LEDGER_PUBLIC_WRITTEN), 2);
}

static void a_table_that_appears_and_its_rows_are_one(void **state)
{
        struct story *story = *state;
        static struct fake_table tables[] = {{"start", "10", "public.t", "100"},
                                             {"start", "20", "public.u", "5"}};

        (void)begin(story, "one");
        look_there("start", "100", true);
        story_pass(story, PERIOD);
        assert_string_equal(told(), "main public.u table 0: one");
        fake_server_set_public(server, tables, 2);
        story_pass(story, PERIOD);
        assert_string_equal(told(), "main public.u table 5: one");
        assert_int_equal(memory_ledger_count(story->memory, LEDGER_PUBLIC_WRITTEN), 1);
        /* In other hands they are news. */
        (void)begin(story, "two");
        tables[1].writes = "6";
        story_pass(story, PERIOD);
        assert_string_equal(told(), "main public.u table 5: one; main public.u rows 1: one two");
        assert_int_equal(memory_ledger_count(story->memory, LEDGER_PUBLIC_WRITTEN), 3);
}

static void a_short_run_is_looked_at_when_it_has_ended(void **state)
{
        struct story *story = *state;
        struct lease_request one = begin(story, "one");

        look_there("start", "101", false);
        end(story, &one);
        assert_string_equal(told(), "");
        story_pass(story, 3 * USEC_PER_SEC);
        assert_string_equal(told(), "main public.t rows 1: one");
        assert_int_equal(n_looks(), 2);
}

static void nothing_wakes_up_while_nobody_lives(void **state)
{
        struct story *story = *state;
        struct lease_request one = begin(story, "one");

        end(story, &one);
        story_pass(story, PERIOD);
        look_there("start", "200", true);
        assert_int_equal(fake_env_n_timers_armed(story->fake), 0);
        story_pass(story, 3600 * USEC_PER_SEC);
        assert_int_equal(n_looks(), 2);
        /* And what was written meanwhile is nobody's. */
        (void)begin(story, "two");
        story_pass(story, PERIOD);
        assert_string_equal(told(), "");
}

static void who_has_been_seen_to_the_end_is_not_suspected(void **state)
{
        struct story *story = *state;
        struct lease_request one = begin(story, "one");

        (void)begin(story, "two");
        end(story, &one);
        story_pass(story, 3 * USEC_PER_SEC);
        look_there("start", "101", false);
        story_pass(story, PERIOD);
        assert_string_equal(told(), "main public.t rows 1: two");
}

static void many_short_runs_make_few_looks(void **state)
{
        struct story *story = *state;
        char name[16];

        for (unsigned i = 0; i < 600; i++) {
                struct lease_request one;

                (void)snprintf(name, sizeof(name), "run%u", i);
                one = begin(story, name);
                end(story, &one);
                story_pass(story, 10 * USEC_PER_MSEC);
        }
        story_pass(story, PERIOD);
        assert_true(n_looks() <= 5);
        assert_int_equal(fake_env_n_timers_armed(story->fake), 0);
}

static void a_database_that_cannot_be_asked_is_compared_later(void **state)
{
        struct story *story = *state;
        struct lease_request one = begin(story, "one");

        (void)begin(story, "two");
        fake_server_set_mood(server, FAKE_REFUSES);
        look_there("start", "103", false);
        end(story, &one);
        story_pass(story, 2 * PERIOD);
        assert_string_equal(told(), "");
        fake_server_set_mood(server, FAKE_ANSWERS);
        story_pass(story, PERIOD);
        assert_string_equal(told(), "main public.t rows 3: two one");
}

static void a_database_that_is_silent_to_the_end_is_left_alone(void **state)
{
        struct story *story = *state;
        struct lease_request one = begin(story, "one");

        fake_server_set_mood(server, FAKE_SILENT);
        end(story, &one);
        story_pass(story, 2 * PERIOD);
        assert_int_equal(fake_env_n_timers_armed(story->fake), 0);
        fake_server_set_mood(server, FAKE_ANSWERS);
        look_there("start", "900", true);
        (void)begin(story, "two");
        story_pass(story, PERIOD);
        assert_string_equal(told(), "");
}

static void counts_that_begin_anew_are_no_alarm(void **state)
{
        struct story *story = *state;

        (void)begin(story, "one");
        look_there("reset", "500", false);
        story_pass(story, PERIOD);
        assert_string_equal(told(), "");
        look_there("reset", "501", false);
        story_pass(story, PERIOD);
        assert_string_equal(told(), "main public.t rows 1: one");
}

static void switched_off_nobody_looks_and_nothing_is_told(void **state)
{
        struct story *story = *state;
        unsigned before;

        (void)begin(story, "one");
        look_there("start", "101", false);
        story_pass(story, PERIOD);
        assert_string_equal(told(), "main public.t rows 1: one");
        settings.public_watch = false;
        public_watch_configure(watch);
        before = n_looks();
        look_there("start", "102", false);
        (void)begin(story, "two");
        story_pass(story, 4 * PERIOD);
        assert_int_equal(n_looks(), before);
        assert_string_equal(told(), "");
        settings.public_watch = true;
        public_watch_configure(watch);
        story_settle(story);
        look_there("start", "103", false);
        story_pass(story, PERIOD);
        assert_string_equal(told(), "main public.t rows 1: one two");
}

static void without_a_database_nobody_looks(void **state)
{
        struct story *story = *state;

        settings.n_databases = 0;
        databases_configure(databases, &settings);
        story_settle(story);
        (void)begin(story, "one");
        story_pass(story, PERIOD);
        assert_int_equal(n_looks(), 0);
        assert_int_equal(fake_env_n_timers_armed(story->fake), 0);
        settings.n_databases = 1;
        databases_configure(databases, &settings);
        public_watch_configure(watch);
        story_pass(story, PERIOD);
        assert_int_equal(n_looks(), 2);
}

static void a_day_later_it_is_shown_no_more(void **state)
{
        struct story *story = *state;

        (void)begin(story, "one");
        look_there("start", "101", false);
        story_pass(story, PERIOD);
        assert_string_not_equal(told(), "");
        story_pass(story, 24 * 3600 * USEC_PER_SEC);
        assert_string_equal(told(), "");
}

static void memory_is_bounded_and_the_oldest_go(void **state)
{
        struct story *story = *state;
        static char names[60 * 3][24], oids[60 * 3][12];
        static struct fake_table tables[60 * 3];
        const char *last;
        unsigned n = 0;

        (void)begin(story, "one");
        for (unsigned i = 0; i < 60 * 3; i++) {
                (void)snprintf(names[i], sizeof(names[i]), "public.x%u", i);
                (void)snprintf(oids[i], sizeof(oids[i]), "%u", 100 + i);
                tables[i] = (struct fake_table){"start", oids[i], names[i], "0"};
        }
        for (unsigned i = 1; i <= 3; i++) {
                fake_server_set_public(server, tables, 60 * i);
                story_pass(story, PERIOD);
        }
        for (last = told(); last; last = strstr(last + 1, "; "))
                n++;
        assert_int_equal(n, 128);
        assert_non_null(strstr(told(), "public.x179 "));
        assert_null(strstr(told(), "public.x51 "));
}

static void count(void *owner, uint64_t caller)
{
        unsigned *n = owner;

        *n += (unsigned)caller;
}

static void who_asks_is_told_after_a_look_of_its_own(void **state)
{
        struct story *story = *state;
        unsigned n = 0;

        assert_false(public_watch_ask(watch, 1, count, &n)); /* nobody lives */
        (void)begin(story, "one");
        look_there("start", "103", false);
        assert_true(public_watch_ask(watch, 1, count, &n));
        assert_true(public_watch_ask(watch, 10, count, &n)); /* it has begun: the next one */
        assert_true(public_watch_ask(watch, 100, count, &n));
        public_watch_forget_caller(watch, 100);
        assert_int_equal(n, 0);
        story_settle(story);
        assert_int_equal(n, 11);
        assert_int_equal(n_looks(), 3);
        assert_string_equal(told(), "main public.t rows 3: one");
        story_pass(story, PERIOD);
        assert_int_equal(n_looks(), 4);
}

static unsigned n_calls;

static void ask_again(void *owner, uint64_t caller)
{
        (void)owner;
        if (n_calls++ == 0)
                assert_true(public_watch_ask(watch, caller, ask_again, NULL));
}

/* As a client does that has sent two calls at once. */
static void who_asks_again_when_told_gets_one_look_more(void **state)
{
        struct story *story = *state;

        (void)begin(story, "one");
        n_calls = 0;
        assert_true(public_watch_ask(watch, 1, ask_again, NULL));
        story_settle(story);
        assert_int_equal(n_calls, 2);
        assert_int_equal(n_looks(), 3);
}

static void who_asks_of_what_is_switched_off_is_told_at_once(void **state)
{
        struct story *story = *state;
        unsigned n = 0;

        (void)begin(story, "one");
        assert_true(public_watch_ask(watch, 1, count, &n));
        settings.public_watch = false;
        public_watch_configure(watch);
        assert_int_equal(n, 1);
        assert_false(public_watch_ask(watch, 1, count, &n));
}

/* More of them than are remembered, so that the memory begins anew. */
static void after_many_runs_it_is_still_the_last_one_that_is_named(void **state)
{
        struct story *story = *state;
        char name[16];

        for (unsigned i = 0; i < 300; i++) {
                struct lease_request one;

                (void)snprintf(name, sizeof(name), "run%u", i);
                one = begin(story, name);
                end(story, &one);
        }
        (void)begin(story, "stays");
        story_pass(story, 2 * PERIOD);
        for (unsigned i = 0; i < 3; i++) {
                struct lease_request one;

                (void)snprintf(name, sizeof(name), "late%u", i);
                one = begin(story, name);
                end(story, &one);
        }
        look_there("start", "101", false);
        story_pass(story, PERIOD);
        assert_string_equal(told(), "main public.t rows 1: stays late0 late1 late2");
        assert_string_equal(memory_ledger_last(story->memory, LEDGER_PUBLIC_WRITTEN)->detail,
                            "1 row of public.t written");
        assert_string_equal(memory_ledger_last(story->memory, LEDGER_PUBLIC_WRITTEN)->namespace, "late2");
}

static void who_waits_for_a_lease_is_not_suspected(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct lease_request request = story_request(story, &peer);

        (void)begin(story, "one");
        story->settings.max_leases = 1;
        leases_configure(story->leases, &story->settings);
        request.namespace = "waits";
        assert_int_equal(leases_acquire(story->leases, &request, NULL), 0);
        look_there("start", "101", false);
        story_pass(story, PERIOD);
        assert_string_equal(told(), "main public.t rows 1: one");
}

static void an_answer_that_is_not_what_was_asked_for_is_none(void **state)
{
        struct story *story = *state;
        static struct fake_table tables[] = {{"start", "10", "public.t", "102"},
                                             {"start", "20", "public.u", NULL}};

        (void)begin(story, "one");
        fake_server_set_public(server, tables, 2);
        story_pass(story, PERIOD);
        assert_string_equal(told(), "");
        tables[1].writes = "0";
        tables[1].oid = NULL;
        story_pass(story, PERIOD);
        assert_string_equal(told(), "");
        tables[1].oid = "9";
        story_pass(story, PERIOD);
        assert_string_equal(told(), "");
        tables[1].oid = "20";
        story_pass(story, PERIOD);
        assert_string_equal(told(), "main public.t rows 2: one; main public.u table 0: one");
}

static void public_that_was_empty_is_looked_at_too(void **state)
{
        struct story *story = *state;

        fake_server_set_public(server, NULL, 0);
        (void)begin(story, "one");
        look_there("", "7", false);
        story_pass(story, PERIOD);
        assert_string_equal(told(), "main public.t table 7: one");
}

static void of_more_leases_than_there_is_room_for_the_newest_stay_named(void **state)
{
        struct story *story = *state;
        struct lease_request all[PUBLIC_NAMESPACES_MAX + 3];
        char name[16];

        for (unsigned i = 0; i < PUBLIC_NAMESPACES_MAX + 3; i++) {
                (void)snprintf(name, sizeof(name), "run%u", i);
                all[i] = begin(story, name);
        }
        look_there("start", "101", false);
        story_pass(story, PERIOD);
        assert_non_null(strstr(told(), "rows 1: run0 run1 "));
        assert_non_null(strstr(told(), " run31"));
        assert_null(strstr(told(), " run32"));
        for (unsigned i = 0; i < PUBLIC_NAMESPACES_MAX + 3; i++)
                end(story, &all[i]);
        (void)begin(story, "new");
        story_pass(story, PERIOD);
        look_there("start", "102", false);
        story_pass(story, PERIOD);
        assert_non_null(strstr(told(), "rows 2: run1 run2 "));
        assert_string_equal(strrchr(told(), ' '), " new");
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        const struct CMUnitTest tests[] = {
                STORY(what_was_there_before_the_first_lease_is_nobody_s),
                STORY(rows_are_laid_to_all_who_live_and_told_once),
                STORY(a_table_that_appears_and_its_rows_are_one),
                STORY(a_short_run_is_looked_at_when_it_has_ended),
                STORY(nothing_wakes_up_while_nobody_lives),
                STORY(who_has_been_seen_to_the_end_is_not_suspected),
                STORY(many_short_runs_make_few_looks),
                STORY(a_database_that_cannot_be_asked_is_compared_later),
                STORY(a_database_that_is_silent_to_the_end_is_left_alone),
                STORY(counts_that_begin_anew_are_no_alarm),
                STORY(switched_off_nobody_looks_and_nothing_is_told),
                STORY(without_a_database_nobody_looks),
                STORY(a_day_later_it_is_shown_no_more),
                STORY(who_asks_is_told_after_a_look_of_its_own),
                STORY(who_asks_again_when_told_gets_one_look_more),
                STORY(who_asks_of_what_is_switched_off_is_told_at_once),
                STORY(memory_is_bounded_and_the_oldest_go),
                STORY(after_many_runs_it_is_still_the_last_one_that_is_named),
                STORY(who_waits_for_a_lease_is_not_suspected),
                STORY(an_answer_that_is_not_what_was_asked_for_is_none),
                STORY(public_that_was_empty_is_looked_at_too),
                STORY(of_more_leases_than_there_is_room_for_the_newest_stay_named),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
