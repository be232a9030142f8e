/* SPDX-License-Identifier: MIT */
#include "clock.h"

#include "util/alloc.h"

#include <stdlib.h>

struct clock_event {
        uint64_t time, sequence;
        unsigned index; /* in the heap */
        bool for_daemon;
        clock_fire_fn *fire;
        void *owner;
        uint64_t argument;
};

void clock_init(struct clock *clock)
{
        *clock = (struct clock){.now = 1000 * SEC, .wall = (int64_t)(1700000000 * SEC)};
}

void clock_done(struct clock *clock)
{
        for (unsigned i = 0; i < clock->n; i++)
                free(clock->heap[i]);
        free(clock->heap);
        clock->heap = NULL;
        clock->n = clock->n_allocated = 0;
}

static bool is_before(const struct clock_event *a, const struct clock_event *b)
{
        return a->time != b->time ? a->time < b->time : a->sequence < b->sequence;
}

static void put(struct clock *clock, unsigned index, struct clock_event *event)
{
        clock->heap[index] = event;
        event->index = index;
}

static void sift(struct clock *clock, struct clock_event *event)
{
        unsigned index = event->index;

        for (unsigned parent; index && is_before(event, clock->heap[parent = (index - 1) / 2]);
             index = parent)
                put(clock, index, clock->heap[parent]);
        for (unsigned child; (child = 2 * index + 1) < clock->n; index = child) {
                if (child + 1 < clock->n && is_before(clock->heap[child + 1], clock->heap[child]))
                        child++;
                if (!is_before(clock->heap[child], event))
                        break;
                put(clock, index, clock->heap[child]);
        }
        put(clock, index, event);
}

static void push(struct clock *clock, struct clock_event *event)
{
        if (clock->n == clock->n_allocated) {
                clock->n_allocated = clock->n_allocated ? 2 * clock->n_allocated : 256;
                clock->heap = alloc_array(clock->heap, clock->n_allocated, sizeof(struct clock_event *));
        }
        event->sequence = clock->sequence++;
        put(clock, clock->n++, event);
        sift(clock, event);
}

static void take_out(struct clock *clock, struct clock_event *event)
{
        struct clock_event *last = clock->heap[--clock->n];

        if (last == event)
                return;
        put(clock, event->index, last);
        sift(clock, last);
}

struct clock_event *clock_plan(struct clock *clock, uint64_t delay, clock_fire_fn *fire, void *owner,
                               uint64_t argument)
{
        struct clock_event *event = NEW(struct clock_event);

        event->time = clock->now + delay;
        event->fire = fire;
        event->owner = owner;
        event->argument = argument;
        push(clock, event);
        return event;
}

struct clock_event *clock_plan_for_daemon(struct clock *clock, uint64_t delay, clock_fire_fn *fire,
                                          void *owner, uint64_t argument)
{
        struct clock_event *event = clock_plan(clock, delay, fire, owner, argument);

        event->for_daemon = true;
        return event;
}

void clock_cancel(struct clock *clock, struct clock_event *event)
{
        if (!event)
                return;
        take_out(clock, event);
        free(event);
}

bool clock_turn(struct clock *clock, uint64_t until)
{
        while (clock->n && clock->heap[0]->time <= until) {
                struct clock_event *event = clock->heap[0], fired;

                take_out(clock, event);
                if (event->time > clock->now)
                        clock->now = event->time;
                if (event->for_daemon && clock->held_up_until > clock->now) {
                        event->time = clock->held_up_until;
                        push(clock, event);
                        continue;
                }
                fired = *event;
                free(event);
                clock->n_fired++;
                fired.fire(fired.owner, fired.argument);
                return true;
        }
        if (until > clock->now)
                clock->now = until;
        return false;
}
