/* SPDX-License-Identifier: MIT */
/*
 * The configured databases and the clusters they belong to; see databases.h.
 *
 * A database that is not known to answer has at most one probe under way: connect, PG_IDENTIFY, close.
 * Whoever waits for a cluster is answered from a timer, when no probe is left that could tell.
 */
#include "service/databases.h"

#include "util/alloc.h"
#include "util/cleanup.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

/* Clusters that exist because somebody asked for one; a client could think of any number. */
#define ASKED_FOR_MAX 1000

struct probe {
        TAILQ_ENTRY(probe) link; /* databases::probes */
        struct databases *databases;
        unsigned database;
        struct pg_connection *connection;
};

struct resolve {
        TAILQ_ENTRY(resolve) link; /* databases::resolves */
        char *name, *system_identifier;
        databases_resolved_fn *resolved;
        void *owner;
        uint64_t id;
};

struct databases {
        struct env *env;
        struct pg *pg;
        uint64_t connect_timeout;
        struct database *all;
        unsigned n_all, last_id;
        struct cluster *clusters; /* the cluster of id i stands at i - 1 */
        unsigned n_clusters;
        TAILQ_HEAD(, probe) probes;
        TAILQ_HEAD(, resolve) resolves;
        struct timer *settle; /* armed when a resolve may have its answer */
};

/* ---- clusters ---- */

const struct cluster *databases_cluster(const struct databases *databases, unsigned id)
{
        return id >= 1 && id <= databases->n_clusters ? &databases->clusters[id - 1] : NULL;
}

unsigned databases_n_clusters(const struct databases *databases)
{
        return databases->n_clusters;
}

static struct cluster *cluster_add(struct databases *databases, const char *system_identifier,
                                   const char *address, uint64_t started_usec)
{
        struct cluster *cluster;

        databases->clusters =
                alloc_array(databases->clusters, databases->n_clusters + 1, sizeof(*databases->clusters));
        cluster = &databases->clusters[databases->n_clusters++];
        *cluster = (struct cluster){.id = databases->n_clusters, .started_usec = started_usec};
        (void)strncpy(cluster->system_identifier, system_identifier, sizeof(cluster->system_identifier) - 1);
        (void)strncpy(cluster->address, address, sizeof(cluster->address) - 1);
        return cluster;
}

/*
 * The same identifier and the same start: the same server. The same identifier and address, started later:
 * the same server, restarted. Started earlier than we knew already: both run at once, so one is a clone of
 * the other.
 */
static struct cluster *cluster_of(struct databases *databases, const char *system_identifier,
                                  const char *address, uint64_t started_usec)
{
        for (unsigned i = 0; i < databases->n_clusters; i++) {
                struct cluster *cluster = &databases->clusters[i];

                if (strcmp(cluster->system_identifier, system_identifier))
                        continue;
                if (cluster->started_usec == started_usec)
                        return cluster;
                if (cluster->started_usec < started_usec && !strcmp(cluster->address, address)) {
                        cluster->started_usec = started_usec;
                        return cluster;
                }
        }
        return cluster_add(databases, system_identifier, address, started_usec);
}

/* ---- what is known of a database ---- */

unsigned databases_count(const struct databases *databases)
{
        return databases->n_all;
}

const struct database *databases_at(const struct databases *databases, unsigned index)
{
        return &databases->all[index];
}

const struct database *databases_find(const struct databases *databases, const char *name)
{
        for (unsigned i = 0; i < databases->n_all; i++)
                if (!strcmp(databases->all[i].name, name))
                        return &databases->all[i];
        return NULL;
}

static struct database *database_by_id(struct databases *databases, unsigned id)
{
        for (unsigned i = 0; i < databases->n_all; i++)
                if (databases->all[i].id == id)
                        return &databases->all[i];
        return NULL;
}

static uint64_t cell_number(const struct pg_answer *answer, enum pg_identify_column column)
{
        const char *text = pg_cell(answer, 0, column);

        return text ? strtoull(text, NULL, 10) : 0;
}

static const char *cell_text(const struct pg_answer *answer, enum pg_identify_column column)
{
        const char *text = pg_cell(answer, 0, column);

        return text ? text : "";
}

static void set_reachable(struct databases *databases, struct database *database,
                          const struct pg_answer *answer)
{
        bool reachable = answer->outcome == PG_OK;

        if (!database->asked || database->reachable != reachable)
                database->since_usec = env_realtime(databases->env);
        database->asked = true;
        database->reachable = reachable;
        free(database->message);
        database->message = reachable ? NULL : alloc_string(answer->message);
        (void)memcpy(database->sqlstate, answer->sqlstate, sizeof(database->sqlstate));
}

void databases_heard(struct databases *databases, unsigned id, const struct pg_answer *answer)
{
        struct database *database = database_by_id(databases, id);
        struct cluster *cluster;

        if (answer->outcome == PG_OK && answer->question != PG_IDENTIFY)
                return;
        databases->env->ops->timer_arm(databases->settle, 0);
        if (!database)
                return; /* taken away by a reload meanwhile */
        set_reachable(databases, database, answer);
        if (answer->outcome != PG_OK)
                return;

        cluster = cluster_of(databases, cell_text(answer, PG_IDENTIFY_SYSTEM_IDENTIFIER),
                             cell_text(answer, PG_IDENTIFY_ADDRESS),
                             cell_number(answer, PG_IDENTIFY_STARTED_USEC));
        cluster->lock_table = (int64_t)cell_number(answer, PG_IDENTIFY_LOCK_TABLE);
        cluster->deadlock_timeout_msec = cell_number(answer, PG_IDENTIFY_DEADLOCK_TIMEOUT_MSEC);
        if (database->cluster && (database->cluster != cluster->id ||
                                  strcmp(database->oid, cell_text(answer, PG_IDENTIFY_DATABASE_OID)) != 0))
                database->moved = env_boottime(databases->env);
        database->cluster = cluster->id;
        (void)strncpy(database->oid, cell_text(answer, PG_IDENTIFY_DATABASE_OID), sizeof(database->oid) - 1);
}

/* ---- probes ---- */

static void probe_end(struct probe *probe)
{
        struct databases *databases = probe->databases;

        databases->pg->ops->close(probe->connection);
        TAILQ_REMOVE(&databases->probes, probe, link);
        free(probe);
}

static void probe_answered(void *owner, const struct pg_answer *answer)
{
        static const char *const none[PG_PARAMETERS_MAX];
        struct probe *probe = owner;
        struct databases *databases = probe->databases;

        if (answer->outcome == PG_OK && answer->question == PG_CONNECT) {
                databases->pg->ops->ask(probe->connection, PG_IDENTIFY, none, databases->connect_timeout);
                return;
        }
        databases_heard(databases, probe->database, answer);
        probe_end(probe);
}

static bool is_probed(const struct databases *databases, unsigned id)
{
        const struct probe *probe;

        TAILQ_FOREACH (probe, &databases->probes, link)
                if (probe->database == id)
                        return true;
        return false;
}

static void probe_start(struct databases *databases, const struct database *database)
{
        struct probe *probe;

        if (database->reachable || is_probed(databases, database->id))
                return;
        probe = NEW(struct probe);
        probe->databases = databases;
        probe->database = database->id;
        TAILQ_INSERT_TAIL(&databases->probes, probe, link);
        probe->connection = databases->pg->ops->open(databases->pg, database->conninfo,
                                                     databases->connect_timeout, probe_answered, probe);
}

void databases_identify(struct databases *databases)
{
        for (unsigned i = 0; i < databases->n_all; i++)
                probe_start(databases, &databases->all[i]);
}

/* ---- which cluster? ---- */

static unsigned only_cluster(const struct databases *databases)
{
        unsigned cluster = databases->n_all ? databases->all[0].cluster : 0;

        for (unsigned i = 0; i < databases->n_all; i++)
                if (databases->all[i].cluster != cluster)
                        return 0;
        return cluster;
}

/* Names that databases say of themselves; where none is configured, whatever is asked for. */
static unsigned cluster_identified(struct databases *databases, const char *system_identifier)
{
        for (unsigned i = 0; i < databases->n_clusters; i++)
                if (!strcmp(databases->clusters[i].system_identifier, system_identifier))
                        return i + 1;
        if (databases->n_all || databases->n_clusters >= ASKED_FOR_MAX)
                return 0;
        return cluster_add(databases, system_identifier, "", 0)->id;
}

unsigned databases_known_cluster(struct databases *databases, const char *name, const char *system_identifier)
{
        const struct database *database = name ? databases_find(databases, name) : NULL;

        if (name)
                return database ? database->cluster : 0;
        if (system_identifier || !databases->n_all)
                return cluster_identified(databases, system_identifier ? system_identifier : "");
        return only_cluster(databases);
}

/* Could a probe that is under way still tell? */
static bool is_open(const struct databases *databases, const struct resolve *resolve)
{
        const struct database *database = resolve->name ? databases_find(databases, resolve->name) : NULL;

        if (resolve->name)
                return database && is_probed(databases, database->id);
        return !TAILQ_EMPTY(&databases->probes);
}

static char *why_unknown(const struct databases *databases, const struct resolve *resolve)
{
        const struct database *database = resolve->name ? databases_find(databases, resolve->name) : NULL;
        unsigned n_silent = 0;

        for (unsigned i = 0; i < databases->n_all; i++)
                n_silent += !databases->all[i].cluster;
        if (database)
                return alloc_printf("database %s: %s", database->name,
                                    database->message ? database->message : "no answer");
        if (resolve->name)
                return alloc_printf("database %s is not configured any more", resolve->name);
        if (n_silent)
                return alloc_printf("%u of %u databases do not answer, so their cluster is not known",
                                    n_silent, databases->n_all);
        if (resolve->system_identifier)
                return alloc_printf("no configured database is on the server with system_identifier %s",
                                    resolve->system_identifier);
        return alloc_string("the databases are on several servers; name one of them");
}

static void resolve_end(struct databases *databases, struct resolve *resolve)
{
        TAILQ_REMOVE(&databases->resolves, resolve, link);
        free(resolve->name);
        free(resolve->system_identifier);
        free(resolve);
}

/* The first of those whose answer is there, or can come no more. */
static struct resolve *next_settled(struct databases *databases, unsigned *ret_cluster)
{
        struct resolve *resolve;

        TAILQ_FOREACH (resolve, &databases->resolves, link) {
                *ret_cluster = databases_known_cluster(databases, resolve->name, resolve->system_identifier);
                if (*ret_cluster || !is_open(databases, resolve))
                        return resolve;
        }
        return NULL;
}

static void settle(void *owner)
{
        struct databases *databases = owner;
        struct resolve *resolve;
        unsigned cluster;

        while ((resolve = next_settled(databases, &cluster))) {
                _cleanup_free_ char *why = cluster ? NULL : why_unknown(databases, resolve);
                struct resolve found = *resolve;

                resolve_end(databases, resolve);
                found.resolved(found.owner, found.id, cluster, why);
        }
}

int databases_resolve(struct databases *databases, const char *name, const char *system_identifier,
                      databases_resolved_fn *resolved, void *owner, uint64_t id)
{
        const struct database *database = name ? databases_find(databases, name) : NULL;
        struct resolve *resolve;

        if (name && !database)
                return DATABASES_E_NO_SUCH_DATABASE;
        resolve = NEW(struct resolve);
        *resolve = (struct resolve){.name = alloc_string(name),
                                    .system_identifier = alloc_string(system_identifier),
                                    .resolved = resolved,
                                    .owner = owner,
                                    .id = id};
        TAILQ_INSERT_TAIL(&databases->resolves, resolve, link);
        if (databases_known_cluster(databases, name, system_identifier))
                databases->env->ops->timer_arm(databases->settle, 0);
        else if (database)
                probe_start(databases, database);
        else
                databases_identify(databases);
        if (!is_open(databases, resolve))
                databases->env->ops->timer_arm(databases->settle, 0);
        return 0;
}

void databases_forget_resolve(struct databases *databases, void *owner, uint64_t id)
{
        struct resolve *resolve;

        TAILQ_FOREACH (resolve, &databases->resolves, link)
                if (resolve->owner == owner && resolve->id == id)
                        break;
        if (resolve)
                resolve_end(databases, resolve);
}

/* ---- life ---- */

static void database_clear(struct database *database)
{
        free(database->name);
        free(database->conninfo);
        free(database->message);
}

/* Moves what is known of a database that stays as it was; false: it is new, or another one by that name. */
static bool keep_known(struct database *old, unsigned n_old, const struct database_setting *wanted,
                       struct database *ret)
{
        for (unsigned i = 0; i < n_old; i++)
                if (old[i].name && !strcmp(old[i].name, wanted->name) &&
                    !strcmp(old[i].conninfo, wanted->conninfo)) {
                        *ret = old[i];
                        old[i] = (struct database){0};
                        return true;
                }
        return false;
}

void databases_configure(struct databases *databases, const struct settings *settings)
{
        struct database *all = alloc_array(NULL, settings->n_databases + 1, sizeof(*all));

        for (unsigned i = 0; i < settings->n_databases; i++) {
                const struct database_setting *wanted = &settings->databases[i];

                if (!keep_known(databases->all, databases->n_all, wanted, &all[i]))
                        all[i] = (struct database){.id = ++databases->last_id,
                                                   .name = alloc_string(wanted->name),
                                                   .conninfo = alloc_string(wanted->conninfo)};
        }
        for (unsigned i = 0; i < databases->n_all; i++)
                database_clear(&databases->all[i]);
        free(databases->all);
        databases->connect_timeout = settings->connect_timeout;
        databases->all = all;
        databases->n_all = settings->n_databases;
        /* Whoever waits for one that was taken away is told so. */
        databases->env->ops->timer_arm(databases->settle, 0);
}

struct databases *databases_new(struct env *env, struct pg *pg, const struct settings *settings)
{
        struct databases *databases = NEW(struct databases);

        databases->env = env;
        databases->pg = pg;
        TAILQ_INIT(&databases->probes);
        TAILQ_INIT(&databases->resolves);
        databases->settle = env->ops->timer_new(env, settle, databases);
        databases_configure(databases, settings);
        return databases;
}

struct databases *databases_free(struct databases *databases)
{
        struct probe *probe;
        struct resolve *resolve;

        if (!databases)
                return NULL;
        while ((probe = TAILQ_FIRST(&databases->probes)))
                probe_end(probe);
        while ((resolve = TAILQ_FIRST(&databases->resolves)))
                resolve_end(databases, resolve);
        for (unsigned i = 0; i < databases->n_all; i++)
                database_clear(&databases->all[i]);
        databases->env->ops->timer_free(databases->settle);
        free(databases->all);
        free(databases->clusters);
        free(databases);
        return NULL;
}
