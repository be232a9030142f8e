/* SPDX-License-Identifier: MIT */

/* How long nobody may be taken for dead, and after what. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_env.h"
#include "service/settling.h"

#include <stdlib.h>
#include <string.h>

#define SEC   USEC_PER_SEC
#define GRACE (60 * SEC)

struct story {
        struct fake_env *fake;
        struct settling *settling;
};

static int set_up(void **state)
{
        struct story *story = calloc(1, sizeof(*story));

        story->fake = fake_env_new();
        story->settling = settling_new(fake_env(story->fake), GRACE);
        *state = story;
        return 0;
}

static int tear_down(void **state)
{
        struct story *story = *state;

        settling_free(story->settling);
        fake_env_free(story->fake);
        free(story);
        return 0;
}

static void assert_doubt(struct story *story, const char *words)
{
        char *doubt = settling_doubt(story->settling);

        if (words) {
                assert_non_null(doubt);
                assert_non_null(strstr(doubt, words));
        } else {
                assert_null(doubt);
        }
        assert_true((settling_until(story->settling) != 0) == (words != NULL));
        free(doubt);
}

static void wait_out_the_start(struct story *story)
{
        fake_env_pass(story->fake, GRACE);
        assert_doubt(story, NULL);
}

static void a_start_is_followed_by_the_grace_and_not_longer(void **state)
{
        struct story *story = *state;

        assert_doubt(story, "berthd started less than start_grace (60 s) ago; 61 s to go");
        fake_env_pass(story->fake, GRACE - 1);
        assert_doubt(story, "1 s to go");
        fake_env_pass(story->fake, 1);
        assert_doubt(story, NULL);
}

static void a_suspend_is_noticed_by_the_first_who_asks(void **state)
{
        struct story *story = *state;

        wait_out_the_start(story);
        fake_env_suspend(story->fake, 8 * 3600 * SEC);
        assert_doubt(story, "the machine resumed from suspend less than start_grace");
        fake_env_pass(story->fake, GRACE - 1);
        assert_doubt(story, "the machine resumed");
        fake_env_pass(story->fake, 1);
        assert_doubt(story, NULL);
        fake_env_suspend(story->fake, SEC); /* clocks are not read at the same instant */
        assert_doubt(story, NULL);
        fake_env_suspend(story->fake, SEC + 1); /* the ones before count as well */
        assert_doubt(story, "the machine resumed");
}

static void a_suspend_in_the_grace_lengthens_it(void **state)
{
        struct story *story = *state;

        fake_env_suspend(story->fake, 50 * SEC);
        assert_doubt(story, "the machine resumed");
        fake_env_pass(story->fake, 59 * SEC);
        assert_doubt(story, "the machine resumed");
}

static void a_stall_while_decisions_are_taken_is_noticed_also_before_the_timers_turn(void **state)
{
        struct story *story = *state;

        wait_out_the_start(story);
        settling_watch(story->settling, true);
        fake_env_pass(story->fake, 10 * SEC);
        assert_doubt(story, NULL);
        fake_env_stall(story->fake, 2 * SEC);
        assert_doubt(story, "berthd was held up less than start_grace");
        fake_env_pass(story->fake, GRACE);
        assert_doubt(story, NULL);
}

static void a_stall_that_only_the_timer_sees_counts_as_well(void **state)
{
        struct story *story = *state;

        wait_out_the_start(story);
        settling_watch(story->settling, true);
        fake_env_stall(story->fake, 2 * SEC);
        fake_env_pass(story->fake, 10 * SEC);
        assert_doubt(story, "berthd was held up");
        settling_watch(story->settling, false);
        assert_doubt(story, "berthd was held up");
}

static void nothing_wakes_up_while_nothing_is_decided(void **state)
{
        struct story *story = *state;

        assert_int_equal(fake_env_n_timers_armed(story->fake), 0);
        settling_watch(story->settling, true);
        assert_int_equal(fake_env_n_timers_armed(story->fake), 1);
        settling_watch(story->settling, false);
        assert_int_equal(fake_env_n_timers_armed(story->fake), 0);
        wait_out_the_start(story);
        fake_env_stall(story->fake, 3600 * SEC);
        assert_doubt(story, NULL);
        settling_watch(story->settling, true); /* the wait before is none of its business */
        assert_doubt(story, NULL);
}

static void a_timer_that_comes_late_tells_of_a_stall_once(void **state)
{
        struct story *story = *state;
        uint64_t due;

        wait_out_the_start(story);
        due = env_boottime(fake_env(story->fake)) + 10 * SEC;
        fake_env_stall(story->fake, 10 * SEC + SEC);
        settling_was_due(story->settling, due);
        assert_doubt(story, NULL); /* not late enough */
        fake_env_stall(story->fake, 1);
        settling_was_due(story->settling, due);
        assert_doubt(story, "berthd was held up");
        fake_env_pass(story->fake, GRACE);
        settling_was_due(story->settling, due); /* of before that */
        assert_doubt(story, NULL);
}

static void a_timer_that_is_late_because_of_a_suspend_tells_of_the_suspend(void **state)
{
        struct story *story = *state;
        uint64_t due = env_boottime(fake_env(story->fake)) + GRACE;

        wait_out_the_start(story);
        fake_env_suspend(story->fake, 100 * SEC);
        settling_was_due(story->settling, due);
        assert_doubt(story, "the machine resumed");
}

static void who_was_stopped_and_is_told_to_go_on_settles(void **state)
{
        struct story *story = *state;

        wait_out_the_start(story);
        settling_held_up(story->settling);
        assert_doubt(story, "berthd was held up");
}

static void without_a_grace_there_is_never_a_doubt(void **state)
{
        struct story *story = *state;

        settling_configure(story->settling, 0);
        wait_out_the_start(story);
        settling_held_up(story->settling);
        assert_doubt(story, NULL);
        fake_env_suspend(story->fake, 100 * SEC);
        assert_doubt(story, NULL);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(a_start_is_followed_by_the_grace_and_not_longer),
                TEST(a_suspend_is_noticed_by_the_first_who_asks),
                TEST(a_suspend_in_the_grace_lengthens_it),
                TEST(a_stall_while_decisions_are_taken_is_noticed_also_before_the_timers_turn),
                TEST(a_stall_that_only_the_timer_sees_counts_as_well),
                TEST(nothing_wakes_up_while_nothing_is_decided),
                TEST(a_timer_that_comes_late_tells_of_a_stall_once),
                TEST(a_timer_that_is_late_because_of_a_suspend_tells_of_the_suspend),
                TEST(who_was_stopped_and_is_told_to_go_on_settles),
                TEST(without_a_grace_there_is_never_a_doubt),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
