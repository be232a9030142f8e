/* SPDX-License-Identifier: MIT */
#pragma once

/* What the files that implement env_linux.h share. */

#include "seam/env.h"

#include <event2/event.h>

struct env_linux {
        struct env env; /* first: the seam's handle is this */
        struct event_base *base;
        char boot_id[37];
};

static inline struct env_linux *env_linux(struct env *env)
{
        return (struct env_linux *)env;
}

struct timer *env_linux_timer_new(struct env *env, timer_fn *fire, void *owner);
void env_linux_timer_arm(struct timer *timer, uint64_t delay_usec);
void env_linux_timer_disarm(struct timer *timer);
void env_linux_timer_free(struct timer *timer);

struct process_watch *env_linux_process_watch(struct env *env, const struct process_id *process,
                                              process_gone_fn *gone, void *owner, uint64_t id);
void env_linux_process_unwatch(struct process_watch *watch);
enum process_state env_linux_process_state(struct env *env, const struct process_id *process);
bool env_linux_process_started_by(struct env *env, pid_t pid, uint64_t realtime_usec);
