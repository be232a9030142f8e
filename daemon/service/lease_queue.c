/* SPDX-License-Identifier: MIT */
#include "service/lease_record.h"

/* A place that changes is told at once when it is new, later not more often than this. */
#define PLACES_DELAY_USEC (100 * USEC_PER_MSEC)

/* One timer for all: it is armed for the earliest deadline known, and looks again when it fires. */
static void arm_deadline(struct leases *leases, uint64_t deadline)
{
        uint64_t now = env_boottime(leases->env);

        if (!deadline || (leases->deadline && leases->deadline <= deadline))
                return;
        leases->deadline = deadline;
        leases->env->ops->timer_arm(leases->deadline_timer, deadline > now ? deadline - now : 0);
}

static void places_have_changed(struct leases *leases)
{
        leases->is_renumbering_due = true;
        if (leases->is_places_timer_armed || TAILQ_EMPTY(&leases->queue))
                return;
        leases->is_places_timer_armed = true;
        leases->env->ops->timer_arm(leases->places_timer, PLACES_DELAY_USEC);
}

static void set_deadline(struct lease_record *record, uint64_t timeout_usec)
{
        uint64_t now = env_boottime(record->leases->env);

        record->deadline = timeout_usec && timeout_usec < UINT64_MAX - now ? now + timeout_usec : 0;
        arm_deadline(record->leases, record->deadline);
}

void lease_queue_append(struct lease_record *record, uint64_t timeout_usec)
{
        TAILQ_INSERT_TAIL(&record->leases->queue, record, queue);
        record->leases->n_waiting++;
        record->leases->is_renumbering_due = true;
        set_deadline(record, timeout_usec);
}

void lease_queue_remove(struct lease_record *record)
{
        TAILQ_REMOVE(&record->leases->queue, record, queue);
        record->leases->n_waiting--;
        places_have_changed(record->leases);
}

/* Somebody who waits for a drop of his name to end holds nobody else up; whoever waits for a place does. */
void lease_queue_advance(struct leases *leases)
{
        struct lease_record *record, *next;

        for (record = TAILQ_FIRST(&leases->queue); record; record = next) {
                next = TAILQ_NEXT(record, queue);
                if (leases->max_leases && leases->n_live >= leases->max_leases)
                        return;
                if (record->lease.forced && lease_is_claimed(leases, record->lease.namespace))
                        continue;
                lease_queue_remove(record);
                lease_grant(record);
        }
}

void lease_queue_number(struct leases *leases)
{
        struct lease_record *record;
        unsigned position = 0;

        if (!leases->is_renumbering_due)
                return;
        leases->is_renumbering_due = false;
        TAILQ_FOREACH (record, &leases->queue, queue)
                record->lease.position = ++position;
}

/* The same request on another connection: the first one was lost, its place is not. */
void lease_queue_take_over(struct lease_record *record, const struct lease_request *request)
{
        struct lease_member *asker = &record->lease.members[0];

        lease_carrier_drop(record->leases, asker->connection);
        lease_tell_failed(record->leases, asker->connection, LEASES_E_BUSY);
        asker->connection = request->connection;
        asker->peer = request->peer;
        lease_carrier_set(record->leases, request->connection, record);
        set_deadline(record, request->timeout_usec);
        lease_tell_queued(record);
}

static void give_up(struct lease_record *record)
{
        struct leases *leases = record->leases;
        uint64_t connection = record->lease.members[0].connection;

        lease_carrier_drop(leases, connection);
        lease_queue_remove(record);
        lease_table_remove(record);
        lease_record_free(record);
        leases->events->failed(leases->owner, connection, LEASES_E_BUSY);
}

static struct lease_record *next_overdue(struct leases *leases, uint64_t now)
{
        struct lease_record *record;

        TAILQ_FOREACH (record, &leases->queue, queue)
                if (record->deadline && record->deadline <= now)
                        return record;
        return NULL;
}

void lease_queue_on_deadline(void *owner)
{
        struct leases *leases = owner;
        uint64_t now = env_boottime(leases->env);
        struct lease_record *record;

        leases->deadline = 0;
        /* From the start each time: whoever is told may ask for anything. */
        while ((record = next_overdue(leases, now)))
                give_up(record);
        TAILQ_FOREACH (record, &leases->queue, queue)
                arm_deadline(leases, record->deadline);
}

static struct lease_record *next_untold(struct leases *leases)
{
        struct lease_record *record;

        lease_queue_number(leases);
        TAILQ_FOREACH (record, &leases->queue, queue)
                if (record->told && record->told != record->lease.position)
                        return record;
        return NULL;
}

void lease_queue_on_places(void *owner)
{
        struct leases *leases = owner;
        struct lease_record *record;

        leases->is_places_timer_armed = false;
        while ((record = next_untold(leases))) {
                record->told = record->lease.position;
                leases->events->queued(leases->owner, record->lease.members[0].connection, record->told);
        }
}
