/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the files of a run share.
 *
 *      run.c       who lives; what the daemon has decided; the beginning and the end
 *      member.c    connections, calls and replies of any process of a run; the runner
 *      worker.c    a worker: slots, builds, tests
 */

#include "run.h"
#include "sim.h"

static inline struct chance *chance_of(const struct member *member)
{
        return &member->run->sim->chance;
}

static inline bool is_runner(const struct member *member)
{
        return member->index == 0;
}

static inline bool is_alive(const struct member *member)
{
        return member->process && member->process->alive;
}

/* Nothing is on its way over its link: one call at a time. */
static inline bool can_call(const struct member *member)
{
        return member->link && !member->link->is_busy;
}

/* member.c */
extern const struct link_events member_events;
void member_plan(struct member *member, uint64_t low, uint64_t high); /* its next step */
void member_exit(struct member *member);
void member_reconnect_soon(struct member *member);
void member_spawn(struct member *member);
void member_call_slot(struct member *member);
void member_call_slot_release(struct member *member);

/* worker.c */
void worker_step(struct member *worker);
