/* SPDX-License-Identifier: MIT */

/* When slot holders are looked at, and what counts. */

#include "slot_story.h"

#include "service/lock_budget.h"
#include "util/alloc.h"

#include <stdlib.h>

#define LABEL "pytest_gw3_mydebug_engine"

static struct lock_budget *budget;

static void watch(struct slot_story *story, const struct slot_telling *telling)
{
        (void)story;
        if (telling->what == SLOT_TOLD_CHANGED)
                lock_budget_changed(budget, telling->cluster);
}

static int set_up(void **state)
{
        struct slot_story *story;

        if (slot_story_setup(state))
                return -1;
        story = *state;
        story->watcher = watch;
        budget = lock_budget_new(fake_env(story->fake), fake_server_pg(story->server), story->databases,
                                 story->slots, &story->settings);
        return 0;
}

static int tear_down(void **state)
{
        budget = lock_budget_free(budget);
        return slot_story_teardown(state);
}

static unsigned n_looks(const struct slot_story *story)
{
        return fake_server_n_asked(story->server, PG_LOCK_COUNTS);
}

static void who_holds_for_a_moment_is_left_alone(void **state)
{
        struct slot_story *story = *state;

        for (unsigned i = 0; i < 20; i++) {
                struct slot_request holder = slot_story_hold(story, 1, NULL);

                slot_story_pass(story, 150 * USEC_PER_MSEC);
                assert_int_equal(slot_story_release(story, holder.connection), 0);
        }
        slot_story_pass(story, USEC_PER_SEC);
        assert_int_equal(fake_server_n_asked(story->server, PG_CONNECT), 0);
        assert_int_equal(fake_env_n_timers_armed(story->fake), 0);
        assert_int_equal(lock_budget_peak(budget, 1), 0);
}

static void a_holder_s_peak_stays_when_it_has_gone(void **state)
{
        struct slot_story *story = *state;
        struct slot_request holder = slot_story_hold(story, 1, NULL);

        fake_server_set_locks(story->server, LABEL, 1000);
        slot_story_pass(story, 250 * USEC_PER_MSEC);
        assert_int_equal(lock_budget_peak(budget, 1), 1000);
        fake_server_set_locks(story->server, LABEL, 2639);
        slot_story_pass(story, 300 * USEC_PER_MSEC);
        fake_server_set_locks(story->server, LABEL, 17);
        slot_story_pass(story, USEC_PER_SEC);
        assert_int_equal(slot_story_release(story, holder.connection), 0);
        slot_story_pass(story, USEC_PER_SEC);
        assert_int_equal(lock_budget_peak(budget, 1), 2639);
        assert_int_equal(lock_budget_peak(budget, 2), 0);
        assert_int_equal(fake_server_n_open(story->server), 0);
        assert_int_equal(fake_env_n_timers_armed(story->fake), 0);
}

static void who_holds_no_slot_does_not_count(void **state)
{
        struct slot_story *story = *state;

        (void)slot_story_hold(story, 1, NULL);
        (void)slot_story_hold(story, 1, NULL);
        (void)slot_story_wait(story, 2);
        fake_server_set_locks(story->server, "pytest_gw4_mydebug", 5000);
        slot_story_pass(story, 10 * USEC_PER_SEC);
        assert_true(n_looks(story) > 0);
        assert_int_equal(lock_budget_peak(budget, 1), 0);
}

static void drops_count(void **state)
{
        struct slot_story *story = *state;

        slot_story_request_for_sweep(story, 1, 42);
        fake_server_set_locks(story->server, "berthd-platform", 4823);
        slot_story_pass(story, USEC_PER_SEC);
        assert_int_equal(lock_budget_peak(budget, 1), 4823);
        slots_done_for_sweep(story->slots, 42);
}

/* A growing build is looked at often, one that stands still seldom, over one connection. */
static void a_holder_at_a_breakpoint_costs_little(void **state)
{
        struct slot_story *story = *state;
        unsigned n;

        (void)slot_story_hold(story, 1, NULL);
        for (unsigned i = 1; i <= 20; i++) {
                fake_server_set_locks(story->server, LABEL, 100 * i);
                slot_story_pass(story, 250 * USEC_PER_MSEC);
        }
        assert_in_range(n_looks(story), 15, 20);
        n = n_looks(story);
        slot_story_pass(story, 400 * USEC_PER_SEC);
        assert_in_range(n_looks(story) - n, 90, 105);
        assert_int_equal(fake_server_n_asked(story->server, PG_CONNECT), 1);
}

static void a_server_that_does_not_answer_is_asked_seldom(void **state)
{
        struct slot_story *story = *state;

        fake_server_set_mood(story->server, FAKE_REFUSES);
        (void)slot_story_hold(story, 1, NULL);
        slot_story_pass(story, 60 * USEC_PER_SEC);
        assert_in_range(fake_server_n_asked(story->server, PG_CONNECT), 10, 16);
        fake_server_set_mood(story->server, FAKE_ANSWERS);
        fake_server_set_locks(story->server, LABEL, 7);
        slot_story_pass(story, 5 * USEC_PER_SEC);
        assert_int_equal(lock_budget_peak(budget, 1), 7);
}

/* Its answer would be about nobody. */
static void a_look_under_way_ends_with_the_last_holder(void **state)
{
        struct slot_story *story = *state;
        struct slot_request holder = slot_story_hold(story, 1, NULL);

        fake_server_set_mood(story->server, FAKE_SILENT);
        slot_story_pass(story, 250 * USEC_PER_MSEC);
        assert_int_equal(fake_server_n_open(story->server), 1);
        assert_int_equal(slot_story_release(story, holder.connection), 0);
        slot_story_pass(story, 250 * USEC_PER_MSEC);
        assert_int_equal(fake_server_n_open(story->server), 0);
        fake_server_set_mood(story->server, FAKE_ANSWERS);
        fake_server_set_locks(story->server, LABEL, 7);
        (void)slot_story_hold(story, 1, NULL);
        slot_story_pass(story, 250 * USEC_PER_MSEC);
        assert_int_equal(lock_budget_peak(budget, 1), 7);
}

static void without_a_database_nobody_is_looked_at(void **state)
{
        struct slot_story *story = *state;

        (void)slot_story_hold(story, 1, NULL);
        fake_databases_configure_none(story->databases);
        slot_story_pass(story, 10 * USEC_PER_SEC);
        assert_int_equal(fake_env_n_timers_armed(story->fake), 0);
        assert_int_equal(lock_budget_peak(budget, 1), 0);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        const struct CMUnitTest tests[] = {
                STORY(who_holds_for_a_moment_is_left_alone),
                STORY(a_holder_s_peak_stays_when_it_has_gone),
                STORY(who_holds_no_slot_does_not_count),
                STORY(drops_count),
                STORY(a_holder_at_a_breakpoint_costs_little),
                STORY(a_server_that_does_not_answer_is_asked_seldom),
                STORY(a_look_under_way_ends_with_the_last_holder),
                STORY(without_a_database_nobody_is_looked_at),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
