/* SPDX-License-Identifier: MIT */

/* Restarts of the daemon, and members that no process speaks for. */

#include "lease_story.h"

#include <string.h>

static char message[NAMES_MESSAGE_SIZE];

static void a_lease_survives_a_restart_while_its_process_lives(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct telling lease;
        struct lease_request back;

        story_acquire(story, &peer, &lease);
        story_restart(story);
        assert_int_equal(story_state(story, lease.namespace), LEASE_RECOVERING);
        assert_int_equal(leases_standing(story->leases, lease.namespace), STANDING_RECOVERING);
        assert_int_equal(leases_n_live(story->leases), 1);
        story_pass(story, 10 * START_GRACE);
        assert_int_equal(story_state(story, lease.namespace), LEASE_RECOVERING);

        back = story_attach_request(story, &peer, &lease, ROLE_RUNNER);
        assert_int_equal(story_attach(story, &back), 0);
        assert_int_equal(story_state(story, lease.namespace), LEASE_LIVE);
        assert_int_equal(leases_find(story->leases, lease.namespace)->n_members, 1);
        assert_int_equal(story_release(story, back.connection), 0);
        story_settle(story);
        assert_int_equal(story_take_end(story, lease.namespace)->state, LEASE_RELEASED);
}

static void who_died_meanwhile_has_crashed_and_it_is_told_from_the_loop(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story), other = story_peer(story);
        struct telling dead, alive;

        story_acquire(story, &peer, &dead);
        story_acquire(story, &other, &alive);
        fake_env_kill(story->fake, &peer.process);
        story_restart(story);
        assert_int_equal(story_count(story, TOLD_ENDED), 0);
        story_settle(story);
        assert_int_equal(story_take_end(story, dead.namespace)->state, LEASE_CRASHED);
        assert_int_equal(story_state(story, alive.namespace), LEASE_RECOVERING);
        fake_env_kill(story->fake, &other.process);
        story_settle(story);
        assert_int_equal(story_take_end(story, alive.namespace)->state, LEASE_CRASHED);
}

static void a_reused_pid_is_not_the_owner(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct telling lease;

        story_acquire(story, &peer, &lease);
        (void)fake_env_reuse_pid(story->fake, &peer.process);
        story_restart(story);
        story_settle(story);
        assert_int_equal(story_take_end(story, lease.namespace)->state, LEASE_CRASHED);
}

static void nothing_of_another_boot_is_alive(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story), nobody = story_nobody();
        struct telling lease, unseen;

        strcpy(peer.process.boot_id, "00000000-0000-4000-8000-00000000000f");
        strcpy(nobody.process.boot_id, "00000000-0000-4000-8000-00000000000f");
        story_acquire(story, &peer, &lease);
        story_acquire(story, &nobody, &unseen);
        story_restart(story);
        story_settle(story);
        assert_int_equal(story_take_end(story, lease.namespace)->state, LEASE_CRASHED);
        assert_int_equal(story_take_end(story, unseen.namespace)->state, LEASE_CRASHED);
}

static void a_worker_s_process_keeps_a_recovering_lease(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story), worker = story_peer(story);
        struct telling lease;
        struct lease_request attach;

        story_acquire(story, &peer, &lease);
        attach = story_attach_request(story, &worker, &lease, ROLE_WORKER);
        assert_int_equal(story_attach(story, &attach), 0);
        story_settle(story);
        fake_env_kill(story->fake, &peer.process);
        story_restart(story);
        story_settle(story);
        assert_int_equal(story_state(story, lease.namespace), LEASE_RECOVERING);
        fake_env_kill(story->fake, &worker.process);
        story_settle(story);
        assert_non_null(story_take_end(story, lease.namespace));
}

static void the_controller_s_place_is_kept_for_its_process(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story), pytest = story_peer(story), nested = story_peer(story);
        struct telling lease;
        struct lease_request attach;

        story_acquire(story, &peer, &lease);
        attach = story_attach_request(story, &pytest, &lease, ROLE_CONTROLLER);
        assert_int_equal(story_attach(story, &attach), 0);
        story_settle(story);
        story_restart(story);
        attach = story_attach_request(story, &nested, &lease, ROLE_CONTROLLER);
        assert_int_equal(story_attach(story, &attach), LEASES_E_ALREADY_ATTACHED);
        attach = story_attach_request(story, &pytest, &lease, ROLE_CONTROLLER);
        assert_int_equal(story_attach(story, &attach), 0);
}

static void a_grant_that_was_not_durable_is_not_there_after_a_kill(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct lease_request request = story_request(story, &peer);

        request.namespace = "mydebug";
        assert_int_equal(leases_acquire(story->leases, &request, message), 0);
        story_restart(story);
        story_settle(story);
        assert_int_equal(leases_standing(story->leases, "mydebug"), STANDING_UNKNOWN);
        assert_null(story_take(story, request.connection, TOLD_GRANTED));
}

static void a_request_repeated_after_a_restart_gets_the_same_lease(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct lease_request request = story_request(story, &peer), again;

        request.namespace = "mydebug";
        request.request = "run-1";
        assert_int_equal(leases_acquire(story->leases, &request, message), 0);
        (void)memory_ledger_confirm(story->memory);
        story_restart(story);
        again = story_request(story, &peer);
        again.request = "run-1";
        assert_int_equal(leases_acquire(story->leases, &again, message), 0);
        story_settle(story);
        assert_string_equal(story_take(story, again.connection, TOLD_GRANTED)->namespace, "mydebug");
        assert_int_equal(story_state(story, "mydebug"), LEASE_LIVE);
}

static void ended_and_kept_names_are_known_after_a_restart(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct lease_request ended = story_acquire_name(story, &peer, "ended", NULL);
        struct lease_request kept = story_acquire_name(story, &peer, "kept", NULL);
        struct lease_release release = {.connection = kept.connection, .exit_status = -1, .keep = true};
        uint64_t until;

        assert_int_equal(story_release(story, ended.connection), 0);
        assert_int_equal(leases_release(story->leases, &release, &until), LEASES_LATER);
        story_settle(story);
        story_restart(story);
        assert_int_equal(leases_standing(story->leases, "ended"), STANDING_ENDED);
        assert_int_equal(leases_standing(story->leases, "kept"), STANDING_KEPT);
        assert_int_equal(leases_kept_until(story->leases, "kept"), until);
}

static void a_keep_outlives_a_kill_between_release_and_end(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story), worker = story_peer(story);
        struct telling lease;
        struct lease_request holder = story_acquire_name(story, &peer, "kept", &lease), attach;
        struct lease_release release = {.connection = holder.connection, .exit_status = -1, .keep = true};
        uint64_t until;

        attach = story_attach_request(story, &worker, &lease, ROLE_WORKER);
        assert_int_equal(story_attach(story, &attach), 0);
        assert_int_equal(leases_release(story->leases, &release, &until), LEASES_LATER);
        story_settle(story);
        fake_env_kill(story->fake, &peer.process);
        fake_env_kill(story->fake, &worker.process);
        story_restart(story);
        story_settle(story);
        assert_int_equal(leases_standing(story->leases, "kept"), STANDING_KEPT);
}

static void an_attach_is_answered_when_a_crash_cannot_forget_it(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story), worker = story_peer(story);
        struct telling lease;
        struct lease_request attach;
        const struct lease *attached;

        (void)story_acquire_name(story, &peer, "mydebug", &lease);
        attach = story_attach_request(story, &worker, &lease, ROLE_WORKER);
        assert_int_equal(leases_attach(story->leases, &attach, &attached), LEASES_LATER);
        (void)fake_env_turn(story->fake);
        assert_null(story_take(story, attach.connection, TOLD_GRANTED));
        assert_true(memory_ledger_confirm(story->memory));
        assert_non_null(story_take(story, attach.connection, TOLD_GRANTED));
        fake_env_kill(story->fake, &peer.process);
        story_restart(story);
        story_settle(story);
        assert_int_equal(story_state(story, "mydebug"), LEASE_RECOVERING);
        attach.connection = ++story->last_connection; /* it is known: at once */
        assert_int_equal(leases_attach(story->leases, &attach, &attached), 0);
}

static void an_attach_that_the_ledger_refuses_fails_and_may_be_tried_again(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story), worker = story_peer(story);
        struct telling lease;
        struct lease_request attach;
        const struct lease *attached;

        (void)story_acquire_name(story, &peer, "mydebug", &lease);
        attach = story_attach_request(story, &worker, &lease, ROLE_WORKER);
        assert_int_equal(leases_attach(story->leases, &attach, &attached), LEASES_LATER);
        assert_true(memory_ledger_refuse(story->memory));
        story_settle(story);
        assert_int_equal(story_take(story, attach.connection, TOLD_FAILED)->error, LEASES_E_LEDGER);
        assert_int_equal(story_attach(story, &attach), 0);
}

static void claim_mydebug(struct story *story)
{
        assert_true(leases_claim(story->leases, "mydebug"));
}

/* Its DROP may be under way on the server, whatever an operator has said since. */
static void a_claim_of_an_earlier_life_stands_against_everybody(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct lease_request request = story_acquire_name(story, &peer, "mydebug", NULL);
        uint64_t until;

        assert_int_equal(story_release(story, request.connection), 0);
        assert_int_equal(story_keep(story, "mydebug", 1000, false, 0, &until), 0);
        story_settle(story);
        story->before_loaded = claim_mydebug;
        story_restart(story);
        assert_false(leases_claim(story->leases, "mydebug"));
        request = story_request(story, &peer);
        request.namespace = "mydebug";
        request.no_wait = true;
        assert_int_equal(leases_acquire(story->leases, &request, message), LEASES_E_BUSY);
        leases_unclaim(story->leases, "mydebug");
        assert_int_equal(leases_acquire(story->leases, &request, message), 0);
}

static void load_member_again(struct story *story)
{
        struct ledger_change row = *memory_ledger_last(story->memory, LEDGER_LEASE_GRANTED);

        row.kind = LEDGER_MEMBER_JOINED;
        leases_load(story->leases, &row);
        row.lease = 4711; /* a lease that has ended */
        leases_load(story->leases, &row);
}

static void a_member_that_is_loaded_twice_is_one(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct telling lease;

        story_acquire(story, &peer, &lease);
        story->before_loaded = load_member_again;
        story_restart(story);
        assert_int_equal(leases_find(story->leases, lease.namespace)->n_members, 1);
}

/* ---- members without identity ---- */

static void take_census_begun(struct story *story, const char *seen, uint64_t began)
{
        struct live_report *report = live_report_new(1);

        if (seen)
                live_report_add(report, seen);
        live_report_heard(report);
        leases_census(story->leases, live_set_seal(report), began);
        live_report_free(report);
}

static void take_census(struct story *story, const char *seen)
{
        take_census_begun(story, seen, env_boottime(fake_env(story->fake)));
}

static void a_member_without_identity_is_gone_after_grace_and_census(void **state)
{
        struct story *story = *state;
        struct peer peer = story_nobody();
        struct telling lease;
        struct lease_request holder = story_acquire(story, &peer, &lease);

        take_census(story, NULL);
        story_pass(story, 10 * START_GRACE);
        take_census(story, NULL);
        assert_int_equal(story_state(story, lease.namespace), LEASE_LIVE);

        leases_connection_closed(story->leases, holder.connection);
        story_pass(story, START_GRACE - 1);
        take_census(story, NULL);
        assert_int_equal(story_state(story, lease.namespace), LEASE_LIVE);
        story_pass(story, 1);
        take_census(story, lease.namespace);
        assert_int_equal(story_state(story, lease.namespace), LEASE_LIVE);
        take_census(story, NULL);
        assert_int_equal(leases_standing(story->leases, lease.namespace), STANDING_ENDED);
        story_settle(story);
        assert_int_equal(story_take_end(story, lease.namespace)->state, LEASE_CRASHED);
}

static void a_census_says_nothing_of_a_member_that_closed_while_it_was_taken(void **state)
{
        struct story *story = *state;
        struct peer peer = story_nobody();
        struct telling lease;
        struct lease_request holder = story_acquire(story, &peer, &lease);
        uint64_t began = env_boottime(fake_env(story->fake));

        story_pass(story, 1);
        leases_connection_closed(story->leases, holder.connection);
        story_pass(story, 2 * START_GRACE);
        take_census_begun(story, NULL, began);
        assert_int_equal(story_state(story, lease.namespace), LEASE_LIVE);
}

static void a_census_says_nothing_about_a_process_that_lives(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story), nobody = story_nobody();
        struct telling lease;
        struct lease_request holder = story_acquire(story, &peer, &lease);
        struct lease_request other = story_attach_request(story, &nobody, &lease, ROLE_CHILD);

        assert_int_equal(story_attach(story, &other), 0);
        leases_connection_closed(story->leases, holder.connection);
        leases_connection_closed(story->leases, other.connection);
        story_pass(story, 2 * START_GRACE);
        take_census(story, NULL);
        story_settle(story);
        assert_int_equal(story_state(story, lease.namespace), LEASE_LIVE);
        fake_env_kill(story->fake, &peer.process);
        story_settle(story);
        assert_non_null(story_take_end(story, lease.namespace));
}

static void a_recovering_lease_without_identity_waits_for_grace_and_census(void **state)
{
        struct story *story = *state;
        struct peer peer = story_nobody();
        struct telling lease;
        struct lease_request back;

        story_acquire(story, &peer, &lease);
        story_restart(story);
        take_census(story, NULL);
        story_pass(story, START_GRACE / 2);
        back = story_attach_request(story, &peer, &lease, ROLE_RUNNER);
        assert_int_equal(story_attach(story, &back), 0);
        assert_int_equal(leases_find(story->leases, lease.namespace)->n_members, 1);
        story_settle(story);

        story_restart(story);
        story_pass(story, START_GRACE);
        assert_int_equal(story_state(story, lease.namespace), LEASE_RECOVERING);
        take_census(story, NULL);
        story_settle(story);
        assert_non_null(story_take_end(story, lease.namespace));
}

static void a_process_that_cannot_be_looked_at_counts_as_one_without_identity(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct telling lease;
        struct lease_request holder = story_acquire(story, &peer, &lease);

        fake_env_hide(story->fake, &peer.process);
        leases_connection_closed(story->leases, holder.connection);
        story_pass(story, 2 * START_GRACE);
        assert_int_equal(story_state(story, lease.namespace), LEASE_LIVE);
        take_census(story, NULL);
        story_settle(story);
        assert_non_null(story_take_end(story, lease.namespace));
}

/* Found by the simulation: its watch would fire on whoever had moved into its place. */
static void who_a_census_struck_off_is_not_watched_any_more(void **state)
{
        struct story *story = *state;
        struct peer hidden = story_peer(story), peer = story_peer(story);
        struct telling lease;
        struct lease_request holder = story_acquire(story, &hidden, &lease);
        struct lease_request other = story_attach_request(story, &peer, &lease, ROLE_CHILD);

        assert_int_equal(story_attach(story, &other), 0);
        fake_env_hide(story->fake, &hidden.process);
        leases_connection_closed(story->leases, holder.connection);
        story_pass(story, 2 * START_GRACE);
        take_census(story, NULL);
        story_settle(story);
        assert_int_equal(leases_find(story->leases, lease.namespace)->n_members, 1);
        leases_connection_closed(story->leases, other.connection);
        fake_env_kill(story->fake, &peer.process);
        story_settle(story);
        assert_non_null(story_take_end(story, lease.namespace));
        /* story_teardown complains of a watch left behind. */
}

static bool has_no_schemas(void *owner, const char *namespace)
{
        (void)owner;
        (void)namespace;
        return false;
}

static void an_ended_name_is_forgotten_only_a_while_after_its_end(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct lease_request holder = story_acquire_name(story, &peer, "mydebug", NULL);

        assert_int_equal(story_release(story, holder.connection), 0);
        story_settle(story);
        leases_forget_ended(story->leases, has_no_schemas, NULL);
        assert_int_equal(leases_standing(story->leases, "mydebug"), STANDING_ENDED);
        story_pass(story, 3600 * USEC_PER_SEC);
        leases_forget_ended(story->leases, has_no_schemas, NULL);
        assert_int_equal(leases_standing(story->leases, "mydebug"), STANDING_UNKNOWN);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, story_setup, story_teardown)
        const struct CMUnitTest tests[] = {
                STORY(a_lease_survives_a_restart_while_its_process_lives),
                STORY(who_died_meanwhile_has_crashed_and_it_is_told_from_the_loop),
                STORY(a_reused_pid_is_not_the_owner),
                STORY(nothing_of_another_boot_is_alive),
                STORY(a_worker_s_process_keeps_a_recovering_lease),
                STORY(the_controller_s_place_is_kept_for_its_process),
                STORY(a_grant_that_was_not_durable_is_not_there_after_a_kill),
                STORY(a_request_repeated_after_a_restart_gets_the_same_lease),
                STORY(ended_and_kept_names_are_known_after_a_restart),
                STORY(a_keep_outlives_a_kill_between_release_and_end),
                STORY(a_claim_of_an_earlier_life_stands_against_everybody),
                STORY(a_member_that_is_loaded_twice_is_one),
                STORY(a_member_without_identity_is_gone_after_grace_and_census),
                STORY(a_census_says_nothing_of_a_member_that_closed_while_it_was_taken),
                STORY(a_census_says_nothing_about_a_process_that_lives),
                STORY(a_recovering_lease_without_identity_waits_for_grace_and_census),
                STORY(a_process_that_cannot_be_looked_at_counts_as_one_without_identity),
                STORY(who_a_census_struck_off_is_not_watched_any_more),
                STORY(an_ended_name_is_forgotten_only_a_while_after_its_end),
                STORY(an_attach_is_answered_when_a_crash_cannot_forget_it),
                STORY(an_attach_that_the_ledger_refuses_fails_and_may_be_tried_again),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
