/* SPDX-License-Identifier: MIT */
#include "os/env_linux.h"

#include "os/env_linux_internal.h"
#include "os/process.h"
#include "util/alloc.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

static uint64_t read_clock(clockid_t which)
{
        struct timespec now;
        int r = clock_gettime(which, &now);

        assert(r == 0);
        (void)r;
        return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t boottime(struct env *env)
{
        (void)env;
        return read_clock(CLOCK_BOOTTIME);
}

static uint64_t monotonic(struct env *env)
{
        (void)env;
        return read_clock(CLOCK_MONOTONIC);
}

static uint64_t realtime(struct env *env)
{
        (void)env;
        return read_clock(CLOCK_REALTIME);
}

/* Without chance there are no names and no secrets: nothing sensible can be done but end. */
static void fill_random(struct env *env, void *bytes, size_t n)
{
        unsigned char *at = bytes;

        (void)env;
        while (n > 0) {
                ssize_t got = getrandom(at, n, 0);

                if (got < 0 && errno == EINTR)
                        continue;
                if (got <= 0)
                        abort();
                at += got;
                n -= (size_t)got;
        }
}

static const char *boot_id(struct env *env)
{
        return env_linux(env)->boot_id;
}

static const struct env_ops env_linux_ops = {
        .boottime = boottime,
        .monotonic = monotonic,
        .realtime = realtime,
        .random = fill_random,
        .boot_id = boot_id,
        .timer_new = env_linux_timer_new,
        .timer_arm = env_linux_timer_arm,
        .timer_disarm = env_linux_timer_disarm,
        .timer_free = env_linux_timer_free,
        .process_watch = env_linux_process_watch,
        .process_unwatch = env_linux_process_unwatch,
        .process_state = env_linux_process_state,
        .process_started_by = env_linux_process_started_by,
};

int env_linux_new(struct event_base *base, struct env **ret)
{
        struct env_linux *linux_env = NEW(struct env_linux);
        int r;

        linux_env->env.ops = &env_linux_ops;
        linux_env->base = base;
        r = process_read_boot_id(linux_env->boot_id);
        if (r) {
                free(linux_env);
                return r;
        }
        *ret = &linux_env->env;
        return 0;
}

struct env *env_linux_free(struct env *env)
{
        free(env);
        return NULL;
}
