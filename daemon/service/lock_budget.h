/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * How much of a server's lock table a slot holder really needs: what decides how many slots a server bears. While
 * a slot is held longer than a moment, its holder's sessions are looked at: often while they take more and more,
 * seldom when they do not, and never while nobody holds a slot. The sweep's drops count like everybody's.
 */

#include "core/settings.h"
#include "seam/env.h"
#include "service/databases.h"
#include "service/slots.h"

struct lock_budget;

struct lock_budget *lock_budget_new(struct env *env, struct pg *pg, struct databases *databases,
                                    struct slots *slots, const struct settings *settings);
struct lock_budget *lock_budget_free(struct lock_budget *budget);

/* To be told by slot_events::changed. */
void lock_budget_changed(struct lock_budget *budget, unsigned cluster);

/* The most objects that one holder was seen to have locked at once; 0: none was looked at yet. */
int64_t lock_budget_peak(const struct lock_budget *budget, unsigned cluster);
