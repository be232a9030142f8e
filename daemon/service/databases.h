/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The configured databases, whether they answer, and which cluster (PostgreSQL server) each belongs to. A cluster is
 * told apart by system_identifier, postmaster start and address, not by how its host is spelled: a promoted clone
 * has the same identifier. A cluster, once known, keeps its number for the life of the daemon, also while it is out
 * of reach, and across a restart of the server at the same address.
 */

#include "core/settings.h"
#include "seam/env.h"
#include "seam/pg.h"

struct cluster {
        unsigned id; /* 1, 2, ... */
        char system_identifier[24];
        char address[128];
        uint64_t started_usec;         /* postmaster start, the server's clock */
        int64_t lock_table;            /* entries; 0: unknown */
        uint64_t deadlock_timeout_msec;
};

struct database {
        char *name, *conninfo;
        unsigned cluster; /* 0: never heard yet */
        char oid[16];
        bool asked, reachable;
        uint64_t since_usec; /* real time of the last change of reachable */
        char sqlstate[6];
        char *message; /* why it is not reachable, or NULL */
};

struct databases;

struct databases *databases_new(struct env *env, struct pg *pg, const struct settings *settings);
struct databases *databases_free(struct databases *databases);

unsigned databases_count(const struct databases *databases);
const struct database *databases_at(const struct databases *databases, unsigned index);
int databases_index(const struct databases *databases, const char *name); /* -1: none */
const struct cluster *databases_cluster(const struct databases *databases, unsigned id); /* NULL: none */
unsigned databases_n_clusters(const struct databases *databases);

/* Asks every database that has not answered yet, side by side. Called at start and by whoever needs one. */
void databases_identify(struct databases *databases);

/* What a connection has learnt, for all who look: an answer to PG_IDENTIFY, or why there was none. */
void databases_heard(struct databases *databases, unsigned index, const struct pg_answer *answer);

/*
 * Which cluster? By the name of a database, by system_identifier, or (both NULL) the only one there is.
 * 0: resolved(cluster id, or 0 and why) will be called, perhaps after asking the server; >0: as named.
 * No configured database at all: cluster 0 stands for "the one cluster", or for one per system_identifier asked for.
 */
enum { DATABASES_E_NO_SUCH_DATABASE = 1, DATABASES_E_AMBIGUOUS };
typedef void databases_resolved_fn(void *owner, uint64_t id, unsigned cluster, const char *why);
int databases_resolve(struct databases *databases, const char *name, const char *system_identifier,
                      databases_resolved_fn *resolved, void *owner, uint64_t id);
void databases_forget_resolve(struct databases *databases, void *owner, uint64_t id);
