/* SPDX-License-Identifier: MIT */
/*
 * The slot queue, by example, and against a model that is too simple to be wrong: a flat list of requests,
 * where each party has the number of the turn at which it last went to the end of the round.
 */
#include "core/slot_queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Hands out one slot; 0: nobody got one. */
static uint64_t next(struct slot_queue *queue)
{
        struct slot_entry entry = {0};

        return slot_queue_next(queue, &entry) ? entry.id : 0;
}

static void request(struct slot_queue *queue, uint64_t id, uint64_t party)
{
        slot_queue_request(queue, id, party, SLOT_FOR_RUN);
}

static void a_free_slot_is_granted_and_the_third_waits(void **state)
{
        struct slot_queue *queue = slot_queue_new(2);
        struct slot_entry entry;

        (void)state;
        assert_false(slot_queue_next(queue, &entry));
        for (uint64_t id = 1; id <= 3; id++)
                request(queue, id, id);
        assert_true(slot_queue_next(queue, &entry));
        assert_int_equal(entry.id, 1);
        assert_int_equal(entry.party, 1);
        assert_int_equal(entry.slot, 0);
        assert_int_equal(entry.state, SLOT_HELD);
        assert_int_equal(next(queue), 2);
        assert_int_equal(next(queue), 0);
        assert_int_equal(slot_queue_n_held(queue), 2);
        assert_int_equal(slot_queue_n_waiting(queue), 1);
        assert_true(slot_queue_remove(queue, 1));
        assert_true(slot_queue_next(queue, &entry));
        assert_int_equal(entry.id, 3);
        assert_int_equal(entry.slot, 0); /* the one that came free */
        slot_queue_free(queue);
}

static void workers_of_one_run_are_served_in_their_order(void **state)
{
        struct slot_queue *queue = slot_queue_new(1);

        (void)state;
        for (uint64_t id = 1; id <= 9; id++)
                request(queue, id, 7);
        for (uint64_t id = 1; id <= 9; id++) {
                assert_int_equal(next(queue), id);
                slot_queue_remove(queue, id);
        }
        slot_queue_free(queue);
}

static void one_request_each_is_plain_fifo(void **state)
{
        struct slot_queue *queue = slot_queue_new(1);

        (void)state;
        for (uint64_t id = 1; id <= 9; id++)
                request(queue, id, 100 - id);
        for (uint64_t id = 1; id <= 9; id++) {
                assert_int_equal(next(queue), id);
                slot_queue_remove(queue, id);
                request(queue, id + 9, 100 - id); /* and comes again */
        }
        for (uint64_t id = 10; id <= 18; id++) {
                assert_int_equal(next(queue), id);
                slot_queue_remove(queue, id);
        }
        slot_queue_free(queue);
}

static void a_run_of_22_workers_cannot_starve_its_neighbour(void **state)
{
        struct slot_queue *queue = slot_queue_new(2);
        uint64_t again = 1000;

        (void)state;
        for (uint64_t id = 1; id <= 22; id++)
                request(queue, id, 7);
        assert_int_equal(next(queue), 1);
        assert_int_equal(next(queue), 2);
        request(queue, 100, 8);
        request(queue, 101, 8);
        assert_int_equal(slot_queue_position(queue, 100), 2);
        assert_int_equal(slot_queue_position(queue, 101), 4);

        /* Each worker that is done comes again at once: the neighbour still has every second turn. */
        slot_queue_remove(queue, 1);
        request(queue, again++, 7);
        assert_int_equal(next(queue), 3);
        slot_queue_remove(queue, 2);
        request(queue, again++, 7);
        assert_int_equal(next(queue), 100);
        slot_queue_remove(queue, 3);
        request(queue, again++, 7);
        assert_int_equal(next(queue), 4);
        slot_queue_remove(queue, 100);
        assert_int_equal(next(queue), 101);
        slot_queue_free(queue);
}

static void the_sweep_waits_behind_every_run(void **state)
{
        struct slot_queue *queue = slot_queue_new(1);

        (void)state;
        slot_queue_request(queue, 1, 0, SLOT_FOR_SWEEP);
        slot_queue_request(queue, 2, 0, SLOT_FOR_SWEEP);
        request(queue, 3, 7);
        request(queue, 4, 7);
        assert_int_equal(slot_queue_position(queue, 1), 3);
        assert_int_equal(slot_queue_position(queue, 2), 4);
        assert_int_equal(next(queue), 3);
        slot_queue_remove(queue, 3);
        assert_int_equal(next(queue), 4);
        slot_queue_remove(queue, 4);
        assert_int_equal(next(queue), 1);
        slot_queue_remove(queue, 1);
        request(queue, 5, 7); /* came later, goes first */
        assert_int_equal(next(queue), 5);
        slot_queue_remove(queue, 5);
        assert_int_equal(next(queue), 2);
        slot_queue_free(queue);
}

static void a_draining_slot_is_not_free(void **state)
{
        struct slot_queue *queue = slot_queue_new(1);
        struct slot_entry entry;

        (void)state;
        request(queue, 1, 7);
        request(queue, 2, 8);
        assert_false(slot_queue_drain(queue, 1)); /* it waits */
        assert_int_equal(next(queue), 1);
        assert_true(slot_queue_drain(queue, 1));
        assert_false(slot_queue_drain(queue, 1)); /* once */
        assert_false(slot_queue_drain(queue, 9));
        assert_true(slot_queue_find(queue, 1, &entry));
        assert_int_equal(entry.state, SLOT_DRAINING);
        assert_int_equal(next(queue), 0);
        assert_int_equal(slot_queue_n_held(queue), 1);
        assert_true(slot_queue_remove(queue, 1));
        assert_int_equal(next(queue), 2);
        slot_queue_free(queue);
}

static void who_is_not_there_has_no_place(void **state)
{
        struct slot_queue *queue = slot_queue_new(1);
        struct slot_entry entry;

        (void)state;
        request(queue, 1, 7);
        assert_int_equal(slot_queue_position(queue, 1), 1);
        assert_int_equal(next(queue), 1);
        assert_int_equal(slot_queue_position(queue, 1), 0); /* it holds */
        assert_int_equal(slot_queue_position(queue, 2), 0);
        assert_false(slot_queue_find(queue, 2, &entry));
        assert_false(slot_queue_remove(queue, 2));
        slot_queue_free(queue);
}

static void a_slot_from_before_a_restart_is_held_at_once(void **state)
{
        struct slot_queue *queue = slot_queue_new(2);
        struct slot_entry entry;

        (void)state;
        assert_false(slot_queue_restore(queue, 1, 7, 2));
        assert_false(slot_queue_restore(queue, 1, 7, -1));
        assert_true(slot_queue_restore(queue, 1, 7, 1));
        assert_false(slot_queue_restore(queue, 2, 7, 1)); /* taken */
        assert_true(slot_queue_find(queue, 1, &entry));
        assert_int_equal(entry.state, SLOT_HELD);
        assert_int_equal(entry.priority, SLOT_FOR_RUN);
        assert_int_equal(entry.slot, 1);
        assert_int_equal(entry.party, 7);
        request(queue, 3, 8);
        request(queue, 4, 8);
        assert_int_equal(next(queue), 3);
        assert_int_equal(next(queue), 0);
        assert_true(slot_queue_find(queue, 4, &entry));
        assert_int_equal(entry.slot, -1);
        slot_queue_remove(queue, 3);
        assert_true(slot_queue_restore(queue, 5, 9, 0));
        slot_queue_free(queue);
}

static void no_more_are_restored_than_there_are_slots(void **state)
{
        struct slot_queue *queue = slot_queue_new(3);

        (void)state;
        for (uint64_t id = 1; id <= 3; id++)
                assert_true(slot_queue_restore(queue, id, id, (int)id - 1));
        slot_queue_remove(queue, 1);
        slot_queue_resize(queue, 2); /* as many as are held, and number 0 is free */
        assert_false(slot_queue_restore(queue, 4, 4, 0));
        slot_queue_resize(queue, 3);
        assert_true(slot_queue_restore(queue, 4, 4, 0));
        slot_queue_free(queue);
}

static void fewer_slots_are_not_taken_away_but_not_granted_again(void **state)
{
        struct slot_queue *queue = slot_queue_new(3);
        struct slot_entry entry;

        (void)state;
        for (uint64_t id = 1; id <= 5; id++)
                request(queue, id, id);
        for (uint64_t id = 1; id <= 3; id++)
                assert_int_equal(next(queue), id);
        slot_queue_resize(queue, 1);
        assert_int_equal(slot_queue_slots(queue), 1);
        assert_int_equal(slot_queue_n_held(queue), 3);
        slot_queue_remove(queue, 1); /* slot 0 is free, but two are held still */
        assert_int_equal(next(queue), 0);
        assert_false(slot_queue_restore(queue, 9, 9, 0));
        slot_queue_remove(queue, 3);
        assert_int_equal(next(queue), 0);
        slot_queue_remove(queue, 2);
        assert_true(slot_queue_next(queue, &entry));
        assert_int_equal(entry.id, 4);
        assert_int_equal(entry.slot, 0);
        assert_int_equal(next(queue), 0);
        slot_queue_resize(queue, 2);
        assert_int_equal(next(queue), 5);
        slot_queue_free(queue);
}

static void no_slots_at_all_grants_nothing(void **state)
{
        struct slot_queue *queue = slot_queue_new(0);

        (void)state;
        request(queue, 1, 1);
        assert_int_equal(next(queue), 0);
        slot_queue_free(queue);
        assert_null(slot_queue_free(NULL));
}

/* ---- the model ---- */

#define MODEL_MAX 512

struct model {
        unsigned n_slots, n;
        struct slot_entry entries[MODEL_MAX]; /* in the order they came */
        uint64_t turn, turns[16];             /* by party: when it went to the end of the round */
};

static unsigned rolled(unsigned n)
{
        static uint64_t seed = 20240607;

        seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
        return (unsigned)(seed >> 33) % n;
}

static struct slot_entry *model_find(struct model *model, uint64_t id)
{
        for (unsigned i = 0; i < model->n; i++)
                if (model->entries[i].id == id)
                        return &model->entries[i];
        return NULL;
}

static unsigned model_count(const struct model *model, bool waiting)
{
        unsigned n = 0;

        for (unsigned i = 0; i < model->n; i++)
                n += (model->entries[i].state == SLOT_WAITING) == waiting;
        return n;
}

static void model_request(struct model *model, uint64_t id, uint64_t party, enum slot_priority priority)
{
        bool waits = false;

        for (unsigned i = 0; i < model->n; i++)
                waits |= model->entries[i].state == SLOT_WAITING && model->entries[i].party == party;
        if (!waits)
                model->turns[party] = ++model->turn;
        model->entries[model->n++] = (struct slot_entry){id, party, priority, SLOT_WAITING, -1};
}

static void model_remove(struct model *model, uint64_t id)
{
        struct slot_entry *entry = model_find(model, id);

        memmove(entry, entry + 1, (size_t)(model->entries + model->n - (entry + 1)) * sizeof(*entry));
        model->n--;
}

static struct slot_entry *model_first_waiter(struct model *model)
{
        struct slot_entry *best = NULL;

        for (unsigned i = 0; i < model->n; i++) {
                struct slot_entry *entry = &model->entries[i];

                if (entry->state != SLOT_WAITING)
                        continue;
                if (!best || entry->priority < best->priority ||
                    (entry->priority == best->priority &&
                     model->turns[entry->party] < model->turns[best->party]))
                        best = entry;
        }
        return best;
}

static struct slot_entry *model_next(struct model *model)
{
        struct slot_entry *entry = model_first_waiter(model);
        bool taken[MODEL_MAX] = {false};
        int slot = 0;

        if (!entry || model_count(model, false) >= model->n_slots)
                return NULL;
        for (unsigned i = 0; i < model->n; i++)
                if (model->entries[i].slot >= 0)
                        taken[model->entries[i].slot] = true;
        while (taken[slot])
                slot++;
        entry->state = SLOT_HELD;
        entry->slot = slot;
        model->turns[entry->party] = ++model->turn;
        return entry;
}

struct walk {
        struct model model; /* a copy, used up */
        const struct slot_queue *queue;
        unsigned position, n_holders;
        int last_slot;
};

static void compare(void *owner, const struct slot_entry *entry)
{
        struct walk *walk = owner;
        struct slot_entry *expected;

        if (entry->state != SLOT_WAITING) {
                assert_int_equal(walk->position, 0); /* holders first */
                walk->n_holders++;
                assert_true(entry->slot > walk->last_slot);
                walk->last_slot = entry->slot;
                expected = model_find(&walk->model, entry->id);
                assert_non_null(expected);
                assert_int_equal(entry->state, expected->state);
                assert_int_equal(entry->slot, expected->slot);
                return;
        }
        expected = model_first_waiter(&walk->model);
        assert_non_null(expected);
        assert_int_equal(entry->id, expected->id);
        assert_int_equal(slot_queue_position(walk->queue, entry->id), ++walk->position);
        walk->model.turns[expected->party] = ++walk->model.turn;
        model_remove(&walk->model, expected->id);
}

static void check(const struct slot_queue *queue, struct model *model)
{
        struct walk walk = {.model = *model, .queue = queue, .last_slot = -1};

        slot_queue_each(queue, compare, &walk);
        assert_int_equal(walk.position, model_count(model, true));
        assert_int_equal(walk.n_holders, model_count(model, false));
        assert_int_equal(slot_queue_n_waiting(queue), model_count(model, true));
        assert_int_equal(slot_queue_n_held(queue), model_count(model, false));
}

static void grant_all(struct slot_queue *queue, struct model *model)
{
        struct slot_entry entry, *expected;

        while (slot_queue_next(queue, &entry)) {
                expected = model_next(model);
                assert_non_null(expected);
                assert_int_equal(entry.id, expected->id);
                assert_int_equal(entry.slot, expected->slot);
                assert_true(slot_queue_n_held(queue) <= slot_queue_slots(queue));
        }
        assert_null(model_next(model));
}

static void step(struct slot_queue *queue, struct model *model, uint64_t *id)
{
        struct slot_entry *entry = model->n ? &model->entries[rolled(model->n)] : NULL;
        unsigned party = rolled(8);

        switch (rolled(8)) {
        case 0 ... 3:
                if (model->n == MODEL_MAX)
                        break;
                slot_queue_request(queue, ++*id, party, party ? SLOT_FOR_RUN : SLOT_FOR_SWEEP);
                model_request(model, *id, party, party ? SLOT_FOR_RUN : SLOT_FOR_SWEEP);
                break;
        case 4 ... 5: /* gone, whatever it was */
                if (!entry)
                        break;
                assert_true(slot_queue_remove(queue, entry->id));
                model_remove(model, entry->id);
                break;
        case 6:
                if (!entry)
                        break;
                assert_int_equal(slot_queue_drain(queue, entry->id), entry->state == SLOT_HELD);
                if (entry->state == SLOT_HELD)
                        entry->state = SLOT_DRAINING;
                break;
        default:
                if (rolled(20))
                        break;
                model->n_slots = rolled(5);
                slot_queue_resize(queue, model->n_slots);
                break;
        }
}

static void any_history_goes_as_the_model_says(void **state)
{
        (void)state;
        for (unsigned round = 0; round < 100; round++) {
                struct model model = {.n_slots = rolled(5)};
                struct slot_queue *queue = slot_queue_new(model.n_slots);
                uint64_t id = 0;

                for (unsigned i = 0; i < 300; i++) {
                        step(queue, &model, &id);
                        if (rolled(3))
                                grant_all(queue, &model);
                        check(queue, &model);
                }
                slot_queue_free(queue);
        }
}

static void of_200_waiters_the_dead_are_skipped_and_the_rest_served_in_order(void **state)
{
        struct model model = {.n_slots = 2};
        struct slot_queue *queue = slot_queue_new(2);
        unsigned n_served = 0, n_died = 0;

        (void)state;
        for (uint64_t id = 1; id <= 200; id++) {
                uint64_t party = 1 + rolled(15);

                slot_queue_request(queue, id, party, SLOT_FOR_RUN);
                model_request(&model, id, party, SLOT_FOR_RUN);
        }
        while (model.n) {
                uint64_t id;

                grant_all(queue, &model);
                check(queue, &model);
                id = model.entries[rolled(model.n)].id; /* a waiter dies, or a holder is done */
                if (model_find(&model, id)->state == SLOT_HELD)
                        n_served++;
                else
                        n_died++;
                assert_true(slot_queue_remove(queue, id));
                model_remove(&model, id);
        }
        assert_int_equal(n_served + n_died, 200);
        assert_true(n_served > 2 && n_died > 2);
        slot_queue_free(queue);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_free_slot_is_granted_and_the_third_waits),
                cmocka_unit_test(workers_of_one_run_are_served_in_their_order),
                cmocka_unit_test(one_request_each_is_plain_fifo),
                cmocka_unit_test(a_run_of_22_workers_cannot_starve_its_neighbour),
                cmocka_unit_test(the_sweep_waits_behind_every_run),
                cmocka_unit_test(a_draining_slot_is_not_free),
                cmocka_unit_test(who_is_not_there_has_no_place),
                cmocka_unit_test(a_slot_from_before_a_restart_is_held_at_once),
                cmocka_unit_test(no_more_are_restored_than_there_are_slots),
                cmocka_unit_test(fewer_slots_are_not_taken_away_but_not_granted_again),
                cmocka_unit_test(no_slots_at_all_grants_nothing),
                cmocka_unit_test(any_history_goes_as_the_model_says),
                cmocka_unit_test(of_200_waiters_the_dead_are_skipped_and_the_rest_served_in_order),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
