/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A ledger in memory that confirms when it is told to, refuses when it is told to, and can be cut off: what
 * was submitted and not confirmed is then lost, as with a kill -9. It aborts on a change that no real ledger
 * could write (a member of a lease that was never granted).
 */

#include "fake_env.h"
#include "seam/ledger.h"

struct memory_ledger;

struct memory_ledger *memory_ledger_new(struct fake_env *fake);
struct memory_ledger *memory_ledger_free(struct memory_ledger *memory);
struct ledger *memory_ledger(struct memory_ledger *memory);

/* What is submitted and not confirmed becomes durable, in order; callbacks from the loop. True if there was
 * any. */
bool memory_ledger_confirm(struct memory_ledger *memory);
/* Changes with a callback are refused; those without stay until they are confirmed. */
bool memory_ledger_refuse(struct memory_ledger *memory);
void memory_ledger_cut(struct memory_ledger *memory);

/* What stands, as the seam describes a load, and the first numbers not used. */
void memory_ledger_load(struct memory_ledger *memory, ledger_load_fn *load, void *owner);
struct ledger_numbers memory_ledger_numbers(const struct memory_ledger *memory);

unsigned memory_ledger_n_pending(const struct memory_ledger *memory);
unsigned memory_ledger_count(const struct memory_ledger *memory,
                             enum ledger_change_kind kind); /* ever submitted */
const struct ledger_change *memory_ledger_last(const struct memory_ledger *memory,
                                               enum ledger_change_kind kind);
bool memory_ledger_has_lease(const struct memory_ledger *memory,
                             const char *namespace); /* durable, not ended */
