/* SPDX-License-Identifier: MIT */

/* Leases whose connections have outlived the daemon. */

#include "lease_story.h"

#include <string.h>

#define KEPT 900 /* a connection's number from the life before */

static int64_t adopted;

static void adopt(struct story *story)
{
        assert_non_null(leases_recovering_peer(story->leases, adopted));
        leases_adopt(story->leases, adopted, KEPT);
        assert_null(leases_recovering_peer(story->leases, adopted)); /* once is enough */
}

/* A lease, a restart, and its one connection is still there. */
static struct peer restart(struct story *story, struct telling *ret, bool is_gone)
{
        struct peer peer = story_peer(story);
        struct lease_request request = story_acquire(story, &peer, ret);

        adopted = leases_member_on(story->leases, request.connection);
        assert_int_not_equal(adopted, 0);
        if (is_gone)
                fake_env_kill(story->fake, &peer.process);
        story->before_loaded = adopt;
        story_restart(story);
        return peer;
}

static void its_lease_is_live_at_once(void **state)
{
        struct story *story = *state;
        struct telling lease;

        (void)restart(story, &lease, false);
        assert_int_equal(story_state(story, lease.namespace), LEASE_LIVE);
        assert_int_equal(leases_member_on(story->leases, KEPT), adopted);
        assert_int_equal(story_release(story, KEPT), 0);
        story_settle(story);
        assert_int_equal(story_take_end(story, lease.namespace)->state, LEASE_RELEASED);
}

static void it_keeps_the_lease_of_a_process_that_has_gone(void **state)
{
        struct story *story = *state;
        struct telling lease;

        (void)restart(story, &lease, true);
        story_pass(story, 10 * START_GRACE);
        assert_int_equal(story_state(story, lease.namespace), LEASE_LIVE);
        leases_connection_closed(story->leases, KEPT);
        story_settle(story);
        assert_int_equal(story_take_end(story, lease.namespace)->state, LEASE_CRASHED);
}

static void its_end_is_noticed_as_any_other(void **state)
{
        struct story *story = *state;
        struct telling lease;
        struct peer peer = restart(story, &lease, false);

        leases_connection_closed(story->leases, KEPT);
        story_settle(story);
        assert_int_equal(story_state(story, lease.namespace), LEASE_LIVE); /* the process may attach again */
        fake_env_kill(story->fake, &peer.process);
        story_settle(story);
        assert_int_equal(story_take_end(story, lease.namespace)->state, LEASE_CRASHED);
}

static void what_the_ledger_does_not_know_is_not_adopted(void **state)
{
        struct story *story = *state;

        story_restart(story);
        assert_null(leases_recovering_peer(story->leases, 77));
        assert_int_equal(leases_member_on(story->leases, KEPT), 0);
}

/* Whatever stands before it: another lease, another member. */
static void each_member_of_each_lease_is_found(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story), worker = story_peer(story);
        struct telling first, second;
        struct lease_request attach;

        (void)story_acquire(story, &peer, &first);
        (void)story_acquire(story, &peer, &second);
        attach = story_attach_request(story, &worker, &second, ROLE_WORKER);
        assert_int_equal(story_attach(story, &attach), 0);
        story_settle(story);
        adopted = leases_member_on(story->leases, attach.connection);
        story->before_loaded = adopt;
        story_restart(story);
        assert_int_equal(story_state(story, first.namespace), LEASE_RECOVERING);
        assert_int_equal(story_state(story, second.namespace), LEASE_LIVE);
        assert_int_equal(leases_find(story->leases, second.namespace)->members[1].connection, KEPT);
        assert_null(leases_recovering_peer(story->leases, 4711));
}

static void who_waits_or_has_released_is_on_no_lease(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct lease_request holder, waiter = story_request(story, &peer);
        char message[NAMES_MESSAGE_SIZE];

        story->settings.max_leases = 1;
        leases_configure(story->leases, &story->settings);
        holder = story_acquire(story, &peer, NULL);
        assert_int_equal(leases_acquire(story->leases, &waiter, message), 0);
        assert_int_equal(leases_member_on(story->leases, waiter.connection), 0);
        assert_int_equal(story_release(story, holder.connection), 0);
        assert_int_equal(leases_member_on(story->leases, holder.connection), 0);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, story_setup, story_teardown)
        const struct CMUnitTest tests[] = {
                STORY(its_lease_is_live_at_once),
                STORY(each_member_of_each_lease_is_found),
                STORY(who_waits_or_has_released_is_on_no_lease),
                STORY(it_keeps_the_lease_of_a_process_that_has_gone),
                STORY(its_end_is_noticed_as_any_other),
                STORY(what_the_ledger_does_not_know_is_not_adopted),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
