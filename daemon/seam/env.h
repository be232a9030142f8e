/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Time, chance and processes, as the services see them. os/ implements this on Linux and libevent; tests/simulation
 * implements it on a virtual clock. Nothing above this line may ask the kernel itself.
 *
 * Callbacks are never made from inside the call that arms them.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A process, so that a reused pid is another one. pid 0: in a pid namespace we cannot see; it has no identity. */
struct process_id {
        pid_t pid;
        uint64_t start_ticks; /* field 22 of /proc/PID/stat */
        uint64_t pidfd_inode; /* 0 where the kernel has no pidfs (before 6.9) */
        char boot_id[37];     /* /proc/sys/kernel/random/boot_id */
};

enum process_state { PROCESS_ALIVE, PROCESS_GONE, PROCESS_UNKNOWN };

struct timer;         /* one-shot, owned by whoever made it */
struct process_watch; /* owned likewise */

typedef void timer_fn(void *owner);
typedef void process_gone_fn(void *owner, uint64_t id);

struct env;

struct env_ops {
        /* CLOCK_BOOTTIME, for waits and graces: goes on in suspend, never steps. */
        uint64_t (*boottime)(struct env *env);
        /* CLOCK_MONOTONIC: stands still in suspend; boottime - monotonic grows by each suspend. */
        uint64_t (*monotonic)(struct env *env);
        /* CLOCK_REALTIME, for the ledger, for names and for people only. */
        uint64_t (*realtime)(struct env *env);
        /* From getrandom(2); never fails short. */
        void (*random)(struct env *env, void *bytes, size_t n);
        const char *(*boot_id)(struct env *env);

        struct timer *(*timer_new)(struct env *env, timer_fn *fire, void *owner);
        void (*timer_arm)(struct timer *timer, uint64_t delay_usec); /* again: replaces */
        void (*timer_disarm)(struct timer *timer);
        void (*timer_free)(struct timer *timer);

        /*
         * Watches a process and calls gone(owner, id) once when it has ended; at the next turn of the loop if it is
         * gone already or is not the same one any more. NULL if it cannot be watched (pid 0): it never "ends".
         */
        struct process_watch *(*process_watch)(struct env *env, const struct process_id *process,
                                               process_gone_fn *gone, void *owner, uint64_t id);
        void (*process_unwatch)(struct process_watch *watch);

        /* PROCESS_GONE needs proof: another boot, no such pid, another start time. */
        enum process_state (*process_state)(struct env *env, const struct process_id *process);
        /* Is there a process of this pid on this host that started no later than realtime_usec (+ 1 s)? */
        bool (*process_started_by)(struct env *env, pid_t pid, uint64_t realtime_usec);
};

/* Implementations embed this as their first member. */
struct env {
        const struct env_ops *ops;
};

static inline uint64_t env_boottime(struct env *env)
{
        return env->ops->boottime(env);
}

/*
 * For how long the machine has been suspended, all in all. In this order: a boottime read first could be less than
 * the monotonic time read after it, and the difference a suspend of centuries.
 */
static inline uint64_t env_suspended(struct env *env)
{
        uint64_t awake = env->ops->monotonic(env);

        return env->ops->boottime(env) - awake;
}

static inline uint64_t env_realtime(struct env *env)
{
        return env->ops->realtime(env);
}
