/* SPDX-License-Identifier: MIT */

/* What happens seldom: replies lost twice, controllers nobody can see, times at the very edge. */

#include "lease_story.h"

#include "service/lease_record.h"

#include <string.h>

static char message[NAMES_MESSAGE_SIZE];

static struct lease_request asks_again(struct story *story, const struct peer *peer, const char *request)
{
        struct lease_request again = story_request(story, peer);

        again.request = request;
        assert_int_equal(leases_acquire(story->leases, &again, message), 0);
        return again;
}

/* A lease whose request is "run-1"; *lease is what its asker was told. */
static struct lease_request ask(struct story *story, const struct peer *peer, struct telling *lease)
{
        struct lease_request request = asks_again(story, peer, "run-1");

        story_settle(story);
        *lease = *story_take(story, request.connection, TOLD_GRANTED);
        return request;
}

static uint64_t now(struct story *story)
{
        return env_realtime(fake_env(story->fake));
}

/* ---- asked for again ---- */

static void two_new_secrets_on_their_way_come_to_whoever_asked(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story), other = story_peer(story);
        struct telling old, second, third;
        struct lease_request attach, again, last;

        (void)ask(story, &peer, &old);
        again = asks_again(story, &peer, "run-1");
        last = asks_again(story, &peer, "run-1");
        story_settle(story);
        second = *story_take(story, again.connection, TOLD_GRANTED);
        third = *story_take(story, last.connection, TOLD_GRANTED);
        assert_string_not_equal(second.secret, third.secret);
        attach = story_attach_request(story, &other, &second, ROLE_CHILD);
        assert_int_equal(story_attach(story, &attach), LEASES_E_NO_SUCH_LEASE);
        story_settle(story);
        story_restart(story);
        attach = story_attach_request(story, &other, &second, ROLE_CHILD);
        assert_int_equal(story_attach(story, &attach), LEASES_E_NO_SUCH_LEASE);
        attach = story_attach_request(story, &other, &third, ROLE_CHILD);
        assert_int_equal(story_attach(story, &attach), 0);
}

static void a_stop_while_two_new_secrets_are_on_their_way_leaves_nothing_behind(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct telling lease;

        (void)ask(story, &peer, &lease);
        (void)asks_again(story, &peer, "run-1");
        (void)asks_again(story, &peer, "run-1");
        assert_int_equal(memory_ledger_count(story->memory, LEDGER_LEASE_REKEYED), 2);
}

static void whom_the_ledger_refused_a_new_secret_carries_nothing(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct telling lease;
        struct lease_request first = ask(story, &peer, &lease), again;

        leases_connection_closed(story->leases, first.connection);
        again = asks_again(story, &peer, "run-1");
        (void)memory_ledger_refuse(story->memory);
        story_settle(story);
        assert_int_equal(story_take(story, again.connection, TOLD_FAILED)->error, LEASES_E_LEDGER);
        assert_int_equal(leases_find(story->leases, lease.namespace)->members[0].connection, 0);
        again.request = "run-2";
        assert_int_equal(leases_acquire(story->leases, &again, message), 0); /* not ALREADY_CARRIES */
}

static void who_dies_before_the_refusal_has_crashed_with_it(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct telling lease;
        struct lease_request first = ask(story, &peer, &lease);

        leases_connection_closed(story->leases, first.connection);
        (void)asks_again(story, &peer, "run-1");
        fake_env_kill(story->fake, &peer.process);
        (void)fake_env_turn(story->fake);
        assert_int_equal(story_state(story, lease.namespace), LEASE_LIVE);
        (void)memory_ledger_refuse(story->memory);
        assert_null(leases_find(story->leases, lease.namespace));
        story_settle(story);
        assert_int_equal(story_take_end(story, lease.namespace)->state, LEASE_CRASHED);
        assert_int_equal(memory_ledger_count(story->memory, LEDGER_MEMBER_LEFT), 0);
}

static void who_hung_up_before_the_refusal_is_told_nothing_and_may_attach(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct telling lease;
        struct lease_request first = ask(story, &peer, &lease), again, back;

        leases_connection_closed(story->leases, first.connection);
        again = asks_again(story, &peer, "run-1");
        leases_connection_closed(story->leases, again.connection);
        (void)memory_ledger_refuse(story->memory);
        story_settle(story);
        assert_null(story_take(story, again.connection, TOLD_FAILED));
        back = story_attach_request(story, &peer, &lease, ROLE_RUNNER);
        assert_int_equal(story_attach(story, &back), 0);
        assert_int_equal(leases_find(story->leases, lease.namespace)->n_members, 1);
        assert_int_equal(leases_revoke(story->leases, lease.namespace, 0, true, "operator"), 0);
        story_settle(story);
        assert_non_null(story_take(story, back.connection, TOLD_LET_GO));
        assert_null(story_take(story, back.connection, TOLD_FAILED));
}

static void whoever_was_told_the_new_secret_is_let_go_like_any_other(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct telling lease;
        struct lease_request first = ask(story, &peer, &lease), again = asks_again(story, &peer, "run-1");

        story_settle(story);
        assert_non_null(story_take(story, again.connection, TOLD_GRANTED));
        assert_int_equal(leases_revoke(story->leases, lease.namespace, 0, true, "operator"), 0);
        story_settle(story);
        assert_non_null(story_take(story, first.connection, TOLD_LET_GO));
        assert_non_null(story_take(story, again.connection, TOLD_LET_GO));
        assert_null(story_take(story, again.connection, TOLD_FAILED));
}

static void of_two_leases_with_one_request_a_restart_keeps_both(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story), worker = story_peer(story);
        struct telling old;
        struct lease_request first = ask(story, &peer, &old), attach, again;

        attach = story_attach_request(story, &worker, &old, ROLE_WORKER);
        assert_int_equal(story_attach(story, &attach), 0);
        assert_int_equal(story_release(story, first.connection), 0);
        again = asks_again(story, &peer, "run-1");
        story_settle(story);
        assert_non_null(story_take(story, again.connection, TOLD_GRANTED));
        story_restart(story);
        assert_int_equal(leases_n_live(story->leases), 2);
        /* It was being released; the ledger does not say so, and nothing was dropped on the way. */
        assert_int_equal(story_state(story, old.namespace), LEASE_RECOVERING);
}

static void load_another_of_that_request(struct story *story)
{
        struct ledger_change row = *memory_ledger_last(story->memory, LEDGER_LEASE_GRANTED);

        row.lease += 100;
        row.member += 100;
        row.namespace = "another";
        leases_load(story->leases, &row);
        row.kind = LEDGER_MEMBER_JOINED;
        leases_load(story->leases, &row);
}

static void of_two_rows_with_one_request_the_first_is_meant(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct telling lease;
        struct lease_request again;

        (void)ask(story, &peer, &lease);
        story->before_loaded = load_another_of_that_request;
        story_restart(story);
        assert_int_equal(leases_n_live(story->leases), 2);
        again = asks_again(story, &peer, "run-1");
        story_settle(story);
        assert_string_equal(story_take(story, again.connection, TOLD_GRANTED)->namespace, lease.namespace);
}

/* ---- controllers ---- */

static struct lease_request controller(struct story *story, const struct peer *peer)
{
        struct lease_request request = story_request(story, peer);

        request.role = ROLE_CONTROLLER;
        request.request = "run-1";
        return request;
}

static void a_controller_s_request_is_asked_again_by_its_own_process_alone(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story), nested = story_peer(story);
        struct lease_request first = controller(story, &peer), again = controller(story, &peer),
                             other = controller(story, &nested), child = controller(story, &nested);

        assert_int_equal(leases_acquire(story->leases, &first, message), 0);
        story_settle(story);
        assert_int_equal(leases_acquire(story->leases, &other, message), LEASES_E_ALREADY_ATTACHED);
        child.role = ROLE_RUNNER;
        assert_int_equal(leases_acquire(story->leases, &child, message), 0);
        assert_int_equal(leases_acquire(story->leases, &again, message), 0);
        story_settle(story);
        assert_non_null(story_take(story, again.connection, TOLD_GRANTED));
        assert_null(story_take(story, other.connection, TOLD_GRANTED));
}

static void another_process_is_no_controller_s_by_a_part_of_its_identity(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story), later = peer, elsewhere = peer;
        struct lease_request first = controller(story, &peer), other;

        assert_int_equal(leases_acquire(story->leases, &first, message), 0);
        story_settle(story);
        later.process.start_ticks++;
        other = controller(story, &later);
        assert_int_equal(leases_acquire(story->leases, &other, message), LEASES_E_ALREADY_ATTACHED);
        (void)strcpy(elsewhere.process.boot_id, "00000000-0000-4000-8000-00000000000f");
        other = controller(story, &elsewhere);
        assert_int_equal(leases_acquire(story->leases, &other, message), LEASES_E_ALREADY_ATTACHED);
}

/* Found while its grant was under way: it has closed and its process is gone, and it is not struck off yet. */
static void a_controller_that_died_before_the_grant_holds_no_place(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story), next = story_peer(story);
        struct lease_request first = controller(story, &peer), again = controller(story, &next);
        const struct lease *lease;

        first.namespace = again.namespace = "mydebug";
        assert_int_equal(leases_acquire(story->leases, &first, message), 0);
        leases_connection_closed(story->leases, first.connection);
        fake_env_kill(story->fake, &peer.process);
        (void)fake_env_turn(story->fake);
        assert_int_equal(leases_acquire(story->leases, &again, message), 0);
        lease = leases_find(story->leases, "mydebug");
        assert_int_equal(lease->n_members, 2);
        story_settle(story);
        assert_int_equal(lease->n_members, 1);
        assert_int_equal(lease->members[0].peer.process.pid, next.process.pid);
        assert_non_null(story_take(story, again.connection, TOLD_GRANTED));
}

static void a_controller_nobody_can_see_comes_back_as_the_same_user(void **state)
{
        struct story *story = *state;
        struct peer nobody = story_nobody(), stranger = story_nobody(), seen = story_peer(story);
        struct lease_request first = controller(story, &nobody), back;
        struct telling lease;

        stranger.uid = 1001;
        assert_int_equal(leases_acquire(story->leases, &first, message), 0);
        story_settle(story);
        lease = *story_take(story, first.connection, TOLD_GRANTED);
        back = story_attach_request(story, &nobody, &lease, ROLE_CONTROLLER);
        assert_int_equal(story_attach(story, &back), LEASES_E_ALREADY_ATTACHED); /* it is connected */
        leases_connection_closed(story->leases, first.connection);
        back = story_attach_request(story, &stranger, &lease, ROLE_CONTROLLER);
        assert_int_equal(story_attach(story, &back), LEASES_E_ALREADY_ATTACHED);
        back = story_attach_request(story, &seen, &lease, ROLE_CONTROLLER);
        assert_int_equal(story_attach(story, &back), LEASES_E_ALREADY_ATTACHED);
        back = story_attach_request(story, &nobody, &lease, ROLE_CONTROLLER);
        assert_int_equal(story_attach(story, &back), 0);
        assert_int_equal(leases_find(story->leases, lease.namespace)->n_members, 1);
}

static void a_controller_that_can_be_seen_and_has_closed_keeps_its_place(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story), nobody = story_nobody();
        struct lease_request first = controller(story, &peer), other;
        struct telling lease;

        assert_int_equal(leases_acquire(story->leases, &first, message), 0);
        story_settle(story);
        lease = *story_take(story, first.connection, TOLD_GRANTED);
        leases_connection_closed(story->leases, first.connection);
        other = story_attach_request(story, &nobody, &lease, ROLE_CONTROLLER);
        assert_int_equal(story_attach(story, &other), LEASES_E_ALREADY_ATTACHED);
}

/* ---- members ---- */

static void what_is_on_record_of_a_member_is_its_worker_and_its_time(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story), worker = story_peer(story);
        struct telling lease;
        struct lease_request attach;
        const struct ledger_change *row;

        story_acquire(story, &peer, &lease);
        story_pass(story, USEC_PER_SEC);
        attach = story_attach_request(story, &worker, &lease, ROLE_WORKER);
        assert_int_equal(story_attach(story, &attach), 0);
        row = memory_ledger_last(story->memory, LEDGER_MEMBER_JOINED);
        assert_string_equal(row->worker, "gw0");
        assert_int_equal(row->time_usec, now(story));
        assert_int_equal(leases_find(story->leases, lease.namespace)->members[1].since_usec, now(story));
        attach = story_attach_request(story, &worker, &lease, ROLE_CHILD);
        assert_int_equal(story_attach(story, &attach), 0);
        assert_null(memory_ledger_last(story->memory, LEDGER_MEMBER_JOINED)->worker);
}

static void a_gone_process_is_watched_no_longer(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);

        story_acquire(story, &peer, NULL);
        assert_int_equal(fake_env_n_watched(story->fake), 1);
        fake_env_kill(story->fake, &peer.process);
        story_settle(story);
        assert_int_equal(fake_env_n_watched(story->fake), 0);
}

static void a_crash_strikes_nobody_off(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct lease_request holder = story_acquire(story, &peer, NULL);

        fake_env_kill(story->fake, &peer.process);
        leases_connection_closed(story->leases, holder.connection);
        story_settle(story);
        assert_int_equal(memory_ledger_count(story->memory, LEDGER_LEASE_ENDED), 1);
        assert_int_equal(memory_ledger_count(story->memory, LEDGER_MEMBER_LEFT), 0);
        assert_int_equal(memory_ledger_count(story->memory, LEDGER_LEASE_KEPT), 0);
}

static void the_first_of_the_members_left_keeps_a_released_lease_too(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story), worker = story_peer(story), child = story_peer(story);
        struct telling lease;
        struct lease_request holder = story_acquire(story, &peer, &lease), first, second;

        first = story_attach_request(story, &worker, &lease, ROLE_WORKER);
        assert_int_equal(story_attach(story, &first), 0);
        second = story_attach_request(story, &child, &lease, ROLE_CHILD);
        assert_int_equal(story_attach(story, &second), 0);
        fake_env_kill(story->fake, &peer.process);
        leases_connection_closed(story->leases, holder.connection);
        story_settle(story);
        assert_int_equal(leases_find(story->leases, lease.namespace)->members[0].connection,
                         first.connection);
        assert_int_equal(story_release(story, second.connection), 0);
        assert_int_equal(story_state(story, lease.namespace), LEASE_RELEASING);
        leases_connection_closed(story->leases, first.connection);
        story_settle(story);
        assert_int_equal(story_take_end(story, lease.namespace)->state, LEASE_RELEASED);
}

static void changes_of_one_turn_are_told_once(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story), worker = story_peer(story);
        struct telling lease;
        struct lease_request first, second;
        unsigned n;

        story_acquire(story, &peer, &lease);
        n = story_count(story, TOLD_CHANGED);
        first = story_attach_request(story, &worker, &lease, ROLE_WORKER);
        assert_int_equal(story_attach(story, &first), 0);
        second = story_attach_request(story, &worker, &lease, ROLE_CHILD);
        assert_int_equal(story_attach(story, &second), 0);
        story_settle(story);
        assert_int_equal(story_count(story, TOLD_CHANGED), n + 1);
        leases_connection_closed(story->leases, second.connection);
        story_settle(story);
        assert_int_equal(story_count(story, TOLD_CHANGED), n + 2);
}

/* ---- secrets ---- */

static void a_secret_is_kept_in_memory_only_until_it_is_told(void **state)
{
        static const char nothing[BERTH_SECRET_SIZE];
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct telling lease;
        const struct lease_record *record;

        story_acquire(story, &peer, &lease);
        record = (const struct lease_record *)leases_find(story->leases, lease.namespace);
        assert_memory_equal(record->secret, nothing, sizeof(nothing));
        assert_int_equal(strlen(lease.secret), 32);
}

/* A digit of a secret's own value is right and its neighbours in ASCII are not, high and low. */
static void only_hexadecimal_digits_are_a_secret(void **state)
{
        static const char others[] = "/:@`g~A ";
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct telling lease, wrong;

        story_acquire(story, &peer, &lease);
        for (const char *other = others; *other; other++)
                for (unsigned i = 0; i < 2; i++) {
                        struct lease_request attach;

                        wrong = lease;
                        wrong.secret[30 + i] = *other;
                        attach = story_attach_request(story, &peer, &wrong, ROLE_CHILD);
                        assert_int_equal(story_attach(story, &attach), LEASES_E_NO_SUCH_LEASE);
                }
}

static void every_digit_of_a_secret_counts(void **state)
{
        static const char digits[] = "0123456789abcdef";
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct telling lease, wrong;

        story_acquire(story, &peer, &lease);
        for (unsigned i = 0; i < 32; i++)
                for (unsigned k = 0; k < 16; k++) {
                        struct lease_request attach;

                        wrong = lease;
                        wrong.secret[i] = digits[k];
                        attach = story_attach_request(story, &peer, &wrong, ROLE_CHILD);
                        assert_int_equal(story_attach(story, &attach),
                                         digits[k] == lease.secret[i] ? 0 : LEASES_E_NO_SUCH_LEASE);
                }
}

/* ---- release ---- */

static void who_waits_has_nothing_to_release(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct lease_request waiter = story_request(story, &peer);

        story->settings.max_leases = 1;
        leases_configure(story->leases, &story->settings);
        story_acquire(story, &peer, NULL);
        assert_int_equal(leases_acquire(story->leases, &waiter, message), 0);
        assert_int_equal(story_release(story, waiter.connection), LEASES_E_NO_SUCH_LEASE);
        assert_int_equal(leases_n_waiting(story->leases), 1);
}

static void a_secret_without_its_name_releases_nothing(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct telling lease;
        struct lease_request holder = story_acquire(story, &peer, &lease);

        assert_int_equal(story_release_by_secret(story, holder.connection, NULL, lease.secret),
                         LEASES_E_NO_SUCH_LEASE);
        assert_int_equal(story_state(story, lease.namespace), LEASE_LIVE);
}

static void a_crashed_lease_is_not_released_afterwards(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct telling lease;
        struct lease_request holder = story_acquire(story, &peer, &lease);

        fake_env_kill(story->fake, &peer.process);
        leases_connection_closed(story->leases, holder.connection);
        story_settle(story);
        assert_int_equal(story_release_by_secret(story, 99, lease.namespace, lease.secret),
                         LEASES_E_NO_SUCH_LEASE);
        assert_int_equal(story_release_by_secret(story, 99, "unheard", lease.secret), LEASES_E_NO_SUCH_LEASE);
}

/* ---- waiting ---- */

static void a_lease_counts_from_its_grant_and_has_no_place_any_more(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct lease_request holder, waiter = story_request(story, &peer);
        const struct lease *lease;

        story->settings.max_leases = 1;
        leases_configure(story->leases, &story->settings);
        holder = story_acquire(story, &peer, NULL);
        waiter.namespace = "mydebug";
        assert_int_equal(leases_acquire(story->leases, &waiter, message), 0);
        story_pass(story, 10 * USEC_PER_SEC);
        assert_int_equal(story_release(story, holder.connection), 0);
        story_settle(story);
        lease = leases_find(story->leases, "mydebug");
        assert_int_equal(lease->position, 0);
        assert_int_equal(lease->since_usec, now(story));
        assert_int_equal(lease->members[0].since_usec, now(story));
        assert_int_equal(memory_ledger_last(story->memory, LEDGER_LEASE_GRANTED)->time_usec, now(story));
}

/* The longest time-out there is would overflow. */
static void an_endless_time_out_never_passes(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct lease_request waiter = story_request(story, &peer);

        story->settings.max_leases = 1;
        leases_configure(story->leases, &story->settings);
        story_acquire(story, &peer, NULL);
        waiter.timeout_usec = UINT64_MAX;
        assert_int_equal(leases_acquire(story->leases, &waiter, message), 0);
        story_pass(story, 1000 * 24 * 3600 * USEC_PER_SEC);
        assert_null(story_take(story, waiter.connection, TOLD_FAILED));
        assert_int_equal(leases_n_waiting(story->leases), 1);
}

static void stall(struct story *story, const struct telling *telling)
{
        if (telling->what == TOLD_FAILED)
                fake_env_stall(story->fake, 10 * USEC_PER_SEC);
}

static void a_time_that_passes_while_another_is_told_has_passed_too(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct lease_request first = story_request(story, &peer), second = story_request(story, &peer);

        story->settings.max_leases = 1;
        leases_configure(story->leases, &story->settings);
        story_acquire(story, &peer, NULL);
        first.timeout_usec = USEC_PER_SEC;
        second.timeout_usec = 3 * USEC_PER_SEC;
        assert_int_equal(leases_acquire(story->leases, &first, message), 0);
        assert_int_equal(leases_acquire(story->leases, &second, message), 0);
        story->watcher = stall;
        story_pass(story, USEC_PER_SEC);
        assert_non_null(story_take(story, first.connection, TOLD_FAILED));
        assert_non_null(story_take(story, second.connection, TOLD_FAILED));
}

/* Places are told a moment after they change; whoever came meanwhile hears of his own first. */
static void who_has_not_been_told_a_place_is_told_it_once(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct lease_request first = story_request(story, &peer), second = story_request(story, &peer),
                             third = story_request(story, &peer);

        story->settings.max_leases = 1;
        leases_configure(story->leases, &story->settings);
        story_acquire(story, &peer, NULL);
        assert_int_equal(leases_acquire(story->leases, &first, message), 0);
        assert_int_equal(leases_acquire(story->leases, &second, message), 0);
        story_settle(story);
        leases_connection_closed(story->leases, first.connection);
        fake_env_stall(story->fake, USEC_PER_SEC);
        assert_int_equal(leases_acquire(story->leases, &third, message), 0);
        story_settle(story);
        assert_int_equal(story_take(story, second.connection, TOLD_QUEUED)->position, 2);
        assert_int_equal(story_take(story, second.connection, TOLD_QUEUED)->position, 1);
        assert_int_equal(story_take(story, third.connection, TOLD_QUEUED)->position, 2);
        assert_null(story_take(story, third.connection, TOLD_QUEUED));
}

/* ---- what is remembered ---- */

static void claim_mydebug(struct story *story)
{
        assert_true(leases_claim(story->leases, "mydebug"));
}

static void a_name_that_is_waited_for_is_kept_as_its_last_lease_was(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct lease_request request = story_acquire_name(story, &peer, "mydebug", NULL);
        struct telling lease;
        uint64_t until;

        assert_int_equal(story_release(story, request.connection), 0);
        assert_int_equal(story_keep(story, "mydebug", 1000, false, 0, &until), 0);
        story_settle(story);
        story->before_loaded = claim_mydebug;
        story_restart(story);
        request = story_request(story, &peer);
        request.namespace = "mydebug";
        assert_int_equal(leases_acquire(story->leases, &request, message), 0);
        assert_int_equal(leases_n_waiting(story->leases), 1);
        assert_int_equal(leases_kept_until(story->leases, "mydebug"), until);
        /* A live one is kept if it was said of itself, and not as the one before it was. */
        leases_unclaim(story->leases, "mydebug");
        story_settle(story);
        lease = *story_take(story, request.connection, TOLD_GRANTED);
        assert_int_equal(leases_kept_until(story->leases, "mydebug"), 0);
        assert_int_equal(story_keep(story, lease.namespace, 1000, false, USEC_PER_SEC, &until), 0);
        assert_int_equal(leases_kept_until(story->leases, "mydebug"), now(story) + USEC_PER_SEC);
        assert_int_equal(leases_kept_until(story->leases, "unheard"), 0);
}

static bool has_no_schemas(void *owner, const char *namespace)
{
        (void)namespace;
        ++*(unsigned *)owner;
        return false;
}

static void ended_names_are_remembered_for_ten_minutes_and_no_longer(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct lease_request holder = story_acquire_name(story, &peer, "mydebug", NULL);
        unsigned n_asked = 0;

        assert_int_equal(leases_ended_at(story->leases, "mydebug"), 0);
        assert_int_equal(story_release(story, holder.connection), 0);
        story_settle(story);
        assert_int_equal(leases_ended_at(story->leases, "mydebug"), env_boottime(fake_env(story->fake)));
        story_pass(story, 600 * USEC_PER_SEC - 1);
        leases_forget_ended(story->leases, has_no_schemas, &n_asked);
        assert_int_equal(n_asked, 0);
        story_pass(story, 1);
        leases_forget_ended(story->leases, has_no_schemas, &n_asked);
        assert_int_equal(n_asked, 1);
        assert_int_equal(leases_standing(story->leases, "mydebug"), STANDING_UNKNOWN);
        assert_int_equal(leases_ended_at(story->leases, "mydebug"), 0);
}

struct pasts {
        unsigned n;
        struct lease_past last;
        char namespace[NAMES_NAMESPACE_MAX + 1];
};

static void note_past(void *owner, const struct lease_past *past)
{
        struct pasts *pasts = owner;

        pasts->n++;
        pasts->last = *past;
        (void)strcpy(pasts->namespace, past->namespace);
}

static void ended_ones_are_seen_with_what_is_known_of_them(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct lease_request holder = story_acquire_name(story, &peer, "mydebug", NULL);
        int64_t id = leases_find(story->leases, "mydebug")->id;
        struct pasts pasts = {0};
        uint64_t until;

        leases_each_ended(story->leases, note_past, &pasts);
        assert_int_equal(pasts.n, 0);
        assert_int_equal(story_keep(story, "mydebug", 1000, false, USEC_PER_SEC, &until), 0);
        assert_int_equal(story_release(story, holder.connection), 0);
        leases_each_ended(story->leases, note_past, &pasts);
        assert_int_equal(pasts.n, 1);
        assert_string_equal(pasts.namespace, "mydebug");
        assert_int_equal(pasts.last.id, id);
        assert_int_equal(pasts.last.uid, 1000);
        assert_int_equal(pasts.last.state, LEASE_RELEASED);
        assert_int_equal(pasts.last.ended_usec, now(story));
        assert_int_equal(pasts.last.kept_until_usec, until);
        story_pass(story, USEC_PER_SEC);
        leases_each_ended(story->leases, note_past, &pasts);
        assert_int_equal(pasts.n, 2);
        assert_int_equal(pasts.last.kept_until_usec, 0);
}

static void load_odd_rows(struct story *story)
{
        struct ledger_change row = {.kind = LEDGER_LEASE_ENDED, .lease = 7, .namespace = "unsaid"};

        leases_load(story->leases, &row);
        row.kind = LEDGER_NOTED; /* nothing of ours */
        row.namespace = "noted";
        leases_load(story->leases, &row);
        row = (struct ledger_change){
                .kind = LEDGER_LEASE_ENDED, .lease = 8, .namespace = "revoked", .detail = "revoked"};
        leases_load(story->leases, &row);
}

static void an_end_whose_kind_is_not_on_record_is_a_crash(void **state)
{
        struct story *story = *state;
        struct pasts pasts = {0};

        story->before_loaded = load_odd_rows;
        story_restart(story);
        leases_each_ended(story->leases, note_past, &pasts);
        assert_int_equal(pasts.n, 2);
        assert_string_equal(pasts.namespace, "revoked");
        assert_int_equal(pasts.last.state, LEASE_REVOKED);
        assert_int_equal(leases_standing(story->leases, "unsaid"), STANDING_ENDED);
        assert_int_equal(leases_standing(story->leases, "noted"), STANDING_UNKNOWN);
}

static void nothing_is_freed_twice(void **state)
{
        (void)state;
        assert_null(leases_free(NULL));
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, story_setup, story_teardown)
        const struct CMUnitTest tests[] = {
                STORY(two_new_secrets_on_their_way_come_to_whoever_asked),
                STORY(a_stop_while_two_new_secrets_are_on_their_way_leaves_nothing_behind),
                STORY(whom_the_ledger_refused_a_new_secret_carries_nothing),
                STORY(who_dies_before_the_refusal_has_crashed_with_it),
                STORY(who_hung_up_before_the_refusal_is_told_nothing_and_may_attach),
                STORY(whoever_was_told_the_new_secret_is_let_go_like_any_other),
                STORY(of_two_leases_with_one_request_a_restart_keeps_both),
                STORY(of_two_rows_with_one_request_the_first_is_meant),
                STORY(a_controller_s_request_is_asked_again_by_its_own_process_alone),
                STORY(another_process_is_no_controller_s_by_a_part_of_its_identity),
                STORY(a_controller_that_died_before_the_grant_holds_no_place),
                STORY(a_controller_nobody_can_see_comes_back_as_the_same_user),
                STORY(a_controller_that_can_be_seen_and_has_closed_keeps_its_place),
                STORY(what_is_on_record_of_a_member_is_its_worker_and_its_time),
                STORY(a_gone_process_is_watched_no_longer),
                STORY(a_crash_strikes_nobody_off),
                STORY(the_first_of_the_members_left_keeps_a_released_lease_too),
                STORY(changes_of_one_turn_are_told_once),
                STORY(a_secret_is_kept_in_memory_only_until_it_is_told),
                STORY(only_hexadecimal_digits_are_a_secret),
                STORY(every_digit_of_a_secret_counts),
                STORY(who_waits_has_nothing_to_release),
                STORY(a_secret_without_its_name_releases_nothing),
                STORY(a_crashed_lease_is_not_released_afterwards),
                STORY(a_lease_counts_from_its_grant_and_has_no_place_any_more),
                STORY(an_endless_time_out_never_passes),
                STORY(a_time_that_passes_while_another_is_told_has_passed_too),
                STORY(who_has_not_been_told_a_place_is_told_it_once),
                STORY(a_name_that_is_waited_for_is_kept_as_its_last_lease_was),
                STORY(ended_names_are_remembered_for_ten_minutes_and_no_longer),
                STORY(ended_ones_are_seen_with_what_is_known_of_them),
                STORY(an_end_whose_kind_is_not_on_record_is_a_crash),
                STORY(nothing_is_freed_twice),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
