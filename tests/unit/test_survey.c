/* SPDX-License-Identifier: MIT */

/* One question to every database, for any number of callers. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_server.h"
#include "service/survey.h"

#include <stdlib.h>

#define N_CALLERS   50
#define N_DATABASES 3

struct story {
        struct fake_env *fake;
        struct databases *databases;
        struct fake_server *server;
        struct settings settings;
        struct survey *survey;
        unsigned n_answers[N_CALLERS + 1], n_lost[N_CALLERS + 1], n_ends[N_CALLERS + 1];
};

static void hear(void *owner, uint64_t caller, const char *database, const struct pg_answer *answer)
{
        struct story *story = owner;

        assert_true(fake_env_in_loop(story->fake));
        assert_int_equal(!database, !answer);
        story->n_ends[caller] += !answer;
        story->n_answers[caller] += answer && answer->outcome == PG_OK;
        story->n_lost[caller] += answer && answer->outcome != PG_OK;
}

static int set_up(void **state)
{
        static struct database_setting all[N_DATABASES] = {{(char *)"main", (char *)"1"},
                                                           {(char *)"tenant", (char *)"2"},
                                                           {(char *)"other", (char *)"3"}};
        struct story *story = calloc(1, sizeof(*story));

        story->fake = fake_env_new();
        story->server = fake_server_new(story->fake);
        story->settings = (struct settings){
                .connect_timeout = 5 * USEC_PER_SEC, .databases = all, .n_databases = N_DATABASES};
        story->databases =
                databases_new(fake_env(story->fake), fake_server_pg(story->server), &story->settings);
        story->survey = survey_new(fake_env(story->fake), fake_server_pg(story->server), story->databases,
                                   &story->settings, PG_SCHEMAS, hear, story);
        *state = story;
        return 0;
}

static int tear_down(void **state)
{
        struct story *story = *state;

        survey_free(story->survey);
        databases_free(story->databases);
        fake_server_free(story->server);
        fake_env_free(story->fake);
        free(story);
        return 0;
}

static void settle(struct story *story)
{
        while (fake_env_turn(story->fake))
                ;
}

static void however_many_ask_there_is_one_connection_to_a_database(void **state)
{
        struct story *story = *state;

        for (unsigned caller = 1; caller <= N_CALLERS; caller++) {
                assert_int_equal(survey_ask(story->survey, caller, NULL), 0);
                assert_int_equal(fake_server_n_open(story->server), N_DATABASES);
        }
        settle(story);
        for (unsigned caller = 1; caller <= N_CALLERS; caller++) {
                assert_int_equal(story->n_answers[caller], N_DATABASES);
                assert_int_equal(story->n_ends[caller], 1);
        }
        assert_int_equal(fake_server_n_open(story->server), 0);
        /* The first, and all others together: what it was told may be older than they are. */
        assert_int_equal(fake_server_n_asked(story->server, PG_SCHEMAS), 2 * N_DATABASES);
}

static void who_hangs_up_takes_no_answer_from_those_who_came_later(void **state)
{
        struct story *story = *state;

        for (unsigned caller = 1; caller <= 3; caller++)
                assert_int_equal(survey_ask(story->survey, caller, "tenant"), 0);
        survey_forget_caller(story->survey, 1);
        assert_int_equal(fake_server_n_open(story->server), 1);
        survey_forget_caller(story->survey, 2);
        settle(story);
        assert_int_equal(story->n_ends[1] + story->n_ends[2], 0);
        assert_int_equal(story->n_answers[3], 1);
        assert_int_equal(story->n_ends[3], 1);
        survey_forget_caller(story->survey, 3);
        assert_int_equal(survey_ask(story->survey, 3, NULL),
                         0); /* the end of the test complains of what is left */
}

static void a_database_that_does_not_answer_is_told_to_each(void **state)
{
        struct story *story = *state;

        fake_server_set_mood(story->server, FAKE_SILENT);
        for (unsigned caller = 1; caller <= 3; caller++)
                assert_int_equal(survey_ask(story->survey, caller, "main"), 0);
        fake_env_pass(story->fake, 5 * USEC_PER_SEC);
        assert_int_equal(story->n_lost[1], 1);
        fake_env_pass(story->fake, 5 * USEC_PER_SEC);
        assert_int_equal(story->n_lost[2], 1);
        assert_int_equal(story->n_lost[3], 1);
        assert_int_equal(story->n_ends[3], 1);
}

static void where_there_is_no_database_the_end_comes_from_the_loop(void **state)
{
        struct story *story = *state;

        story->settings.n_databases = 0;
        databases_configure(story->databases, &story->settings);
        assert_int_equal(survey_ask(story->survey, 1, NULL), 0);
        settle(story);
        assert_int_equal(story->n_ends[1], 1);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        const struct CMUnitTest tests[] = {
                STORY(however_many_ask_there_is_one_connection_to_a_database),
                STORY(who_hangs_up_takes_no_answer_from_those_who_came_later),
                STORY(a_database_that_does_not_answer_is_told_to_each),
                STORY(where_there_is_no_database_the_end_comes_from_the_loop),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
