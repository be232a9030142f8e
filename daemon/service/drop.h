/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The drop of one schema, from the claim to its proven end (product section 7). Nothing is dropped but
 * through here.
 *
 *   CLAIM ─▶ SLOT ─▶ BEGIN ─▶ PIN ─▶ SESSIONS ─▶ DEPENDENTS ─▶ [LOCK TIMEOUT] ─▶ DROP ─▶ LOOKUP ─▶ COMMIT ─▶ done
 *
 *   From BEGIN on
 *      the server says no:     ROLLBACK ─▶ (who holds the lock?) ─▶ done
 *                                  └─▶ waited for a table outside: a pause, and from BEGIN again
 *      the connection breaks:  RECONNECT ─▶ wait until our backend is gone ─▶ LOOKUP ─▶ done or unknown
 *
 * The claim is in the ledger before anything is sent, and freed only when the outcome is known: a claimed
 * namespace is granted to nobody, also after a crash.
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
        const struct settings *settings;
        struct settling *settling;
};

struct drop_outcome {
        enum sweep_verdict verdict; /* dropped, kept, failed or unknown */
        enum drop_reason reason;    /* only kept */
        bool gone;          /* with failed: it had been dropped already, and not by us; nothing to report */
        bool ledger_failed; /* the claim could not be written; go no further */
        char sqlstate[6];
        char *detail; /* taken by the receiver; or NULL */
};

typedef void drop_done_fn(void *owner, const struct drop_outcome *outcome);

struct drop;

/*
 * It has its slot, after a wait of any length, or tries again for a lock: is what was known of its users still young
 * enough? The receiver answers with drop_go() or drop_cancel(), at once or later.
 */
typedef void drop_ready_fn(void *owner);

/* schema stays until done, which is called later, once; drop_free() then. */
struct drop *drop_start(const struct drop_tools *tools, struct census_target *target,
                        const struct census_schema *schema, int64_t sweep, drop_ready_fn *ready,
                        drop_done_fn *done, void *owner);
void drop_go(struct drop *drop);
/* It waits for its slot: drop_cancel() may be called without having been asked. */
bool drop_waits(const struct drop *drop);
void drop_cancel(struct drop *drop, enum drop_reason reason, char *detail /* taken */); /* calls done */
struct drop *drop_free(struct drop *drop);

/* An answer to PG_DROP_DEPENDENTS, for people: what outside depends on the schema. NULL: nothing. The caller
 * frees. */
char *drop_dependents(const struct pg_answer *answer, bool *ret_reaches_outside);
