/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Virtual time, and everything that is going to happen, in a heap. What is due at the same instant happens in
 * the order in which it was planned.
 *
 * An event for the daemon (its timers, and what its loop would read) waits while the daemon is held up; all
 * others go on meanwhile.
 */

#include <stdbool.h>
#include <stdint.h>

#define MSEC 1000ULL
#define SEC  1000000ULL

typedef void clock_fire_fn(void *owner, uint64_t argument);

struct clock_event;

struct clock {
        uint64_t now;       /* boottime */
        uint64_t suspended; /* boottime - monotonic */
        int64_t wall;       /* realtime - boottime */
        uint64_t held_up_until;
        uint64_t sequence, n_fired;
        struct clock_event **heap;
        unsigned n, n_allocated;
};

void clock_init(struct clock *clock);
void clock_done(struct clock *clock); /* forgets everything planned */

struct clock_event *clock_plan(struct clock *clock, uint64_t delay, clock_fire_fn *fire, void *owner,
                               uint64_t argument);
struct clock_event *clock_plan_for_daemon(struct clock *clock, uint64_t delay, clock_fire_fn *fire,
                                          void *owner, uint64_t argument);
/* NULL is allowed. Not for one that has fired: whoever keeps the pointer forgets it when it fires. */
void clock_cancel(struct clock *clock, struct clock_event *event);

/* The next event, if there is one no later than until; else false, and now is until. */
bool clock_turn(struct clock *clock, uint64_t until);
