/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * May somebody's absence be taken for death yet? Not right after we have been away ourselves: after a start, after the
 * machine was suspended, after our own loop stood still (SIGSTOP, a frozen cgroup, a swapped-out process). Connections
 * that were lost meanwhile are still being made anew, and what clients have said lies unread. Whoever is alive has
 * start_grace from then on to show it; as long as that, no census is complete and no DROP is sent.
 *
 * Nothing wakes up for this while nothing is decided: it is noticed by who asks. A stall is seen by a timer that comes
 * late, by the tick that runs while a sweep does, and by SIGCONT; one that none of them sees is over before the first
 * question of the sweep that follows it.
 */

#include "core/settings.h"
#include "seam/env.h"

#define SETTLING_STALL_USEC (1 * USEC_PER_SEC) /* late by that much, or asleep for so long: we were away */

struct settling;

/* The grace of a start begins. */
struct settling *settling_new(struct env *env, uint64_t start_grace);
struct settling *settling_free(struct settling *settling);
void settling_configure(struct settling *settling, uint64_t start_grace);

/* Decisions are being taken: from now on each turn that comes late is a stall. */
void settling_watch(struct settling *settling, bool is_deciding);
/* We stood still, says somebody who knows; or a timer fires now that was due then (boottime). */
void settling_held_up(struct settling *settling);
void settling_was_due(struct settling *settling, uint64_t due);

/* Boottime; 0: settled. */
uint64_t settling_until(struct settling *settling);
/* Why nobody may be taken for dead yet; to be freed. NULL: settled. */
char *settling_doubt(struct settling *settling);
