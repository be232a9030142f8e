/* SPDX-License-Identifier: MIT */

/* Who carries a lease, and when it ends. */

#include "lease_story.h"

#include <string.h>

static char message[NAMES_MESSAGE_SIZE];

static void a_closed_socket_is_no_end(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct telling lease;
        struct lease_request holder = story_acquire(story, &peer, &lease);

        leases_connection_closed(story->leases, holder.connection);
        story_pass(story, 100 * 24 * 3600 * USEC_PER_SEC);
        assert_int_equal(story_state(story, lease.namespace), LEASE_LIVE);
        fake_env_kill(story->fake, &peer.process);
        story_settle(story);
        assert_int_equal(story_take_end(story, lease.namespace)->state, LEASE_CRASHED);
        assert_null(leases_find(story->leases, lease.namespace));
        assert_int_equal(leases_standing(story->leases, lease.namespace), STANDING_ENDED);
        assert_false(memory_ledger_has_lease(story->memory, lease.namespace));
        assert_string_equal(memory_ledger_last(story->memory, LEDGER_LEASE_ENDED)->detail, "crashed");
}

static void a_vanished_process_with_an_inherited_socket_is_no_end(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct telling lease;
        struct lease_request holder = story_acquire(story, &peer, &lease);

        fake_env_kill(story->fake, &peer.process);
        story_pass(story, 3600 * USEC_PER_SEC);
        assert_int_equal(story_state(story, lease.namespace), LEASE_LIVE);
        assert_true(leases_find(story->leases, lease.namespace)->members[0].gone);
        leases_connection_closed(story->leases, holder.connection);
        assert_null(story_take_end(story, lease.namespace));
        story_settle(story);
        assert_non_null(story_take_end(story, lease.namespace));
}

static void an_end_is_told_once_and_not_from_inside_a_call(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct telling lease;
        struct lease_request holder = story_acquire(story, &peer, &lease);

        fake_env_kill(story->fake, &peer.process);
        leases_connection_closed(story->leases, holder.connection);
        leases_connection_closed(story->leases, holder.connection);
        story_pass(story, USEC_PER_SEC);
        assert_int_equal(story_count(story, TOLD_ENDED), 1);
}

static void who_closes_before_the_grant_has_a_lease_until_his_process_is_gone(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct lease_request request = story_request(story, &peer);

        request.namespace = "mydebug";
        assert_int_equal(leases_acquire(story->leases, &request, message), 0);
        leases_connection_closed(story->leases, request.connection);
        story_settle(story);
        assert_null(story_take(story, request.connection, TOLD_GRANTED));
        assert_int_equal(story_state(story, "mydebug"), LEASE_LIVE);
        fake_env_kill(story->fake, &peer.process);
        story_settle(story);
        assert_int_equal(story_take_end(story, "mydebug")->state, LEASE_CRASHED);
}

static void who_dies_before_the_grant_crashes_right_after_it(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct lease_request request = story_request(story, &peer);

        request.namespace = "mydebug";
        assert_int_equal(leases_acquire(story->leases, &request, message), 0);
        leases_connection_closed(story->leases, request.connection);
        fake_env_kill(story->fake, &peer.process);
        (void)fake_env_turn(story->fake);
        assert_int_equal(leases_standing(story->leases, "mydebug"), STANDING_LIVE);
        story_settle(story);
        assert_int_equal(story_take_end(story, "mydebug")->state, LEASE_CRASHED);
}

static void a_worker_carries_the_lease_of_a_dead_runner(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story), worker = story_peer(story);
        struct telling lease;
        struct lease_request holder = story_acquire(story, &peer, &lease);
        struct lease_request attach = story_attach_request(story, &worker, &lease, ROLE_WORKER);

        assert_int_equal(story_attach(story, &attach), 0);
        fake_env_kill(story->fake, &peer.process);
        leases_connection_closed(story->leases, holder.connection);
        story_settle(story);
        assert_int_equal(story_state(story, lease.namespace), LEASE_LIVE);
        assert_int_equal(leases_find(story->leases, lease.namespace)->n_members, 1);
        assert_string_equal(leases_find(story->leases, lease.namespace)->members[0].worker, "gw0");
        leases_connection_closed(story->leases, attach.connection);
        story_settle(story);
        assert_null(story_take_end(story, lease.namespace));
        fake_env_kill(story->fake, &worker.process);
        story_settle(story);
        assert_non_null(story_take_end(story, lease.namespace));
}

static void nobody_attaches_without_the_secret(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct telling lease, wrong, upper;
        struct lease_request attach;

        story_acquire(story, &peer, &lease);
        wrong = upper = lease;
        wrong.secret[31] = wrong.secret[31] == '0' ? '1' : '0';
        attach = story_attach_request(story, &peer, &wrong, ROLE_CHILD);
        assert_int_equal(story_attach(story, &attach), LEASES_E_NO_SUCH_LEASE);
        wrong.secret[31] = '\0';
        assert_int_equal(story_attach(story, &attach), LEASES_E_NO_SUCH_LEASE);
        memset(upper.secret, 'A', 32);
        attach = story_attach_request(story, &peer, &upper, ROLE_CHILD);
        assert_int_equal(story_attach(story, &attach), LEASES_E_NO_SUCH_LEASE);
        attach.secret = NULL;
        assert_int_equal(story_attach(story, &attach), LEASES_E_NO_SUCH_LEASE);
        strcpy(lease.namespace, "other");
        attach = story_attach_request(story, &peer, &lease, ROLE_CHILD);
        assert_int_equal(story_attach(story, &attach), LEASES_E_NO_SUCH_LEASE);
}

static void the_secret_is_in_the_ledger_only_as_a_hash(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct telling lease;
        const struct ledger_change *granted;

        story_acquire(story, &peer, &lease);
        granted = memory_ledger_last(story->memory, LEDGER_LEASE_GRANTED);
        assert_null(memmem(granted->secret_hash, sizeof(granted->secret_hash), lease.secret, 4));
        assert_int_equal(granted->process.pid, peer.process.pid);
        assert_int_equal(granted->uid, 1000);
        assert_int_not_equal(granted->member, 0);
}

static void a_nested_controller_is_refused(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story), pytest = story_peer(story), nested = story_peer(story);
        struct telling lease;
        struct lease_request controller, other;

        story_acquire(story, &peer, &lease);
        controller = story_attach_request(story, &pytest, &lease, ROLE_CONTROLLER);
        assert_int_equal(story_attach(story, &controller), 0);
        other = story_attach_request(story, &nested, &lease, ROLE_CONTROLLER);
        assert_int_equal(story_attach(story, &other), LEASES_E_ALREADY_ATTACHED);
        leases_connection_closed(story->leases, controller.connection);
        assert_int_equal(story_attach(story, &other), LEASES_E_ALREADY_ATTACHED);
        fake_env_kill(story->fake, &pytest.process);
        story_settle(story);
        assert_int_equal(story_attach(story, &other), 0);
}

static void pytest_that_leased_for_itself_is_the_controller(void **state)
{
        struct story *story = *state;
        struct peer pytest = story_peer(story), nested = story_peer(story);
        struct lease_request request = story_request(story, &pytest), other;
        struct telling lease;

        request.role = ROLE_CONTROLLER;
        assert_int_equal(leases_acquire(story->leases, &request, message), 0);
        story_settle(story);
        lease = *story_take(story, request.connection, TOLD_GRANTED);
        other = story_attach_request(story, &nested, &lease, ROLE_CONTROLLER);
        assert_int_equal(story_attach(story, &other), LEASES_E_ALREADY_ATTACHED);
}

static void a_controller_that_lost_its_connection_comes_back_in_its_place(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story), pytest = story_peer(story);
        struct telling lease;
        struct lease_request controller, again;

        story_acquire(story, &peer, &lease);
        controller = story_attach_request(story, &pytest, &lease, ROLE_CONTROLLER);
        assert_int_equal(story_attach(story, &controller), 0);
        leases_connection_closed(story->leases, controller.connection);
        again = story_attach_request(story, &pytest, &lease, ROLE_CONTROLLER);
        assert_int_equal(story_attach(story, &again), 0);
        assert_int_equal(leases_find(story->leases, lease.namespace)->n_members, 2);
}

static void a_second_connection_does_not_take_the_first_one_s_part(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story), pytest = story_peer(story);
        struct telling lease;
        struct lease_request runner = story_acquire(story, &peer, &lease);
        struct lease_request first = story_attach_request(story, &pytest, &lease, ROLE_CONTROLLER);
        struct lease_request second = story_attach_request(story, &pytest, &lease, ROLE_CONTROLLER);

        assert_int_equal(story_attach(story, &first), 0);
        assert_int_equal(story_attach(story, &second), 0);
        fake_env_kill(story->fake, &peer.process);
        fake_env_kill(story->fake, &pytest.process);
        leases_connection_closed(story->leases, runner.connection);
        leases_connection_closed(story->leases, second.connection);
        story_settle(story);
        /* A child inherited the first one. */
        assert_int_equal(story_state(story, lease.namespace), LEASE_LIVE);
        leases_connection_closed(story->leases, first.connection);
        story_settle(story);
        assert_non_null(story_take_end(story, lease.namespace));
}

static void members_that_come_back_do_not_pile_up(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story), worker = story_peer(story);
        struct telling lease;
        struct lease_request runner = story_acquire(story, &peer, &lease);

        for (unsigned i = 0; i < 10; i++) {
                struct lease_request back = story_attach_request(story, &worker, &lease, ROLE_WORKER);

                assert_int_equal(story_attach(story, &back), 0);
                leases_connection_closed(story->leases, back.connection);
                leases_connection_closed(story->leases, runner.connection);
                runner = story_attach_request(story, &peer, &lease, ROLE_RUNNER);
                assert_int_equal(story_attach(story, &runner), 0);
        }
        assert_int_equal(leases_find(story->leases, lease.namespace)->n_members, 2);
        assert_int_equal(memory_ledger_count(story->memory, LEDGER_MEMBER_JOINED), 1);
        for (unsigned i = 0; i < 10; i++) {
                struct peer replaced = story_peer(story);
                struct lease_request attach = story_attach_request(story, &replaced, &lease, ROLE_WORKER);

                assert_int_equal(story_attach(story, &attach), 0);
                leases_connection_closed(story->leases, attach.connection);
                fake_env_kill(story->fake, &replaced.process);
                story_settle(story);
        }
        assert_int_equal(leases_find(story->leases, lease.namespace)->n_members, 2);
        assert_int_equal(memory_ledger_count(story->memory, LEDGER_MEMBER_LEFT), 10);
}

/* ---- release ---- */

static void a_release_ends_the_lease_and_a_second_one_is_harmless(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story), stranger = story_peer(story);
        struct telling lease;
        struct lease_request holder = story_acquire(story, &peer, &lease), attach;

        assert_int_equal(story_release(story, holder.connection), 0);
        assert_int_equal(story_release(story, holder.connection), 0);
        story_settle(story);
        assert_int_equal(story_take_end(story, lease.namespace)->state, LEASE_RELEASED);
        assert_null(story_take(story, holder.connection, TOLD_LET_GO));
        assert_int_equal(story_release(story, holder.connection), 0);
        assert_int_equal(story_release_by_secret(story, 77, lease.namespace, lease.secret), 0);
        assert_int_equal(story_count(story, TOLD_ENDED), 0);
        assert_int_equal(memory_ledger_count(story->memory, LEDGER_LEASE_ENDED), 1);
        attach = story_attach_request(story, &stranger, &lease, ROLE_CHILD);
        assert_int_equal(story_attach(story, &attach), LEASES_E_NO_SUCH_LEASE);
        assert_int_equal(story_release(story, attach.connection), LEASES_E_NO_SUCH_LEASE);
}

static void a_late_second_release_hits_nobody_who_has_the_name_now(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story), next = story_peer(story);
        struct telling old;
        struct lease_request holder = story_acquire_name(story, &peer, "mydebug", &old);

        assert_int_equal(story_release(story, holder.connection), 0);
        story_settle(story);
        story_acquire_name(story, &next, "mydebug", NULL);
        assert_int_equal(story_release(story, holder.connection), 0);
        (void)story_release_by_secret(story, 77, "mydebug", old.secret);
        story_settle(story);
        assert_int_equal(story_state(story, "mydebug"), LEASE_LIVE);
}

static void a_released_lease_lives_until_no_other_member_is_connected(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story), worker = story_peer(story), late = story_peer(story);
        struct telling lease;
        struct lease_request holder = story_acquire(story, &peer, &lease), attach, attach_late;

        attach = story_attach_request(story, &worker, &lease, ROLE_WORKER);
        assert_int_equal(story_attach(story, &attach), 0);
        assert_int_equal(story_release(story, holder.connection), 0);
        story_settle(story);
        assert_int_equal(story_state(story, lease.namespace), LEASE_RELEASING);
        assert_int_equal(leases_standing(story->leases, lease.namespace), STANDING_LIVE);
        attach_late = story_attach_request(story, &late, &lease, ROLE_CHILD);
        assert_int_equal(story_attach(story, &attach_late), LEASES_E_NO_SUCH_LEASE);
        assert_non_null(leases_resolve(story->leases, attach.connection, NULL, NULL));
        leases_connection_closed(story->leases, attach.connection);
        story_settle(story);
        assert_int_equal(story_take_end(story, lease.namespace)->state, LEASE_RELEASED);
}

static void a_release_elsewhere_lets_the_holder_go(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct telling lease;
        struct lease_request holder = story_acquire(story, &peer, &lease);

        assert_int_equal(story_release_by_secret(story, 77, lease.namespace, lease.secret), 0);
        story_settle(story);
        assert_int_equal(story_take(story, holder.connection, TOLD_LET_GO)->state, LEASE_RELEASED);
        assert_non_null(story_take_end(story, lease.namespace));
}

static void a_holder_that_hung_up_is_not_let_go(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct telling lease;
        struct lease_request holder = story_acquire(story, &peer, &lease);

        assert_int_equal(story_release_by_secret(story, 77, lease.namespace, lease.secret), 0);
        leases_connection_closed(story->leases, holder.connection);
        story_settle(story);
        assert_null(story_take(story, holder.connection, TOLD_LET_GO));
        assert_non_null(story_take_end(story, lease.namespace));
}

static void a_release_lets_no_other_member_go_not_even_of_the_same_process(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct telling lease;
        struct lease_request holder = story_acquire(story, &peer, &lease), more;

        more = story_attach_request(story, &peer, &lease, ROLE_WORKER);
        assert_int_equal(story_attach(story, &more), 0);
        assert_int_equal(story_release(story, holder.connection), 0);
        story_settle(story);
        assert_null(story_take(story, more.connection, TOLD_LET_GO));
        assert_int_equal(story_state(story, lease.namespace), LEASE_RELEASING);
        leases_connection_closed(story->leases, more.connection);
        story_settle(story);
        assert_int_equal(story_take_end(story, lease.namespace)->state, LEASE_RELEASED);
}

static void a_child_that_releases_lets_the_holder_go_and_no_other_child(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story), child = story_peer(story);
        struct telling lease;
        struct lease_request holder = story_acquire(story, &peer, &lease), one, other;

        one = story_attach_request(story, &child, &lease, ROLE_CHILD);
        other = story_attach_request(story, &child, &lease, ROLE_CHILD);
        assert_int_equal(story_attach(story, &one), 0);
        assert_int_equal(story_attach(story, &other), 0);
        assert_int_equal(story_release(story, one.connection), 0);
        story_settle(story);
        assert_non_null(story_take(story, holder.connection, TOLD_LET_GO));
        assert_null(story_take(story, other.connection, TOLD_LET_GO));
        assert_int_equal(story_state(story, lease.namespace), LEASE_RELEASING);
}

static void a_holder_we_cannot_see_is_let_go_as_well(void **state)
{
        struct story *story = *state;
        struct peer nobody = story_nobody();
        struct telling lease;
        struct lease_request holder = story_acquire(story, &nobody, &lease), child;

        assert_int_equal(story_release_by_secret(story, 77, lease.namespace, lease.secret), 0);
        story_settle(story);
        assert_non_null(story_take(story, holder.connection, TOLD_LET_GO));
        assert_non_null(story_take_end(story, lease.namespace));

        holder = story_acquire(story, &nobody, &lease);
        child = story_attach_request(story, &nobody, &lease, ROLE_CHILD);
        assert_int_equal(story_attach(story, &child), 0);
        assert_int_equal(story_release(story, child.connection), 0);
        story_settle(story);
        assert_non_null(story_take_end(story, lease.namespace));
}

static void a_worker_attaches_beside_the_controller(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story), worker = story_peer(story);
        struct lease_request request = story_request(story, &peer), attach;
        struct telling lease;

        request.role = ROLE_CONTROLLER;
        assert_int_equal(leases_acquire(story->leases, &request, message), 0);
        story_settle(story);
        lease = *story_take(story, request.connection, TOLD_GRANTED);
        attach = story_attach_request(story, &worker, &lease, ROLE_WORKER);
        assert_int_equal(story_attach(story, &attach), 0);
}

static void subscribers_hear_of_members_that_come_and_go(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story), worker = story_peer(story);
        struct telling lease;
        struct lease_request attach;
        unsigned n = 0;

        story_acquire(story, &peer, &lease);
        assert_int_equal(story_count(story, TOLD_CHANGED), ++n);
        attach = story_attach_request(story, &worker, &lease, ROLE_WORKER);
        assert_int_equal(story_attach(story, &attach), 0);
        story_settle(story);
        assert_int_equal(story_count(story, TOLD_CHANGED), ++n);
        fake_env_kill(story->fake, &worker.process);
        story_settle(story);
        assert_int_equal(story_count(story, TOLD_CHANGED), ++n);
        leases_connection_closed(story->leases, attach.connection);
        story_settle(story);
        assert_int_equal(story_count(story, TOLD_CHANGED), ++n);
}

static void a_connection_that_released_may_lease_again(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct lease_request holder = story_acquire(story, &peer, NULL);

        assert_int_equal(story_release(story, holder.connection), 0);
        assert_int_equal(leases_acquire(story->leases, &holder, message), 0);
        story_settle(story);
        assert_non_null(story_take(story, holder.connection, TOLD_GRANTED));
        assert_int_equal(leases_n_live(story->leases), 1);
}

static void kept_schemas_stay_until_the_time_that_was_stated(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct telling lease;
        struct lease_request holder = story_acquire(story, &peer, &lease);
        struct lease_release release = {.connection = holder.connection, .exit_status = 1, .keep = true};
        const struct telling *kept;
        uint64_t until, now = env_realtime(fake_env(story->fake));

        assert_int_equal(leases_release(story->leases, &release, &until), LEASES_LATER);
        (void)memory_ledger_confirm(story->memory);
        kept = story_take(story, holder.connection, TOLD_KEPT);
        assert_int_equal(kept->error, 0);
        until = kept->until;
        assert_int_equal(until, now + KEEP_FOR);
        story_settle(story);
        assert_int_equal(leases_standing(story->leases, lease.namespace), STANDING_KEPT);
        assert_int_equal(leases_kept_until(story->leases, lease.namespace), until);
        assert_false(leases_claim(story->leases, lease.namespace));
        assert_int_equal(memory_ledger_last(story->memory, LEDGER_LEASE_KEPT)->until_usec, until);
        assert_int_equal(memory_ledger_last(story->memory, LEDGER_LEASE_ENDED)->exit_status, 1);
        story_pass(story, KEEP_FOR);
        assert_int_equal(leases_standing(story->leases, lease.namespace), STANDING_ENDED);
        assert_true(leases_claim(story->leases, lease.namespace));
}

static void a_keep_that_the_ledger_refuses_is_not_promised(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct telling lease;
        uint64_t connection = ++story->last_connection;

        (void)story_acquire(story, &peer, &lease);
        assert_int_equal(leases_keep(story->leases, connection, lease.namespace, 1000, false, 0),
                         LEASES_LATER);
        assert_null(story_take(story, connection, TOLD_KEPT));
        assert_true(memory_ledger_refuse(story->memory));
        assert_int_equal(story_take(story, connection, TOLD_KEPT)->error, LEASES_E_LEDGER);
        assert_int_equal(leases_kept_until(story->leases, lease.namespace), 0);
}

static void a_release_keeps_schemas_also_where_the_ledger_refuses_for_now(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct telling lease;
        struct lease_request holder = story_acquire(story, &peer, &lease);
        struct lease_release release = {.connection = holder.connection, .exit_status = 1, .keep = true};
        uint64_t until;

        assert_int_equal(leases_release(story->leases, &release, &until), LEASES_LATER);
        assert_true(memory_ledger_refuse(story->memory));
        assert_int_equal(story_take(story, holder.connection, TOLD_KEPT)->error, 0);
        story_settle(story);
        story_restart(story);
        assert_int_equal(leases_standing(story->leases, lease.namespace), STANDING_KEPT);
}

static void keeping_a_live_lease_s_schemas_takes_effect_at_its_end(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct telling lease;
        struct lease_request holder = story_acquire(story, &peer, &lease);
        uint64_t until = 0, longer = 0;

        assert_int_equal(story_keep(story, lease.namespace, 1001, false, 1, &until), LEASES_E_NOT_PERMITTED);
        assert_int_equal(story_keep(story, "other", 1000, true, 1, &until), LEASES_E_NO_SUCH_LEASE);
        assert_int_equal(story_keep(story, lease.namespace, 1000, false, 0, &until), 0);
        fake_env_kill(story->fake, &peer.process);
        leases_connection_closed(story->leases, holder.connection);
        story_settle(story);
        assert_int_equal(leases_standing(story->leases, lease.namespace), STANDING_KEPT);
        assert_int_equal(story_keep(story, lease.namespace, 1001, false, 1, &longer), LEASES_E_NOT_PERMITTED);
        assert_int_equal(story_keep(story, lease.namespace, 1001, true, UINT64_MAX, &longer), 0);
        assert_true(longer > until);
}

/* ---- revoke ---- */

static void a_revoked_lease_ends_at_once_and_all_are_told(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story), worker = story_peer(story);
        struct telling lease;
        struct lease_request holder = story_acquire(story, &peer, &lease), attach;
        const struct telling *let_go;

        attach = story_attach_request(story, &worker, &lease, ROLE_WORKER);
        assert_int_equal(story_attach(story, &attach), 0);
        assert_int_equal(leases_revoke(story->leases, lease.namespace, 1001, false, "no"),
                         LEASES_E_NOT_PERMITTED);
        assert_int_equal(leases_revoke(story->leases, lease.namespace, 1001, true, "operator"), 0);
        assert_int_equal(leases_standing(story->leases, lease.namespace), STANDING_ENDED);
        assert_null(leases_resolve(story->leases, holder.connection, NULL, NULL));
        story_settle(story);
        let_go = story_take(story, holder.connection, TOLD_LET_GO);
        assert_int_equal(let_go->state, LEASE_REVOKED);
        assert_string_equal(let_go->reason, "operator");
        assert_non_null(story_take(story, attach.connection, TOLD_LET_GO));
        assert_int_equal(story_take_end(story, lease.namespace)->state, LEASE_REVOKED);
        assert_int_equal(leases_revoke(story->leases, lease.namespace, 1000, true, NULL),
                         LEASES_E_NO_SUCH_LEASE);
        assert_int_equal(story_release_by_secret(story, 77, lease.namespace, lease.secret),
                         LEASES_E_NO_SUCH_LEASE);
}

/* Whoever is told of a grant may end it on the spot. */
static void revoke_at_once(struct story *story, const struct telling *telling)
{
        if (telling->what == TOLD_GRANTED)
                assert_int_equal(leases_revoke(story->leases, telling->namespace, 1000, false, NULL), 0);
        else if (telling->what == TOLD_LET_GO)
                leases_connection_closed(story->leases, telling->connection);
}

static void a_lease_may_be_revoked_while_its_grant_is_told(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct lease_request first = story_request(story, &peer), again = story_request(story, &peer);

        first.request = again.request = "run-1";
        story->watcher = revoke_at_once;
        assert_int_equal(leases_acquire(story->leases, &first, message), 0);
        assert_int_equal(leases_acquire(story->leases, &again, message), 0);
        story_settle(story);
        assert_int_equal(story_count(story, TOLD_GRANTED), 1);
        assert_int_equal(story_count(story, TOLD_ENDED), 1);
        assert_int_equal(leases_n_live(story->leases), 0);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, story_setup, story_teardown)
        const struct CMUnitTest tests[] = {
                STORY(a_closed_socket_is_no_end),
                STORY(a_vanished_process_with_an_inherited_socket_is_no_end),
                STORY(an_end_is_told_once_and_not_from_inside_a_call),
                STORY(who_closes_before_the_grant_has_a_lease_until_his_process_is_gone),
                STORY(who_dies_before_the_grant_crashes_right_after_it),
                STORY(a_worker_carries_the_lease_of_a_dead_runner),
                STORY(nobody_attaches_without_the_secret),
                STORY(the_secret_is_in_the_ledger_only_as_a_hash),
                STORY(a_nested_controller_is_refused),
                STORY(pytest_that_leased_for_itself_is_the_controller),
                STORY(a_controller_that_lost_its_connection_comes_back_in_its_place),
                STORY(a_second_connection_does_not_take_the_first_one_s_part),
                STORY(members_that_come_back_do_not_pile_up),
                STORY(a_release_ends_the_lease_and_a_second_one_is_harmless),
                STORY(a_late_second_release_hits_nobody_who_has_the_name_now),
                STORY(a_released_lease_lives_until_no_other_member_is_connected),
                STORY(a_release_elsewhere_lets_the_holder_go),
                STORY(a_holder_that_hung_up_is_not_let_go),
                STORY(a_release_lets_no_other_member_go_not_even_of_the_same_process),
                STORY(a_child_that_releases_lets_the_holder_go_and_no_other_child),
                STORY(a_holder_we_cannot_see_is_let_go_as_well),
                STORY(a_worker_attaches_beside_the_controller),
                STORY(subscribers_hear_of_members_that_come_and_go),
                STORY(a_connection_that_released_may_lease_again),
                STORY(kept_schemas_stay_until_the_time_that_was_stated),
                STORY(a_keep_that_the_ledger_refuses_is_not_promised),
                STORY(a_release_keeps_schemas_also_where_the_ledger_refuses_for_now),
                STORY(keeping_a_live_lease_s_schemas_takes_effect_at_its_end),
                STORY(a_revoked_lease_ends_at_once_and_all_are_told),
                STORY(a_lease_may_be_revoked_while_its_grant_is_told),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
