/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The sweep (product sections 6 and 7): candidates in every database, then the census of all, then a verdict
 * for each schema, then one drop after the other. One sweep at a time.
 */

#include "core/decide.h"
#include "core/settings.h"
#include "seam/env.h"
#include "seam/ledger.h"
#include "seam/pg.h"
#include "service/databases.h"
#include "service/leases.h"
#include "service/slots.h"

enum sweep_verdict { SWEEP_DROPPED, SWEEP_WOULD_DROP, SWEEP_KEPT, SWEEP_FAILED, SWEEP_UNKNOWN };
const char *
sweep_verdict_name(enum sweep_verdict verdict); /* "dropped", "would_drop", ...: the contract's words */

/* One schema looked at. */
struct sweep_item {
        const char *database, *schema, *oid;
        char namespace[NAMES_NAMESPACE_MAX + 1];
        enum sweep_verdict verdict;
        enum drop_reason reason; /* only kept */
        char sqlstate[6];        /* only failed */
        char *detail;            /* or NULL: dependents, lock holders, the server's message */
        bool on_record;          /* this verdict is in the ledger, from this sweep or an earlier one */
};

/* Lives as long as the sweep service, the last one is kept for status. */
struct sweep_result {
        int64_t id;
        bool dry_run;
        uint64_t started_usec, finished_usec; /* real time; finished 0: under way */
        bool complete;
        char *incomplete_reason; /* or NULL */
        struct live_report *live;
        unsigned n_databases;
        struct sweep_database {
                char *name;
                bool reachable;
                char *error; /* or NULL */
        } * databases;
        unsigned n_items;
        struct sweep_item *items; /* by database, then schema */
};

struct sweep_events {
        void (*verdict)(void *owner, uint64_t caller, const struct sweep_item *item);
        void (*finished)(void *owner, uint64_t caller, const struct sweep_result *result);
};

enum { SWEEP_E_RUNNING = 1, SWEEP_E_NO_SUCH_DATABASE };

/* Who may ask for one that is no dry run is the server's business. */
struct sweep_request {
        uint64_t caller; /* told by events, also when it has hung up; 0: the daemon itself */
        bool dry_run;
        const char *database; /* drop only there; every database is asked all the same. Or NULL */
};

struct sweeper;

struct sweeper *sweeper_new(struct env *env, struct pg *pg, struct ledger *ledger,
                            struct databases *databases, struct leases *leases, struct slots *slots,
                            const struct settings *settings, const struct sweep_events *events, void *owner);
struct sweeper *sweeper_free(struct sweeper *sweeper);
void sweeper_configure(struct sweeper *sweeper, const struct settings *settings);
void sweeper_load(struct sweeper *sweeper, const struct ledger_change *row); /* CLAIMED, SIGHTED, SWEPT */
void sweeper_loaded(struct sweeper *sweeper, const struct ledger_numbers *next);

/* Also from inside finished(). SWEEP_E_RUNNING: one is running, or none begins any more. */
int sweeper_start(struct sweeper *sweeper, const struct sweep_request *request);
/* Something ended: a sweep soon, several requests make one. */
void sweeper_soon(struct sweeper *sweeper);
/* No new drop; one that waits for its slot is given up, one that has begun goes on to its end: see sweeper_busy(). */
void sweeper_stop(struct sweeper *sweeper);
/* Our own loop stood still: whoever is alive has start_grace to show it (settling.h). */
void sweeper_held_up(struct sweeper *sweeper);
/* Why nobody may be taken for dead yet, whoever asks; to be freed. NULL: they may. */
char *sweeper_doubt(struct sweeper *sweeper);
bool sweeper_busy(const struct sweeper *sweeper);
uint64_t sweeper_running_since(const struct sweeper *sweeper);          /* real time; 0: none */
uint64_t sweeper_next(const struct sweeper *sweeper); /* real time at which the next is due; 0: not known */
const struct sweep_result *sweeper_last(const struct sweeper *sweeper); /* NULL: none yet in this life */

/* The contract's JSON (product section 7):
 * one object on the wire, in the ledger and in berth sweep --json. */
struct cJSON *sweep_result_json(const struct sweep_result *result);
