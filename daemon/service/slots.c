/* SPDX-License-Identifier: MIT */
#include "service/slots.h"

#include "service/slot_record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void set_limits(struct slots *slots, const struct settings *settings)
{
        slots->n_slots = settings->ddl_slots;
        slots->start_grace = settings->start_grace;
        slots->drain_limits = (struct drain_limits){
                .busy = settings->statement_timeout,
                .silent = 2 * settings->connect_timeout,
                .answer = settings->connect_timeout,
        };
}

struct slots *slots_new(struct env *env, struct ledger *ledger, struct databases *databases, struct pg *pg,
                        const struct settings *settings, const struct slot_events *events, void *owner)
{
        struct slots *slots = NEW(struct slots);

        slots->env = env;
        slots->ledger = ledger;
        slots->databases = databases;
        slots->pg = pg;
        slots->events = events;
        slots->owner = owner;
        set_limits(slots, settings);
        slots->next_grant = 1;
        TAILQ_INIT(&slots->all);
        TAILQ_INIT(&slots->notices);
        slots->notice_timer = env->ops->timer_new(env, slot_on_notices, slots);
        slots->change_timer = env->ops->timer_new(env, slot_on_change, slots);
        slots->deadline_timer = env->ops->timer_new(env, slot_on_deadline, slots);
        slots->grace_timer = env->ops->timer_new(env, slot_on_grace, slots);
        return slots;
}

struct slots *slots_free(struct slots *slots)
{
        struct slot_record *record;
        struct slot_connection *connection, *next_connection;
        struct slot_cluster *cluster, *next_cluster;

        if (!slots)
                return NULL;
        while ((record = TAILQ_FIRST(&slots->all))) {
                if (record->stage == SLOT_RESOLVING)
                        databases_forget_resolve(slots->databases, slots, record->use.id);
                slot_record_free(record);
        }
        HASH_ITER (hh, slots->connections, connection, next_connection)
                slot_connection_free(connection);
        HASH_ITER (hh, slots->clusters, cluster, next_cluster) {
                HASH_DEL(slots->clusters, cluster);
                slot_queue_free(cluster->queue);
                free(cluster);
        }
        slots->env->ops->timer_free(slots->notice_timer);
        slots->env->ops->timer_free(slots->change_timer);
        slots->env->ops->timer_free(slots->deadline_timer);
        slots->env->ops->timer_free(slots->grace_timer);
        free(slots);
        return NULL;
}

void slots_measure(struct slots *slots, struct metrics *metrics)
{
        slots->metrics = metrics;
}

void slots_configure(struct slots *slots, const struct settings *settings)
{
        struct slot_cluster *cluster, *next;

        set_limits(slots, settings);
        HASH_ITER (hh, slots->clusters, cluster, next)
                slot_queue_resize(cluster->queue, slots->n_slots);
        slot_hand_out_everywhere(slots);
}

/* ---- acquire ---- */

static struct slot_record *make_record(struct slots *slots, const struct slot_request *request)
{
        struct slot_record *record = slot_record_new(slots, SLOT_RESOLVING);
        struct slot_use *use = &record->use;

        use->lease = request->lease;
        use->peer = request->peer;
        use->label = alloc_string(request->label);
        use->database = alloc_string(request->database);
        record->no_wait = request->no_wait || request->only_reclaim;
        record->only_reclaim = request->only_reclaim;
        record->reclaim = request->reclaim;
        record->request = alloc_string(request->request);
        (void)snprintf(use->namespace, sizeof(use->namespace), "%s", request->namespace);
        (void)snprintf(use->worker, sizeof(use->worker), "%s", request->worker ? request->worker : "gw0");
        return record;
}

/* In place of an event: nobody has been told anything of it yet. */
static int refuse(struct slot_record *record, int error)
{
        slot_end(record, "failed");
        slot_record_free(record);
        return -error;
}

static int resolve(struct slots *slots, struct slot_record *record, const struct slot_request *request)
{
        int r = databases_resolve(slots->databases, request->database, request->system_identifier,
                                  slot_on_resolved, slots, record->use.id);

        if (!r) {
                slot_set_deadline(record, request->timeout_usec);
                return 0;
        }
        slot_record_free(record);
        return -SLOTS_E_NO_SUCH_DATABASE;
}

int slots_acquire(struct slots *slots, const struct slot_request *request, const struct slot_use **ret)
{
        struct slot_connection *connection = slot_connection_get(slots, request->connection, &request->peer);
        struct slot_record *record;
        unsigned cluster;

        /* Somebody speaks through an inherited copy of a dead holder's socket. */
        if (connection->is_process_gone)
                return -SLOTS_E_GONE;
        record = make_record(slots, request);
        slot_record_join(record, connection);
        cluster = databases_known_cluster(slots->databases, request->database, request->system_identifier);
        if (!cluster)
                return resolve(slots, record, request);
        slot_enqueue(record, cluster);
        if (record->stage == SLOT_IN_USE) {
                *ret = &record->use;
                return 1;
        }
        if (record->no_wait)
                return refuse(record, SLOTS_E_BUSY);
        slot_set_deadline(record, request->timeout_usec);
        slot_tell(record, SLOT_TELL_QUEUED);
        return 0;
}

/* ---- release ---- */

static bool is_granted(const struct slot_record *record)
{
        return (record->stage == SLOT_IN_USE && record->notice != SLOT_TELL_GRANTED) ||
               record->stage == SLOT_LOST;
}

/* *ret_n: how many there are; a grant that is not told leaves only one choice. */
static struct slot_record *find_held_by_connection(struct slots *slots, uint64_t id, int64_t grant,
                                                   unsigned *ret_n)
{
        const struct slot_connection *connection = slot_connection_find(slots, id);
        struct slot_record *record, *found = NULL;

        *ret_n = 0;
        if (!connection)
                return NULL;
        TAILQ_FOREACH (record, &connection->records, of_connection) {
                if (!is_granted(record) || (grant && record->use.grant != grant))
                        continue;
                found = record;
                ++*ret_n;
        }
        return found;
}

static struct slot_record *find_held_by_lease(struct slots *slots, int64_t lease, int64_t grant,
                                              unsigned *ret_n)
{
        struct slot_record *record, *found = NULL;

        *ret_n = 0;
        if (!lease)
                return NULL;
        TAILQ_FOREACH (record, &slots->all, link) {
                if (!is_granted(record) || record->use.lease != lease ||
                    (grant && record->use.grant != grant))
                        continue;
                found = record;
                ++*ret_n;
        }
        return found;
}

int slots_release(struct slots *slots, uint64_t connection, int64_t lease, int64_t grant,
                  uint64_t *ret_held_usec)
{
        struct slot_record *record;
        unsigned n;

        record = find_held_by_connection(slots, connection, grant, &n);
        if (!n)
                record = find_held_by_lease(slots, lease, grant, &n);
        if (n != 1)
                return SLOTS_E_NOT_HELD;
        record = slot_merge_adopter(record);
        *ret_held_usec = env_boottime(slots->env) - record->use.granted_usec;
        if (record->use.connection != connection) {
                slot_let_go(record, false, NULL);
                return 0;
        }
        slot_end(record, "released");
        slot_record_free(record);
        return 0;
}

/* ---- what else frees a slot ---- */

void slots_connection_closed(struct slots *slots, uint64_t connection_id)
{
        struct slot_connection *connection = slot_connection_find(slots, connection_id);
        struct slot_record *record, *next;

        if (!connection)
                return;
        /* Those that wait first: what it holds would be handed on to them. */
        for (record = TAILQ_FIRST(&connection->records); record; record = next) {
                next = TAILQ_NEXT(record, of_connection);
                if (!slot_is_waiting(record))
                        continue;
                slot_end(record, "hung up");
                slot_record_free(record);
        }
        while ((record = TAILQ_FIRST(&connection->records))) {
                if (record->stage == SLOT_IN_USE)
                        slot_orphan(record, "died");
                slot_record_leave(record);
                if (record->stage == SLOT_OVER)
                        slot_record_free(record);
        }
        slot_connection_free(connection);
}

void slots_lease_ended(struct slots *slots, int64_t lease, bool revoked, const char *reason)
{
        struct slot_record *record, *next;

        TAILQ_FOREACH (record, &slots->all, link)
                if (record->use.lease == lease && slot_is_waiting(record) && !record->only_reclaim)
                        slot_fail(record, SLOTS_E_GONE, NULL);
        for (record = TAILQ_FIRST(&slots->all); record; record = next) {
                next = TAILQ_NEXT(record, link);
                if (record->use.lease != lease)
                        continue;
                if (record->stage == SLOT_IN_USE || record->stage == SLOT_LOST)
                        slot_let_go(record, revoked, reason);
        }
}

/* ---- the sweep ---- */

void slots_request_for_sweep(struct slots *slots, unsigned cluster, uint64_t id, slots_granted_fn *granted,
                             void *owner)
{
        struct slot_record *record = slot_record_new(slots, SLOT_RESOLVING);

        record->sweep = id;
        record->granted = granted;
        record->granted_owner = owner;
        slot_enqueue(record, cluster);
}

void slots_done_for_sweep(struct slots *slots, uint64_t id)
{
        struct slot_record *record;

        TAILQ_FOREACH (record, &slots->all, link) {
                if (!record->granted || record->sweep != id)
                        continue;
                slot_end(record, "done");
                slot_record_free(record);
                return;
        }
}

/* ---- looking ---- */

struct looker {
        struct slots *slots;
        slot_use_fn *each;
        void *owner;
        unsigned position;
};

static void look_at(void *owner, const struct slot_entry *entry)
{
        struct looker *looker = owner;
        const struct slot_record *record = slot_record_find(looker->slots, entry->id);

        if (entry->state == SLOT_WAITING)
                looker->position++;
        looker->each(looker->owner, &record->use, looker->position);
}

unsigned slots_held_on(struct slots *slots, uint64_t id, int64_t *ret_grants, unsigned max)
{
        const struct slot_connection *connection = slot_connection_find(slots, id);
        const struct slot_record *record;
        unsigned n = 0;

        if (!connection)
                return 0;
        TAILQ_FOREACH (record, &connection->records, of_connection) {
                bool is_taken_back = record->only_reclaim && record->stage == SLOT_RESOLVING;

                if (record->stage != SLOT_IN_USE && !is_taken_back)
                        continue;
                if (n < max)
                        ret_grants[n] = is_taken_back ? record->reclaim : record->use.grant;
                n++;
        }
        return n;
}

void slots_each(struct slots *slots, unsigned cluster_id, slot_use_fn *each, void *owner)
{
        const struct slot_cluster *cluster = cluster_id ? slot_cluster_get(slots, cluster_id) : NULL;
        struct looker looker = {slots, each, owner, 0};
        struct slot_record *record;

        if (!cluster)
                return;
        TAILQ_FOREACH (record, &slots->all, link)
                if (record->stage == SLOT_LOST && !strcmp(record->cluster_key, cluster->key))
                        each(owner, &record->use, 0);
        slot_queue_each(cluster->queue, look_at, &looker);
}

unsigned slots_n_waiting(const struct slots *slots)
{
        const struct slot_record *record;
        unsigned n = 0;

        TAILQ_FOREACH (record, &slots->all, link)
                n += !record->granted && slot_is_waiting(record);
        return n;
}
