/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * PostgreSQL servers made of memory: as much of them as decides who lives. Clusters hold databases, databases
 * hold schemas, backends touch schemas. Schemas are transactional: made and dropped for others at commit, and
 * a pin or an open statement holds a lock until the end of its transaction.
 *
 * An endpoint is a configured database as the daemon names it: the way to a database, and what is wrong with
 * the way.
 */

#include "proto/names.h"
#include "world.h"

#include <sys/queue.h>

enum touch {
        TOUCH_NOTHING,
        TOUCH_USES,   /* reads or builds in it */
        TOUCH_PINNED, /* nobody else may drop it */
        TOUCH_PARTED, /* the daemon has taken a part of it */
        TOUCH_DROPPED,
};

struct server_schema {
        unsigned oid;
        char name[NAMES_MAX + 1];
        char namespace[NAMES_NAMESPACE_MAX + 1]; /* "": not a berth name */
        struct server_database *database;
        bool may_drop;                /* the daemon's role may */
        bool has_dependents;          /* something outside depends on it */
        bool reaches_outside;         /* a foreign key of it goes to a shared table */
        bool is_marked, is_torn;      /* a pin of the daemon's was committed; so was the drop of a part */
        unsigned size;                /* locks that a drop needs */
        struct server_backend *maker; /* not committed yet */
        uint64_t prepared_until;      /* a prepared transaction holds a lock in it */
        uint64_t listed;              /* when the daemon first saw it in this life of the daemon; 0: never */
        uint64_t born;
        TAILQ_ENTRY(server_schema) link; /* server_database::schemas */
};

struct server_backend {
        int pid;
        uint64_t since;
        struct server_database *database;
        char application_name[NAMES_MAX + 1];
        bool in_transaction, is_aborted;
        struct server_schema *schema; /* what it touches; NULL: nothing */
        enum touch touch;
        unsigned takes; /* of the size; 0 and TOUCH_PARTED: the foreign key */
        void (*lost)(void *owner); /* its connection was cut by the server; the backend is gone after it */
        void *owner;
        TAILQ_ENTRY(server_backend) link; /* server_cluster::backends */
};

struct server_cluster {
        unsigned index;
        char system_identifier[24], address[32];
        uint64_t started; /* boottime */
        int last_pid;
        TAILQ_HEAD(, server_backend) backends;
};

struct server_database {
        struct server_cluster *cluster;
        unsigned oid;
        unsigned n_public_writes; /* since the start of its cluster */
        bool is_public_written;   /* ever */
        TAILQ_HEAD(, server_schema) schemas;
};

enum fault {
        FAULT_NONE,
        FAULT_REFUSED,
        FAULT_BLACK_HOLE,
        FAULT_CUT,
        FAULT_SQL_ERROR,
        FAULT_SLOW,
        FAULT_POOLER,
        FAULT_STANDBY,
        FAULT_MAX_,
};

struct endpoint {
        char name[24], conninfo[32];
        struct server_database *database;
        enum fault fault;
        uint64_t fault_until;
        uint64_t looked_at; /* when the daemon last saw all sessions through it, in a way it may believe */
};

#define N_CLUSTERS_MAX  2
#define N_DATABASES_MAX 4
#define N_ENDPOINTS_MAX 5

struct server {
        struct sim *sim;
        unsigned n_clusters, n_databases, n_endpoints;
        struct server_cluster clusters[N_CLUSTERS_MAX];
        struct server_database databases[N_DATABASES_MAX];
        struct endpoint endpoints[N_ENDPOINTS_MAX];
        unsigned last_oid;
};

void server_init(struct server *server, struct sim *sim);
void server_done(struct server *server);

enum fault server_fault(const struct server *server, const struct endpoint *endpoint);

struct server_backend *server_connect(struct server *server, struct server_database *database,
                                      const char *application_name, void (*lost)(void *owner), void *owner);
void server_disconnect(struct server *server, struct server_backend *backend); /* rolls back */
void server_write_public(struct server_database *database);
void server_restart(struct server *server, struct server_cluster *cluster);

enum server_result { SERVER_DONE, SERVER_BLOCKED, SERVER_MISSING, SERVER_EXISTS, SERVER_DENIED };

struct server_schema *server_find(const struct server_database *database, const char *name);
struct server_schema *server_find_oid(const struct server_database *database, unsigned oid);
bool server_sees(const struct server_backend *backend, const struct server_schema *schema);
enum server_result server_create(struct server *server, struct server_backend *backend, const char *name);
enum server_result server_use(struct server_backend *backend, struct server_schema *schema);
enum server_result server_pin(struct server_backend *backend, const char *name);
enum server_result server_drop(struct server *server, struct server_backend *backend);
/* So much of it, or (0) its foreign key. */
enum server_result server_take(struct server *server, struct server_backend *backend, unsigned size);
void server_commit(struct server *server, struct server_backend *backend);
void server_rollback(struct server *server, struct server_backend *backend);

/* Is a session of the namespace connected to the cluster that was there before this time? */
bool server_has_session(const struct server_cluster *cluster, const char *namespace, uint64_t before);
