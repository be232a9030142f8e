/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Why is this schema or namespace kept, or when and why did it go? Put together from what lives in memory, what the
 * ledger remembers, and what the databases list right now; the last two are asked side by side. It decides nothing:
 * it tells what the leases and the sweeps have decided.
 *
 *      explain.c           asks and collects
 *      explain_verdicts.c  what sweeps said of each schema, and where it stands
 *      explain_words.c     the answer, in one sentence, and what to do (explain_words.h)
 */

#include "service/databases.h"
#include "service/leases.h"
#include "service/sweep.h"

enum explain_kind { EXPLAIN_NAMESPACE, EXPLAIN_SCHEMA, EXPLAIN_APPLICATION_NAME, EXPLAIN_OTHER };

/* In the order in which one of several schemas speaks for all: the first that applies to any. */
enum explain_standing {
        EXPLAIN_NEVER_CANDIDATE,
        EXPLAIN_LIVE,       /* its lease is */
        EXPLAIN_RECOVERING, /* its lease is */
        EXPLAIN_QUEUED,     /* waits for its lease */
        EXPLAIN_DROPPING,   /* claimed by the sweep that runs */
        EXPLAIN_FAILED,
        EXPLAIN_UNKNOWN, /* COMMIT was sent and nothing came back */
        EXPLAIN_KEPT,
        EXPLAIN_UNSEEN, /* there, and no sweep has looked at it since its lease ended, or ever */
        EXPLAIN_STALE,  /* the next sweep drops it */
        EXPLAIN_DROPPED,
        EXPLAIN_GONE,    /* no schema is left, and no sweep of ours has dropped one */
        EXPLAIN_NOTHING, /* is known */
        EXPLAIN_STANDING_MAX_,
};
const char *explain_standing_name(enum explain_standing standing);
const char *explain_kind_name(enum explain_kind kind);

struct explain_lease {
        int64_t id;
        char *label, *how, *reason; /* how: "crashed", ...; NULL: it has not ended */
        unsigned uid, n_joined;     /* members besides the first */
        bool forced;
        int exit_status;                 /* -1: unknown */
        uint64_t since_usec, ended_usec; /* real time, as all here; 0: not on record */
};

struct explain_verdict {
        int64_t sweep;
        char *oid, *verdict, *reason, *sqlstate, *detail; /* or NULL */
        uint64_t time_usec, last_usec; /* when it was reached, and when it was last found to be so still */
};

enum explain_presence { PRESENCE_NOT_HEARD, PRESENCE_ABSENT, PRESENCE_PRESENT };

struct explain_schema {
        char *database, *schema;
        char *oid; /* of the one that is there now, or NULL */
        enum explain_presence presence;
        enum explain_standing standing;
        bool claimed;
        uint64_t first_seen_usec; /* 0: not on record */
        unsigned n_verdicts;
        struct explain_verdict *verdicts; /* oldest first */
};

/* Into public, while a lease of the namespace lived. */
struct explain_written {
        int64_t lease;
        char *database, *what;
        uint64_t time_usec;
};

/* A database that could not be listed just now. */
struct explain_unheard {
        char *database, *message;
};

struct explanation {
        uint64_t caller;
        char *name;
        enum explain_kind kind;
        struct berth_name parsed; /* worker "" for a namespace; nothing with EXPLAIN_OTHER */
        unsigned n_leases, n_schemas, n_written, n_unheard;
        struct explain_lease *leases; /* oldest first */
        struct explain_schema *schemas;
        struct explain_written *written; /* oldest first */
        struct explain_unheard *unheard;
        struct cJSON *sweep;      /* the last one with candidates, as in the ledger; or NULL */
        uint64_t kept_until_usec; /* 0: not kept */
        uint64_t next_sweep_usec; /* 0: none is due */
        bool sweep_runs;

        /* The answer. */
        enum explain_standing standing;
        char *text, *advice; /* advice: or NULL */
};

/* error: the ledger could not be read, and explanation is NULL. Valid during the callback. */
typedef void explain_fn(void *owner, uint64_t caller, const struct explanation *explanation, int error);

struct explainer;

struct explainer *explainer_new(struct env *env, struct pg *pg, struct ledger *ledger,
                                struct databases *databases, struct leases *leases, struct sweeper *sweeper,
                                const struct settings *settings, explain_fn *told, void *owner);
struct explainer *explainer_free(struct explainer *explainer);
/* One at a time per caller. The callback comes later. */
void explainer_ask(struct explainer *explainer, uint64_t caller, const char *name);
void explainer_forget_caller(struct explainer *explainer, uint64_t caller);

/* ---- between the three files ---- */

struct explain_tools {
        struct env *env;
        struct leases *leases;
        struct sweeper *sweeper;
        const struct settings *settings;
};

/* Is a schema of that name asked about? */
bool explain_concerns(const struct explanation *explanation, const char *schema);
struct explain_schema *explain_schema_at(struct explanation *explanation, const char *database,
                                         const char *schema);
void explain_add_verdict(struct explanation *explanation, const struct ledger_change *row);
/* Where each schema stands, with what the last sweep of this life of the daemon adds. */
void explain_judge(struct explanation *explanation, const struct explain_tools *tools);
/* standing, text and advice. */
void explain_answer(struct explanation *explanation, const struct explain_tools *tools);
