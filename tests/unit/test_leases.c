/* SPDX-License-Identifier: MIT */

/* Asking for a lease: names, the ledger, the queue. */

#include "lease_story.h"

#include <string.h>

static char message[NAMES_MESSAGE_SIZE];

static void a_grant_is_told_only_when_the_ledger_has_it(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct lease_request request = story_request(story, &peer);
        const struct telling *granted;

        request.label = "pytest -n 4";
        assert_int_equal(leases_acquire(story->leases, &request, message), 0);
        (void)fake_env_turn(story->fake);
        assert_null(story_take(story, request.connection, TOLD_GRANTED));
        (void)memory_ledger_confirm(story->memory);
        granted = story_take(story, request.connection, TOLD_GRANTED);
        assert_non_null(granted);
        assert_true(memory_ledger_has_lease(story->memory, granted->namespace));
        assert_int_equal(strlen(granted->secret), 32);
        assert_int_equal(story_state(story, granted->namespace), LEASE_LIVE);
        assert_string_equal(leases_find(story->leases, granted->namespace)->label, "pytest -n 4");
}

static void a_namespace_is_live_from_the_moment_its_grant_is_submitted(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct lease_request request = story_request(story, &peer);

        request.namespace = "mydebug";
        assert_int_equal(leases_acquire(story->leases, &request, message), 0);
        assert_int_equal(leases_standing(story->leases, "mydebug"), STANDING_LIVE);
        assert_int_equal(leases_n_live(story->leases), 1);
        assert_false(leases_claim(story->leases, "mydebug"));
        assert_int_equal(story_state(story, "mydebug"), LEASE_GRANTING);
        assert_int_equal(leases_revoke(story->leases, "mydebug", 1000, true, NULL), LEASES_E_NO_SUCH_LEASE);
}

static void what_the_ledger_refuses_was_never_granted(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct lease_request request = story_request(story, &peer);
        const struct telling *failed;

        request.namespace = "mydebug";
        assert_int_equal(leases_acquire(story->leases, &request, message), 0);
        (void)memory_ledger_refuse(story->memory);
        story_settle(story);
        failed = story_take(story, request.connection, TOLD_FAILED);
        assert_non_null(failed);
        assert_int_equal(failed->error, LEASES_E_LEDGER);
        assert_int_equal(leases_standing(story->leases, "mydebug"), STANDING_UNKNOWN);
        assert_int_equal(leases_n_live(story->leases), 0);
        assert_int_equal(story_count(story, TOLD_ENDED), 0);
        assert_int_equal(leases_acquire(story->leases, &request, message), 0);
}

static void a_refused_grant_makes_room_for_the_next_in_line(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct lease_request first = story_request(story, &peer), second = story_request(story, &peer);

        story->settings.max_leases = 1;
        leases_configure(story->leases, &story->settings);
        assert_int_equal(leases_acquire(story->leases, &first, message), 0);
        assert_int_equal(leases_acquire(story->leases, &second, message), 0);
        leases_connection_closed(story->leases, first.connection);
        (void)memory_ledger_refuse(story->memory);
        story_settle(story);
        /* Whatever the ledger did to the second, it had its turn. */
        assert_null(story_take(story, first.connection, TOLD_FAILED));
        assert_non_null(story_take(story, second.connection, TOLD_FAILED));
}

static void a_fresh_name_is_made_of_pid_time_and_chance(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct telling lease;
        struct berth_token token;

        story_acquire(story, &peer, &lease);
        assert_true(names_parse_token(lease.namespace, &token));
        assert_int_equal(token.pid, peer.process.pid);
        assert_int_equal(token.epoch_sec, env_realtime(fake_env(story->fake)) / USEC_PER_SEC);
}

static void a_name_that_is_known_in_any_way_is_not_drawn_again(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct telling first, second, third;
        struct lease_request holder;
        struct berth_token token;

        fake_env_say_random(story->fake, 0xabcd);
        holder = story_acquire(story, &peer, &first);
        fake_env_say_random(story->fake, 0xabcd);
        story_acquire(story, &peer, &second);
        assert_string_not_equal(first.namespace, second.namespace);

        assert_int_equal(story_release(story, holder.connection), 0);
        fake_env_say_random(story->fake, 0xabcd);
        story_acquire(story, &peer, &third);
        assert_string_not_equal(first.namespace, third.namespace);

        assert_true(names_parse_token(first.namespace, &token));
        token.random = 0xef01;
        names_make_token(&token, first.namespace);
        assert_true(leases_claim(story->leases, first.namespace));
        fake_env_say_random(story->fake, 0xef01);
        story_acquire(story, &peer, &third);
        assert_string_not_equal(first.namespace, third.namespace);
}

static void a_caller_we_cannot_see_has_a_name_all_the_same(void **state)
{
        struct story *story = *state;
        struct peer peer = story_nobody();
        struct telling lease;

        story_acquire(story, &peer, &lease);
        assert_int_equal(strncmp(lease.namespace, "p0t", 3), 0);
}

static void a_bad_name_is_refused_with_the_rule_it_breaks(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct lease_request request = story_request(story, &peer);

        *message = '\0';
        request.namespace = "my_debug";
        assert_int_equal(leases_acquire(story->leases, &request, message), LEASES_E_BAD_NAME);
        assert_true(*message);
        request.namespace = "a123456789012345678901234567890123";
        assert_int_equal(leases_acquire(story->leases, &request, message), LEASES_E_BAD_NAME);
        assert_int_equal(leases_n_live(story->leases), 0);
}

static void a_live_name_is_not_forced(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story), other = story_peer(story);
        struct lease_request request = story_request(story, &other);

        story_acquire_name(story, &peer, "mydebug", NULL);
        request.namespace = "mydebug";
        assert_int_equal(leases_acquire(story->leases, &request, message), LEASES_E_IN_USE);
        assert_int_equal(leases_find(story->leases, "mydebug")->members[0].peer.process.pid,
                         peer.process.pid);
}

static void a_forced_name_is_granted_again_when_its_lease_has_ended(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct lease_request holder = story_acquire_name(story, &peer, "mydebug", NULL);

        assert_int_equal(story_release(story, holder.connection), 0);
        story_settle(story);
        assert_int_equal(leases_standing(story->leases, "mydebug"), STANDING_ENDED);
        story_acquire_name(story, &peer, "mydebug", NULL);
        assert_int_equal(leases_standing(story->leases, "mydebug"), STANDING_LIVE);
}

static void a_forced_name_waits_for_the_drop_of_its_schemas(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct lease_request request = story_request(story, &peer), twin = story_request(story, &peer);

        assert_true(leases_claim(story->leases, "mydebug"));
        assert_true(leases_claim(story->leases, "mydebug"));
        request.namespace = twin.namespace = "mydebug";
        assert_int_equal(leases_acquire(story->leases, &request, message), 0);
        story_settle(story);
        assert_int_equal(story_take(story, request.connection, TOLD_QUEUED)->position, 1);
        assert_null(leases_find(story->leases, "mydebug"));
        assert_int_equal(leases_acquire(story->leases, &twin, message), LEASES_E_IN_USE);
        assert_false(leases_claim(story->leases, "mydebug"));

        leases_unclaim(story->leases, "mydebug");
        story_settle(story);
        assert_null(story_take(story, request.connection, TOLD_GRANTED));
        leases_unclaim(story->leases, "mydebug");
        story_settle(story);
        assert_non_null(story_take(story, request.connection, TOLD_GRANTED));
}

static void who_waits_for_a_drop_holds_nobody_else_up(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct lease_request request = story_request(story, &peer);

        assert_true(leases_claim(story->leases, "mydebug"));
        request.namespace = "mydebug";
        assert_int_equal(leases_acquire(story->leases, &request, message), 0);
        story_acquire(story, &peer, NULL);
        request.connection = ++story->last_connection;
        request.namespace = "other";
        request.no_wait = true;
        assert_true(leases_claim(story->leases, "other"));
        assert_int_equal(leases_acquire(story->leases, &request, message), LEASES_E_BUSY);
        assert_int_equal(leases_n_waiting(story->leases), 1);
}

static void later_ones_wait_in_the_order_they_came(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct lease_request holder, waiters[3];

        story->settings.max_leases = 1;
        leases_configure(story->leases, &story->settings);
        holder = story_acquire(story, &peer, NULL);
        for (unsigned i = 0; i < 3; i++) {
                waiters[i] = story_request(story, &peer);
                assert_int_equal(leases_acquire(story->leases, &waiters[i], message), 0);
        }
        story_settle(story);
        for (unsigned i = 0; i < 3; i++)
                assert_int_equal(story_take(story, waiters[i].connection, TOLD_QUEUED)->position, i + 1);
        assert_int_equal(leases_n_waiting(story->leases), 3);

        assert_int_equal(story_release(story, holder.connection), 0);
        story_pass(story, USEC_PER_SEC);
        assert_non_null(story_take(story, waiters[0].connection, TOLD_GRANTED));
        assert_int_equal(story_take(story, waiters[1].connection, TOLD_QUEUED)->position, 1);
        assert_int_equal(story_take(story, waiters[2].connection, TOLD_QUEUED)->position, 2);
        assert_null(story_take(story, waiters[1].connection, TOLD_GRANTED));
}

static void a_waiter_that_hangs_up_leaves_the_queue(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct lease_request holder, first, second;

        story->settings.max_leases = 1;
        leases_configure(story->leases, &story->settings);
        holder = story_acquire(story, &peer, NULL);
        first = story_request(story, &peer);
        second = story_request(story, &peer);
        assert_int_equal(leases_acquire(story->leases, &first, message), 0);
        assert_int_equal(leases_acquire(story->leases, &second, message), 0);
        leases_connection_closed(story->leases, first.connection);
        story_settle(story);
        assert_null(story_take(story, first.connection, TOLD_QUEUED));
        assert_int_equal(story_take(story, second.connection, TOLD_QUEUED)->position, 1);
        assert_int_equal(story_release(story, holder.connection), 0);
        story_settle(story);
        assert_null(story_take(story, first.connection, TOLD_GRANTED));
        assert_non_null(story_take(story, second.connection, TOLD_GRANTED));
}

static void a_waiter_gives_up_when_its_time_has_passed(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct lease_request impatient, patient, request;

        story->settings.max_leases = 1;
        leases_configure(story->leases, &story->settings);
        story_acquire(story, &peer, NULL);
        patient = story_request(story, &peer);
        patient.timeout_usec = 5 * USEC_PER_SEC;
        impatient = story_request(story, &peer);
        impatient.timeout_usec = 2 * USEC_PER_SEC;
        assert_int_equal(leases_acquire(story->leases, &patient, message), 0);
        assert_int_equal(leases_acquire(story->leases, &impatient, message), 0);
        story_pass(story, 2 * USEC_PER_SEC - 1);
        assert_null(story_take(story, impatient.connection, TOLD_FAILED));
        story_pass(story, 1);
        assert_int_equal(story_take(story, impatient.connection, TOLD_FAILED)->error, LEASES_E_BUSY);
        assert_null(story_take(story, patient.connection, TOLD_FAILED));
        story_pass(story, 3 * USEC_PER_SEC);
        assert_int_equal(story_take(story, patient.connection, TOLD_FAILED)->error, LEASES_E_BUSY);
        assert_int_equal(fake_env_n_timers_armed(story->fake), 0);

        request = story_request(story, &peer);
        request.no_wait = true;
        assert_int_equal(leases_acquire(story->leases, &request, message), LEASES_E_BUSY);
        assert_int_equal(leases_n_waiting(story->leases), 0);
}

static void more_leases_after_a_reload_serve_those_who_wait(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct lease_request waiter;

        story->settings.max_leases = 1;
        leases_configure(story->leases, &story->settings);
        story_acquire(story, &peer, NULL);
        waiter = story_request(story, &peer);
        assert_int_equal(leases_acquire(story->leases, &waiter, message), 0);
        story->settings.max_leases = 2;
        leases_configure(story->leases, &story->settings);
        story_settle(story);
        assert_non_null(story_take(story, waiter.connection, TOLD_GRANTED));
}

static void a_connection_carries_one_lease(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct telling lease;
        struct lease_request holder = story_acquire(story, &peer, &lease), again = holder;

        assert_int_equal(leases_acquire(story->leases, &again, message), LEASES_E_ALREADY_CARRIES);
        again.namespace = lease.namespace;
        again.secret = lease.secret;
        assert_int_equal(story_attach(story, &again), LEASES_E_ALREADY_CARRIES);
}

static void a_lease_is_found_by_its_connection_or_its_secret(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct telling lease;
        struct lease_request holder = story_acquire(story, &peer, &lease),
                             waiter = story_request(story, &peer);
        const struct lease *found = leases_resolve(story->leases, holder.connection, NULL, NULL);

        assert_string_equal(found->namespace, lease.namespace);
        assert_ptr_equal(leases_resolve(story->leases, 77, lease.namespace, lease.secret), found);
        assert_null(leases_resolve(story->leases, 77, NULL, NULL));
        assert_null(leases_resolve(story->leases, holder.connection, lease.namespace, NULL));
        assert_null(leases_resolve(story->leases, holder.connection, NULL, lease.secret));
        assert_null(leases_resolve(story->leases, 77, "other", lease.secret));
        assert_int_equal(leases_acquire(story->leases, &waiter, message), 0);
        assert_null(leases_resolve(story->leases, waiter.connection, NULL, NULL)); /* not granted yet */
        assert_int_equal(story_release(story, holder.connection), 0);
        assert_null(leases_resolve(story->leases, holder.connection, NULL, NULL));
}

static void look(void *owner, const struct lease *lease)
{
        char *seen = owner;

        strcat(seen, lease->state == LEASE_WAITING ? "w" : "l");
        strcat(seen, (const char[]){(char)('0' + lease->position), '\0'});
        assert_int_equal(lease->n_members, 1);
}

static void all_are_seen_oldest_first_and_those_who_wait_with_their_place(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct lease_request first, second;
        char seen[32] = "";

        story->settings.max_leases = 2;
        leases_configure(story->leases, &story->settings);
        (void)story_acquire(story, &peer, NULL);
        (void)story_acquire(story, &peer, NULL);
        first = story_request(story, &peer);
        second = story_request(story, &peer);
        assert_int_equal(leases_acquire(story->leases, &first, message), 0);
        assert_int_equal(leases_acquire(story->leases, &second, message), 0);
        leases_each(story->leases, look, seen);
        assert_string_equal(seen, "l0l0w1w2");
        leases_connection_closed(story->leases, first.connection);
        *seen = '\0';
        leases_each(story->leases, look, seen);
        assert_string_equal(seen, "l0l0w1");
}

/* ---- asked for again ---- */

static void whoever_asks_again_is_told_that_the_lease_ended_before_the_answer(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct lease_request first = story_request(story, &peer), again = story_request(story, &peer);
        struct telling lease;

        first.request = again.request = "run-1";
        assert_int_equal(leases_acquire(story->leases, &first, message), 0);
        story_settle(story);
        lease = *story_take(story, first.connection, TOLD_GRANTED);
        assert_int_equal(leases_acquire(story->leases, &again, message), 0);
        assert_int_equal(leases_revoke(story->leases, lease.namespace, 0, true, "operator"), 0);
        story_settle(story);
        assert_non_null(story_take(story, first.connection, TOLD_LET_GO));
        assert_null(story_take(story, again.connection, TOLD_LET_GO));
        assert_int_equal(story_take(story, again.connection, TOLD_FAILED)->error, LEASES_E_NO_SUCH_LEASE);
}

static void a_forced_name_does_not_fit_a_request_that_has_another(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct lease_request first = story_request(story, &peer), again = story_request(story, &peer);

        first.request = again.request = "run-1";
        first.namespace = "one";
        again.namespace = "two";
        assert_int_equal(leases_acquire(story->leases, &first, message), 0);
        assert_int_equal(leases_acquire(story->leases, &again, message), 0);
        story_settle(story);
        assert_string_equal(story_take(story, again.connection, TOLD_GRANTED)->namespace, "two");
}

static void a_stop_while_a_new_secret_is_on_its_way_leaves_nothing_behind(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct lease_request first = story_request(story, &peer), again = story_request(story, &peer);

        first.request = again.request = "run-1";
        assert_int_equal(leases_acquire(story->leases, &first, message), 0);
        story_settle(story);
        assert_int_equal(leases_acquire(story->leases, &again, message), 0);
        /* The sanitizer complains of what story_teardown does not free. */
}

static void a_request_repeated_after_a_lost_reply_gets_the_same_lease(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story), other = story_peer(story);
        struct lease_request first = story_request(story, &peer), again, attach;
        struct telling old, new;

        first.request = "run-1";
        assert_int_equal(leases_acquire(story->leases, &first, message), 0);
        story_settle(story);
        old = *story_take(story, first.connection, TOLD_GRANTED);
        leases_connection_closed(story->leases, first.connection);

        again = story_request(story, &peer);
        again.request = "run-1";
        assert_int_equal(leases_acquire(story->leases, &again, message), 0);
        (void)fake_env_turn(story->fake);
        assert_null(story_take(story, again.connection, TOLD_GRANTED));
        story_settle(story);
        new = *story_take(story, again.connection, TOLD_GRANTED);
        assert_string_equal(new.namespace, old.namespace);
        assert_string_not_equal(new.secret, old.secret);
        assert_int_equal(leases_n_live(story->leases), 1);
        assert_int_equal(leases_find(story->leases, new.namespace)->n_members, 1);

        attach = story_attach_request(story, &other, &old, ROLE_CHILD);
        assert_int_equal(story_attach(story, &attach), LEASES_E_NO_SUCH_LEASE);
        attach = story_attach_request(story, &other, &new, ROLE_CHILD);
        assert_int_equal(story_attach(story, &attach), 0);
}

static void another_user_s_request_of_that_name_is_another(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story), stranger = story_peer(story);
        struct lease_request first = story_request(story, &peer), second = story_request(story, &stranger);

        stranger.uid = second.peer.uid = 1001;
        first.request = second.request = "run-1";
        assert_int_equal(leases_acquire(story->leases, &first, message), 0);
        assert_int_equal(leases_acquire(story->leases, &second, message), 0);
        story_settle(story);
        assert_string_not_equal(story_take(story, first.connection, TOLD_GRANTED)->namespace,
                                story_take(story, second.connection, TOLD_GRANTED)->namespace);
}

static void a_request_repeated_while_it_is_granted_is_told_with_the_first(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct lease_request first = story_request(story, &peer), again = story_request(story, &peer);
        const struct telling *one, *two;

        first.request = again.request = "run-1";
        assert_int_equal(leases_acquire(story->leases, &first, message), 0);
        assert_int_equal(leases_acquire(story->leases, &again, message), 0);
        story_settle(story);
        one = story_take(story, first.connection, TOLD_GRANTED);
        two = story_take(story, again.connection, TOLD_GRANTED);
        assert_string_equal(one->namespace, two->namespace);
        assert_string_equal(one->secret, two->secret);
        assert_null(story_take(story, again.connection, TOLD_GRANTED));
        assert_int_equal(memory_ledger_count(story->memory, LEDGER_LEASE_REKEYED), 0);
}

/* A row of a member without its lease would be tried for ever. */
static void who_joined_a_grant_is_on_record_only_if_it_came_about(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story), other = story_peer(story);
        struct lease_request first = story_request(story, &peer), again = story_request(story, &other);

        first.request = again.request = "run-1";
        assert_int_equal(leases_acquire(story->leases, &first, message), 0);
        assert_int_equal(leases_acquire(story->leases, &again, message), 0);
        (void)memory_ledger_refuse(story->memory);
        story_settle(story);
        assert_non_null(story_take(story, first.connection, TOLD_FAILED));
        assert_non_null(story_take(story, again.connection, TOLD_FAILED));
        assert_int_equal(memory_ledger_count(story->memory, LEDGER_MEMBER_JOINED), 0);
        assert_int_equal(leases_acquire(story->leases, &first, message), 0);
        assert_int_equal(leases_acquire(story->leases, &again, message), 0);
        story_settle(story);
        assert_int_equal(memory_ledger_count(story->memory, LEDGER_MEMBER_JOINED), 1);
        assert_int_equal(memory_ledger_last(story->memory, LEDGER_MEMBER_JOINED)->process.pid,
                         other.process.pid);
}

static void who_hangs_up_before_the_new_secret_is_durable_is_told_nothing(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct lease_request first = story_request(story, &peer), again = story_request(story, &peer);

        first.request = again.request = "run-1";
        assert_int_equal(leases_acquire(story->leases, &first, message), 0);
        story_settle(story);
        assert_int_equal(leases_acquire(story->leases, &again, message), 0);
        leases_connection_closed(story->leases, again.connection);
        story_settle(story);
        assert_null(story_take(story, again.connection, TOLD_GRANTED));
        assert_int_equal(memory_ledger_count(story->memory, LEDGER_LEASE_REKEYED), 1);
}

static void a_request_repeated_while_it_waits_keeps_its_place(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct lease_request holder, first, other, again;

        story->settings.max_leases = 1;
        leases_configure(story->leases, &story->settings);
        holder = story_acquire(story, &peer, NULL);
        first = story_request(story, &peer);
        other = story_request(story, &peer);
        again = story_request(story, &peer);
        first.request = again.request = "run-1";
        assert_int_equal(leases_acquire(story->leases, &first, message), 0);
        assert_int_equal(leases_acquire(story->leases, &other, message), 0);
        again.no_wait = true;
        assert_int_equal(leases_acquire(story->leases, &again, message), LEASES_E_BUSY);
        again.no_wait = false;
        assert_int_equal(leases_acquire(story->leases, &again, message), 0);
        story_settle(story);
        assert_int_equal(story_take(story, first.connection, TOLD_FAILED)->error, LEASES_E_BUSY);
        assert_int_equal(story_take(story, again.connection, TOLD_QUEUED)->position, 1);
        leases_connection_closed(story->leases, first.connection);
        assert_int_equal(story_release(story, holder.connection), 0);
        story_settle(story);
        assert_non_null(story_take(story, again.connection, TOLD_GRANTED));
        assert_null(story_take(story, other.connection, TOLD_GRANTED));
}

static void a_new_secret_the_ledger_refused_leaves_the_old_one(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story), other = story_peer(story);
        struct lease_request first = story_request(story, &peer), again = story_request(story, &peer), attach;
        struct telling old;

        first.request = again.request = "run-1";
        assert_int_equal(leases_acquire(story->leases, &first, message), 0);
        story_settle(story);
        old = *story_take(story, first.connection, TOLD_GRANTED);
        assert_int_equal(leases_acquire(story->leases, &again, message), 0);
        (void)memory_ledger_refuse(story->memory);
        story_settle(story);
        assert_int_equal(story_take(story, again.connection, TOLD_FAILED)->error, LEASES_E_LEDGER);
        attach = story_attach_request(story, &other, &old, ROLE_CHILD);
        assert_int_equal(story_attach(story, &attach), 0);
}

static void a_request_of_a_released_lease_is_a_new_one(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story), worker = story_peer(story);
        struct lease_request first = story_request(story, &peer), again = story_request(story, &peer), attach;
        struct telling old;

        first.request = again.request = "run-1";
        assert_int_equal(leases_acquire(story->leases, &first, message), 0);
        story_settle(story);
        old = *story_take(story, first.connection, TOLD_GRANTED);
        attach = story_attach_request(story, &worker, &old, ROLE_WORKER);
        assert_int_equal(story_attach(story, &attach), 0);
        assert_int_equal(story_release(story, first.connection), 0);
        assert_int_equal(story_state(story, old.namespace), LEASE_RELEASING);
        assert_int_equal(leases_acquire(story->leases, &again, message), 0);
        story_settle(story);
        assert_string_not_equal(story_take(story, again.connection, TOLD_GRANTED)->namespace, old.namespace);
}

static void the_clock_may_step_back_and_names_stay_unique(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct telling first, second;

        fake_env_say_random(story->fake, 7);
        story_acquire(story, &peer, &first);
        fake_env_set_clock(story->fake, env_realtime(fake_env(story->fake)) - 3600 * USEC_PER_SEC);
        story_pass(story, 3600 * USEC_PER_SEC);
        fake_env_say_random(story->fake, 7);
        story_acquire(story, &peer, &second);
        assert_string_not_equal(first.namespace, second.namespace);
        assert_int_equal(leases_n_live(story->leases), 2);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, story_setup, story_teardown)
        const struct CMUnitTest tests[] = {
                STORY(a_grant_is_told_only_when_the_ledger_has_it),
                STORY(a_namespace_is_live_from_the_moment_its_grant_is_submitted),
                STORY(what_the_ledger_refuses_was_never_granted),
                STORY(a_refused_grant_makes_room_for_the_next_in_line),
                STORY(a_fresh_name_is_made_of_pid_time_and_chance),
                STORY(a_name_that_is_known_in_any_way_is_not_drawn_again),
                STORY(a_caller_we_cannot_see_has_a_name_all_the_same),
                STORY(a_bad_name_is_refused_with_the_rule_it_breaks),
                STORY(a_live_name_is_not_forced),
                STORY(a_forced_name_is_granted_again_when_its_lease_has_ended),
                STORY(a_forced_name_waits_for_the_drop_of_its_schemas),
                STORY(who_waits_for_a_drop_holds_nobody_else_up),
                STORY(later_ones_wait_in_the_order_they_came),
                STORY(a_waiter_that_hangs_up_leaves_the_queue),
                STORY(a_waiter_gives_up_when_its_time_has_passed),
                STORY(more_leases_after_a_reload_serve_those_who_wait),
                STORY(a_connection_carries_one_lease),
                STORY(a_lease_is_found_by_its_connection_or_its_secret),
                STORY(all_are_seen_oldest_first_and_those_who_wait_with_their_place),
                STORY(a_forced_name_does_not_fit_a_request_that_has_another),
                STORY(a_stop_while_a_new_secret_is_on_its_way_leaves_nothing_behind),
                STORY(whoever_asks_again_is_told_that_the_lease_ended_before_the_answer),
                STORY(a_request_repeated_after_a_lost_reply_gets_the_same_lease),
                STORY(another_user_s_request_of_that_name_is_another),
                STORY(a_request_repeated_while_it_is_granted_is_told_with_the_first),
                STORY(a_request_repeated_while_it_waits_keeps_its_place),
                STORY(a_new_secret_the_ledger_refused_leaves_the_old_one),
                STORY(a_request_of_a_released_lease_is_a_new_one),
                STORY(who_joined_a_grant_is_on_record_only_if_it_came_about),
                STORY(who_hangs_up_before_the_new_secret_is_durable_is_told_nothing),
                STORY(the_clock_may_step_back_and_names_stay_unique),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
