/* SPDX-License-Identifier: MIT */
#pragma once

#include "store/store.h"

#define PRUNE_PIECES 6

/* How far one pass over the ledger has come, in ids; begins as zeros. */
struct prune_pass {
        int64_t at[PRUNE_PIECES];
};

/*
 * One step of forgetting what is older than older_than_usec: looks at so many rows, however large the ledger is, that
 * nobody who waits for the writer notices, in a transaction of its own. *ret_more: call again. 0 or STORE_E_*. What stays
 * is in ledger_sqlite.h.
 */
int prune_step(struct store *store, struct prune_pass *pass, uint64_t older_than_usec,
               bool *ret_more) MUST_CHECK;
