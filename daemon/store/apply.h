/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One change, applied to the tables: its row in "event", and then what it does. One table in apply.c says
 * both, per kind of change.
 */

#include "store/store.h"

/*
 * Inside a transaction. 0 or STORE_E_BUSY, _AGAIN, _REFUSED. Duplicates are no errors: what is there is
 * replaced, what is not there is not removed.
 */
int ledger_apply(struct store *store, const struct ledger_change *change) MUST_CHECK;

struct apply_plan *apply_plan_new(struct sqlite *sqlite); /* NULL: not prepared */
struct apply_plan *apply_plan_free(struct apply_plan *plan);
