/* SPDX-License-Identifier: MIT */

/* Slots whose connections have outlived the daemon. */

#include "slot_story.h"

#define KEPT 900 /* a connection's number from the life before */

/* A slot on a cluster that is known after the restart, or has to be asked for. */
static struct slot_request restart(struct slot_story *story, bool known, int64_t *ret_grant)
{
        struct slot_request holder = slot_story_hold(story, 1, ret_grant);

        slot_story_settle(story);
        if (!known) {
                fake_databases_forget(story->databases, "main");
                fake_databases_forget(story->databases, "tenant");
        }
        slot_story_restart(story);
        assert_non_null(slots_lost_peer(story->slots, *ret_grant));
        assert_int_equal(slots_adopt(story->slots, *ret_grant, KEPT), known ? 1 : 0);
        return holder;
}

static unsigned n_held_on(struct slot_story *story, int64_t *ret)
{
        return slots_held_on(story->slots, KEPT, ret, 1);
}

static void it_is_held_at_once_where_its_cluster_is_known(void **state)
{
        struct slot_story *story = *state;
        int64_t grant, held = 0;
        struct slot_request second;
        uint64_t usec;

        (void)restart(story, true, &grant);
        assert_int_equal(n_held_on(story, &held), 1);
        assert_int_equal(held, grant);
        second = slot_story_hold(story, 2, NULL); /* nobody is waited for any more */
        (void)second;
        assert_int_equal(slot_story_n_held(story, 1), 2);
        assert_int_equal(slots_release(story->slots, KEPT, 0, grant, &usec), 0);
        assert_int_equal(slot_story_n_held(story, 1), 1);
}

static void its_client_is_not_told_again(void **state)
{
        struct slot_story *story = *state;
        int64_t grant, held;
        struct slot_request waiter;

        (void)restart(story, false, &grant);
        waiter = slot_story_wait(story, 2);
        assert_int_equal(n_held_on(story, &held), 1); /* also before its cluster is known */
        assert_int_equal(held, grant);
        fake_databases_answer(story->databases, NULL);
        slot_story_settle(story);
        assert_null(slot_story_take(story, KEPT, SLOT_TOLD_GRANTED));
        assert_null(slot_story_take(story, KEPT, SLOT_TOLD_QUEUED));
        assert_non_null(slot_story_take(story, waiter.connection, SLOT_TOLD_GRANTED));
        assert_int_equal(slot_story_n_held(story, 1), 2);
        assert_int_equal(n_held_on(story, &held), 1);
}

static void a_server_out_of_reach_leaves_it_to_its_client(void **state)
{
        struct slot_story *story = *state;
        int64_t grant, held;

        (void)restart(story, false, &grant);
        fake_databases_answer(story->databases, "no route to host");
        slot_story_settle(story);
        assert_int_equal(slot_story_take(story, KEPT, SLOT_TOLD_FAILED)->error, SLOTS_E_NOT_ADOPTED);
        assert_int_equal(n_held_on(story, &held), 0);
        assert_non_null(slots_lost_peer(story->slots, grant)); /* and reserved */
        slots_connection_closed(story->slots, KEPT);
}

static void released_from_elsewhere_it_is_told_so(void **state)
{
        struct slot_story *story = *state;
        int64_t grant;
        uint64_t usec;

        (void)restart(story, false, &grant);
        assert_int_equal(slots_release(story->slots, 77, 1, grant, &usec), 0);
        slot_story_settle(story);
        assert_int_equal(slot_story_take(story, KEPT, SLOT_TOLD_LET_GO)->grant, grant);
        assert_null(slot_story_take(story, KEPT, SLOT_TOLD_FAILED));
        assert_int_equal(fake_databases_n_asked(story->databases), 0);
        assert_int_equal(memory_ledger_count(story->memory, LEDGER_SLOT_FREED), 1);
}

static void released_by_itself_it_is_free(void **state)
{
        struct slot_story *story = *state;
        int64_t grant, held;
        uint64_t usec;

        (void)restart(story, false, &grant);
        assert_int_equal(slots_release(story->slots, KEPT, 1, grant, &usec), 0);
        assert_int_equal(n_held_on(story, &held), 0);
        slot_story_settle(story);
        assert_null(slot_story_take(story, KEPT, SLOT_TOLD_FAILED));
        assert_null(slot_story_take(story, KEPT, SLOT_TOLD_LET_GO));
}

static void the_end_of_its_lease_takes_it_away(void **state)
{
        struct slot_story *story = *state;
        int64_t grant, held;

        (void)restart(story, false, &grant);
        slots_lease_ended(story->slots, 1, true, "enough");
        slot_story_settle(story);
        assert_true(slot_story_take(story, KEPT, SLOT_TOLD_LET_GO)->revoked);
        assert_null(slot_story_take(story, KEPT, SLOT_TOLD_FAILED));
        assert_int_equal(n_held_on(story, &held), 0);
}

static void what_is_not_on_record_is_not_adopted(void **state)
{
        struct slot_story *story = *state;
        int64_t grant;

        (void)slot_story_hold(story, 1, &grant);
        slot_story_restart(story);
        assert_null(slots_lost_peer(story->slots, grant + 1));
        assert_int_equal(slots_adopt(story->slots, grant + 1, KEPT), -SLOTS_E_NOT_HELD);
}

static void what_its_client_has_claimed_meanwhile_is_not_adopted(void **state)
{
        struct slot_story *story = *state;
        int64_t grant, again;
        struct slot_request back = restart(story, false, &grant);

        back.connection = ++story->last_connection;
        back.database = "other"; /* known, and the same server after all */
        back.reclaim = grant;
        assert_int_equal(slot_story_ask(story, &back, &again), 1);
        assert_int_equal(again, grant);
        fake_databases_answer(story->databases, NULL);
        slot_story_settle(story);
        assert_int_equal(slot_story_take(story, KEPT, SLOT_TOLD_FAILED)->error, SLOTS_E_NOT_ADOPTED);
        assert_int_equal(slot_story_n_held(story, 2), 1);
        assert_int_equal(slot_story_n_held(story, 1), 0);
}

static void of_two_each_is_adopted_for_itself(void **state)
{
        struct slot_story *story = *state;
        int64_t first, second, held;
        uint64_t usec;

        (void)slot_story_hold(story, 1, &first);
        (void)slot_story_hold(story, 2, &second);
        slot_story_settle(story);
        fake_databases_forget(story->databases, "main");
        fake_databases_forget(story->databases, "tenant");
        slot_story_restart(story);
        assert_int_equal(slots_lost_peer(story->slots, second)->uid, 1000);
        assert_int_equal(slots_adopt(story->slots, first, KEPT), 0);
        assert_int_equal(slots_adopt(story->slots, second, KEPT + 1), 0);
        assert_int_equal(slots_release(story->slots, 77, 2, second, &usec), 0);
        slot_story_settle(story);
        assert_int_equal(slot_story_take(story, KEPT + 1, SLOT_TOLD_LET_GO)->grant, second);
        assert_null(slot_story_take(story, KEPT, SLOT_TOLD_LET_GO));
        assert_int_equal(n_held_on(story, &held), 1);
        assert_int_equal(held, first);
}

static void what_is_held_on_a_connection_is_counted_whatever_room_there_is(void **state)
{
        struct slot_story *story = *state;
        int64_t grant, held[2] = {0};
        struct slot_request holder = slot_story_hold(story, 1, &grant), waiter;

        holder.database = "other";
        assert_int_equal(slot_story_ask(story, &holder, NULL), 1);
        assert_int_equal(slots_held_on(story->slots, holder.connection, held, 1), 2);
        assert_int_equal(held[0], grant);
        assert_int_equal(held[1], 0);
        (void)slot_story_hold(story, 2, NULL);
        waiter = slot_story_wait(story, 3);
        assert_int_equal(slots_held_on(story->slots, waiter.connection, held, 2), 0);
        assert_int_equal(slots_held_on(story->slots, 4711, held, 2), 0);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, slot_story_setup, slot_story_teardown)
        const struct CMUnitTest tests[] = {
                STORY(it_is_held_at_once_where_its_cluster_is_known),
                STORY(its_client_is_not_told_again),
                STORY(what_its_client_has_claimed_meanwhile_is_not_adopted),
                STORY(of_two_each_is_adopted_for_itself),
                STORY(what_is_held_on_a_connection_is_counted_whatever_room_there_is),
                STORY(a_server_out_of_reach_leaves_it_to_its_client),
                STORY(released_from_elsewhere_it_is_told_so),
                STORY(released_by_itself_it_is_free),
                STORY(the_end_of_its_lease_takes_it_away),
                STORY(what_is_not_on_record_is_not_adopted),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
