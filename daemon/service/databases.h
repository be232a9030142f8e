/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The configured databases, whether they answer, and which cluster (PostgreSQL server) each belongs to. A
 * cluster is told apart by system_identifier, postmaster start and address, not by how its host is spelled: a
 * promoted clone has the same identifier. A cluster, once known, keeps its number for the life of the daemon,
 * also while it is out of reach, and across a restart of the server at the same address.
 */

#include "core/settings.h"
#include "seam/env.h"
#include "seam/pg.h"

struct cluster {
        unsigned id; /* 1, 2, ... */
        char system_identifier[24];
        char address[128];
        uint64_t started_usec; /* postmaster start, the server's clock */
        int64_t lock_table;    /* entries; 0: unknown */
        uint64_t deadlock_timeout_msec;
};

struct database {
        unsigned id; /* 1, 2, ...; never used twice, also when a reload takes one away */
        char *name, *conninfo;
        unsigned cluster; /* 0: never heard yet */
        char oid[16];
        uint64_t moved; /* boottime at which another server or database was found in its place; 0: never */
        bool asked, reachable;
        uint64_t since_usec; /* real time of the last change of reachable */
        char sqlstate[6];
        char *message; /* why it is not reachable, or NULL */
};

struct databases;

struct databases *databases_new(struct env *env, struct pg *pg, const struct settings *settings);
struct databases *databases_free(struct databases *databases);
/* After a reload: what is gone is forgotten, what has another conninfo is a new one; databases_identify() then. */
void databases_configure(struct databases *databases, const struct settings *settings);

unsigned databases_count(const struct databases *databases);
const struct database *databases_at(const struct databases *databases, unsigned index);
const struct database *databases_find(const struct databases *databases, const char *name); /* NULL: none */
const struct cluster *databases_cluster(const struct databases *databases, unsigned id);    /* NULL: none */
unsigned databases_n_clusters(const struct databases *databases);                           /* ids 1 to n */

/* Asks every database that is not known to answer, side by side. At start, and by whoever needs one. */
void databases_identify(struct databases *databases);

/* What somebody's connection has learnt, for all who look:
 * an answer to PG_IDENTIFY, or why there was none. */
void databases_heard(struct databases *databases, unsigned id, const struct pg_answer *answer);

/*
 * Which cluster? By the name of a database, by system_identifier, or (both NULL) the only one there is. Where
 * no database is configured at all, there is one cluster per system_identifier asked for, and one for
 * "neither". Numbers of clusters begin at 1; 0 is none.
 *
 * databases_known_cluster: from memory, 0 where that takes asking a server first.
 * databases_resolve: 0 - resolved() will be called later: cluster, or 0 and why. >0: as named, at once.
 */
enum { DATABASES_E_NO_SUCH_DATABASE = 1 };
typedef void databases_resolved_fn(void *owner, uint64_t id, unsigned cluster, const char *why);
unsigned databases_known_cluster(struct databases *databases, const char *name,
                                 const char *system_identifier);
int databases_resolve(struct databases *databases, const char *name, const char *system_identifier,
                      databases_resolved_fn *resolved, void *owner, uint64_t id);
void databases_forget_resolve(struct databases *databases, void *owner, uint64_t id);
