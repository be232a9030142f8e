/* SPDX-License-Identifier: MIT */

/* Asking for a slot, holding it, and everything that gives it back. */

#include "slot_story.h"

#include <string.h>

static void two_hold_and_the_third_waits(void **state)
{
        struct slot_story *story = *state;
        struct slot_request first = slot_story_hold(story, 1, NULL), third;
        const struct slot_telling *granted;

        (void)slot_story_hold(story, 2, NULL);
        third = slot_story_wait(story, 3);
        slot_story_settle(story);
        assert_int_equal(slot_story_take(story, third.connection, SLOT_TOLD_QUEUED)->position, 1);
        assert_null(slot_story_take(story, first.connection, SLOT_TOLD_GRANTED));
        assert_int_equal(slots_n_waiting(story->slots), 1);

        assert_int_equal(slot_story_release(story, first.connection), 0);
        assert_null(slot_story_take(story, third.connection, SLOT_TOLD_GRANTED));
        slot_story_settle(story);
        granted = slot_story_take(story, third.connection, SLOT_TOLD_GRANTED);
        assert_non_null(granted);
        assert_int_equal(granted->slot, 0);
        assert_int_equal(slot_story_n_held(story, 1), 2);
}

static void the_worker_s_number_does_not_matter(void **state)
{
        struct slot_story *story = *state;
        struct slot_request zero = slot_story_request(story, 1), two = slot_story_request(story, 1);

        zero.worker = "gw0";
        two.worker = "gw2";
        assert_int_equal(slot_story_ask(story, &zero, NULL), 1);
        assert_int_equal(slot_story_ask(story, &two, NULL), 1);
}

static void databases_of_one_cluster_share_its_slots(void **state)
{
        struct slot_story *story = *state;
        struct slot_request tenant = slot_story_request(story, 3), other = slot_story_request(story, 4);

        (void)slot_story_hold(story, 1, NULL);
        (void)slot_story_hold(story, 2, NULL);
        tenant.database = "tenant";
        assert_int_equal(slot_story_ask(story, &tenant, NULL), 0);
        other.database = "other";
        assert_int_equal(slot_story_ask(story, &other, NULL), 1);
        other = slot_story_request(story, 5);
        other.database = "nowhere";
        assert_int_equal(slot_story_ask(story, &other, NULL), -SLOTS_E_NO_SUCH_DATABASE);
}

static void a_grant_is_on_record_before_anybody_asks_for_it_again(void **state)
{
        struct slot_story *story = *state;
        int64_t grant;
        struct slot_request holder = slot_story_hold(story, 7, &grant);
        const struct ledger_change *row = memory_ledger_last(story->memory, LEDGER_SLOT_GRANTED);

        assert_int_equal(row->grant, grant);
        assert_int_equal(row->lease, 7);
        assert_int_equal(row->slot, 0);
        assert_string_equal(row->namespace, "mydebug");
        assert_string_equal(row->worker, "gw3");
        assert_string_equal(row->cluster, "700000000001@5432 /run/1");
        assert_int_equal(row->process.pid, holder.peer.process.pid);
        assert_int_equal(slot_story_release(story, holder.connection), 0);
        row = memory_ledger_last(story->memory, LEDGER_SLOT_FREED);
        assert_int_equal(row->grant, grant);
        assert_string_equal(row->detail, "released");
}

/* ---- what gives it back ---- */

static void a_closed_connection_frees_its_slot(void **state)
{
        struct slot_story *story = *state;
        struct slot_request holder = slot_story_hold(story, 1, NULL), waiter;

        (void)slot_story_hold(story, 2, NULL);
        waiter = slot_story_wait(story, 3);
        slots_connection_closed(story->slots, holder.connection);
        slot_story_settle(story);
        assert_non_null(slot_story_take(story, waiter.connection, SLOT_TOLD_GRANTED));
        assert_null(slot_story_take(story, holder.connection, SLOT_TOLD_LET_GO));
        assert_string_equal(memory_ledger_last(story->memory, LEDGER_SLOT_FREED)->detail, "died");
}

static void an_inherited_socket_does_not_keep_a_slot(void **state)
{
        struct slot_story *story = *state;
        struct slot_request holder = slot_story_hold(story, 1, NULL), waiter;

        (void)slot_story_hold(story, 2, NULL);
        waiter = slot_story_wait(story, 3);
        fake_env_kill(story->fake, &holder.peer.process);
        slot_story_settle(story);
        assert_non_null(slot_story_take(story, waiter.connection, SLOT_TOLD_GRANTED));
        assert_true(slot_story_take(story, holder.connection, SLOT_TOLD_LET_GO)->revoked);
        assert_int_equal(slot_story_ask(story, &holder, NULL), -SLOTS_E_GONE);
        assert_int_equal(slot_story_release(story, holder.connection), SLOTS_E_NOT_HELD);
}

static void a_waiter_whose_process_is_gone_leaves_the_queue(void **state)
{
        struct slot_story *story = *state;
        struct slot_request holder = slot_story_hold(story, 1, NULL), dead, next;

        (void)slot_story_hold(story, 2, NULL);
        dead = slot_story_wait(story, 3);
        next = slot_story_wait(story, 4);
        fake_env_kill(story->fake, &dead.peer.process);
        slot_story_settle(story);
        assert_int_equal(slot_story_take(story, dead.connection, SLOT_TOLD_FAILED)->error, SLOTS_E_GONE);
        assert_int_equal(slot_story_release(story, holder.connection), 0);
        slot_story_settle(story);
        assert_null(slot_story_take(story, dead.connection, SLOT_TOLD_GRANTED));
        assert_non_null(slot_story_take(story, next.connection, SLOT_TOLD_GRANTED));
}

static void a_waiter_that_hangs_up_leaves_the_queue(void **state)
{
        struct slot_story *story = *state;
        struct slot_request holder = slot_story_hold(story, 1, NULL), gone, next;

        (void)slot_story_hold(story, 2, NULL);
        gone = slot_story_wait(story, 3);
        next = slot_story_wait(story, 4);
        slots_connection_closed(story->slots, gone.connection);
        assert_int_equal(slot_story_release(story, holder.connection), 0);
        slot_story_settle(story);
        assert_null(slot_story_take(story, gone.connection, SLOT_TOLD_QUEUED));
        assert_non_null(slot_story_take(story, next.connection, SLOT_TOLD_GRANTED));
}

static void who_hangs_up_before_his_grant_is_told_passes_it_on(void **state)
{
        struct slot_story *story = *state;
        struct slot_request holder = slot_story_hold(story, 1, NULL), gone, next;

        (void)slot_story_hold(story, 2, NULL);
        gone = slot_story_wait(story, 3);
        next = slot_story_wait(story, 4);
        slot_story_settle(story);
        assert_int_equal(slot_story_release(story, holder.connection), 0);
        slots_connection_closed(story->slots, gone.connection);
        slot_story_settle(story);
        assert_null(slot_story_take(story, gone.connection, SLOT_TOLD_GRANTED));
        assert_non_null(slot_story_take(story, next.connection, SLOT_TOLD_GRANTED));
        assert_int_equal(slot_story_n_held(story, 1), 2);
}

static void a_silent_holder_keeps_its_slot(void **state)
{
        struct slot_story *story = *state;
        struct slot_request waiter;

        (void)slot_story_hold(story, 1, NULL);
        (void)slot_story_hold(story, 2, NULL);
        waiter = slot_story_wait(story, 3);
        slot_story_pass(story, 30 * 24 * 3600 * USEC_PER_SEC);
        assert_null(slot_story_take(story, waiter.connection, SLOT_TOLD_GRANTED));
        assert_int_equal(fake_env_n_timers_armed(story->fake), 0);
}

static void the_slots_of_an_ended_lease_go_and_its_waiters_are_told(void **state)
{
        struct slot_story *story = *state;
        struct slot_request holder = slot_story_hold(story, 1, NULL), mine, other;
        const struct slot_telling *let_go;

        (void)slot_story_hold(story, 2, NULL);
        mine = slot_story_wait(story, 1);
        other = slot_story_wait(story, 3);
        slots_lease_ended(story->slots, 1, true, "operator");
        slot_story_settle(story);
        let_go = slot_story_take(story, holder.connection, SLOT_TOLD_LET_GO);
        assert_true(let_go->revoked);
        assert_string_equal(let_go->text, "operator");
        assert_int_equal(slot_story_take(story, mine.connection, SLOT_TOLD_FAILED)->error, SLOTS_E_GONE);
        assert_non_null(slot_story_take(story, other.connection, SLOT_TOLD_GRANTED));
        /* Not granted to the dead lease's own waiter in between. */
        assert_int_equal(memory_ledger_count(story->memory, LEDGER_SLOT_GRANTED), 3);
}

static void a_grant_not_told_yet_ends_with_its_lease(void **state)
{
        struct slot_story *story = *state;
        struct slot_request holder = slot_story_hold(story, 1, NULL), waiter;

        (void)slot_story_hold(story, 2, NULL);
        waiter = slot_story_wait(story, 3);
        slot_story_settle(story);
        assert_int_equal(slot_story_release(story, holder.connection), 0);
        slots_lease_ended(story->slots, 3, false, NULL);
        slot_story_settle(story);
        assert_null(slot_story_take(story, waiter.connection, SLOT_TOLD_GRANTED));
        assert_int_equal(slot_story_take(story, waiter.connection, SLOT_TOLD_FAILED)->error, SLOTS_E_GONE);
        assert_int_equal(slot_story_n_held(story, 1), 1);
}

/* ---- release ---- */

static void a_second_release_is_refused_and_hits_nobody(void **state)
{
        struct slot_story *story = *state;
        int64_t grant, other_grant;
        struct slot_request holder = slot_story_hold(story, 1, &grant), other;
        uint64_t held;

        slot_story_pass(story, 1234);
        assert_int_equal(slots_release(story->slots, holder.connection, 1, grant, &held), 0);
        assert_int_equal(held, 1234);
        other = slot_story_hold(story, 2, &other_grant);
        assert_int_equal(slots_release(story->slots, holder.connection, 1, grant, &held), SLOTS_E_NOT_HELD);
        assert_int_equal(slots_release(story->slots, holder.connection, 1, other_grant, &held),
                         SLOTS_E_NOT_HELD);
        assert_int_equal(slots_release(story->slots, other.connection, 0, grant, &held), SLOTS_E_NOT_HELD);
        assert_int_equal(slot_story_n_held(story, 1), 1);
}

static void a_slot_is_released_on_another_connection_of_its_lease(void **state)
{
        struct slot_story *story = *state;
        int64_t first_grant, second_grant;
        struct slot_request first = slot_story_hold(story, 1, &first_grant);
        struct slot_request second = slot_story_hold(story, 1, &second_grant);
        uint64_t held;

        assert_int_equal(slots_release(story->slots, 77, 0, first_grant, &held), SLOTS_E_NOT_HELD);
        assert_int_equal(slots_release(story->slots, 77, 2, first_grant, &held), SLOTS_E_NOT_HELD);
        assert_int_equal(slots_release(story->slots, 77, 1, 0, &held), SLOTS_E_NOT_HELD); /* which of two? */
        assert_int_equal(slots_release(story->slots, 77, 1, first_grant, &held), 0);
        assert_int_equal(slots_release(story->slots, 77, 1, 0, &held), 0);
        slot_story_settle(story);
        assert_false(slot_story_take(story, first.connection, SLOT_TOLD_LET_GO)->revoked);
        assert_non_null(slot_story_take(story, second.connection, SLOT_TOLD_LET_GO));
        assert_int_equal(slot_story_n_held(story, 1), 0);
}

static void nobody_releases_what_he_was_not_told_of_or_what_is_the_sweep_s(void **state)
{
        struct slot_story *story = *state;
        struct slot_request holder = slot_story_hold(story, 1, NULL), waiter;
        uint64_t held;

        slot_story_request_for_sweep(story, 1, 42);
        slot_story_settle(story);
        assert_int_equal(story->sweep_granted, 42);
        assert_int_equal(slots_release(story->slots, 77, 0, 0, &held), SLOTS_E_NOT_HELD);
        waiter = slot_story_wait(story, 3);
        assert_int_equal(slot_story_release(story, holder.connection), 0);
        assert_int_equal(slots_release(story->slots, 77, 3, 0, &held), SLOTS_E_NOT_HELD);
        slot_story_settle(story);
        assert_non_null(slot_story_take(story, waiter.connection, SLOT_TOLD_GRANTED));
        assert_int_equal(slots_release(story->slots, 77, 3, 0, &held), 0);
}

static void what_a_dead_connection_held_is_not_handed_to_its_own_request(void **state)
{
        struct slot_story *story = *state;
        struct slot_request both = slot_story_hold(story, 1, NULL);

        (void)slot_story_hold(story, 2, NULL);
        assert_int_equal(slot_story_ask(story, &both, NULL), 0);
        slots_connection_closed(story->slots, both.connection);
        slot_story_settle(story);
        assert_int_equal(memory_ledger_count(story->memory, LEDGER_SLOT_GRANTED), 2);
        assert_int_equal(slots_n_waiting(story->slots), 0);
}

static void a_connection_may_hold_a_slot_of_each_cluster(void **state)
{
        struct slot_story *story = *state;
        int64_t main_grant, other_grant;
        struct slot_request request = slot_story_hold(story, 1, &main_grant);
        uint64_t held;

        request.database = "other";
        assert_int_equal(slot_story_ask(story, &request, &other_grant), 1);
        assert_int_equal(slots_release(story->slots, request.connection, 1, 0, &held), SLOTS_E_NOT_HELD);
        assert_int_equal(slots_release(story->slots, request.connection, 1, other_grant, &held), 0);
        assert_int_equal(slots_release(story->slots, request.connection, 1, 0, &held), 0);
}

/* ---- waiting ---- */

static void who_will_not_wait_is_told_busy(void **state)
{
        struct slot_story *story = *state;
        struct slot_request request = slot_story_request(story, 3);

        (void)slot_story_hold(story, 1, NULL);
        (void)slot_story_hold(story, 2, NULL);
        request.no_wait = true;
        assert_int_equal(slot_story_ask(story, &request, NULL), -SLOTS_E_BUSY);
        slot_story_settle(story);
        assert_int_equal(slots_n_waiting(story->slots), 0);
        assert_null(slot_story_take(story, request.connection, SLOT_TOLD_FAILED));
}

static void waiting_ends_when_its_time_has_passed(void **state)
{
        struct slot_story *story = *state;
        struct slot_request patient = slot_story_request(story, 3), impatient = slot_story_request(story, 4),
                            far;

        (void)slot_story_hold(story, 1, NULL);
        (void)slot_story_hold(story, 2, NULL);
        patient.timeout_usec = 5 * USEC_PER_SEC;
        impatient.timeout_usec = 2 * USEC_PER_SEC;
        assert_int_equal(slot_story_ask(story, &patient, NULL), 0);
        assert_int_equal(slot_story_ask(story, &impatient, NULL), 0);
        far = slot_story_request(story, 5);
        far.database = "far";
        far.timeout_usec = 3 * USEC_PER_SEC;
        assert_int_equal(slot_story_ask(story, &far, NULL), 0);
        slot_story_pass(story, 2 * USEC_PER_SEC - 1);
        assert_null(slot_story_take(story, impatient.connection, SLOT_TOLD_FAILED));
        slot_story_pass(story, 1);
        assert_int_equal(slot_story_take(story, impatient.connection, SLOT_TOLD_FAILED)->error, SLOTS_E_BUSY);
        slot_story_pass(story, USEC_PER_SEC);
        assert_int_equal(slot_story_take(story, far.connection, SLOT_TOLD_FAILED)->error, SLOTS_E_BUSY);
        assert_int_equal(fake_databases_n_asked(story->databases), 0);
        slot_story_pass(story, 2 * USEC_PER_SEC);
        assert_int_equal(slot_story_take(story, patient.connection, SLOT_TOLD_FAILED)->error, SLOTS_E_BUSY);
        assert_int_equal(slots_n_waiting(story->slots), 0);
}

static void a_run_of_many_workers_does_not_starve_its_neighbour(void **state)
{
        struct slot_story *story = *state;
        struct slot_request holder = slot_story_hold(story, 1, NULL), neighbour;

        (void)slot_story_hold(story, 1, NULL);
        for (unsigned i = 0; i < 20; i++)
                (void)slot_story_wait(story, 1);
        neighbour = slot_story_wait(story, 2);
        slot_story_settle(story);
        assert_true(slot_story_take(story, neighbour.connection, SLOT_TOLD_QUEUED)->position <= 2);
        for (unsigned i = 0; i < 2; i++) {
                const struct slot_telling *granted;

                assert_int_equal(slot_story_release(story, holder.connection), 0);
                slot_story_settle(story);
                for (uint64_t k = 1; k <= story->last_connection; k++) {
                        granted = slot_story_take(story, k, SLOT_TOLD_GRANTED);
                        if (granted)
                                holder.connection = granted->connection;
                }
                if (holder.connection == neighbour.connection)
                        return;
        }
        fail_msg("the neighbour still waits");
}

/* Each tells its own place once; then all of them together, at most ten times a second. */
static void places_of_two_hundred_waiters_are_no_storm(void **state)
{
        struct slot_story *story = *state;
        struct slot_request holders[20];
        unsigned n;

        for (unsigned i = 0; i < 2; i++)
                holders[i] = slot_story_hold(story, 1, NULL);
        for (unsigned i = 0; i < 200; i++)
                (void)slot_story_wait(story, 10 + i);
        slot_story_settle(story);
        assert_int_equal(slot_story_count(story, SLOT_TOLD_QUEUED), 200);
        slot_story_pass(story, USEC_PER_SEC);
        n = story->n_tellings;
        for (unsigned i = 0; i < 18; i++) {
                uint64_t next = 0;

                assert_int_equal(slot_story_release(story, holders[i].connection), 0);
                slot_story_settle(story);
                for (uint64_t k = 1; k <= story->last_connection && !next; k++)
                        if (slot_story_take(story, k, SLOT_TOLD_GRANTED))
                                next = k;
                holders[i + 2 < 20 ? i + 2 : 19].connection = next;
        }
        assert_true(story->n_tellings - n <= 18);
        slot_story_pass(story, 200 * USEC_PER_MSEC);
        assert_true(story->n_tellings - n <= 18 + 182 + 2);
}

static void a_place_is_told_again_when_it_has_changed(void **state)
{
        struct slot_story *story = *state;
        struct slot_request first = slot_story_hold(story, 1, NULL), next, last, leaver;

        (void)slot_story_hold(story, 2, NULL);
        next = slot_story_wait(story, 3);
        last = slot_story_wait(story, 4);
        leaver = slot_story_wait(story, 5);
        slot_story_pass(story, USEC_PER_SEC);
        assert_int_equal(slot_story_take(story, last.connection, SLOT_TOLD_QUEUED)->position, 2);
        slots_connection_closed(story->slots, leaver.connection);
        slot_story_pass(story, USEC_PER_SEC);
        assert_null(slot_story_take(story, last.connection, SLOT_TOLD_QUEUED));
        assert_int_equal(slot_story_release(story, first.connection), 0);
        slot_story_pass(story, USEC_PER_SEC);
        assert_non_null(slot_story_take(story, next.connection, SLOT_TOLD_GRANTED));
        assert_int_equal(slot_story_take(story, last.connection, SLOT_TOLD_QUEUED)->position, 1);
}

static void subscribers_hear_of_changes_also_while_they_never_stop(void **state)
{
        struct slot_story *story = *state;
        struct slot_request request = slot_story_request(story, 1), other = slot_story_request(story, 2);
        unsigned n;

        other.database = "other";
        assert_int_equal(slot_story_ask(story, &other, NULL), 1);
        slot_story_pass(story, USEC_PER_SEC);
        assert_int_equal(slot_story_take(story, 0, SLOT_TOLD_CHANGED)->cluster, 2);
        for (unsigned i = 0; i < 20; i++) {
                assert_int_equal(slot_story_ask(story, &request, NULL), 1);
                slot_story_pass(story, 50 * USEC_PER_MSEC);
                assert_int_equal(slot_story_release(story, request.connection), 0);
        }
        n = slot_story_count(story, SLOT_TOLD_CHANGED);
        assert_in_range(n, 5, 11);
        while (n--)
                assert_int_equal(slot_story_take(story, 0, SLOT_TOLD_CHANGED)->cluster, 1);
}

static void a_reload_changes_the_number_of_slots(void **state)
{
        struct slot_story *story = *state;
        struct slot_request first = slot_story_hold(story, 1, NULL), second = slot_story_hold(story, 2, NULL),
                            third;

        third = slot_story_wait(story, 3);
        story->settings.ddl_slots = 3;
        slots_configure(story->slots, &story->settings);
        slot_story_settle(story);
        assert_non_null(slot_story_take(story, third.connection, SLOT_TOLD_GRANTED));
        story->settings.ddl_slots = 1;
        slots_configure(story->slots, &story->settings);
        assert_int_equal(slot_story_n_held(story, 1), 3);
        third = slot_story_wait(story, 4);
        assert_int_equal(slot_story_release(story, first.connection), 0);
        assert_int_equal(slot_story_release(story, second.connection), 0);
        slot_story_settle(story);
        assert_null(slot_story_take(story, third.connection, SLOT_TOLD_GRANTED));
}

/* ---- a cluster that has to be asked for ---- */

static void a_request_waits_until_its_cluster_is_known(void **state)
{
        struct slot_story *story = *state;
        struct slot_request request = slot_story_request(story, 1), second = slot_story_request(story, 2),
                            third = slot_story_request(story, 3), hasty = slot_story_request(story, 4);
        struct slot_request gone = slot_story_request(story, 5);

        request.database = second.database = third.database = hasty.database = gone.database = "far";
        hasty.no_wait = true;
        assert_int_equal(slot_story_ask(story, &request, NULL), 0);
        assert_int_equal(slot_story_ask(story, &gone, NULL), 0);
        assert_int_equal(slot_story_ask(story, &second, NULL), 0);
        assert_int_equal(slot_story_ask(story, &third, NULL), 0);
        assert_int_equal(slot_story_ask(story, &hasty, NULL), 0);
        assert_int_equal(slots_n_waiting(story->slots), 5);
        slots_connection_closed(story->slots, gone.connection);
        slot_story_settle(story);
        assert_null(slot_story_take(story, request.connection, SLOT_TOLD_QUEUED));
        fake_databases_answer(story->databases, NULL);
        slot_story_settle(story);
        assert_int_equal(slot_story_take(story, request.connection, SLOT_TOLD_GRANTED)->cluster, 3);
        assert_non_null(slot_story_take(story, second.connection, SLOT_TOLD_GRANTED));
        assert_int_equal(slot_story_take(story, third.connection, SLOT_TOLD_QUEUED)->position, 1);
        assert_int_equal(slot_story_take(story, hasty.connection, SLOT_TOLD_FAILED)->error, SLOTS_E_BUSY);
}

static void a_stop_forgets_what_was_asked(void **state)
{
        struct slot_story *story = *state;
        struct slot_request request = slot_story_request(story, 1);

        request.database = "far";
        assert_int_equal(slot_story_ask(story, &request, NULL), 0);
        assert_int_equal(fake_databases_n_asked(story->databases), 1);
        /* slot_story_teardown complains of a question left behind. */
}

static void a_server_that_does_not_answer_is_named(void **state)
{
        struct slot_story *story = *state;
        struct slot_request request = slot_story_request(story, 1);
        const struct slot_telling *failed;

        request.database = "far";
        assert_int_equal(slot_story_ask(story, &request, NULL), 0);
        fake_databases_answer(story->databases, "connection refused");
        slot_story_settle(story);
        failed = slot_story_take(story, request.connection, SLOT_TOLD_FAILED);
        assert_int_equal(failed->error, SLOTS_E_UNREACHABLE);
        assert_string_equal(failed->text, "connection refused");
}

/* ---- the sweep ---- */

static void the_sweep_comes_after_every_run(void **state)
{
        struct slot_story *story = *state;
        struct slot_request first = slot_story_hold(story, 1, NULL), second = slot_story_hold(story, 2, NULL),
                            run;

        slot_story_request_for_sweep(story, 1, 42);
        run = slot_story_wait(story, 3);
        assert_int_equal(slot_story_release(story, first.connection), 0);
        slot_story_settle(story);
        assert_non_null(slot_story_take(story, run.connection, SLOT_TOLD_GRANTED));
        assert_int_equal(story->sweep_granted, 0);
        assert_int_equal(slot_story_release(story, second.connection), 0);
        slot_story_settle(story);
        assert_int_equal(story->sweep_granted, 42);
        assert_int_equal(slot_story_n_held(story, 1), 2);
        assert_int_equal(memory_ledger_count(story->memory, LEDGER_SLOT_GRANTED), 3); /* not the sweep's */
        run = slot_story_wait(story, 4);
        slots_done_for_sweep(story->slots, 42);
        slot_story_settle(story);
        assert_non_null(slot_story_take(story, run.connection, SLOT_TOLD_GRANTED));
}

static void the_sweep_may_hold_a_slot_of_each_cluster(void **state)
{
        struct slot_story *story = *state;

        slot_story_request_for_sweep(story, 1, 42);
        slot_story_request_for_sweep(story, 2, 43);
        slot_story_settle(story);
        assert_int_equal(story->sweep_granted, 43);
        slots_done_for_sweep(story->slots, 43);
        assert_int_equal(slot_story_n_held(story, 1), 1);
        assert_int_equal(slot_story_n_held(story, 2), 0);
        (void)slot_story_hold(story, 1, NULL);
        slot_story_request_for_sweep(story, 1, 44);
        assert_int_equal(slots_n_waiting(story->slots), 0);
}

static void the_sweep_is_granted_later_and_may_leave_the_queue(void **state)
{
        struct slot_story *story = *state;

        slot_story_request_for_sweep(story, 1, 42);
        assert_int_equal(story->sweep_granted, 0);
        slots_done_for_sweep(story->slots, 42);
        slot_story_settle(story);
        assert_int_equal(story->sweep_granted, 0);
        assert_int_equal(slot_story_n_held(story, 1), 0);
        slots_done_for_sweep(story->slots, 42);
}

/* ---- the hot path ---- */

static void a_kept_connection_is_watched_once(void **state)
{
        struct slot_story *story = *state;
        struct slot_request request = slot_story_hold(story, 1, NULL);

        assert_int_equal(slot_story_release(story, request.connection), 0);
        for (unsigned i = 0; i < 1000; i++) {
                assert_int_equal(slot_story_ask(story, &request, NULL), 1);
                assert_int_equal(slot_story_release(story, request.connection), 0);
        }
        assert_int_equal(fake_env_n_watches(story->fake), 1);
        assert_int_equal(story->n_tellings, 0);
        slot_story_pass(story, USEC_PER_SEC);
        assert_int_equal(slot_story_count(story, SLOT_TOLD_CHANGED), 1);
        assert_int_equal(fake_env_n_timers_armed(story->fake), 0);
}

/* Whoever is told may hang up, or give it back, on the spot. */
static void hang_up(struct slot_story *story, const struct slot_telling *telling)
{
        if (telling->connection)
                slots_connection_closed(story->slots, telling->connection);
}

static void whoever_is_told_may_hang_up_on_the_spot(void **state)
{
        struct slot_story *story = *state;
        struct slot_request far = slot_story_request(story, 9);

        (void)slot_story_hold(story, 1, NULL);
        (void)slot_story_hold(story, 2, NULL);
        (void)slot_story_wait(story, 3);
        (void)slot_story_wait(story, 4);
        far.database = "far";
        assert_int_equal(slot_story_ask(story, &far, NULL), 0);
        slot_story_pass(story, USEC_PER_SEC);
        story->watcher = hang_up;
        slots_lease_ended(story->slots, 1, true, NULL);
        slots_lease_ended(story->slots, 4, true, NULL);
        fake_databases_answer(story->databases, "no");
        slot_story_pass(story, USEC_PER_SEC);
        assert_int_equal(slot_story_n_held(story, 1), 1);
        assert_int_equal(slots_n_waiting(story->slots), 0);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, slot_story_setup, slot_story_teardown)
        const struct CMUnitTest tests[] = {
                STORY(two_hold_and_the_third_waits),
                STORY(the_worker_s_number_does_not_matter),
                STORY(databases_of_one_cluster_share_its_slots),
                STORY(a_grant_is_on_record_before_anybody_asks_for_it_again),
                STORY(a_closed_connection_frees_its_slot),
                STORY(an_inherited_socket_does_not_keep_a_slot),
                STORY(a_waiter_whose_process_is_gone_leaves_the_queue),
                STORY(a_waiter_that_hangs_up_leaves_the_queue),
                STORY(who_hangs_up_before_his_grant_is_told_passes_it_on),
                STORY(a_silent_holder_keeps_its_slot),
                STORY(the_slots_of_an_ended_lease_go_and_its_waiters_are_told),
                STORY(a_grant_not_told_yet_ends_with_its_lease),
                STORY(a_second_release_is_refused_and_hits_nobody),
                STORY(a_slot_is_released_on_another_connection_of_its_lease),
                STORY(nobody_releases_what_he_was_not_told_of_or_what_is_the_sweep_s),
                STORY(what_a_dead_connection_held_is_not_handed_to_its_own_request),
                STORY(a_connection_may_hold_a_slot_of_each_cluster),
                STORY(who_will_not_wait_is_told_busy),
                STORY(waiting_ends_when_its_time_has_passed),
                STORY(a_run_of_many_workers_does_not_starve_its_neighbour),
                STORY(places_of_two_hundred_waiters_are_no_storm),
                STORY(a_place_is_told_again_when_it_has_changed),
                STORY(subscribers_hear_of_changes_also_while_they_never_stop),
                STORY(a_reload_changes_the_number_of_slots),
                STORY(a_request_waits_until_its_cluster_is_known),
                STORY(a_stop_forgets_what_was_asked),
                STORY(a_server_that_does_not_answer_is_named),
                STORY(the_sweep_comes_after_every_run),
                STORY(the_sweep_may_hold_a_slot_of_each_cluster),
                STORY(the_sweep_is_granted_later_and_may_leave_the_queue),
                STORY(a_kept_connection_is_watched_once),
                STORY(whoever_is_told_may_hang_up_on_the_spot),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
