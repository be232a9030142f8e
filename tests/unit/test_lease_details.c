/* SPDX-License-Identifier: MIT */

/* What is on record and shown of a lease, to the last field; and waiting, to the last microsecond. */

#include "lease_story.h"

#include "service/lease_record.h"

#include <string.h>

static char message[NAMES_MESSAGE_SIZE];

static uint64_t now(struct story *story)
{
        return env_realtime(fake_env(story->fake));
}

static struct lease_request wait_for(struct story *story, const struct peer *peer, const char *request,
                                     uint64_t timeout_usec)
{
        struct lease_request waiter = story_request(story, peer);

        waiter.request = request;
        waiter.timeout_usec = timeout_usec;
        assert_int_equal(leases_acquire(story->leases, &waiter, message), 0);
        return waiter;
}

static struct lease_request fill(struct story *story, const struct peer *peer)
{
        story->settings.max_leases = 1;
        leases_configure(story->leases, &story->settings);
        return story_acquire(story, peer, NULL);
}

/* ---- waiting ---- */

static void a_later_deadline_does_not_put_an_earlier_one_off(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct lease_request early, late;

        (void)fill(story, &peer);
        early = wait_for(story, &peer, NULL, USEC_PER_SEC);
        late = wait_for(story, &peer, NULL, 5000 * USEC_PER_SEC); /* longer than the host is up */
        story_pass(story, USEC_PER_SEC);
        assert_non_null(story_take(story, early.connection, TOLD_FAILED));
        assert_null(story_take(story, late.connection, TOLD_FAILED));
        story_pass(story, 4999 * USEC_PER_SEC - 1);
        assert_null(story_take(story, late.connection, TOLD_FAILED));
        story_pass(story, 1);
        assert_non_null(story_take(story, late.connection, TOLD_FAILED));
}

static void places_are_told_also_while_they_never_stop_changing(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct lease_request waiters[8], last;
        unsigned n_told = 0;

        (void)fill(story, &peer);
        for (unsigned i = 0; i < 8; i++)
                waiters[i] = wait_for(story, &peer, NULL, 0);
        last = wait_for(story, &peer, NULL, 0);
        story_settle(story);
        assert_int_equal(story_take(story, last.connection, TOLD_QUEUED)->position, 9);
        for (unsigned i = 0; i < 8; i++) {
                leases_connection_closed(story->leases, waiters[i].connection);
                story_pass(story, 60 * USEC_PER_MSEC);
                n_told += story_take(story, last.connection, TOLD_QUEUED) != NULL;
        }
        assert_int_equal(n_told, 4);
}

static void whoever_takes_a_place_over_is_the_one_who_waits(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story), next = story_peer(story);
        struct lease_request holder = fill(story, &peer), again;
        const struct lease *lease;
        struct telling granted;

        (void)wait_for(story, &peer, "run-1", 0);
        again = wait_for(story, &next, "run-1", 2 * USEC_PER_SEC);
        story_settle(story);
        assert_int_equal(story_release(story, holder.connection), 0);
        story_settle(story);
        granted = *story_take(story, again.connection, TOLD_GRANTED);
        lease = leases_find(story->leases, granted.namespace);
        assert_int_equal(lease->members[0].peer.process.pid, next.process.pid);
        (void)wait_for(story, &peer, "run-2", 0);
        again = wait_for(story, &next, "run-2", 2 * USEC_PER_SEC);
        story_pass(story, 2 * USEC_PER_SEC);
        assert_int_equal(story_take(story, again.connection, TOLD_FAILED)->error, LEASES_E_BUSY);
        assert_int_equal(leases_n_waiting(story->leases), 0);
}

static void note_waiting(void *owner, const struct lease *lease)
{
        if (lease->state == LEASE_WAITING)
                *(struct lease_member *)owner = lease->members[0];
        if (lease->state == LEASE_WAITING)
                ((struct lease_member *)owner)->id = (int64_t)lease->since_usec;
}

static void whoever_waits_is_seen_since_he_asked(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct lease_member seen = {0};
        uint64_t asked;

        (void)fill(story, &peer);
        (void)wait_for(story, &peer, NULL, 0);
        asked = now(story);
        story_pass(story, USEC_PER_SEC);
        leases_each(story->leases, note_waiting, &seen);
        assert_int_equal(seen.since_usec, asked);
        assert_int_equal(seen.id, asked);
}

/* Without a name for the request there is none, whatever printf makes of it. */
static void who_gives_his_request_no_name_repeats_nothing(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct lease_request first = wait_for(story, &peer, "(null)", 0),
                             second = wait_for(story, &peer, NULL, 0);

        story_settle(story);
        assert_string_not_equal(story_take(story, first.connection, TOLD_GRANTED)->namespace,
                                story_take(story, second.connection, TOLD_GRANTED)->namespace);
}

/* ---- settings ---- */

static void settings_count_from_the_start_and_from_a_reload(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story), nobody = story_nobody();
        struct lease_request holder, waiter;
        struct lease_release release = {.exit_status = -1, .keep = true};
        struct live_report *report = live_report_new(0);
        struct telling unseen;
        uint64_t until;

        story->settings.max_leases = 1;
        story_restart(story);
        holder = story_acquire(story, &nobody, &unseen);
        waiter = wait_for(story, &peer, NULL, 0);
        story_settle(story);
        assert_non_null(story_take(story, waiter.connection, TOLD_QUEUED));

        story->settings.start_grace = 0;
        story->settings.keep_for = 7;
        leases_configure(story->leases, &story->settings);
        leases_connection_closed(story->leases, holder.connection);
        leases_census(story->leases, live_set_seal(report), env_boottime(fake_env(story->fake)));
        live_report_free(report);
        story_settle(story);
        assert_int_equal(story_take_end(story, unseen.namespace)->state, LEASE_CRASHED);
        assert_non_null(story_take(story, waiter.connection, TOLD_GRANTED));
        release.connection = waiter.connection;
        assert_int_equal(leases_release(story->leases, &release, &until), LEASES_LATER);
        story_settle(story);
        assert_int_equal(story_take(story, waiter.connection, TOLD_KEPT)->until, now(story) + 7);
}

/* ---- restarts ---- */

static void a_recovered_lease_is_what_it_was(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story), worker = story_peer(story);
        struct lease_request request = story_request(story, &peer), attach;
        struct telling lease;
        const struct lease *back;
        uint64_t since;

        peer.uid = request.peer.uid = 1234;
        request.namespace = "mydebug";
        request.label = "a label";
        assert_int_equal(leases_acquire(story->leases, &request, message), 0);
        story_settle(story);
        lease = *story_take(story, request.connection, TOLD_GRANTED);
        since = now(story);
        story_pass(story, USEC_PER_SEC);
        attach = story_attach_request(story, &worker, &lease, ROLE_WORKER);
        assert_int_equal(story_attach(story, &attach), 0);
        story_pass(story, USEC_PER_SEC);
        story_restart(story);
        back = leases_find(story->leases, "mydebug");
        assert_int_equal(back->uid, 1234);
        assert_true(back->forced);
        assert_string_equal(back->label, "a label");
        assert_int_equal(back->since_usec, since);
        assert_int_equal(back->n_members, 2);
        assert_string_equal(back->members[0].worker, "");
        assert_string_equal(back->members[1].worker, "gw0");
        assert_int_equal(back->members[1].since_usec, since + USEC_PER_SEC);
        attach = story_attach_request(story, &worker, &lease, ROLE_WORKER);
        assert_int_equal(story_attach(story, &attach), 0);
        assert_int_equal(back->n_members, 2);
}

static void load_second_member_again(struct story *story)
{
        leases_load(story->leases, memory_ledger_last(story->memory, LEDGER_MEMBER_JOINED));
}

static void a_second_member_that_is_loaded_twice_is_one(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story), worker = story_peer(story);
        struct telling lease;
        struct lease_request attach;

        story_acquire(story, &peer, &lease);
        attach = story_attach_request(story, &worker, &lease, ROLE_WORKER);
        assert_int_equal(story_attach(story, &attach), 0);
        story_settle(story);
        story->before_loaded = load_second_member_again;
        story_restart(story);
        assert_int_equal(leases_find(story->leases, lease.namespace)->n_members, 2);
}

static void the_holder_is_let_go_also_after_a_restart(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story), other = story_peer(story);
        struct telling lease;
        struct lease_request holder, child;

        story_acquire(story, &peer, &lease);
        story_restart(story);
        holder = story_attach_request(story, &peer, &lease, ROLE_RUNNER);
        assert_int_equal(story_attach(story, &holder), 0);
        child = story_attach_request(story, &other, &lease, ROLE_CHILD);
        assert_int_equal(story_attach(story, &child), 0);
        assert_int_equal(story_release(story, child.connection), 0);
        story_settle(story);
        assert_non_null(story_take(story, holder.connection, TOLD_LET_GO));
        assert_non_null(story_take_end(story, lease.namespace));
}

static void a_process_that_cannot_be_looked_at_is_not_dead(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct telling lease;

        story_acquire(story, &peer, &lease);
        fake_env_hide(story->fake, &peer.process);
        story_restart(story);
        story_settle(story);
        assert_int_equal(story_state(story, lease.namespace), LEASE_RECOVERING);
}

static void note_state(void *owner, const struct lease_past *past)
{
        enum lease_state *states = owner;

        states[past->namespace[0] - 'a'] = past->state;
}

static void ends_are_what_they_were_after_a_restart(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story), dead = story_peer(story);
        struct lease_request request;
        enum lease_state states[3] = {0};

        request = story_acquire_name(story, &peer, "a", NULL);
        assert_int_equal(story_release(story, request.connection), 0);
        (void)story_acquire_name(story, &peer, "b", NULL);
        assert_int_equal(leases_revoke(story->leases, "b", 0, true, NULL), 0);
        request = story_acquire_name(story, &dead, "c", NULL);
        fake_env_kill(story->fake, &dead.process);
        leases_connection_closed(story->leases, request.connection);
        story_settle(story);
        story_restart(story);
        leases_each_ended(story->leases, note_state, states);
        assert_int_equal(states[0], LEASE_RELEASED);
        assert_int_equal(states[1], LEASE_REVOKED);
        assert_int_equal(states[2], LEASE_CRASHED);
}

/* It has no schemas yet, so a census cannot have seen any session of it. */
static void a_census_says_nothing_of_a_lease_that_is_being_granted(void **state)
{
        struct story *story = *state;
        struct peer nobody = story_nobody();
        struct lease_request request = story_request(story, &nobody);
        struct live_report *report = live_report_new(0);

        request.namespace = "mydebug";
        assert_int_equal(leases_acquire(story->leases, &request, message), 0);
        leases_connection_closed(story->leases, request.connection);
        fake_env_pass(story->fake, 2 * START_GRACE);
        leases_census(story->leases, live_set_seal(report), env_boottime(fake_env(story->fake)));
        live_report_free(report);
        story_settle(story);
        assert_int_equal(story_state(story, "mydebug"), LEASE_LIVE);
}

/* ---- ends ---- */

static void a_release_is_on_record_with_its_exit_status_or_without(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct lease_request holder = story_acquire(story, &peer, NULL);
        struct lease_release release = {.connection = holder.connection, .exit_status = 0};
        uint64_t until = 4711;

        assert_int_equal(leases_release(story->leases, &release, &until), 0);
        assert_int_equal(until, 0);
        assert_int_equal(memory_ledger_last(story->memory, LEDGER_LEASE_ENDED)->exit_status, 0);
        holder = story_acquire(story, &peer, NULL);
        assert_int_equal(story_release(story, holder.connection), 0);
        assert_int_equal(memory_ledger_last(story->memory, LEDGER_LEASE_ENDED)->exit_status, -1);
}

static void a_second_release_says_the_same_of_what_is_kept(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct telling lease;
        struct lease_request holder = story_acquire(story, &peer, &lease);
        struct lease_release release = {.connection = holder.connection, .exit_status = -1, .keep = true};
        uint64_t until, again = 4711;

        assert_int_equal(leases_release(story->leases, &release, &again), LEASES_LATER);
        (void)memory_ledger_confirm(story->memory);
        until = story_take(story, holder.connection, TOLD_KEPT)->until;
        release.keep = false;
        assert_int_equal(leases_release(story->leases, &release, &again), 0);
        assert_int_equal(again, 0); /* a connection does not say which lease */
        release.namespace = lease.namespace;
        release.secret = lease.secret;
        assert_int_equal(leases_release(story->leases, &release, &again), 0);
        assert_int_equal(again, until);
        release.secret = "wrong";
        assert_int_equal(leases_release(story->leases, &release, &again), LEASES_E_NO_SUCH_LEASE);
        assert_int_equal(again, 0);
}

static void a_second_release_promises_what_the_first_one_did(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct telling lease;
        struct lease_request holder = story_acquire(story, &peer, &lease);
        struct lease_release release = {.connection = holder.connection, .exit_status = -1, .keep = true};
        uint64_t until, kept;

        assert_int_equal(leases_release(story->leases, &release, &until), LEASES_LATER);
        release.namespace = lease.namespace;
        release.secret = lease.secret;
        assert_int_equal(leases_release(story->leases, &release, &until), LEASES_LATER);
        story_settle(story);
        kept = story_take(story, holder.connection, TOLD_KEPT)->until;
        assert_int_equal(story_take(story, holder.connection, TOLD_KEPT)->until, kept);

        holder = story_acquire(story, &peer, &lease);
        release.connection = holder.connection;
        assert_int_equal(story_release(story, holder.connection), 0);
        assert_int_equal(leases_release(story->leases, &release, &until),
                         0); /* too late to keep it by this */
        assert_int_equal(until, 0);
}

static bool has_none(void *owner, const char *namespace)
{
        (void)owner;
        (void)namespace;
        return false;
}

/* Found by the simulation: of two that the disk had no room for, the second fell back on the first. */
static void keeps_that_are_refused_take_back_their_own_promises_alone(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        uint64_t start = now(story), until;

        (void)story_acquire_name(story, &peer, "mydebug", NULL);
        (void)story_acquire_name(story, &peer, "other", NULL);
        assert_int_equal(story_keep(story, "mydebug", 1000, false, 5 * USEC_PER_SEC, &until), 0);
        assert_int_equal(leases_keep(story->leases, 71, "mydebug", 1000, false, USEC_PER_SEC), LEASES_LATER);
        assert_int_equal(leases_keep(story->leases, 72, "other", 1000, false, USEC_PER_SEC), LEASES_LATER);
        assert_int_equal(leases_keep(story->leases, 73, "mydebug", 1000, false, 9 * USEC_PER_SEC),
                         LEASES_LATER);
        assert_int_equal(leases_kept_until(story->leases, "mydebug"), start + 9 * USEC_PER_SEC);
        assert_true(memory_ledger_refuse(story->memory));
        for (uint64_t connection = 71; connection <= 73; connection++)
                assert_int_equal(story_take(story, connection, TOLD_KEPT)->error, LEASES_E_LEDGER);
        assert_int_equal(leases_kept_until(story->leases, "mydebug"), until);
        assert_int_equal(leases_kept_until(story->leases, "other"), 0);
}

static void a_keep_that_is_refused_is_nothing_where_another_promise_stands(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct telling lease;
        struct lease_request holder = story_acquire_name(story, &peer, "mydebug", &lease);

        /* Forgotten meanwhile: there is nothing to take back. */
        assert_int_equal(story_release(story, holder.connection), 0);
        story_settle(story);
        assert_int_equal(leases_keep(story->leases, 71, "mydebug", 1000, false, USEC_PER_SEC), LEASES_LATER);
        fake_env_pass(story->fake, 3600 * USEC_PER_SEC);
        leases_forget_ended(story->leases, has_none, NULL);
        assert_int_equal(leases_standing(story->leases, "mydebug"), STANDING_UNKNOWN);
        assert_true(memory_ledger_refuse(story->memory));
        assert_int_equal(story_take(story, 71, TOLD_KEPT)->error, LEASES_E_LEDGER);

        /* Leased anew meanwhile: what was promised of the one before does not touch it. */
        holder = story_acquire_name(story, &peer, "mydebug", NULL);
        assert_int_equal(story_release(story, holder.connection), 0);
        story_settle(story);
        assert_int_equal(leases_keep(story->leases, 72, "mydebug", 1000, false, USEC_PER_SEC), LEASES_LATER);
        fake_env_pass(story->fake, 2 * USEC_PER_SEC);
        holder = story_request(story, &peer);
        holder.namespace = "mydebug";
        assert_int_equal(leases_acquire(story->leases, &holder, message), 0);
        assert_true(memory_ledger_refuse(story->memory));
        assert_int_equal(story_take(story, 72, TOLD_KEPT)->error, LEASES_E_LEDGER);
        assert_int_equal(leases_kept_until(story->leases, "mydebug"), 0);
}

/* Found by the simulation: the disk had it in the end, and memory did not. */
static void a_promise_that_the_end_writes_is_kept_whatever_became_of_it(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct lease_request holder = story_acquire_name(story, &peer, "mydebug", NULL);
        uint64_t until = now(story) + 9 * USEC_PER_SEC;

        (void)story_acquire_name(story, &peer, "other", NULL);
        assert_int_equal(leases_keep(story->leases, 70, "other", 1000, false, USEC_PER_SEC), LEASES_LATER);
        assert_int_equal(leases_keep(story->leases, 71, "mydebug", 1000, false, USEC_PER_SEC), LEASES_LATER);
        assert_int_equal(leases_keep(story->leases, 72, "mydebug", 1000, false, 9 * USEC_PER_SEC),
                         LEASES_LATER);
        assert_int_equal(story_release(story, holder.connection), 0);
        assert_true(memory_ledger_refuse(story->memory));
        story_settle(story);
        assert_int_equal(story_take(story, 70, TOLD_KEPT)->error, LEASES_E_LEDGER);
        assert_int_equal(story_take(story, 71, TOLD_KEPT)->error, LEASES_E_LEDGER);
        assert_int_equal(story_take(story, 72, TOLD_KEPT)->error, 0);
        assert_int_equal(leases_kept_until(story->leases, "other"), 0);
        assert_int_equal(leases_kept_until(story->leases, "mydebug"), until);
        story_restart(story);
        assert_int_equal(leases_kept_until(story->leases, "mydebug"), until);
}

static void a_stop_while_two_promises_are_on_their_way_leaves_nothing_behind(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);

        (void)story_acquire_name(story, &peer, "mydebug", NULL);
        assert_int_equal(leases_keep(story->leases, 77, "mydebug", 1000, false, 1), LEASES_LATER);
        assert_int_equal(leases_keep(story->leases, 78, "mydebug", 1000, false, 2), LEASES_LATER);
        /* The sanitizer complains of what story_teardown does not free. */
}

static void subscribers_hear_of_a_release_that_is_no_end_yet(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story), worker = story_peer(story);
        struct telling lease;
        struct lease_request holder = story_acquire(story, &peer, &lease), attach;
        unsigned n;

        attach = story_attach_request(story, &worker, &lease, ROLE_WORKER);
        assert_int_equal(story_attach(story, &attach), 0);
        story_settle(story);
        n = story_count(story, TOLD_CHANGED);
        assert_int_equal(story_release(story, holder.connection), 0);
        story_settle(story);
        assert_int_equal(story_count(story, TOLD_CHANGED), n + 1);
}

static void nothing_is_kept_of_what_is_not_granted_and_nothing_for_longer_than_for_ever(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct lease_request request = story_request(story, &peer);
        uint64_t until;

        request.namespace = "mydebug";
        assert_int_equal(leases_acquire(story->leases, &request, message), 0);
        assert_int_equal(story_keep(story, "mydebug", 1000, false, 0, &until), LEASES_E_NO_SUCH_LEASE);
        story_settle(story);
        assert_int_equal(story_keep(story, "mydebug", 1000, false, INT64_MAX, &until), 0);
        assert_int_equal(until, INT64_MAX);
        assert_int_equal(memory_ledger_last(story->memory, LEDGER_LEASE_KEPT)->lease,
                         leases_find(story->leases, "mydebug")->id);
        assert_int_equal(story_release(story, request.connection), 0);
        assert_int_equal(story_keep(story, "mydebug", 1000, false, 1, &until), 0);
        assert_int_equal(memory_ledger_last(story->memory, LEDGER_LEASE_KEPT)->lease, 0);
}

static void an_attach_says_which_lease_it_is(void **state)
{
        struct story *story = *state;
        struct peer peer = story_peer(story);
        struct telling lease;
        struct lease_request attach;
        const struct lease *ret = NULL;

        story_acquire(story, &peer, &lease);
        attach = story_attach_request(story, &peer, &lease, ROLE_CHILD);
        assert_int_equal(leases_attach(story->leases, &attach, &ret), LEASES_LATER);
        assert_int_equal(memory_ledger_confirm(story->memory), true);
        assert_string_equal(story_take(story, attach.connection, TOLD_GRANTED)->namespace, lease.namespace);
        leases_connection_closed(story->leases, attach.connection);
        attach = story_attach_request(story, &peer, &lease, ROLE_CHILD);
        assert_int_equal(leases_attach(story->leases, &attach, &ret), 0); /* a member that comes back */
        assert_ptr_equal(ret, leases_find(story->leases, lease.namespace));
}

/* ---- secrets ---- */

static void every_byte_of_a_secret_s_hash_counts(void **state)
{
        static const uint8_t bytes[BERTH_SECRET_BYTES] = {0x0f, 0xf0, 0x9a, 0xa9};
        struct lease_secret secret;

        (void)state;
        lease_secret_make(bytes, &secret);
        assert_string_equal(secret.text, "0ff09aa9000000000000000000000000");
        assert_true(lease_secret_fits(secret.text, secret.hash));
        for (size_t i = 0; i < sizeof(secret.hash); i++) {
                secret.hash[i] ^= 1;
                assert_false(lease_secret_fits(secret.text, secret.hash));
                secret.hash[i] ^= 1;
        }
        assert_false(lease_secret_fits(secret.text, NULL));
        assert_false(lease_secret_fits(NULL, secret.hash));
}

/* What is no secret at all is not compared: the bytes of an earlier one may still lie where it would be. */
static void what_is_no_secret_fits_nothing(void **state)
{
        static const uint8_t bytes[BERTH_SECRET_BYTES];
        struct lease_secret secret;
        char wrong[BERTH_SECRET_SIZE + 1];

        (void)state;
        lease_secret_make(bytes, &secret);
        for (size_t i = 0; i < 2 * BERTH_SECRET_BYTES; i++) {
                assert_true(lease_secret_fits(secret.text, secret.hash));
                memcpy(wrong, secret.text, sizeof(secret.text));
                wrong[i] = 'g';
                assert_false(lease_secret_fits(wrong, secret.hash));
        }
        (void)strcpy(wrong, secret.text);
        (void)strcat(wrong, "0");
        assert_false(lease_secret_fits(wrong, secret.hash));
        wrong[2 * BERTH_SECRET_BYTES - 1] = '\0';
        assert_false(lease_secret_fits(wrong, secret.hash));
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, story_setup, story_teardown)
        const struct CMUnitTest tests[] = {
                STORY(a_later_deadline_does_not_put_an_earlier_one_off),
                STORY(places_are_told_also_while_they_never_stop_changing),
                STORY(whoever_takes_a_place_over_is_the_one_who_waits),
                STORY(whoever_waits_is_seen_since_he_asked),
                STORY(who_gives_his_request_no_name_repeats_nothing),
                STORY(settings_count_from_the_start_and_from_a_reload),
                STORY(a_recovered_lease_is_what_it_was),
                STORY(a_second_member_that_is_loaded_twice_is_one),
                STORY(the_holder_is_let_go_also_after_a_restart),
                STORY(a_process_that_cannot_be_looked_at_is_not_dead),
                STORY(ends_are_what_they_were_after_a_restart),
                STORY(a_census_says_nothing_of_a_lease_that_is_being_granted),
                STORY(a_release_is_on_record_with_its_exit_status_or_without),
                STORY(a_second_release_says_the_same_of_what_is_kept),
                STORY(a_second_release_promises_what_the_first_one_did),
                STORY(keeps_that_are_refused_take_back_their_own_promises_alone),
                STORY(a_keep_that_is_refused_is_nothing_where_another_promise_stands),
                STORY(a_promise_that_the_end_writes_is_kept_whatever_became_of_it),
                STORY(a_stop_while_two_promises_are_on_their_way_leaves_nothing_behind),
                STORY(subscribers_hear_of_a_release_that_is_no_end_yet),
                STORY(nothing_is_kept_of_what_is_not_granted_and_nothing_for_longer_than_for_ever),
                STORY(an_attach_says_which_lease_it_is),
                STORY(every_byte_of_a_secret_s_hash_counts),
                STORY(what_is_no_secret_fits_nothing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
