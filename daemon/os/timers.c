/* SPDX-License-Identifier: MIT */
#include "os/env_linux_internal.h"
#include "util/alloc.h"

#include <stdlib.h>

/* "Never" is asked for as a huge number; libevent adds it to the time of day, which must not overflow. */
#define DELAY_MAX_USEC (10ULL * 365 * 24 * 3600 * 1000000)

struct timer {
        struct event *event;
        timer_fn *fire;
        void *owner;
};

static void on_timer(evutil_socket_t fd, short what, void *argument)
{
        struct timer *timer = argument;

        (void)fd;
        (void)what;
        timer->fire(timer->owner); /* may free the timer */
}

struct timer *env_linux_timer_new(struct env *env, timer_fn *fire, void *owner)
{
        struct timer *timer = NEW(struct timer);

        timer->fire = fire;
        timer->owner = owner;
        timer->event = evtimer_new(env_linux(env)->base, on_timer, timer);
        if (!timer->event)
                alloc_failed();
        return timer;
}

void env_linux_timer_arm(struct timer *timer, uint64_t delay_usec)
{
        struct timeval delay;

        if (delay_usec > DELAY_MAX_USEC)
                delay_usec = DELAY_MAX_USEC;
        delay.tv_sec = (time_t)(delay_usec / 1000000);
        delay.tv_usec = (suseconds_t)(delay_usec % 1000000);
        if (evtimer_add(timer->event, &delay))
                alloc_failed();
}

void env_linux_timer_disarm(struct timer *timer)
{
        (void)evtimer_del(timer->event);
}

void env_linux_timer_free(struct timer *timer)
{
        if (!timer)
                return;
        event_free(timer->event);
        free(timer);
}
