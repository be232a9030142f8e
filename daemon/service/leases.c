/* SPDX-License-Identifier: MIT */
#include "service/leases.h"

#include "service/lease_record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct leases *leases_new(struct env *env, struct ledger *ledger, const struct settings *settings,
                          const struct lease_events *events, void *owner)
{
        struct leases *leases = NEW(struct leases);

        leases->env = env;
        leases->ledger = ledger;
        leases->events = events;
        leases->owner = owner;
        leases->next = (struct ledger_numbers){1, 1, 1, 1};
        leases->max_leases = settings->max_leases;
        leases->start_grace = settings->start_grace;
        leases->keep_for = settings->keep_for;
        TAILQ_INIT(&leases->all);
        TAILQ_INIT(&leases->queue);
        TAILQ_INIT(&leases->rekeys);
        TAILQ_INIT(&leases->keeps);
        TAILQ_INIT(&leases->outbox);
        leases->outbox_timer = env->ops->timer_new(env, lease_outbox_on_timer, leases);
        leases->deadline_timer = env->ops->timer_new(env, lease_queue_on_deadline, leases);
        leases->places_timer = env->ops->timer_new(env, lease_queue_on_places, leases);
        return leases;
}

struct leases *leases_free(struct leases *leases)
{
        struct lease_record *record;
        struct lease_carrier *carrier, *next;
        struct lease_rekey *rekey;
        struct lease_keep *keep;

        if (!leases)
                return NULL;
        lease_outbox_clear(leases);
        while ((record = TAILQ_FIRST(&leases->all))) {
                lease_table_remove(record);
                lease_record_free(record);
        }
        HASH_ITER (hh, leases->carriers, carrier, next) {
                HASH_DEL(leases->carriers, carrier);
                free(carrier);
        }
        while ((rekey = TAILQ_FIRST(&leases->rekeys))) {
                TAILQ_REMOVE(&leases->rekeys, rekey, link);
                explicit_bzero(rekey, sizeof(*rekey));
                free(rekey);
        }
        while ((keep = TAILQ_FIRST(&leases->keeps))) {
                TAILQ_REMOVE(&leases->keeps, keep, link);
                free(keep);
        }
        lease_memory_clear(leases);
        leases->env->ops->timer_free(leases->outbox_timer);
        leases->env->ops->timer_free(leases->deadline_timer);
        leases->env->ops->timer_free(leases->places_timer);
        free(leases);
        return NULL;
}

void leases_measure(struct leases *leases, struct metrics *metrics)
{
        leases->metrics = metrics;
}

void leases_configure(struct leases *leases, const struct settings *settings)
{
        leases->max_leases = settings->max_leases;
        leases->start_grace = settings->start_grace;
        leases->keep_for = settings->keep_for;
        lease_queue_advance(leases);
}

/* ---- acquire ---- */

static bool carries(struct leases *leases, uint64_t connection)
{
        const struct lease_carrier *carrier = lease_carrier_find(leases, connection);

        return carrier && carrier->record;
}

/* The lease that an earlier call with this request came to, if this call can mean the same. */
static struct lease_record *find_asked(struct leases *leases, const struct lease_request *request)
{
        struct lease_record *record;

        if (!request->request)
                return NULL;
        record = lease_by_request(leases, request->peer.uid, request->request);
        if (!record || record->lease.state == LEASE_RELEASING)
                return NULL;
        if (request->namespace && strcmp(request->namespace, record->lease.namespace) != 0)
                return NULL;
        return record;
}

static struct lease_record *make_record(struct leases *leases, const struct lease_request *request)
{
        struct lease_record *record = lease_record_new(leases, LEASE_WAITING);
        struct lease_member *asker = lease_member_add(record);

        record->lease.uid = request->peer.uid;
        record->lease.label = alloc_string(request->label);
        asker->connection = request->connection;
        asker->role = request->role;
        asker->peer = request->peer;
        asker->since_usec = record->lease.since_usec;
        asker->expects_grant = true;
        if (request->namespace) {
                record->lease.forced = true;
                (void)snprintf(record->lease.namespace, sizeof(record->lease.namespace), "%s",
                               request->namespace);
                lease_table_name(record);
        }
        if (request->request && !lease_by_request(leases, request->peer.uid, request->request))
                lease_table_request(record, request->peer.uid, request->request);
        lease_carrier_set(leases, request->connection, record);
        return record;
}

static int queue_or_grant(struct leases *leases, const struct lease_request *request)
{
        struct lease_record *record = make_record(leases, request);

        lease_queue_append(record, request->timeout_usec);
        lease_queue_advance(leases);
        if (record->lease.state != LEASE_WAITING)
                return 0;
        if (!request->no_wait) {
                lease_tell_queued(record);
                return 0;
        }
        lease_carrier_drop(leases, request->connection);
        lease_queue_remove(record);
        lease_table_remove(record);
        lease_record_free(record);
        return LEASES_E_BUSY;
}

int leases_acquire(struct leases *leases, const struct lease_request *request, char *message)
{
        struct lease_record *asked;

        if (carries(leases, request->connection))
                return LEASES_E_ALREADY_CARRIES;
        if (request->namespace && !names_check_namespace(request->namespace, message))
                return LEASES_E_BAD_NAME;
        asked = find_asked(leases, request);
        if (asked && asked->lease.state == LEASE_WAITING && request->no_wait)
                return LEASES_E_BUSY;
        if (asked)
                return lease_grant_again(asked, request);
        if (request->namespace && lease_by_name(leases, request->namespace))
                return LEASES_E_IN_USE;
        return queue_or_grant(leases, request);
}

/* ---- attach ---- */

int leases_attach(struct leases *leases, const struct lease_request *request, const struct lease **ret)
{
        struct lease_record *record;
        struct lease_member *member;

        if (carries(leases, request->connection))
                return LEASES_E_ALREADY_CARRIES;
        record = lease_by_secret(leases, request->namespace, request->secret);
        if (!record || record->lease.state == LEASE_RELEASING)
                return LEASES_E_NO_SUCH_LEASE;
        if (request->role == ROLE_CONTROLLER && lease_controller_is_taken(record, &request->peer))
                return LEASES_E_ALREADY_ATTACHED;
        member = lease_member_join(record, request);
        *ret = &record->lease;
        if (member->is_on_disk)
                return 0;
        lease_member_await(record, member);
        return LEASES_LATER;
}

/* ---- connections ---- */

static void close_asker(struct lease_record *record)
{
        lease_queue_remove(record);
        lease_table_remove(record);
        lease_record_free(record);
}

void leases_connection_closed(struct leases *leases, uint64_t connection)
{
        struct lease_carrier *carrier = lease_carrier_find(leases, connection);
        struct lease_record *record = carrier ? carrier->record : NULL;
        struct lease_member *member;

        lease_outbox_forget_connection(leases, connection);
        if (!carrier)
                return;
        lease_carrier_drop(leases, connection);
        if (!record)
                return;
        if (record->lease.state == LEASE_WAITING) {
                close_asker(record);
                return;
        }
        member = lease_member_of(record, connection);
        lease_member_close(record, member);
        lease_tell_changed(record);
        lease_settle(record);
}

/* ---- looking ---- */

const struct lease *leases_resolve(struct leases *leases, uint64_t connection, const char *namespace,
                                   const char *secret)
{
        const struct lease_carrier *carrier;
        const struct lease_record *record;

        if (namespace || secret) {
                record = lease_by_secret(leases, namespace, secret);
                return record ? &record->lease : NULL;
        }
        carrier = lease_carrier_find(leases, connection);
        record = carrier ? carrier->record : NULL;
        return record && lease_is_granted(record) ? &record->lease : NULL;
}

int64_t leases_member_on(struct leases *leases, uint64_t connection)
{
        const struct lease_carrier *carrier = lease_carrier_find(leases, connection);

        if (!carrier || !carrier->record || !lease_is_granted(carrier->record))
                return 0;
        return lease_member_of(carrier->record, connection)->id;
}

const struct lease *leases_find(struct leases *leases, const char *namespace)
{
        const struct lease_record *record = lease_by_name(leases, namespace);

        return record && record->lease.state != LEASE_WAITING ? &record->lease : NULL;
}

void leases_each(struct leases *leases, lease_fn *each, void *owner)
{
        const struct lease_record *record;

        lease_queue_number(leases);
        TAILQ_FOREACH (record, &leases->all, link)
                each(owner, &record->lease);
}

unsigned leases_n_live(const struct leases *leases)
{
        return leases->n_live;
}

unsigned leases_n_waiting(const struct leases *leases)
{
        return leases->n_waiting;
}
