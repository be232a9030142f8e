/* SPDX-License-Identifier: MIT */
#include "service/slot_record.h"

#include <stdio.h>
#include <stdlib.h>

struct slot_record *slot_record_new(struct slots *slots, enum slot_stage stage)
{
        struct slot_record *record = NEW(struct slot_record);

        record->slots = slots;
        record->stage = stage;
        record->use.id = ++slots->last_id;
        record->use.slot = -1;
        record->use.state = SLOT_WAITING;
        record->use.asked_usec = env_boottime(slots->env);
        TAILQ_INSERT_TAIL(&slots->all, record, link);
        HASH_ADD(hh, slots->by_id, use.id, sizeof(record->use.id), record);
        return record;
}

void slot_record_leave(struct slot_record *record)
{
        slot_untell(record);
        if (record->connection)
                TAILQ_REMOVE(&record->connection->records, record, of_connection);
        record->connection = NULL;
        record->use.connection = 0;
}

struct slot_record *slot_record_free(struct slot_record *record)
{
        struct slots *slots = record->slots;

        slot_record_leave(record);
        if (record->watch)
                slots->env->ops->process_unwatch(record->watch);
        if (record->is_placed)
                databases_forget_resolve(slots->databases, slots, record->use.id);
        drain_free(record->drain);
        TAILQ_REMOVE(&slots->all, record, link);
        HASH_DEL(slots->by_id, record);
        free(record->use.label);
        free(record->use.database);
        free(record->text);
        free(record->request);
        free(record);
        return NULL;
}

struct slot_record *slot_record_find(struct slots *slots, uint64_t id)
{
        struct slot_record *record;

        HASH_FIND(hh, slots->by_id, &id, sizeof(id), record);
        return record;
}

struct slot_connection *slot_connection_find(struct slots *slots, uint64_t id)
{
        struct slot_connection *connection;

        HASH_FIND(hh, slots->connections, &id, sizeof(id), connection);
        return connection;
}

/* An inherited copy of the socket does not keep what the process that opened it was granted. */
static void on_process_gone(void *owner, uint64_t id)
{
        struct slot_connection *connection = owner;
        struct slot_record *record;

        (void)id;
        connection->slots->env->ops->process_unwatch(connection->watch);
        connection->watch = NULL;
        connection->is_process_gone = true;
        /* Those that wait first: what it holds would be handed on to them. */
        TAILQ_FOREACH (record, &connection->records, of_connection)
                if (slot_is_waiting(record))
                        slot_fail(record, SLOTS_E_GONE, NULL);
        TAILQ_FOREACH (record, &connection->records, of_connection)
                if (record->stage == SLOT_IN_USE)
                        slot_let_go(record, true, "the process that held it has ended");
}

struct slot_connection *slot_connection_get(struct slots *slots, uint64_t id, const struct peer *peer)
{
        struct slot_connection *connection = slot_connection_find(slots, id);

        if (connection)
                return connection;
        connection = NEW(struct slot_connection);
        connection->id = id;
        connection->slots = slots;
        TAILQ_INIT(&connection->records);
        HASH_ADD(hh, slots->connections, id, sizeof(connection->id), connection);
        connection->watch =
                slots->env->ops->process_watch(slots->env, &peer->process, on_process_gone, connection, id);
        return connection;
}

void slot_connection_free(struct slot_connection *connection)
{
        struct slots *slots = connection->slots;

        if (connection->watch)
                slots->env->ops->process_unwatch(connection->watch);
        HASH_DEL(slots->connections, connection);
        free(connection);
}

void slot_record_join(struct slot_record *record, struct slot_connection *connection)
{
        record->connection = connection;
        record->use.connection = connection->id;
        TAILQ_INSERT_TAIL(&connection->records, record, of_connection);
}

struct slot_cluster *slot_cluster_find(struct slots *slots, unsigned id)
{
        struct slot_cluster *cluster;

        HASH_FIND(hh, slots->clusters, &id, sizeof(id), cluster);
        return cluster;
}

struct slot_cluster *slot_cluster_get(struct slots *slots, unsigned id)
{
        struct slot_cluster *cluster = slot_cluster_find(slots, id);
        const struct cluster *server;

        if (cluster)
                return cluster;
        cluster = NEW(struct slot_cluster);
        cluster->id = id;
        cluster->queue = slot_queue_new(slots->n_slots);
        HASH_ADD(hh, slots->clusters, id, sizeof(cluster->id), cluster);
        server = databases_cluster(slots->databases, id);
        if (server)
                (void)snprintf(cluster->key, sizeof(cluster->key), "%s@%s", server->system_identifier,
                               server->address);
        return cluster;
}
