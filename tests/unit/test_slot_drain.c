/* SPDX-License-Identifier: MIT */

/* Slots whose holder died while its sessions still build. */

#include "slot_story.h"

#include <string.h>

#define SOON (200 * USEC_PER_MSEC)

static bool has_slot(struct slot_story *story, const struct slot_request *waiter)
{
        slot_story_settle(story);
        return slot_story_take(story, waiter->connection, SLOT_TOLD_GRANTED);
}

static void count_draining(void *owner, const struct slot_use *use, unsigned position)
{
        (void)position;
        *(unsigned *)owner += use->state == SLOT_DRAINING && use->grant && !use->connection;
}

static unsigned n_draining(struct slot_story *story)
{
        unsigned n = 0;

        slots_each(story->slots, 1, count_draining, &n);
        return n;
}

/* Nothing is left that would wake anybody, and nothing is open. */
static void assert_at_rest(struct slot_story *story)
{
        slot_story_pass(story, USEC_PER_SEC);
        assert_int_equal(fake_env_n_timers_armed(story->fake), 0);
        assert_int_equal(fake_server_n_open(story->server), 0);
}

static void a_dead_holder_s_slot_waits_for_its_sessions(void **state)
{
        struct slot_story *story = *state;
        struct slot_request holder = slot_story_hold(story, 1, NULL), waiter;

        (void)slot_story_hold(story, 2, NULL);
        waiter = slot_story_wait(story, 3);
        fake_server_set_busy(story->server, 2);
        slots_connection_closed(story->slots, holder.connection);
        slot_story_pass(story, 20 * USEC_PER_SEC);
        assert_false(has_slot(story, &waiter));
        assert_int_equal(n_draining(story), 1);
        assert_int_equal(slot_story_n_held(story, 1), 2);
        assert_string_equal(fake_server_last_holder(story->server), "gw3 mydebug");
        assert_int_equal(fake_server_n_open(story->server), 1);
        assert_int_equal(memory_ledger_count(story->memory, LEDGER_SLOT_FREED), 0);

        fake_server_set_busy(story->server, 0);
        slot_story_pass(story, SOON);
        assert_true(has_slot(story, &waiter));
        assert_string_equal(memory_ledger_last(story->memory, LEDGER_SLOT_FREED)->detail, "died");
        assert_int_equal(memory_ledger_count(story->memory, LEDGER_NOTED), 0);
        assert_at_rest(story);
}

static void who_gives_back_is_not_asked_about(void **state)
{
        struct slot_story *story = *state;
        struct slot_request holder = slot_story_hold(story, 1, NULL),
                            second = slot_story_hold(story, 2, NULL);
        struct slot_request waiter = slot_story_wait(story, 3), next = slot_story_wait(story, 4);

        fake_server_set_busy(story->server, 1);
        assert_int_equal(slot_story_release(story, holder.connection), 0);
        slots_connection_closed(story->slots, holder.connection);
        assert_true(has_slot(story, &waiter));
        slots_lease_ended(story->slots, second.lease, false, NULL);
        assert_true(has_slot(story, &next));
        assert_int_equal(fake_server_n_asked(story->server, PG_CONNECT), 0);
}

static void sessions_that_never_finish_hold_the_slot_for_so_long_only(void **state)
{
        struct slot_story *story = *state;
        struct slot_request holder = slot_story_hold(story, 1, NULL), waiter;
        const struct ledger_change *noted;

        (void)slot_story_hold(story, 2, NULL);
        waiter = slot_story_wait(story, 3);
        fake_server_set_busy(story->server, 2);
        slots_connection_closed(story->slots, holder.connection);
        slot_story_pass(story, STATEMENT_TIMEOUT - 1);
        assert_false(has_slot(story, &waiter));
        slot_story_pass(story, 1);
        assert_true(has_slot(story, &waiter));
        noted = memory_ledger_last(story->memory, LEDGER_NOTED);
        assert_string_equal(noted->namespace, "mydebug");
        assert_string_equal(noted->detail,
                            "slot 0 handed on all the same: 2 of its sessions had not finished "
                            "after 30 s, one has pid 4711");
        assert_at_rest(story);
}

/* Those sessions were asleep as we were. */
static void a_suspend_is_no_time_to_finish_in(void **state)
{
        struct slot_story *story = *state;
        struct slot_request holder = slot_story_hold(story, 1, NULL), waiter;

        (void)slot_story_hold(story, 2, NULL);
        waiter = slot_story_wait(story, 3);
        fake_server_set_busy(story->server, 1);
        slots_connection_closed(story->slots, holder.connection);
        slot_story_pass(story, USEC_PER_SEC);
        fake_env_suspend(story->fake, 3600 * USEC_PER_SEC);
        slot_story_pass(story, STATEMENT_TIMEOUT - 2 * USEC_PER_SEC);
        assert_false(has_slot(story, &waiter));
        assert_int_equal(memory_ledger_count(story->memory, LEDGER_NOTED), 0);
        fake_server_set_busy(story->server, 0);
        slot_story_pass(story, SOON);
        assert_true(has_slot(story, &waiter));
        assert_at_rest(story);
}

static void does_not_wait_longer_than_twice_the_time_to_connect(struct slot_story *story, enum fake_mood mood)
{
        struct slot_request holder = slot_story_hold(story, 1, NULL), waiter;

        (void)slot_story_hold(story, 2, NULL);
        waiter = slot_story_wait(story, 3);
        fake_server_set_mood(story->server, mood);
        slots_connection_closed(story->slots, holder.connection);
        slot_story_pass(story, 2 * CONNECT_TIMEOUT - 1);
        assert_false(has_slot(story, &waiter));
        slot_story_pass(story, 1);
        assert_true(has_slot(story, &waiter));
        assert_non_null(strstr(memory_ledger_last(story->memory, LEDGER_NOTED)->detail, "does not answer"));
        assert_at_rest(story);
}

static void a_server_that_refuses_is_not_waited_for_long(void **state)
{
        does_not_wait_longer_than_twice_the_time_to_connect(*state, FAKE_REFUSES);
}

static void a_server_that_is_silent_is_not_waited_for_long(void **state)
{
        does_not_wait_longer_than_twice_the_time_to_connect(*state, FAKE_SILENT);
}

/* It shows none of the primary's sessions. */
static void a_standby_is_not_believed(void **state)
{
        does_not_wait_longer_than_twice_the_time_to_connect(*state, FAKE_STANDBY);
}

static void a_server_that_comes_back_is_heard(void **state)
{
        struct slot_story *story = *state;
        struct slot_request holder = slot_story_hold(story, 1, NULL), waiter;

        (void)slot_story_hold(story, 2, NULL);
        waiter = slot_story_wait(story, 3);
        fake_server_set_mood(story->server, FAKE_REFUSES);
        fake_server_set_busy(story->server, 1);
        slots_connection_closed(story->slots, holder.connection);
        slot_story_pass(story, CONNECT_TIMEOUT);
        fake_server_set_mood(story->server, FAKE_ANSWERS);
        slot_story_pass(story, 3 * CONNECT_TIMEOUT);
        assert_false(has_slot(story, &waiter));
        fake_server_set_busy(story->server, 0);
        slot_story_pass(story, SOON);
        assert_true(has_slot(story, &waiter));
        assert_int_equal(memory_ledger_count(story->memory, LEDGER_NOTED), 0);
}

static void where_no_database_is_configured_nothing_is_waited_for(void **state)
{
        struct slot_story *story = *state;
        struct slot_request holder = slot_story_hold(story, 1, NULL), waiter;

        (void)slot_story_hold(story, 2, NULL);
        waiter = slot_story_wait(story, 3);
        fake_databases_configure_none(story->databases);
        fake_server_set_busy(story->server, 1);
        slots_connection_closed(story->slots, holder.connection);
        assert_true(has_slot(story, &waiter));
}

static void a_reload_that_takes_the_cluster_away_ends_the_wait(void **state)
{
        struct slot_story *story = *state;
        struct slot_request holder = slot_story_hold(story, 1, NULL), waiter;

        (void)slot_story_hold(story, 2, NULL);
        waiter = slot_story_wait(story, 3);
        fake_server_set_mood(story->server, FAKE_REFUSES);
        slots_connection_closed(story->slots, holder.connection);
        slot_story_pass(story, SOON);
        assert_false(has_slot(story, &waiter));
        fake_databases_configure_none(story->databases);
        slot_story_pass(story, SOON);
        assert_true(has_slot(story, &waiter));
}

/* The process is gone, the socket lives on in a child, and closes while the slot is drained, or later. */
static void an_inherited_socket_hears_at_once_what_is_handed_on_later(void **state)
{
        struct slot_story *story = *state;
        struct slot_request first = slot_story_hold(story, 1, NULL), second = slot_story_hold(story, 2, NULL);
        struct slot_request waiter = slot_story_wait(story, 3), next = slot_story_wait(story, 4);

        fake_server_set_busy(story->server, 1);
        fake_env_kill(story->fake, &first.peer.process);
        fake_env_kill(story->fake, &second.peer.process);
        slot_story_settle(story);
        assert_true(slot_story_take(story, first.connection, SLOT_TOLD_LET_GO)->revoked);
        assert_true(slot_story_take(story, second.connection, SLOT_TOLD_LET_GO)->revoked);
        assert_int_equal(slot_story_release(story, first.connection), SLOTS_E_NOT_HELD);
        slots_connection_closed(story->slots, first.connection);
        slot_story_pass(story, USEC_PER_SEC);
        assert_false(has_slot(story, &waiter));
        fake_server_set_busy(story->server, 0);
        slot_story_pass(story, SOON);
        assert_true(has_slot(story, &waiter));
        assert_true(has_slot(story, &next));
        slots_connection_closed(story->slots, second.connection);
        assert_at_rest(story);
}

/* Killed and hung up in the same turn of the loop, before anything was told. */
static void a_connection_that_closes_before_it_was_told_is_drained_once(void **state)
{
        struct slot_story *story = *state;
        struct slot_request holder = slot_story_hold(story, 1, NULL), waiter;

        (void)slot_story_hold(story, 2, NULL);
        waiter = slot_story_wait(story, 3);
        fake_server_set_busy(story->server, 1);
        slots_lease_ended(story->slots, 1, true, "operator");
        slots_connection_closed(story->slots, holder.connection);
        slot_story_pass(story, USEC_PER_SEC);
        assert_false(has_slot(story, &waiter));
        assert_null(slot_story_take(story, holder.connection, SLOT_TOLD_LET_GO));
        fake_server_set_busy(story->server, 0);
        slot_story_pass(story, SOON);
        assert_true(has_slot(story, &waiter));
        assert_int_equal(memory_ledger_count(story->memory, LEDGER_SLOT_FREED), 1);
}

static void a_slot_that_is_taken_away_is_drained_and_its_lease_s_end_changes_nothing(void **state)
{
        struct slot_story *story = *state;
        struct slot_request holder = slot_story_hold(story, 1, NULL), waiter;

        (void)slot_story_hold(story, 2, NULL);
        waiter = slot_story_wait(story, 3);
        fake_server_set_busy(story->server, 1);
        slots_lease_ended(story->slots, 1, true, "operator");
        slot_story_settle(story);
        assert_true(slot_story_take(story, holder.connection, SLOT_TOLD_LET_GO)->revoked);
        slots_lease_ended(story->slots, 1, true, "again");
        slot_story_pass(story, USEC_PER_SEC);
        assert_false(has_slot(story, &waiter));
        assert_null(slot_story_take(story, holder.connection, SLOT_TOLD_LET_GO));
        fake_server_set_busy(story->server, 0);
        slot_story_pass(story, SOON);
        assert_true(has_slot(story, &waiter));
        assert_string_equal(memory_ledger_last(story->memory, LEDGER_SLOT_FREED)->detail, "revoked");
}

static void a_grant_that_nobody_heard_of_is_passed_on_at_once(void **state)
{
        struct slot_story *story = *state;
        struct slot_request holder = slot_story_hold(story, 1, NULL), gone, next;

        (void)slot_story_hold(story, 2, NULL);
        gone = slot_story_wait(story, 3);
        next = slot_story_wait(story, 4);
        slot_story_settle(story);
        fake_server_set_busy(story->server, 1);
        assert_int_equal(slot_story_release(story, holder.connection), 0);
        slots_connection_closed(story->slots, gone.connection);
        assert_true(has_slot(story, &next));
}

static void a_restart_goes_on_draining(void **state)
{
        struct slot_story *story = *state;
        struct slot_request holder = slot_story_hold(story, 1, NULL), other = slot_story_hold(story, 2, NULL),
                            waiter;

        fake_server_set_busy(story->server, 1);
        fake_env_kill(story->fake, &holder.peer.process);
        slots_connection_closed(story->slots, holder.connection);
        slot_story_settle(story);
        slot_story_restart(story);
        waiter = slot_story_wait(story, 3);
        slot_story_pass(story, USEC_PER_SEC);
        assert_int_equal(n_draining(story), 1);
        fake_env_kill(story->fake, &other.peer.process);
        slot_story_pass(story, USEC_PER_SEC);
        assert_int_equal(n_draining(story), 2);
        assert_false(has_slot(story, &waiter));
        fake_server_set_busy(story->server, 0);
        slot_story_pass(story, SOON);
        assert_true(has_slot(story, &waiter));
        assert_int_equal(memory_ledger_count(story->memory, LEDGER_SLOT_FREED), 2);
}

static void whoever_does_not_come_back_in_the_grace_is_drained_too(void **state)
{
        struct slot_story *story = *state;
        struct slot_request waiter, holder = slot_story_hold(story, 1, NULL);

        (void)slot_story_hold(story, 2, NULL);
        slot_story_settle(story);
        slot_story_restart(story);
        waiter = slot_story_wait(story, 3);
        fake_server_set_busy(story->server, 1);
        slot_story_pass(story, START_GRACE + USEC_PER_SEC);
        assert_false(has_slot(story, &waiter));
        fake_env_kill(story->fake, &holder.peer.process); /* changes nothing any more */
        slot_story_pass(story, STATEMENT_TIMEOUT);
        assert_true(has_slot(story, &waiter));
        assert_int_equal(memory_ledger_count(story->memory, LEDGER_NOTED), 2);
}

/* A restart, and the cluster of a slot whose holder died meanwhile is not known yet. */
static void restart_with_a_holder_far_away(struct slot_story *story)
{
        struct slot_request far = slot_story_request(story, 1);

        far.database = "far";
        assert_int_equal(slot_story_ask(story, &far, NULL), 0);
        fake_databases_answer(story->databases, NULL);
        slot_story_settle(story);
        assert_non_null(slot_story_take(story, far.connection, SLOT_TOLD_GRANTED));
        fake_env_kill(story->fake, &far.peer.process);
        fake_databases_forget(story->databases, "far");
        slot_story_restart(story);
}

static void a_cluster_that_is_not_known_yet_is_asked_for(void **state)
{
        struct slot_story *story = *state;
        struct slot_request waiter;

        fake_server_set_busy(story->server, 1);
        restart_with_a_holder_far_away(story);
        waiter = slot_story_wait(story, 2);
        slot_story_pass(story, START_GRACE + USEC_PER_SEC);
        assert_false(has_slot(story, &waiter));
        fake_databases_answer(story->databases, NULL);
        /* From here on it stands in its own cluster's queue only. */
        assert_true(has_slot(story, &waiter));
        assert_int_equal(slot_story_n_held(story, 3), 1);
        fake_server_set_busy(story->server, 0);
        slot_story_pass(story, SOON);
        assert_int_equal(slot_story_n_held(story, 3), 0);
}

static void a_cluster_that_cannot_be_found_again_keeps_nothing(void **state)
{
        struct slot_story *story = *state;
        struct slot_request waiter;

        restart_with_a_holder_far_away(story);
        waiter = slot_story_wait(story, 2);
        assert_false(has_slot(story, &waiter));
        fake_databases_answer(story->databases, "no");
        assert_true(has_slot(story, &waiter));
        assert_string_equal(memory_ledger_last(story->memory, LEDGER_SLOT_FREED)->detail, "died");
}

static void a_stop_in_the_middle_leaves_nothing_behind(void **state)
{
        struct slot_story *story = *state;
        struct slot_request holder = slot_story_hold(story, 1, NULL);

        fake_server_set_busy(story->server, 1);
        slots_connection_closed(story->slots, holder.connection);
        slot_story_settle(story);
        assert_int_equal(fake_server_n_open(story->server), 1); /* the end of the test complains of more */
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, slot_story_setup, slot_story_teardown)
        const struct CMUnitTest tests[] = {
                STORY(a_dead_holder_s_slot_waits_for_its_sessions),
                STORY(who_gives_back_is_not_asked_about),
                STORY(sessions_that_never_finish_hold_the_slot_for_so_long_only),
                STORY(a_suspend_is_no_time_to_finish_in),
                STORY(a_server_that_refuses_is_not_waited_for_long),
                STORY(a_server_that_is_silent_is_not_waited_for_long),
                STORY(a_standby_is_not_believed),
                STORY(a_server_that_comes_back_is_heard),
                STORY(where_no_database_is_configured_nothing_is_waited_for),
                STORY(a_reload_that_takes_the_cluster_away_ends_the_wait),
                STORY(an_inherited_socket_hears_at_once_what_is_handed_on_later),
                STORY(a_connection_that_closes_before_it_was_told_is_drained_once),
                STORY(a_slot_that_is_taken_away_is_drained_and_its_lease_s_end_changes_nothing),
                STORY(a_grant_that_nobody_heard_of_is_passed_on_at_once),
                STORY(a_restart_goes_on_draining),
                STORY(whoever_does_not_come_back_in_the_grace_is_drained_too),
                STORY(a_cluster_that_is_not_known_yet_is_asked_for),
                STORY(a_cluster_that_cannot_be_found_again_keeps_nothing),
                STORY(a_stop_in_the_middle_leaves_nothing_behind),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
