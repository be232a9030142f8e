/* SPDX-License-Identifier: MIT */
#include "fake_pg_private.h"

#include "oracle.h"
#include "sim.h"
#include "util/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOCK_TABLE        6400 /* by the settings */
#define LOCK_TABLE_REALLY 12784

/* ---- rows ---- */

struct rows *rows_new(void)
{
        return NEW(struct rows);
}

struct rows *rows_free(struct rows *rows)
{
        if (!rows)
                return NULL;
        for (unsigned i = 0; i < rows->n_cells; i++)
                free((char *)rows->cells[i]);
        free(rows->cells);
        free(rows);
        return NULL;
}

void rows_add(struct rows *rows, const char *cell)
{
        if (rows->n_cells == rows->n_allocated) {
                rows->n_allocated = rows->n_allocated ? 2 * rows->n_allocated : 32;
                rows->cells = alloc_array(rows->cells, rows->n_allocated, sizeof(*rows->cells));
        }
        rows->cells[rows->n_cells++] = alloc_string(cell);
}

static void add_number(struct rows *rows, uint64_t number)
{
        char text[24];

        (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
        rows_add(rows, text);
}

void fake_pg_refuse(struct pg_connection *connection, struct rows *rows, const char *sqlstate,
                    const char *message)
{
        if (connection->backend)
                connection->backend->is_aborted = connection->backend->in_transaction;
        rows->answer.outcome = PG_SQL_ERROR;
        (void)snprintf(rows->answer.sqlstate, sizeof(rows->answer.sqlstate), "%s", sqlstate);
        (void)snprintf(rows->message, sizeof(rows->message), "ERROR: %s", message);
}

/* ---- the questions ---- */

static struct server *server_of(struct pg_connection *connection)
{
        return &connection->pg->sim->server;
}

static void identify(struct pg_connection *connection, struct rows *rows)
{
        const struct server_cluster *cluster = connection->endpoint->database->cluster;
        uint64_t now = connection->pg->sim->clock.now;

        rows_add(rows, cluster->system_identifier);
        add_number(rows, 1600000000 * SEC + cluster->started);
        add_number(rows, now - cluster->started);
        rows_add(rows, cluster->address);
        add_number(rows, connection->endpoint->database->oid);
        rows_add(rows, connection->fault == FAULT_STANDBY ? "t" : "f");
        rows_add(rows, "f");
        add_number(rows, (uint64_t)connection->backend->pid);
        rows_add(rows, "t");
        add_number(rows, LOCK_TABLE);
        add_number(rows, 1000);
        add_number(rows, 150020);
        rows->answer.n_columns = PG_IDENTIFY_COLUMNS_;
}

static void list_schemas(struct pg_connection *connection, struct rows *rows)
{
        struct server_schema *schema;

        TAILQ_FOREACH (schema, &connection->endpoint->database->schemas, link) {
                if (!server_sees(connection->backend, schema))
                        continue;
                if (!schema->listed)
                        schema->listed = connection->pg->sim->clock.now;
                rows_add(rows, schema->name);
                add_number(rows, schema->oid);
                rows_add(rows, schema->may_drop ? "berth" : "somebody");
                rows_add(rows, schema->may_drop ? "t" : "f");
                rows_add(rows, schema->is_marked ? "t" : "f");
        }
        rows->answer.n_columns = 5;
}

static void list_sessions(struct pg_connection *connection, struct rows *rows)
{
        const struct server_cluster *cluster = connection->endpoint->database->cluster;
        const struct sim *sim = connection->pg->sim;
        const struct server_backend *backend;

        TAILQ_FOREACH (backend, &cluster->backends, link) {
                /* A standby shows nobody else, a pooler at most one. */
                if (connection->fault == FAULT_STANDBY && backend != connection->backend)
                        continue;
                if (connection->fault == FAULT_POOLER && backend != connection->backend && rows->n_cells)
                        continue;
                rows_add(rows, backend->application_name);
                add_number(rows, (uint64_t)backend->pid);
                rows_add(rows, connection->endpoint->name);
        }
        rows->answer.n_columns = 3;
        connection->looked_at = 0;
        connection->looked_in_transaction_at = sim->clock.now;
        if (connection->fault != FAULT_STANDBY && connection->fault != FAULT_POOLER &&
            !connection->is_dropping && sim->clock.now - cluster->started >= sim->settings.start_grace)
                connection->looked_at = sim->clock.now;
}

static void list_dependents(struct pg_connection *connection, struct rows *rows)
{
        const struct server_schema *schema =
                server_find(connection->endpoint->database, connection->parameters[0]);

        rows->answer.n_columns = 4;
        if (schema && schema->has_dependents) {
                rows_add(rows, "dependent");
                rows_add(rows, "view");
                rows_add(rows, "public.totals");
                rows_add(rows, "public");
        }
        if (schema && schema->reaches_outside) {
                rows_add(rows, "locked");
                rows_add(rows, "table");
                rows_add(rows, "public.countries");
                rows_add(rows, "public");
        }
        if (schema) {
                rows_add(rows, "size");
                rows_add(rows, "pg_namespace");
                add_number(rows, schema->size);
                rows_add(rows, NULL);
        }
}

static void list_lock_holders(struct pg_connection *connection, struct rows *rows)
{
        const struct server_schema *schema =
                server_find(connection->endpoint->database, connection->parameters[0]);
        const struct server_backend *backend;

        rows->answer.n_columns = 3;
        if (!schema)
                return;
        TAILQ_FOREACH (backend, &schema->database->cluster->backends, link) {
                if (backend->schema != schema)
                        continue;
                add_number(rows, (uint64_t)backend->pid);
                rows_add(rows, backend->application_name);
                rows_add(rows, NULL);
        }
        if (schema->prepared_until > connection->pg->sim->clock.now) {
                rows_add(rows, NULL);
                rows_add(rows, NULL);
                rows_add(rows, "gid-7");
        }
}

/* Whoever makes a schema builds; whoever uses one only reads. */
static void list_busy(struct pg_connection *connection, struct rows *rows)
{
        const struct server_backend *backend;
        struct berth_name name;

        TAILQ_FOREACH (backend, &connection->endpoint->database->cluster->backends, link)
                if (backend->schema && backend->schema->maker == backend &&
                    names_parse_application_name(backend->application_name, &name) &&
                    !strcmp(name.worker, connection->parameters[0]) &&
                    !strcmp(name.namespace, connection->parameters[1]))
                        add_number(rows, (uint64_t)backend->pid);
        rows->answer.n_columns = 1;
}

/* One table, and how often it was written to. */
static void list_public(struct pg_connection *connection, struct rows *rows)
{
        const struct server_database *database = connection->endpoint->database;

        add_number(rows, database->oid);
        add_number(rows, database->cluster->started);
        add_number(rows, 1);
        rows_add(rows, "public.countries");
        rows_add(rows, "f");
        add_number(rows, database->n_public_writes);
        rows->answer.n_columns = PG_PUBLIC_COLUMNS_;
}

static void look_up(struct pg_connection *connection, struct rows *rows)
{
        const struct server_schema *schema = server_find_oid(
                connection->endpoint->database, (unsigned)strtoul(connection->parameters[0], NULL, 10));

        rows->answer.n_columns = 1;
        if (schema && server_sees(connection->backend, schema))
                rows_add(rows, connection->parameters[0]);
}

/* Waiting for a lock ends at one of two deadlines. */
static bool wait_on(struct pg_connection *connection, struct rows *rows)
{
        uint64_t now = connection->pg->sim->clock.now;

        if (now >= connection->lock_deadline)
                fake_pg_refuse(connection, rows, "55P03", "canceling statement due to lock timeout");
        else if (now >= connection->statement_deadline)
                fake_pg_refuse(connection, rows, "57014", "canceling statement due to statement timeout");
        else
                return false;
        return true;
}

static bool pin(struct pg_connection *connection, struct rows *rows)
{
        char oid[16];

        if (connection->fault == FAULT_STANDBY) {
                fake_pg_refuse(connection, rows, "25006",
                               "cannot execute COMMENT in a read-only transaction");
                return true;
        }
        switch (server_pin(connection->backend, connection->parameters[0])) {
        case SERVER_MISSING:
                fake_pg_refuse(connection, rows, "3F000", "schema does not exist");
                return true;
        case SERVER_DENIED:
                fake_pg_refuse(connection, rows, "42501", "must be owner of schema");
                return true;
        case SERVER_BLOCKED:
                return wait_on(connection, rows);
        case SERVER_DONE:
        case SERVER_EXISTS:
                break;
        }
        (void)snprintf(oid, sizeof(oid), "%u", connection->backend->schema->oid);
        rows_add(rows, oid);
        rows->answer.n_columns = 1;
        return true;
}

/* The lock table is everybody's. */
static bool is_full(struct sim *sim, unsigned locks)
{
        return locks > LOCK_TABLE_REALLY || (!sim->calm && chance_one_in(&sim->chance, 30));
}

static void tell_oracle(struct pg_connection *connection)
{
        if (connection->answered) /* else it can only be rolled back */
                oracle_on_drop(connection->pg->sim, connection->backend->schema,
                               connection->looked_in_transaction_at);
}

static bool take(struct pg_connection *connection, struct rows *rows)
{
        struct sim *sim = connection->pg->sim;
        struct server_schema *schema = connection->backend->schema;
        unsigned locks = (unsigned)strtoul(connection->parameters[1], NULL, 10), size = 0;

        if (connection->question == PG_DROP_BATCH)
                size = locks < schema->size ? locks : schema->size - 1;
        if (size && is_full(sim, size)) {
                fake_pg_refuse(connection, rows, "53200", "out of shared memory");
                return true;
        }
        if (!size && !sim->calm && chance_one_in(&sim->chance, 3)) {
                fake_pg_refuse(connection, rows, "55P03", "canceling statement due to lock timeout");
                return true;
        }
        if (server_take(&sim->server, connection->backend, size) == SERVER_BLOCKED)
                return wait_on(connection, rows);
        tell_oracle(connection);
        add_number(rows, size ? size : schema->reaches_outside);
        rows->answer.n_columns = 1;
        return true;
}

static bool drop(struct pg_connection *connection, struct rows *rows)
{
        struct sim *sim = connection->pg->sim;

        if (is_full(sim, connection->backend->schema->size)) {
                fake_pg_refuse(connection, rows, "53200", "out of shared memory");
                return true;
        }

        if (!sim->calm && chance_one_in(&sim->chance, 60)) {
                fake_pg_refuse(connection, rows, "40P01", "deadlock detected");
                return true;
        }
        if (server_drop(&sim->server, connection->backend) == SERVER_BLOCKED)
                return wait_on(connection, rows);
        tell_oracle(connection);
        return true;
}

static void begin(struct pg_connection *connection)
{
        connection->backend->in_transaction = true;
        connection->looked_in_transaction_at = 0;
        connection->lock_timeout = strtoull(connection->parameters[0], NULL, 10) * MSEC;
        connection->statement_timeout = strtoull(connection->parameters[1], NULL, 10) * MSEC;
}

static void commit(struct pg_connection *connection)
{
        struct server_backend *backend = connection->backend;

        if (backend->touch == TOUCH_PARTED && !backend->is_aborted)
                oracle_on_torn(connection->pg->sim, backend->schema);
        if (backend->touch == TOUCH_DROPPED && !backend->is_aborted)
                oracle_on_gone(connection->pg->sim, backend->schema);
        server_commit(server_of(connection), backend);
}

bool fake_pg_carry_out(struct pg_connection *connection, struct rows *rows)
{
        bool is_done = true;

        if (connection->backend->is_aborted && connection->question != PG_COMMIT &&
            connection->question != PG_ROLLBACK) {
                fake_pg_refuse(connection, rows, "25P02", "current transaction is aborted");
                return true;
        }
        switch (connection->question) {
        case PG_CONNECT:
        case PG_BLOCKERS:
        case PG_HOLDERS:
        case PG_LOCK_COUNTS:
        case PG_END_SWEEP: /* its daemons have no life in their labels */
        case PG_DIAGNOSE:
        case PG_QUESTION_MAX_:
                break;
        case PG_IDENTIFY:
                identify(connection, rows);
                break;
        case PG_SCHEMAS:
                list_schemas(connection, rows);
                break;
        case PG_SESSIONS:
                list_sessions(connection, rows);
                break;
        case PG_DROP_BEGIN:
                begin(connection);
                break;
        case PG_DROP_PIN:
                is_done = pin(connection, rows);
                break;
        case PG_DROP_DEPENDENTS:
                list_dependents(connection, rows);
                break;
        case PG_DROP_UNTIE:
        case PG_DROP_BATCH:
                is_done = take(connection, rows);
                break;
        case PG_DROP:
                is_done = drop(connection, rows);
                break;
        case PG_LOOKUP:
                look_up(connection, rows);
                break;
        case PG_COMMIT:
                commit(connection);
                break;
        case PG_ROLLBACK:
                server_rollback(server_of(connection), connection->backend);
                break;
        case PG_LOCK_HOLDERS:
                list_lock_holders(connection, rows);
                break;
        case PG_HOLDER_BUSY:
                list_busy(connection, rows);
                break;
        case PG_PUBLIC:
                list_public(connection, rows);
                break;
        }
        rows->answer.n_rows = rows->answer.n_columns ? rows->n_cells / rows->answer.n_columns : 0;
        return is_done;
}
