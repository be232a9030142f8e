/* SPDX-License-Identifier: MIT */
#include "service/settling.h"

#include "util/alloc.h"
#include "util/log.h"

#include <stdlib.h>

#define TICK_USEC (250 * USEC_PER_MSEC)

struct settling {
        struct env *env;
        uint64_t start_grace;
        const char *event;     /* that the grace is for */
        uint64_t began, until; /* boottime */
        uint64_t suspended;    /* boottime - monotonic, as of the last look */
        struct timer *tick;
        bool is_deciding;
        uint64_t last_tick; /* boottime */
};

static void begin(struct settling *settling, const char *event, uint64_t now)
{
        settling->event = event;
        settling->began = now;
        settling->until = now + settling->start_grace;
        if (settling->start_grace)
                log_info("settling: event=\"%s\" start_grace_s=%llu; nothing is dropped meanwhile", event,
                         (unsigned long long)(settling->start_grace / USEC_PER_SEC));
}

/* The order matters: who was suspended is late as well. */
static bool look(struct settling *settling)
{
        uint64_t suspended = env_suspended(settling->env);
        uint64_t now = env_boottime(settling->env);

        if (suspended > settling->suspended + SETTLING_STALL_USEC)
                begin(settling, "the machine resumed from suspend", now);
        else if (settling->is_deciding && now - settling->last_tick > TICK_USEC + SETTLING_STALL_USEC)
                begin(settling, "berthd was held up", now);
        else
                return false;
        settling->suspended = suspended;
        settling->last_tick = now;
        return true;
}

static void tick(void *owner)
{
        struct settling *settling = owner;

        (void)look(settling);
        settling->last_tick = env_boottime(settling->env);
        settling->env->ops->timer_arm(settling->tick, TICK_USEC);
}

void settling_watch(struct settling *settling, bool is_deciding)
{
        (void)look(settling);
        settling->is_deciding = is_deciding;
        settling->last_tick = env_boottime(settling->env);
        if (is_deciding)
                settling->env->ops->timer_arm(settling->tick, TICK_USEC);
        else
                settling->env->ops->timer_disarm(settling->tick);
}

void settling_held_up(struct settling *settling)
{
        if (!look(settling))
                begin(settling, "berthd was held up", env_boottime(settling->env));
}

void settling_was_due(struct settling *settling, uint64_t due)
{
        uint64_t now = env_boottime(settling->env);

        if (!look(settling) && now > due + SETTLING_STALL_USEC && settling->began < due)
                begin(settling, "berthd was held up", now);
}

uint64_t settling_until(struct settling *settling)
{
        (void)look(settling);
        return settling->until > env_boottime(settling->env) ? settling->until : 0;
}

char *settling_doubt(struct settling *settling)
{
        uint64_t until = settling_until(settling);
        uint64_t left = until ? until - env_boottime(settling->env) : 0;

        if (!until)
                return NULL;
        return alloc_printf("%s less than start_grace (%llu s) ago; %llu s to go", settling->event,
                            (unsigned long long)((settling->until - settling->began) / USEC_PER_SEC),
                            (unsigned long long)(left / USEC_PER_SEC + 1));
}

void settling_configure(struct settling *settling, uint64_t start_grace)
{
        settling->start_grace = start_grace;
}

struct settling *settling_new(struct env *env, uint64_t start_grace)
{
        struct settling *settling = NEW(struct settling);

        *settling = (struct settling){.env = env,
                                      .start_grace = start_grace,
                                      .event = "berthd started",
                                      .began = env_boottime(env),
                                      .until = env_boottime(env) + start_grace,
                                      .suspended = env_suspended(env)};
        settling->tick = env->ops->timer_new(env, tick, settling);
        return settling;
}

struct settling *settling_free(struct settling *settling)
{
        if (!settling)
                return NULL;
        settling->env->ops->timer_free(settling->tick);
        free(settling);
        return NULL;
}
