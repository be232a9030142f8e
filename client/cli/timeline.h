/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What happened in a stretch of time, put together from events of the ledger (GetHistory), leases (ListLeases) and
 * the state of now (GetStatus): runs, holds and waits of slots, sweeps and their drops. Pure; timeline_svg() draws it.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/queue.h>

struct cJSON;

/* One life of a namespace. Times are real, in microseconds. */
struct timeline_run {
        TAILQ_ENTRY(timeline_run) link;
        int64_t lease, from, to;
        char *namespace, *label; /* label: or NULL */
        char outcome[16];        /* "live", "released", "crashed", "revoked" */
        char *why;               /* or NULL */
        unsigned number;         /* by age, for its colour */
};

/* A slot held, and the wait before; or, with slot -1, a wait that lasts. */
struct timeline_hold {
        TAILQ_ENTRY(timeline_hold) link;
        struct timeline_cluster *cluster;
        int64_t lease, asked, from, to; /* asked 0: not known. from 0: not granted yet */
        int slot;
        char *namespace, *worker, *why; /* why it was freed; NULL: it is held */
        bool is_open;
};

struct timeline_cluster {
        TAILQ_ENTRY(timeline_cluster) link;
        char *key;        /* as events name it; NULL: none has yet */
        char *names;      /* of its databases */
        char *identifier; /* its system_identifier, or NULL */
        int n_slots;
};

/* A sweep, or a drop: then with a schema. */
struct timeline_sweep {
        TAILQ_ENTRY(timeline_sweep) link;
        int64_t from, to;
        char *database, *schema; /* NULL: a sweep */
        char *detail;
        bool is_bad; /* incomplete, or failed */
        bool is_open;
};

struct timeline {
        int64_t from, to, now;
        TAILQ_HEAD(timeline_runs, timeline_run) runs;
        TAILQ_HEAD(, timeline_hold) holds;
        TAILQ_HEAD(timeline_clusters, timeline_cluster) clusters;
        TAILQ_HEAD(, timeline_sweep) sweeps;
        unsigned n_runs;
        bool has_failed; /* no memory: something is missing */
};

/*
 * events: objects of GetHistory, oldest first. leases: of ListLeases, in any order. from: the start of the picture;
 * it is moved to where something happens. The caller owes timeline_free().
 */
struct timeline *timeline_new(const struct cJSON *events, const struct cJSON *leases,
                              const struct cJSON *status, int64_t from, int64_t now);
struct timeline *timeline_free(struct timeline *timeline);
/* NULL: unknown */
const struct timeline_run *timeline_find_run(const struct timeline *timeline, int64_t lease,
                                             const char *namespace);

/* A whole SVG document. */
void timeline_svg(const struct timeline *timeline, FILE *out);
