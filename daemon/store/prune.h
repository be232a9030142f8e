/* SPDX-License-Identifier: MIT */
#pragma once

#include "store/store.h"

/*
 * One step of forgetting what is older than older_than_usec: at most so many rows that nobody who waits for
 * the writer notices, in a transaction of its own. *ret_more: call again. 0 or STORE_E_*. What stays is in
 * ledger_sqlite.h.
 */
int prune_step(struct store *store, uint64_t older_than_usec, bool *ret_more) MUST_CHECK;
