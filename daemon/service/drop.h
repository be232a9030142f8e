/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The drop of one schema, from the claim to its proven end (product section 7). Nothing is dropped but
 * through here.
 *
 *   CLAIM ─▶ SLOT ─▶ BEGIN ─▶ PIN ─▶ SESSIONS ─▶ DEPENDENTS ─▶ DROP ─▶ LOOKUP ─▶ COMMIT ─▶ done
 *             ▲                                        └─▶ or a piece ─┘                └─▶ that was a piece: again
 *             └───────────────────────────────────────────────────────────────────────────────┘
 *   From BEGIN on
 *      the server says no:     ROLLBACK ─▶ (who holds the lock?) ─▶ done
 *                                  └─▶ a table outside was busy, a deadlock, the lock table full: a pause, and from
 *                                      SLOT again; with half as much if it was the lock table
 *      the connection breaks:  RECONNECT ─▶ wait until our backend is gone ─▶ LOOKUP ─▶ done or unknown
 *
 * Pieces, each a transaction of its own with all of the above (drop_pieces.c chooses):
 *      mark    the pin alone is committed: from then on the schema says of itself that a drop has begun
 *      ties    what would lock a table outside is cut, table by table
 *      batch   of a schema too big for the lock table, so much as fits
 *
 * The claim is in the ledger before anything is sent, and freed only when the outcome is known, and when nothing is
 * missing from the schema: a claimed namespace is granted to nobody, also after a crash. Of a schema that is missing a
 * part the claim stays until a later drop has done the rest.
 */

#include "service/census.h"
#include "service/settling.h"
#include "service/slots.h"
#include "service/sweep.h"

struct drop_tools {
        struct env *env;
        struct pg *pg;
        struct ledger *ledger;
        struct leases *leases;
        struct slots *slots;
        struct databases *databases;
        const struct settings *settings;
        struct settling *settling;
};

struct drop_outcome {
        enum sweep_verdict verdict; /* dropped, kept, failed or unknown */
        enum drop_reason reason;    /* only kept */
        bool gone;          /* with failed: it had been dropped already, and not by us; nothing to report */
        bool ledger_failed; /* the claim could not be written; go no further */
        bool torn;          /* a part of it is missing: the claim stays */
        int backend;        /* with unknown: of which it is not known; 0: nor which one it is */
        char sqlstate[6];
        char *detail; /* taken by the receiver; or NULL */
};

typedef void drop_done_fn(void *owner, const struct drop_outcome *outcome);

struct drop;

/*
 * It has a slot for its next transaction, after a wait of any length: is what was known of its users still young
 * enough? The receiver answers with drop_go() or drop_cancel(), at once or later.
 */
typedef void drop_ready_fn(void *owner);

/*
 * schema stays until done, which is called later, once; drop_free() then. goes_on: the claim of an earlier drop, which
 * came half way, is taken over.
 */
struct drop *drop_start(const struct drop_tools *tools, struct census_target *target,
                        const struct census_schema *schema, bool goes_on, int64_t sweep, drop_ready_fn *ready,
                        drop_done_fn *done, void *owner);
void drop_go(struct drop *drop);
/* It waits for a slot, or before it asks for one: drop_cancel() may be called without having been asked. */
bool drop_waits(const struct drop *drop);
void drop_cancel(struct drop *drop, enum drop_reason reason, char *detail /* taken */); /* calls done */
struct drop *drop_free(struct drop *drop);

/* As configured, but never so short that autovacuum would not give way: it does so after deadlock_timeout. */
uint64_t drop_lock_timeout(const struct drop_tools *tools, unsigned cluster_id);

struct drop_reach {
        bool outside; /* it would lock tables outside */
        int64_t size; /* locks that it needs */
};

/* An answer to PG_DROP_DEPENDENTS, for people: what outside depends on the schema. NULL: nothing. The caller
 * frees. */
char *drop_dependents(const struct pg_answer *answer, struct drop_reach *ret_reach);
