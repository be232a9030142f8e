/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Waits until the sessions that a dead slot holder has left on the server have finished their transaction: its
 * CREATE TABLEs hold their locks for as long as the backend takes to notice that nobody is there any more.
 *
 *      ask ──▶ nobody is busy                                            done, why NULL
 *       ▲  └─▶ somebody is, or no answer ──▶ 100 ms ──┐
 *       └─────────────────────────────────────────────┘
 *      longer than drain_limits::busy, or no answer for ::silent         done, and why
 *      (from anew, if we were away in the end: asleep, or held up)
 */

#include "seam/env.h"
#include "service/databases.h"

struct drain_limits {
        uint64_t busy;   /* for so long in all */
        uint64_t silent; /* for so long without an answer */
        uint64_t answer; /* for one answer */
};

/* Whose: what its sessions are labelled with, on which cluster. */
struct drain_holder {
        unsigned cluster;
        const char *namespace, *worker;
};

struct drain;

/* Once; never from inside drain_start. The drain is freed by its owner, in the callback if he likes. */
typedef void drained_fn(void *owner, uint64_t id, const char *why);

/* NULL: no configured database is on that cluster, so there is nothing to wait for. */
struct drain *drain_start(struct env *env, struct pg *pg, struct databases *databases,
                          const struct drain_limits *limits, const struct drain_holder *holder,
                          drained_fn *drained, void *owner, uint64_t id);
struct drain *drain_free(struct drain *drain);
