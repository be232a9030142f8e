/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One look at all databases: first the schemas of every one, then the sessions of every one (never the other
 * way round: a run that starts in between would be a candidate and not alive). Afterwards the connections
 * stay, so that the drops can use them and the census can be taken again.
 *
 * It hears sessions only; what the ledger says of a namespace is asked of leases, at the verdict. It is
 * complete only if every database answered in full and may be believed. A hot standby, a pooler in between, a
 * server that started less than a grace period ago, a stall of our own loop or a suspend meanwhile:
 * incomplete.
 */

#include "core/live_set.h"
#include "core/settings.h"
#include "proto/names.h"
#include "seam/env.h"
#include "seam/pg.h"
#include "service/databases.h"

struct census_schema {
        char *name, *oid;
        bool may_drop;
        bool begun; /* an earlier drop has got half way */
        struct berth_name parsed;
};

/* One database. Read-only outside census.c. */
struct census_target {
        struct census *census;
        char *name, *conninfo;
        unsigned database, cluster; /* ids */
        char oid[16];               /* of the database */
        struct pg_connection *connection;
        const struct census_stage *stage;
        bool reachable, listed, twin; /* twin: an earlier target is the same database */
        char *error;                  /* why it cannot be believed, or NULL */
        unsigned n_schemas;
        struct census_schema *schemas; /* those whose names parse; sorted by name */
        /* To its cluster a sweep is connected that may be an earlier one of ours: by another life of this daemon, or
         * by this one on a connection that was lost (census_suspect). */
        bool foreign_sweep;
        char orphan[NAMES_MAX + 1]; /* label of a life that has ended and left backends; "": none */
        unsigned n_endings;         /* how often they were asked to end, in this take */
        int backend_pid;
        pg_answered_fn *borrower; /* census_ask */
        void *borrower_owner;
};

typedef void census_done_fn(void *owner);

struct census *census_new(struct env *env, struct pg *pg, struct databases *databases,
                          const struct settings *settings, census_done_fn *done, void *owner);
struct census *census_free(struct census *census);

/*
 * The first time both questions, later the sessions only, on kept connections where they live. unsettled: why
 * nobody may be taken for dead yet (the daemon just started, the ledger is in doubt), or NULL. done() is
 * called later, once.
 */
void census_take(struct census *census, const char *unsettled);

/*
 * Which backends of our own may still be at a drop? All that have our label and are not the census's, if this is not
 * told: we also look at locks and at public, over connections of their own.
 */
typedef bool census_suspect_fn(void *owner, int backend_pid);
void census_suspect(struct census *census, census_suspect_fn *may_drop, void *owner);

const struct live_set *census_live(const struct census *census); /* NULL: incomplete */
const struct live_report *census_report(const struct census *census);
uint64_t
census_taken(const struct census *census); /* boottime at which the last one began to ask for sessions */

unsigned census_n_targets(const struct census *census);
struct census_target *census_target_at(struct census *census, unsigned index);
bool census_has_namespace(void *census, const char *namespace); /* among the listed schemas */

/* An answer to PG_IDENTIFY on another connection: is it the server and the database that was listed? */
bool census_is_same(struct census_target *target, const struct pg_answer *identity);

/* Lends the connection for a question of somebody else's. Only between takes. */
void census_ask(struct census_target *target, enum pg_question question, const char *first,
                const char *second, uint64_t timeout_usec, pg_answered_fn *borrower, void *owner);

/* The namespace an application_name speaks for, also of one that is not quite ours ("pytest_gw0_ns-x"): in
 * doubt alive. */
bool census_label(const char *application_name, char ret[NAMES_NAMESPACE_MAX + 1]);
