/* SPDX-License-Identifier: MIT */

/* What happens seldom to slots: odd rows, clusters that moved, callbacks that change what is being told. */

#include "slot_story.h"

#include "service/slot_record.h"

#include <stdio.h>
#include <string.h>

static bool is_at_rest(const struct slot_story *story)
{
        return TAILQ_EMPTY(&story->slots->all);
}

struct seen {
        unsigned n, n_waiting;
        struct slot_use last;
};

static void see(void *owner, const struct slot_use *use, unsigned position)
{
        struct seen *seen = owner;

        seen->n++;
        seen->n_waiting += position > 0;
        seen->last = *use;
}

static struct seen look(struct slot_story *story, unsigned cluster)
{
        struct seen seen = {0};

        slots_each(story->slots, cluster, see, &seen);
        return seen;
}

static bool has_slot(struct slot_story *story, const struct slot_request *waiter)
{
        slot_story_settle(story);
        return slot_story_take(story, waiter->connection, SLOT_TOLD_GRANTED);
}

/* ---- looking ---- */

static void a_holder_is_shown_with_its_worker_and_its_state(void **state)
{
        struct slot_story *story = *state;
        struct slot_request request = slot_story_request(story, 1);
        struct seen seen;

        request.worker = NULL;
        assert_int_equal(slot_story_ask(story, &request, NULL), 1);
        seen = look(story, 1);
        assert_int_equal(seen.n, 1);
        assert_string_equal(seen.last.worker, "gw0");
        assert_int_equal(seen.last.state, SLOT_HELD);
        assert_int_equal(look(story, 0).n, 0); /* no cluster */
        assert_int_equal(look(story, 9).n, 0); /* one that nobody knows */
        assert_int_equal(look(story, 2).n, 0);
}

static void a_slot_of_a_former_life_is_shown_on_its_own_cluster(void **state)
{
        struct slot_story *story = *state;
        struct seen seen;

        (void)slot_story_hold(story, 1, NULL);
        slot_story_pass(story, USEC_PER_SEC);
        slot_story_restart(story);
        seen = look(story, 1);
        assert_int_equal(seen.n, 1);
        assert_string_equal(seen.last.namespace, "mydebug");
        assert_string_equal(seen.last.worker, "gw3");
        assert_int_equal(seen.last.state, SLOT_HELD);
        assert_int_equal(look(story, 2).n, 0);
}

static void a_drained_slot_has_no_connection_any_more_and_is_told_as_a_change(void **state)
{
        struct slot_story *story = *state;
        struct slot_request holder = slot_story_hold(story, 1, NULL);
        struct seen seen;
        unsigned n;

        fake_server_set_busy(story->server, 1);
        slot_story_pass(story, USEC_PER_SEC);
        n = slot_story_count(story, SLOT_TOLD_CHANGED);
        fake_env_kill(story->fake, &holder.peer.process);
        slot_story_pass(story, USEC_PER_SEC);
        assert_non_null(slot_story_take(story, holder.connection, SLOT_TOLD_LET_GO));
        seen = look(story, 1);
        assert_int_equal(seen.last.state, SLOT_DRAINING);
        assert_int_equal(seen.last.connection, 0);
        assert_int_equal(slot_story_count(story, SLOT_TOLD_CHANGED), n + 1);
}

struct line {
        char text[64];
};

static void spell(void *owner, const struct slot_use *use, unsigned position)
{
        struct line *line = owner;
        char word[24];

        (void)snprintf(word, sizeof(word), "%d:%d:%u ", (int)use->lease, use->slot, position);
        (void)strcat(line->text, word);
}

static void holders_have_no_place_and_waiters_theirs(void **state)
{
        struct slot_story *story = *state;
        struct slot_request labelled = slot_story_request(story, 4);
        struct line line = {""};
        struct seen seen;

        (void)slot_story_hold(story, 1, NULL);
        (void)slot_story_hold(story, 2, NULL);
        (void)slot_story_wait(story, 3);
        labelled.label = "a label";
        labelled.database = "tenant";
        assert_int_equal(slot_story_ask(story, &labelled, NULL), 0);
        slots_each(story->slots, 1, spell, &line);
        assert_string_equal(line.text, "1:0:0 2:1:0 3:-1:1 4:-1:2 ");
        seen = look(story, 1);
        assert_int_equal(seen.n_waiting, 2);
        assert_int_equal(seen.last.state, SLOT_WAITING);
        assert_string_equal(seen.last.label, "a label");
        assert_string_equal(seen.last.database, "tenant");
        slot_story_settle(story);
        slot_story_restart(story);
        line.text[0] = '\0';
        slots_each(story->slots, 1, spell, &line);
        assert_string_equal(line.text, "1:0:0 2:1:0 ");
}

/* ---- nothing is left behind ---- */

static void what_is_over_is_forgotten(void **state)
{
        struct slot_story *story = *state;
        struct slot_request first = slot_story_hold(story, 1, NULL), second = slot_story_hold(story, 2, NULL),
                            waiter = slot_story_wait(story, 3);

        slots_lease_ended(story->slots, 3, false, NULL); /* a waiter */
        slot_story_settle(story);
        assert_non_null(slot_story_take(story, waiter.connection, SLOT_TOLD_FAILED));
        slots_lease_ended(story->slots, 1, false, NULL); /* a holder that gave back */
        slot_story_settle(story);
        assert_non_null(slot_story_take(story, first.connection, SLOT_TOLD_LET_GO));
        fake_env_kill(story->fake, &second.peer.process); /* a dead one */
        slot_story_pass(story, 10 * USEC_PER_SEC);
        assert_non_null(slot_story_take(story, second.connection, SLOT_TOLD_LET_GO));
        assert_true(is_at_rest(story));
}

static void what_nobody_can_be_asked_about_is_forgotten_at_once(void **state)
{
        struct slot_story *story = *state;
        struct slot_request holder = slot_story_hold(story, 1, NULL);

        fake_databases_configure_none(story->databases);
        slots_connection_closed(story->slots, holder.connection);
        assert_true(is_at_rest(story));
        assert_null(slots_free(NULL));
}

static void whoever_asked_in_vain_is_forgotten(void **state)
{
        struct slot_story *story = *state;
        struct slot_request request = slot_story_request(story, 1), first, second;

        request.database = "nowhere";
        assert_int_equal(slot_story_ask(story, &request, NULL), -SLOTS_E_NO_SUCH_DATABASE);
        assert_true(is_at_rest(story));
        first = slot_story_hold(story, 1, NULL);
        second = slot_story_hold(story, 2, NULL);
        request.database = "main";
        request.no_wait = true;
        assert_int_equal(slot_story_ask(story, &request, NULL), -SLOTS_E_BUSY);
        request = slot_story_wait(story, 3);
        slots_connection_closed(story->slots, request.connection);
        assert_int_equal(slot_story_release(story, first.connection), 0);
        assert_false(is_at_rest(story));
        assert_int_equal(slot_story_release(story, second.connection), 0);
        assert_true(is_at_rest(story));
        slots_connection_closed(story->slots, first.connection);
        slots_connection_closed(story->slots, second.connection);
        slots_connection_closed(story->slots, 4711);                /* never heard of */
        assert_int_equal(HASH_COUNT(story->slots->connections), 1); /* that which was told BUSY */
        assert_int_equal(fake_env_n_watched(story->fake), 1);
}

/* ---- waiting ---- */

static void all_whose_place_has_changed_are_told(void **state)
{
        struct slot_story *story = *state;
        struct slot_request waiters[3];

        (void)slot_story_hold(story, 1, NULL);
        (void)slot_story_hold(story, 2, NULL);
        for (unsigned i = 0; i < 3; i++)
                waiters[i] = slot_story_wait(story, 3 + i);
        slot_story_pass(story, USEC_PER_SEC);
        for (unsigned i = 0; i < 3; i++)
                assert_int_equal(slot_story_take(story, waiters[i].connection, SLOT_TOLD_QUEUED)->position,
                                 i + 1);
        slots_connection_closed(story->slots, waiters[0].connection);
        slot_story_pass(story, USEC_PER_SEC);
        assert_int_equal(slot_story_take(story, waiters[1].connection, SLOT_TOLD_QUEUED)->position, 1);
        assert_int_equal(slot_story_take(story, waiters[2].connection, SLOT_TOLD_QUEUED)->position, 2);
}

static uint64_t hangs_up;
static int64_t ends;

/* Whoever hears of his new place has another one hang up, or its lease end. */
static void disturb(struct slot_story *story, const struct slot_telling *telling)
{
        if (telling->what != SLOT_TOLD_QUEUED)
                return;
        if (hangs_up)
                slots_connection_closed(story->slots, hangs_up);
        if (ends)
                slots_lease_ended(story->slots, ends, false, NULL);
        hangs_up = 0;
        ends = 0;
}

static void who_leaves_while_places_are_told_is_told_none(void **state)
{
        struct slot_story *story = *state;
        struct slot_request waiters[4];

        (void)slot_story_hold(story, 1, NULL);
        (void)slot_story_hold(story, 2, NULL);
        for (unsigned i = 0; i < 4; i++)
                waiters[i] = slot_story_wait(story, 3 + i);
        slot_story_pass(story, USEC_PER_SEC);
        for (unsigned i = 0; i < 4; i++)
                assert_non_null(slot_story_take(story, waiters[i].connection, SLOT_TOLD_QUEUED));
        hangs_up = waiters[2].connection;
        ends = 3 + 3;
        story->watcher = disturb;
        slots_connection_closed(story->slots, waiters[0].connection);
        slot_story_pass(story, USEC_PER_SEC);
        assert_int_equal(slot_story_take(story, waiters[1].connection, SLOT_TOLD_QUEUED)->position, 1);
        assert_null(slot_story_take(story, waiters[2].connection, SLOT_TOLD_QUEUED));
        assert_null(slot_story_take(story, waiters[3].connection, SLOT_TOLD_QUEUED));
        assert_non_null(slot_story_take(story, waiters[3].connection, SLOT_TOLD_FAILED));
}

static struct slot_request wait_for(struct slot_story *story, uint64_t timeout_usec)
{
        struct slot_request request = slot_story_request(story, 9);

        request.timeout_usec = timeout_usec;
        assert_int_equal(slot_story_ask(story, &request, NULL), 0);
        return request;
}

static void a_time_out_may_be_endless_or_longer_than_the_host_is_up(void **state)
{
        struct slot_story *story = *state;
        struct slot_request endless, late, early;

        (void)slot_story_hold(story, 1, NULL);
        (void)slot_story_hold(story, 2, NULL);
        early = wait_for(story, USEC_PER_SEC);
        endless = wait_for(story, UINT64_MAX);
        late = wait_for(story, 5000 * USEC_PER_SEC);
        slot_story_pass(story, USEC_PER_SEC);
        assert_non_null(slot_story_take(story, early.connection, SLOT_TOLD_FAILED));
        slot_story_pass(story, 4999 * USEC_PER_SEC - 1);
        assert_null(slot_story_take(story, late.connection, SLOT_TOLD_FAILED));
        slot_story_pass(story, 1);
        assert_non_null(slot_story_take(story, late.connection, SLOT_TOLD_FAILED));
        slot_story_pass(story, 1000 * 24 * 3600 * USEC_PER_SEC);
        assert_null(slot_story_take(story, endless.connection, SLOT_TOLD_FAILED));
}

/* Time goes on while the list is gone through: what was not due at its beginning is overdue at its end. */
static void a_deadline_that_passes_while_others_are_looked_at_is_not_missed(void **state)
{
        struct slot_story *story = *state;
        struct slot_request first, second;

        (void)slot_story_hold(story, 1, NULL);
        (void)slot_story_hold(story, 2, NULL);
        first = wait_for(story, USEC_PER_SEC);
        second = wait_for(story, USEC_PER_SEC + 8);
        slot_story_settle(story);
        fake_env_tick(story->fake, 5);
        slot_story_pass(story, USEC_PER_SEC);
        fake_env_tick(story->fake, 0);
        assert_non_null(slot_story_take(story, first.connection, SLOT_TOLD_FAILED));
        assert_non_null(slot_story_take(story, second.connection, SLOT_TOLD_FAILED));
}

/* ---- restarts ---- */

static int64_t lose(struct slot_story *story, const struct ledger_change *like)
{
        struct ledger_change row = *like;

        row.kind = LEDGER_SLOT_GRANTED;
        row.lease = 1;
        row.grant = 77 + memory_ledger_count(story->memory, LEDGER_SLOT_GRANTED);
        row.namespace = "mydebug";
        row.uid = 1000;
        row.exit_status = -1;
        row.process = fake_env_spawn(story->fake);
        slots_free(story->slots);
        story->slots = NULL;
        memory_ledger_cut(story->memory);
        {
                struct ledger *ledger = memory_ledger(story->memory);

                ledger->ops->submit(ledger, &row, NULL, NULL, 0);
                (void)memory_ledger_confirm(story->memory);
        }
        slot_story_restart(story);
        return row.grant;
}

static const struct slot_use *claim(struct slot_story *story, int64_t grant, const char *database)
{
        struct slot_request back = slot_story_request(story, 1);
        const struct slot_use *use;

        back.reclaim = grant;
        back.database = database;
        assert_int_equal(slots_acquire(story->slots, &back, &use), 1);
        return use;
}

static void a_row_that_says_little_is_a_slot_all_the_same(void **state)
{
        struct slot_story *story = *state;
        int64_t grant = lose(story, &(struct ledger_change){.slot = -1});
        const struct slot_use *use;
        uint64_t held;

        (void)slot_story_wait(story, 2);
        use = claim(story, grant, "main");
        assert_int_equal(use->slot, 0);
        /* Longer held than the host is up: from its start, as far as we can say. */
        assert_int_equal(use->granted_usec, use->asked_usec);
        assert_int_equal(slots_release(story->slots, use->connection, 0, 0, &held), 0);
        assert_int_equal(held, 0);
}

static void a_row_without_a_cluster_is_given_up_without_asking(void **state)
{
        struct slot_story *story = *state;
        struct slot_request waiter;

        (void)lose(story, &(struct ledger_change){.slot = 1});
        waiter = slot_story_wait(story, 2);
        fake_server_set_busy(story->server, 1);
        slots_lease_ended(story->slots, 1, true, NULL);
        assert_true(has_slot(story, &waiter));
        assert_string_equal(memory_ledger_last(story->memory, LEDGER_SLOT_FREED)->detail, "revoked");
}

static void rows_of_other_kinds_are_no_slots(void **state)
{
        struct slot_story *story = *state;

        slots_load(story->slots,
                   &(struct ledger_change){.kind = LEDGER_LEASE_GRANTED, .namespace = "mydebug"});
        assert_true(is_at_rest(story));
}

static void held_counts_from_its_grant_whatever_the_clock_says(void **state)
{
        struct slot_story *story = *state;
        uint64_t boottime = env_boottime(fake_env(story->fake)), real = env_realtime(fake_env(story->fake));
        struct ledger_change row = {.slot = 0};

        row.time_usec = real + USEC_PER_SEC; /* the clock has been put back since */
        assert_int_equal(claim(story, lose(story, &row), "main")->granted_usec, boottime);
        slot_story_settle(story);
        slots_lease_ended(story->slots, 1, false, NULL);
        slot_story_settle(story);
        row.time_usec = real - boottime; /* as long as the host is up: before anything of ours was there */
        assert_int_equal(claim(story, lose(story, &row), "main")->granted_usec, boottime);
        slots_lease_ended(story->slots, 1, false, NULL);
        slot_story_settle(story);
        row.time_usec = real - 7;
        assert_int_equal(claim(story, lose(story, &row), "main")->granted_usec, boottime - 7);
}

static void two_holders_of_one_number_have_two(void **state)
{
        struct slot_story *story = *state;
        int64_t here_grant, there_grant;
        struct slot_request here = slot_story_hold(story, 1, &here_grant),
                            there = slot_story_request(story, 2);
        const struct slot_use *use;

        there.database = "other";
        assert_int_equal(slot_story_ask(story, &there, &there_grant), 1);
        slot_story_settle(story);
        slot_story_restart(story);
        here.connection = ++story->last_connection;
        here.reclaim = here_grant;
        assert_int_equal(slots_acquire(story->slots, &here, &use), 1);
        assert_int_equal(use->slot, 0);
        there.connection = ++story->last_connection;
        there.reclaim = there_grant;
        there.database = "tenant"; /* on the first one's cluster, after all */
        assert_int_equal(slots_acquire(story->slots, &there, &use), 1);
        assert_int_equal(use->slot, 1);
        assert_int_equal(look(story, 1).n, 2);
}

static void a_lost_slot_that_is_revoked_is_drained(void **state)
{
        struct slot_story *story = *state;
        struct slot_request waiter;

        (void)slot_story_hold(story, 1, NULL);
        (void)slot_story_hold(story, 2, NULL);
        slot_story_settle(story);
        slot_story_restart(story);
        waiter = slot_story_wait(story, 3);
        fake_server_set_busy(story->server, 1);
        slots_lease_ended(story->slots, 1, true, "operator");
        slots_lease_ended(story->slots, 2, true, "operator");
        slot_story_pass(story, USEC_PER_SEC);
        assert_false(has_slot(story, &waiter));
        assert_int_equal(look(story, 1).n, 3);
        fake_server_set_busy(story->server, 0);
        slot_story_pass(story, 10 * USEC_PER_SEC);
        assert_true(has_slot(story, &waiter));
        assert_string_equal(memory_ledger_last(story->memory, LEDGER_SLOT_FREED)->detail, "revoked");
        slots_lease_ended(story->slots, 3, false, NULL);
        slot_story_settle(story);
        assert_true(is_at_rest(story));
}

static void a_former_holder_that_releases_is_on_record_so(void **state)
{
        struct slot_story *story = *state;
        int64_t grant;
        uint64_t held;

        (void)slot_story_hold(story, 1, &grant);
        slot_story_settle(story);
        slot_story_restart(story);
        fake_server_set_busy(story->server, 1);
        assert_int_equal(slots_release(story->slots, 77, 1, grant, &held), 0);
        assert_string_equal(memory_ledger_last(story->memory, LEDGER_SLOT_FREED)->detail, "released");
        assert_true(is_at_rest(story));
}

/* A promoted clone has its system_identifier from the server it was copied from; its address is its own. */
static void a_holder_on_a_clone_is_drained_on_the_clone(void **state)
{
        struct slot_story *story = *state;
        struct slot_request holder = slot_story_request(story, 1);

        fake_databases_add_clone(story->databases, "clone", 4, 1);
        holder.database = "clone";
        assert_int_equal(slot_story_ask(story, &holder, NULL), 1);
        slot_story_settle(story);
        fake_env_kill(story->fake, &holder.peer.process);
        fake_server_set_busy(story->server, 1);
        slot_story_restart(story);
        slot_story_settle(story);
        assert_int_equal(look(story, 1).n, 0);
        assert_int_equal(look(story, 4).n, 1);
        assert_int_equal(look(story, 4).last.cluster, 4);
        fake_server_set_busy(story->server, 0);
        slot_story_pass(story, 10 * USEC_PER_SEC);
        assert_true(is_at_rest(story));
}

/* Found by the simulation: the original was asked for the clone's holder, and of course nobody builds there. */
static void a_holder_on_a_clone_that_is_not_known_yet_waits_for_it(void **state)
{
        struct slot_story *story = *state;
        struct slot_request holder = slot_story_request(story, 1), other = slot_story_request(story, 2);

        fake_databases_add_clone(story->databases, "clone", 4, 1);
        holder.database = other.database = "clone";
        assert_int_equal(slot_story_ask(story, &holder, NULL), 1);
        slot_story_settle(story);
        fake_env_kill(story->fake, &holder.peer.process);
        fake_databases_forget(story->databases, "clone");
        slot_story_restart(story);
        slots_lease_ended(story->slots, 1, true, NULL);
        slot_story_pass(story, USEC_PER_SEC);
        assert_int_equal(fake_server_n_asked(story->server, PG_HOLDER_BUSY), 0);
        assert_false(is_at_rest(story));
        assert_int_equal(slot_story_ask(story, &other, NULL), 0);
        fake_databases_answer(story->databases, NULL);
        fake_server_set_busy(story->server, 1);
        slot_story_pass(story, START_GRACE);
        assert_int_equal(look(story, 1).n, 0);
        assert_int_equal(look(story, 4).n, 2);
        fake_server_set_busy(story->server, 0);
        slot_story_pass(story, 10 * USEC_PER_SEC);
        assert_int_equal(look(story, 4).n, 1);
        assert_string_equal(memory_ledger_last(story->memory, LEDGER_SLOT_FREED)->detail, "died");
}

static void a_clone_that_is_never_heard_of_holds_nothing_up_for_longer_than_the_grace(void **state)
{
        struct slot_story *story = *state;

        (void)lose(story, &(struct ledger_change){.slot = 0, .cluster = "700000000001@5432 /run/clone"});
        slots_lease_ended(story->slots, 1, true, NULL);
        slot_story_pass(story, START_GRACE - USEC_PER_SEC);
        assert_false(is_at_rest(story)); /* "far" may be it */
        slot_story_pass(story, 10 * USEC_PER_SEC);
        assert_true(is_at_rest(story));
}

/* The answer names the first of that identifier, and that is the original. */
static void an_answer_that_names_the_original_is_not_the_clone_s(void **state)
{
        struct slot_story *story = *state;

        fake_databases_add(story->databases, "yonder", 5, false);
        (void)lose(story, &(struct ledger_change){.slot = 0, .cluster = "700000000003@5432 /run/clone"});
        slots_lease_ended(story->slots, 1, true, NULL);
        fake_databases_answer(story->databases, NULL); /* far is known now, and yonder is not */
        slot_story_pass(story, USEC_PER_SEC);
        assert_false(is_at_rest(story));
        slot_story_pass(story, START_GRACE + 10 * USEC_PER_SEC);
        assert_true(is_at_rest(story));
}

static void a_server_that_has_moved_is_the_one_with_its_identifier(void **state)
{
        struct slot_story *story = *state;
        struct slot_request far = slot_story_request(story, 5);

        far.database = "far"; /* with it every cluster is known */
        assert_int_equal(slot_story_ask(story, &far, NULL), 0);
        fake_databases_answer(story->databases, NULL);
        slot_story_settle(story);
        slots_connection_closed(story->slots, far.connection);
        slot_story_pass(story, USEC_PER_SEC);
        (void)lose(story, &(struct ledger_change){.slot = 0, .cluster = "700000000002@5432 /run/elsewhere"});
        fake_server_set_busy(story->server, 1);
        slots_lease_ended(story->slots, 1, true, NULL);
        slot_story_settle(story);
        assert_int_equal(look(story, 2).n, 1);
        fake_server_set_busy(story->server, 0);
        slot_story_pass(story, 10 * USEC_PER_SEC);
        assert_true(is_at_rest(story));
}

/* The cluster is known, and no database of it is configured any more by the time it is asked for. */
static void a_cluster_without_a_database_is_not_drained(void **state)
{
        struct slot_story *story = *state;

        (void)lose(story, &(struct ledger_change){.slot = 0, .cluster = "700000000003@5432 /run/3"});
        slots_lease_ended(story->slots, 1, true, NULL); /* far: to be asked for */
        assert_int_equal(fake_databases_n_asked(story->databases), 1);
        slots_lease_ended(story->slots, 1, true, NULL); /* is being asked for */
        assert_int_equal(fake_databases_n_asked(story->databases), 1);
        fake_databases_configure_none(story->databases);
        fake_databases_answer(story->databases, NULL);
        assert_true(is_at_rest(story));
        (void)slot_story_hold(story, 2, NULL);
}

static void a_slot_of_no_configured_database_is_given_up(void **state)
{
        struct slot_story *story = *state;

        (void)lose(story, &(struct ledger_change){.slot = 0, .cluster = "700000000003@5432 /run/3"});
        fake_databases_configure_none(story->databases);
        slots_lease_ended(story->slots, 1, true, NULL);
        assert_true(is_at_rest(story));
        assert_int_equal(fake_databases_n_asked(story->databases), 0);
}

static void a_cluster_that_cannot_be_found_is_on_record_and_forgotten(void **state)
{
        struct slot_story *story = *state;

        (void)lose(story, &(struct ledger_change){.slot = 0, .cluster = "700000000003@5432 /run/3"});
        slots_lease_ended(story->slots, 1, true, NULL);
        fake_databases_answer(story->databases, "no route");
        assert_true(is_at_rest(story));
        assert_non_null(strstr(memory_ledger_last(story->memory, LEDGER_NOTED)->detail, "no route"));
        assert_string_equal(memory_ledger_last(story->memory, LEDGER_SLOT_FREED)->detail, "revoked");
}

static void who_has_claimed_is_a_change_and_nothing_more_is_waited_for(void **state)
{
        struct slot_story *story = *state;
        int64_t grant;
        unsigned n, n_armed;

        (void)slot_story_hold(story, 1, &grant);
        slot_story_pass(story, USEC_PER_SEC);
        n_armed = fake_env_n_timers_armed(story->fake);
        slot_story_restart(story);
        slot_story_pass(story, USEC_PER_SEC);
        n = slot_story_count(story, SLOT_TOLD_CHANGED);
        (void)claim(story, grant, "main");
        slot_story_pass(story, USEC_PER_SEC);
        assert_int_equal(slot_story_count(story, SLOT_TOLD_CHANGED), n + 1);
        assert_int_equal(fake_env_n_timers_armed(story->fake), n_armed); /* no grace any more */
        assert_int_equal(look(story, 1).last.state, SLOT_HELD);
}

static void who_claims_what_is_not_there_waits_like_anybody(void **state)
{
        struct slot_story *story = *state;
        struct slot_request request = slot_story_request(story, 3);

        (void)slot_story_hold(story, 1, NULL);
        (void)slot_story_hold(story, 2, NULL);
        request.reclaim = 4711;
        assert_int_equal(slot_story_ask(story, &request, NULL), 0);
        assert_int_equal(look(story, 1).n, 3);
}

static void a_holder_that_cannot_be_looked_at_is_not_dead(void **state)
{
        struct slot_story *story = *state;
        struct slot_request holder = slot_story_hold(story, 1, NULL);

        slot_story_settle(story);
        fake_env_hide(story->fake, &holder.peer.process);
        slot_story_restart(story);
        slot_story_settle(story);
        assert_int_equal(look(story, 1).n, 1);
        assert_null(memory_ledger_last(story->memory, LEDGER_SLOT_FREED));
}

static void a_former_slot_is_claimed_by_the_name_its_holder_gave_it(void **state)
{
        struct slot_story *story = *state;
        struct slot_request nameless = slot_story_hold(story, 1, NULL), named = slot_story_request(story, 1),
                            back;
        int64_t grant, again;

        named.request = "mine";
        assert_int_equal(slot_story_ask(story, &named, &grant), 1);
        slot_story_settle(story);
        slot_story_restart(story);
        back = slot_story_request(story, 1);
        back.request = "yours";
        assert_int_equal(slot_story_ask(story, &back, NULL), 0);
        back = slot_story_request(story, 1);
        assert_int_equal(slot_story_ask(story, &back, NULL), 0);
        back = slot_story_request(story, 1);
        back.request = "mine";
        assert_int_equal(slot_story_ask(story, &back, &again), 1);
        assert_int_equal(again, grant);
        (void)nameless;
}

static void what_is_being_given_up_is_not_adopted(void **state)
{
        struct slot_story *story = *state;
        int64_t grant =
                lose(story, &(struct ledger_change){.slot = 0, .cluster = "700000000003@5432 /run/3"});

        assert_non_null(slots_lost_peer(story->slots, grant));
        slots_lease_ended(story->slots, 1, true, NULL);
        assert_null(slots_lost_peer(story->slots, grant));
        assert_int_equal(slots_adopt(story->slots, grant, 900), -SLOTS_E_NOT_HELD);
}

static void a_row_without_a_cluster_is_adopted_on_the_only_one(void **state)
{
        struct slot_story *story = *state;
        int64_t grant = lose(story, &(struct ledger_change){.slot = 0}), held;

        assert_int_equal(slots_adopt(story->slots, grant, 900), 1);
        assert_int_equal(slots_held_on(story->slots, 900, &held, 1), 1);
        assert_int_equal(held, grant);
        assert_null(slots_lost_peer(story->slots, grant));
}

static void a_stop_while_a_lost_slot_s_cluster_is_asked_for_leaves_nothing_behind(void **state)
{
        struct slot_story *story = *state;

        (void)lose(story, &(struct ledger_change){.slot = 0, .cluster = "700000000003@5432 /run/3"});
        slots_lease_ended(story->slots, 1, true, NULL);
        assert_int_equal(fake_databases_n_asked(story->databases), 1);
        /* slot_story_teardown complains of a question left behind. */
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, slot_story_setup, slot_story_teardown)
        const struct CMUnitTest tests[] = {
                STORY(a_holder_is_shown_with_its_worker_and_its_state),
                STORY(a_slot_of_a_former_life_is_shown_on_its_own_cluster),
                STORY(a_drained_slot_has_no_connection_any_more_and_is_told_as_a_change),
                STORY(holders_have_no_place_and_waiters_theirs),
                STORY(whoever_asked_in_vain_is_forgotten),
                STORY(a_cluster_that_cannot_be_found_is_on_record_and_forgotten),
                STORY(who_has_claimed_is_a_change_and_nothing_more_is_waited_for),
                STORY(who_claims_what_is_not_there_waits_like_anybody),
                STORY(a_holder_that_cannot_be_looked_at_is_not_dead),
                STORY(what_is_over_is_forgotten),
                STORY(what_nobody_can_be_asked_about_is_forgotten_at_once),
                STORY(all_whose_place_has_changed_are_told),
                STORY(who_leaves_while_places_are_told_is_told_none),
                STORY(a_time_out_may_be_endless_or_longer_than_the_host_is_up),
                STORY(a_deadline_that_passes_while_others_are_looked_at_is_not_missed),
                STORY(a_row_that_says_little_is_a_slot_all_the_same),
                STORY(a_row_without_a_cluster_is_given_up_without_asking),
                STORY(rows_of_other_kinds_are_no_slots),
                STORY(held_counts_from_its_grant_whatever_the_clock_says),
                STORY(two_holders_of_one_number_have_two),
                STORY(a_lost_slot_that_is_revoked_is_drained),
                STORY(a_former_holder_that_releases_is_on_record_so),
                STORY(a_holder_on_a_clone_is_drained_on_the_clone),
                STORY(a_holder_on_a_clone_that_is_not_known_yet_waits_for_it),
                STORY(a_clone_that_is_never_heard_of_holds_nothing_up_for_longer_than_the_grace),
                STORY(an_answer_that_names_the_original_is_not_the_clone_s),
                STORY(a_former_slot_is_claimed_by_the_name_its_holder_gave_it),
                STORY(what_is_being_given_up_is_not_adopted),
                STORY(a_row_without_a_cluster_is_adopted_on_the_only_one),
                STORY(a_server_that_has_moved_is_the_one_with_its_identifier),
                STORY(a_cluster_without_a_database_is_not_drained),
                STORY(a_slot_of_no_configured_database_is_given_up),
                STORY(a_stop_while_a_lost_slot_s_cluster_is_asked_for_leaves_nothing_behind),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
