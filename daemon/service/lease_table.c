/* SPDX-License-Identifier: MIT */
#include "service/lease_record.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct lease_record *lease_record_new(struct leases *leases, enum lease_state state)
{
        struct lease_record *record = NEW(struct lease_record);

        record->leases = leases;
        record->exit_status = -1;
        record->lease.state = state;
        record->lease.since_usec = env_realtime(leases->env);
        TAILQ_INSERT_TAIL(&leases->all, record, link);
        if (state != LEASE_WAITING)
                leases->n_live++;
        return record;
}

void lease_record_free(struct lease_record *record)
{
        lease_members_unwatch(record);
        explicit_bzero(record->secret, sizeof(record->secret));
        free(record->lease.members);
        free(record->lease.label);
        free(record->request);
        free(record);
}

void lease_table_name(struct lease_record *record)
{
        HASH_ADD_KEYPTR(by_name, record->leases->by_name, record->lease.namespace,
                        strlen(record->lease.namespace), record);
}

void lease_table_number(struct lease_record *record)
{
        HASH_ADD(by_id, record->leases->by_id, lease.id, sizeof(record->lease.id), record);
}

void lease_table_request(struct lease_record *record, unsigned uid, const char *request)
{
        record->request = alloc_printf("%u:%s", uid, request);
        HASH_ADD_KEYPTR(by_request, record->leases->by_request, record->request, strlen(record->request),
                        record);
}

/* Out of every table, whichever it is in, and out of the list of all. */
void lease_table_remove(struct lease_record *record)
{
        struct leases *leases = record->leases;

        if (lease_by_name(leases, record->lease.namespace) == record)
                HASH_DELETE(by_name, leases->by_name, record);
        if (lease_by_id(leases, record->lease.id) == record)
                HASH_DELETE(by_id, leases->by_id, record);
        if (record->request)
                HASH_DELETE(by_request, leases->by_request, record);
        record->request = (free(record->request), NULL);
        TAILQ_REMOVE(&leases->all, record, link);
}

struct lease_record *lease_by_name(struct leases *leases, const char *namespace)
{
        struct lease_record *record;

        HASH_FIND(by_name, leases->by_name, namespace, strlen(namespace), record);
        return record;
}

struct lease_record *lease_by_id(struct leases *leases, int64_t id)
{
        struct lease_record *record;

        HASH_FIND(by_id, leases->by_id, &id, sizeof(id), record);
        return record;
}

struct lease_record *lease_by_request(struct leases *leases, unsigned uid, const char *request)
{
        char *key = alloc_printf("%u:%s", uid, request);
        struct lease_record *record;

        HASH_FIND(by_request, leases->by_request, key, strlen(key), record);
        free(key);
        return record;
}

struct lease_record *lease_by_secret(struct leases *leases, const char *namespace, const char *secret)
{
        struct lease_record *record = namespace ? lease_by_name(leases, namespace) : NULL;
        bool has_secret = record && lease_is_granted(record);

        return lease_secret_fits(secret, has_secret ? record->secret_hash : NULL) ? record : NULL;
}

struct lease_carrier *lease_carrier_find(struct leases *leases, uint64_t connection)
{
        struct lease_carrier *carrier;

        HASH_FIND(hh, leases->carriers, &connection, sizeof(connection), carrier);
        return carrier;
}

void lease_carrier_set(struct leases *leases, uint64_t connection, struct lease_record *record)
{
        struct lease_carrier *carrier = lease_carrier_find(leases, connection);

        assert(connection);
        if (!carrier) {
                carrier = NEW(struct lease_carrier);
                carrier->connection = connection;
                HASH_ADD(hh, leases->carriers, connection, sizeof(carrier->connection), carrier);
        }
        carrier->record = record;
}

void lease_carrier_drop(struct leases *leases, uint64_t connection)
{
        struct lease_carrier *carrier = lease_carrier_find(leases, connection);

        if (!carrier)
                return;
        HASH_DEL(leases->carriers, carrier);
        free(carrier);
}
