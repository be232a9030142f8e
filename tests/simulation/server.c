/* SPDX-License-Identifier: MIT */
#include "server.h"

#include "sim.h"
#include "util/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what there is ---- */

void server_init(struct server *server, struct sim *sim)
{
        struct chance *chance = &sim->chance;
        bool is_clone = chance_one_in(chance, 3); /* a promoted clone has the same identifier */

        *server = (struct server){.sim = sim, .last_oid = 16384};
        server->n_clusters = (unsigned)chance_between(chance, 1, N_CLUSTERS_MAX);
        for (unsigned i = 0; i < server->n_clusters; i++) {
                struct server_cluster *cluster = &server->clusters[i];

                *cluster = (struct server_cluster){
                        .index = i, .started = sim->clock.now - 500 * SEC - i, .last_pid = 2000};
                (void)snprintf(cluster->system_identifier, sizeof(cluster->system_identifier), "73%u",
                               is_clone ? 0 : i);
                (void)snprintf(cluster->address, sizeof(cluster->address), "%u:/run/pg", 5432 + i);
                TAILQ_INIT(&cluster->backends);
        }
        server->n_databases = (unsigned)chance_between(chance, server->n_clusters, N_DATABASES_MAX);
        for (unsigned i = 0; i < server->n_databases; i++) {
                struct server_database *database = &server->databases[i];

                database->cluster = &server->clusters[i % server->n_clusters];
                database->oid = 16400 + i / server->n_clusters; /* a clone's databases have the same oids */
                TAILQ_INIT(&database->schemas);
        }
        /* At times two names for one database. */
        server->n_endpoints = server->n_databases + chance_one_in(chance, 4);
        for (unsigned i = 0; i < server->n_endpoints; i++) {
                struct endpoint *endpoint = &server->endpoints[i];

                endpoint->database = &server->databases[i % server->n_databases];
                (void)snprintf(endpoint->name, sizeof(endpoint->name), "tenant%u", i);
                (void)snprintf(endpoint->conninfo, sizeof(endpoint->conninfo), "dbname=tenant%u", i);
        }
}

static void forget(struct server_schema *schema)
{
        TAILQ_REMOVE(&schema->database->schemas, schema, link);
        free(schema);
}

void server_done(struct server *server)
{
        for (unsigned i = 0; i < server->n_clusters; i++)
                while (!TAILQ_EMPTY(&server->clusters[i].backends))
                        server_disconnect(server, TAILQ_FIRST(&server->clusters[i].backends));
        for (unsigned i = 0; i < server->n_databases; i++)
                while (!TAILQ_EMPTY(&server->databases[i].schemas))
                        forget(TAILQ_FIRST(&server->databases[i].schemas));
}

enum fault server_fault(const struct server *server, const struct endpoint *endpoint)
{
        return endpoint->fault_until > server->sim->clock.now ? endpoint->fault : FAULT_NONE;
}

/* ---- backends ---- */

struct server_backend *server_connect(struct server *server, struct server_database *database,
                                      const char *application_name, void (*lost)(void *owner), void *owner)
{
        struct server_backend *backend = NEW(struct server_backend);

        backend->since = server->sim->clock.now;
        backend->pid = ++database->cluster->last_pid;
        backend->database = database;
        (void)snprintf(backend->application_name, sizeof(backend->application_name), "%s", application_name);
        backend->lost = lost;
        backend->owner = owner;
        TAILQ_INSERT_TAIL(&database->cluster->backends, backend, link);
        return backend;
}

void server_disconnect(struct server *server, struct server_backend *backend)
{
        server_rollback(server, backend);
        TAILQ_REMOVE(&backend->database->cluster->backends, backend, link);
        free(backend);
}

void server_write_public(struct server_database *database)
{
        database->n_public_writes++;
        database->is_public_written = true;
}

void server_restart(struct server *server, struct server_cluster *cluster)
{
        struct server_backend *backend;

        for (unsigned i = 0; i < server->n_databases; i++)
                if (server->databases[i].cluster == cluster)
                        server->databases[i].n_public_writes = 0;

        while ((backend = TAILQ_FIRST(&cluster->backends))) {
                if (backend->lost)
                        backend->lost(backend->owner);
                server_disconnect(server, backend);
        }
        cluster->started = server->sim->clock.now;
}

bool server_has_session(const struct server_cluster *cluster, const char *namespace, uint64_t before)
{
        struct berth_name name;
        const struct server_backend *backend;

        TAILQ_FOREACH (backend, &cluster->backends, link)
                if (backend->since < before &&
                    names_parse_application_name(backend->application_name, &name) &&
                    !strcmp(name.namespace, namespace))
                        return true;
        return false;
}

/* ---- schemas and locks ---- */

bool server_sees(const struct server_backend *backend, const struct server_schema *schema)
{
        if (schema->maker && schema->maker != backend)
                return false;
        return !(backend && backend->schema == schema && backend->touch == TOUCH_DROPPED);
}

struct server_schema *server_find(const struct server_database *database, const char *name)
{
        struct server_schema *schema;

        TAILQ_FOREACH (schema, &database->schemas, link)
                if (!strcmp(schema->name, name))
                        return schema;
        return NULL;
}

struct server_schema *server_find_oid(const struct server_database *database, unsigned oid)
{
        struct server_schema *schema;

        TAILQ_FOREACH (schema, &database->schemas, link)
                if (schema->oid == oid)
                        return schema;
        return NULL;
}

/* Does anybody but this backend touch the schema, that much or more? */
static bool is_touched(const struct server_backend *mine, const struct server_schema *schema,
                       enum touch least)
{
        const struct server_backend *backend;

        TAILQ_FOREACH (backend, &schema->database->cluster->backends, link)
                if (backend != mine && backend->schema == schema && backend->touch >= least)
                        return true;
        return false;
}

enum server_result server_create(struct server *server, struct server_backend *backend, const char *name)
{
        struct server_schema *schema = server_find(backend->database, name);
        struct berth_name parsed;

        if (schema)
                return schema->maker || is_touched(backend, schema, TOUCH_DROPPED) ? SERVER_BLOCKED
                                                                                   : SERVER_EXISTS;
        schema = NEW(struct server_schema);
        schema->oid = ++server->last_oid;
        (void)snprintf(schema->name, sizeof(schema->name), "%s", name);
        if (names_parse_schema(name, &parsed))
                (void)memcpy(schema->namespace, parsed.namespace, sizeof(schema->namespace));
        schema->database = backend->database;
        schema->may_drop = true;
        schema->maker = backend;
        schema->born = server->sim->clock.now;
        schema->size = 10;
        TAILQ_INSERT_TAIL(&backend->database->schemas, schema, link);
        backend->in_transaction = true;
        backend->schema = schema;
        backend->touch = TOUCH_USES;
        return SERVER_DONE;
}

enum server_result server_use(struct server_backend *backend, struct server_schema *schema)
{
        if (is_touched(backend, schema, TOUCH_PARTED))
                return SERVER_BLOCKED;
        backend->in_transaction = true;
        backend->schema = schema;
        backend->touch = TOUCH_USES;
        return SERVER_DONE;
}

enum server_result server_pin(struct server_backend *backend, const char *name)
{
        struct server_schema *schema = server_find(backend->database, name);

        if (!schema || !server_sees(backend, schema))
                return SERVER_MISSING;
        if (!schema->may_drop)
                return SERVER_DENIED;
        if (is_touched(backend, schema, TOUCH_PINNED))
                return SERVER_BLOCKED;
        backend->schema = schema;
        backend->touch = TOUCH_PINNED;
        return SERVER_DONE;
}

static bool is_in_use(const struct server *server, const struct server_backend *backend)
{
        const struct server_schema *schema = backend->schema;

        return is_touched(backend, schema, TOUCH_USES) || schema->prepared_until > server->sim->clock.now;
}

enum server_result server_take(struct server *server, struct server_backend *backend, unsigned size)
{
        if (is_in_use(server, backend))
                return SERVER_BLOCKED;
        backend->touch = TOUCH_PARTED;
        backend->takes = size;
        return SERVER_DONE;
}

enum server_result server_drop(struct server *server, struct server_backend *backend)
{
        if (is_in_use(server, backend))
                return SERVER_BLOCKED;
        backend->touch = TOUCH_DROPPED;
        return SERVER_DONE;
}

static void end_transaction(struct server_backend *backend)
{
        backend->in_transaction = backend->is_aborted = false;
        backend->schema = NULL;
        backend->touch = TOUCH_NOTHING;
}

void server_commit(struct server *server, struct server_backend *backend)
{
        struct server_schema *schema = backend->schema;
        enum touch touch = backend->touch;
        unsigned takes = backend->takes;

        if (backend->is_aborted) {
                server_rollback(server, backend);
                return;
        }
        end_transaction(backend);
        if (schema && schema->maker == backend)
                schema->maker = NULL;
        if (schema && touch >= TOUCH_PINNED)
                schema->is_marked = true;
        if (schema && touch == TOUCH_PARTED) {
                schema->is_torn = true;
                schema->size -= takes;
                schema->reaches_outside &= takes != 0;
        }
        if (schema && touch == TOUCH_DROPPED)
                forget(schema);
}

void server_rollback(struct server *server, struct server_backend *backend)
{
        struct server_schema *schema = backend->schema;

        (void)server;
        end_transaction(backend);
        if (schema && schema->maker == backend)
                forget(schema);
}
