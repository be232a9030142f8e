/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * seam/env.h on Linux and libevent.
 *
 * Timers run on libevent's clock (CLOCK_MONOTONIC), which stands still in suspend and may be some
 * milliseconds early or late. Waits and graces are counted in env_boottime(), so whoever's timer fires looks
 * at that clock and arms the rest again.
 */

#include "seam/env.h"

struct event_base;

/* -errno if the boot id cannot be read (ProcSubset=pid in the unit):
 * without it no process has an identity. */
int env_linux_new(struct event_base *base, struct env **ret);
/* Every timer and watch must have been freed by its owner. NULL is allowed. */
struct env *env_linux_free(struct env *env);
