/* SPDX-License-Identifier: MIT */

/* Slots across a restart of the daemon. */

#include "slot_story.h"

static struct slot_request reclaim(struct slot_story *story, const struct slot_request *old, int64_t grant)
{
        struct slot_request request = *old;

        request.connection = ++story->last_connection;
        request.reclaim = grant;
        return request;
}

static void a_holder_claims_its_slot_again(void **state)
{
        struct slot_story *story = *state;
        int64_t grant, again;
        struct slot_request waiter, back, holder;
        const struct slot_use *use;
        uint64_t held;

        (void)slot_story_hold(story, 1, NULL);
        holder = slot_story_hold(story, 2, &grant);
        slot_story_pass(story, USEC_PER_SEC);
        slot_story_restart(story);
        waiter = slot_story_wait(story, 3);
        back = reclaim(story, &holder, grant);
        assert_int_equal(slots_acquire(story->slots, &back, &use), 1);
        assert_int_equal(use->grant, grant);
        assert_int_equal(use->slot, 1);
        slot_story_settle(story);
        /* The other one may still hold his. */
        assert_null(slot_story_take(story, waiter.connection, SLOT_TOLD_GRANTED));
        assert_int_equal(slot_story_n_held(story, 1), 2);
        back = reclaim(story, &holder, grant);
        assert_int_equal(slot_story_ask(story, &back, &again), 0); /* once is enough */
        slots_connection_closed(story->slots, back.connection);
        assert_int_equal(slots_release(story->slots, 77, 2, grant, &held), 0);
        assert_int_equal(held, USEC_PER_SEC);
}

static void nothing_new_is_granted_while_a_former_holder_may_hold(void **state)
{
        struct slot_story *story = *state;
        struct slot_request holder = slot_story_hold(story, 1, NULL), waiter,
                            other = slot_story_request(story, 9);

        slot_story_settle(story);
        slot_story_restart(story);
        waiter = slot_story_wait(story, 2);
        other.database = "other"; /* perhaps the same server by another name */
        assert_int_equal(slot_story_ask(story, &other, NULL), 0);
        slot_story_pass(story, START_GRACE / 2);
        assert_null(slot_story_take(story, waiter.connection, SLOT_TOLD_GRANTED));
        fake_env_kill(story->fake, &holder.peer.process);
        slot_story_settle(story);
        assert_non_null(slot_story_take(story, waiter.connection, SLOT_TOLD_GRANTED));
        assert_non_null(slot_story_take(story, other.connection, SLOT_TOLD_GRANTED));
        assert_int_equal(memory_ledger_count(story->memory, LEDGER_SLOT_FREED), 1);
}

static void a_slot_that_nobody_claims_is_free_after_the_grace(void **state)
{
        struct slot_story *story = *state;
        struct slot_request waiter;

        (void)slot_story_hold(story, 1, NULL);
        (void)slot_story_hold(story, 1, NULL);
        slot_story_settle(story);
        slot_story_restart(story);
        waiter = slot_story_wait(story, 2);
        slot_story_pass(story, START_GRACE - 1);
        assert_null(slot_story_take(story, waiter.connection, SLOT_TOLD_GRANTED));
        slot_story_pass(story, 1);
        assert_non_null(slot_story_take(story, waiter.connection, SLOT_TOLD_GRANTED));
        slot_story_restart(story);
        assert_int_equal(slot_story_n_held(story, 1), 1);
}

static void a_timer_that_comes_early_does_not_end_the_grace_nor_lengthen_it(void **state)
{
        struct slot_story *story = *state;
        struct slot_request waiter;

        (void)slot_story_hold(story, 1, NULL);
        (void)slot_story_hold(story, 2, NULL);
        slot_story_settle(story);
        slot_story_restart(story);
        waiter = slot_story_wait(story, 3);
        slot_story_pass(story, START_GRACE - 2 * USEC_PER_MSEC);
        assert_true(fake_env_fire_early(story->fake, 2 * USEC_PER_MSEC));
        slot_story_settle(story);
        assert_null(slot_story_take(story, waiter.connection, SLOT_TOLD_GRANTED));
        slot_story_pass(story, 2 * USEC_PER_MSEC);
        assert_non_null(slot_story_take(story, waiter.connection, SLOT_TOLD_GRANTED));
}

static void a_daemon_that_slept_through_the_grace_listens_first(void **state)
{
        struct slot_story *story = *state;
        int64_t grant, again;
        struct slot_request holder = slot_story_hold(story, 1, &grant), waiter;

        slot_story_settle(story);
        slot_story_restart(story);
        waiter = slot_story_wait(story, 2);
        fake_env_stall(story->fake, 8 * 3600 * USEC_PER_SEC);
        (void)fake_env_turn(story->fake);
        assert_null(slot_story_take(story, waiter.connection, SLOT_TOLD_GRANTED));
        holder = reclaim(story, &holder, grant);
        assert_int_equal(slot_story_ask(story, &holder, &again), 1);
        assert_int_equal(again, grant);
        slot_story_restart(story);
        fake_env_stall(story->fake, 8 * 3600 * USEC_PER_SEC);
        waiter = slot_story_wait(story, 2);
        slot_story_pass(story, 10 * USEC_PER_SEC);
        assert_non_null(slot_story_take(story, waiter.connection, SLOT_TOLD_GRANTED));
}

static void who_died_meanwhile_holds_nothing(void **state)
{
        struct slot_story *story = *state;
        struct slot_request dead = slot_story_hold(story, 1, NULL), reused = slot_story_hold(story, 2, NULL);

        slot_story_settle(story);
        fake_env_kill(story->fake, &dead.peer.process);
        (void)fake_env_reuse_pid(story->fake, &reused.peer.process);
        slot_story_restart(story);
        slot_story_settle(story);
        (void)slot_story_hold(story, 3, NULL);
        (void)slot_story_hold(story, 4, NULL);
}

static void a_holder_we_cannot_see_has_the_grace(void **state)
{
        struct slot_story *story = *state;
        struct slot_request holder = slot_story_request(story, 1), waiter;

        holder.peer.process = (struct process_id){.boot_id = FAKE_BOOT_ID};
        assert_int_equal(slot_story_ask(story, &holder, NULL), 1);
        slot_story_settle(story);
        slot_story_restart(story);
        waiter = slot_story_wait(story, 2);
        slot_story_pass(story, START_GRACE);
        assert_non_null(slot_story_take(story, waiter.connection, SLOT_TOLD_GRANTED));
}

static void nobody_of_another_boot_holds_anything(void **state)
{
        struct slot_story *story = *state;
        struct slot_request holder = slot_story_request(story, 1);

        holder.peer.process = (struct process_id){.boot_id = "00000000-0000-4000-8000-00000000000f"};
        assert_int_equal(slot_story_ask(story, &holder, NULL), 1);
        slot_story_settle(story);
        slot_story_restart(story);
        (void)slot_story_hold(story, 2, NULL);
}

static void a_lease_that_ended_gives_its_former_slots_back(void **state)
{
        struct slot_story *story = *state;
        struct slot_request waiter;

        (void)slot_story_hold(story, 1, NULL);
        slot_story_settle(story);
        slot_story_restart(story);
        waiter = slot_story_wait(story, 2);
        slots_lease_ended(story->slots, 1, false, NULL);
        slot_story_settle(story);
        assert_non_null(slot_story_take(story, waiter.connection, SLOT_TOLD_GRANTED));
}

static void nobody_claims_what_is_another_lease_s(void **state)
{
        struct slot_story *story = *state;
        int64_t grant;
        struct slot_request holder = slot_story_hold(story, 1, &grant), thief;

        slot_story_settle(story);
        slot_story_restart(story);
        thief = reclaim(story, &holder, grant);
        thief.lease = 2;
        assert_int_equal(slot_story_ask(story, &thief, NULL), 0);
}

static void a_former_holder_may_release_without_claiming(void **state)
{
        struct slot_story *story = *state;
        int64_t grant;
        uint64_t held;

        (void)slot_story_hold(story, 1, &grant);
        slot_story_settle(story);
        slot_story_restart(story);
        assert_int_equal(slots_release(story->slots, 77, 1, grant, &held), 0);
        (void)slot_story_hold(story, 2, NULL);
}

static void a_slot_beyond_the_configured_number_is_held_all_the_same(void **state)
{
        struct slot_story *story = *state;
        int64_t first_grant, second_grant;
        struct slot_request first = slot_story_hold(story, 1, &first_grant);
        struct slot_request second = slot_story_hold(story, 2, &second_grant), waiter;
        const struct slot_use *use;

        slot_story_settle(story);
        story->settings.ddl_slots = 1;
        slot_story_restart(story);
        second = reclaim(story, &second, second_grant);
        first = reclaim(story, &first, first_grant);
        assert_int_equal(slots_acquire(story->slots, &second, &use), 1);
        assert_int_equal(use->slot, 1);
        assert_int_equal(slots_acquire(story->slots, &first, &use), 1);
        assert_int_equal(use->slot, 0);
        assert_int_equal(slot_story_n_held(story, 1), 2);
        waiter = slot_story_wait(story, 3);
        assert_int_equal(slot_story_release(story, first.connection), 0);
        slot_story_settle(story);
        assert_null(slot_story_take(story, waiter.connection, SLOT_TOLD_GRANTED));
        assert_int_equal(slot_story_release(story, second.connection), 0);
        slot_story_settle(story);
        assert_non_null(slot_story_take(story, waiter.connection, SLOT_TOLD_GRANTED));
}

static void two_clusters_that_turn_out_to_be_one_keep_all_their_holders(void **state)
{
        struct slot_story *story = *state;
        int64_t main_grant, other_grant;
        struct slot_request here = slot_story_hold(story, 1, &main_grant),
                            there = slot_story_request(story, 2);

        there.database = "other";
        assert_int_equal(slot_story_ask(story, &there, &other_grant), 1);
        slot_story_settle(story);
        slot_story_restart(story);
        here = reclaim(story, &here, main_grant);
        there = reclaim(story, &there, other_grant);
        there.database = "tenant";
        assert_int_equal(slot_story_ask(story, &here, NULL), 1);
        assert_int_equal(slot_story_ask(story, &there, NULL), 1);
        assert_int_equal(slot_story_n_held(story, 1), 2);
        (void)slot_story_wait(story, 3);
}

static void a_slot_is_claimed_again_once_its_cluster_is_known(void **state)
{
        struct slot_story *story = *state;
        int64_t grant;
        struct slot_request holder = slot_story_hold(story, 1, &grant), back;
        const struct slot_telling *granted;

        slot_story_settle(story);
        slot_story_restart(story);
        back = reclaim(story, &holder, grant);
        back.database = "far"; /* not known in this life */
        assert_int_equal(slot_story_ask(story, &back, NULL), 0);
        slot_story_settle(story);
        fake_databases_answer(story->databases, NULL);
        slot_story_settle(story);
        granted = slot_story_take(story, back.connection, SLOT_TOLD_GRANTED);
        assert_int_equal(granted->grant, grant);
        (void)slot_story_hold(story, 2, NULL);
}

static void a_lost_reply_is_made_good_by_the_name_of_the_request(void **state)
{
        struct slot_story *story = *state;
        struct slot_request holder = slot_story_request(story, 1), other, back;
        int64_t grant, same;

        holder.request = "the first";
        assert_int_equal(slot_story_ask(story, &holder, &grant), 1);
        slot_story_settle(story);
        slot_story_restart(story);
        other = slot_story_request(story, 2); /* another lease that happens to call it the same */
        other.request = "the first";
        assert_int_equal(slot_story_ask(story, &other, NULL), 0);
        back = holder;
        back.connection = ++story->last_connection;
        assert_int_equal(slot_story_ask(story, &back, &same), 1);
        assert_int_equal(same, grant);
        slot_story_settle(story);
        assert_non_null(slot_story_take(story, other.connection, SLOT_TOLD_GRANTED));
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, slot_story_setup, slot_story_teardown)
        const struct CMUnitTest tests[] = {
                STORY(a_holder_claims_its_slot_again),
                STORY(nothing_new_is_granted_while_a_former_holder_may_hold),
                STORY(a_slot_that_nobody_claims_is_free_after_the_grace),
                STORY(a_timer_that_comes_early_does_not_end_the_grace_nor_lengthen_it),
                STORY(a_daemon_that_slept_through_the_grace_listens_first),
                STORY(who_died_meanwhile_holds_nothing),
                STORY(a_holder_we_cannot_see_has_the_grace),
                STORY(nobody_of_another_boot_holds_anything),
                STORY(a_lease_that_ended_gives_its_former_slots_back),
                STORY(nobody_claims_what_is_another_lease_s),
                STORY(a_former_holder_may_release_without_claiming),
                STORY(a_slot_beyond_the_configured_number_is_held_all_the_same),
                STORY(two_clusters_that_turn_out_to_be_one_keep_all_their_holders),
                STORY(a_slot_is_claimed_again_once_its_cluster_is_known),
                STORY(a_lost_reply_is_made_good_by_the_name_of_the_request),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
