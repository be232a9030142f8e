/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The omniscient onlooker. It knows which process lives and who was told what, without asking the daemon.
 *
 *      at every drop    no live run has the namespace, nor a session anywhere, nor an unleased run; it is a
 * berth name; the oid was listed; every database was seen, in whole, after that and not long ago; nothing
 *                       outside depends on it; a slot is free for it
 *      at every grant   nobody else has the namespace; the ledger has it; no schema of it is half empty
 *      at every slot    no more holders than slots, and dead holders whose sessions still build count
 *      at every write   laid to a lease, somebody has written into public of that database
 *      at the end       nobody waits, nothing stale is left
 */

#include "server.h"

struct run;
struct link;
struct sweep_result;
struct ledger_change;

/* The first one counts. */
void oracle_fail(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));

void oracle_on_noted(struct sim *sim, const struct ledger_change *change); /* an event of the daemon's */
void oracle_on_written(struct sim *sim, const struct ledger_change *change); /* likewise: into public */
void oracle_on_begin(struct sim *sim, const struct server_cluster *cluster); /* of the daemon's transaction */
/* DROP SCHEMA, or the drop of a part of it, has been carried out. looked_at: when its transaction asked for the sessions; 0: it did not. */
void oracle_on_drop(struct sim *sim, const struct server_schema *schema, uint64_t looked_at);
void oracle_on_torn(struct sim *sim, const struct server_schema *schema); /* a part of it, and committed */
void oracle_on_gone(struct sim *sim, const struct server_schema *schema); /* and committed */
void oracle_on_granted(struct sim *sim, const struct run *run, const char *namespace, int64_t lease);
void oracle_on_slot(struct sim *sim,
                    const struct server_cluster *cluster); /* a run was told that it holds one */
void oracle_on_swept(struct sim *sim, const struct sweep_result *result);
void oracle_at_end(struct sim *sim);

/* Has a run that lives this namespace? A live one was told so, and is not proven dead. */
const struct run *oracle_live(const struct sim *sim, const char *namespace, const struct run *except);
