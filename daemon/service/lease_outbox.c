/* SPDX-License-Identifier: MIT */

/*
 * No callback is made from inside a call: what a call brings about is put here, and told by a timer without
 * delay, in the order in which it happened. An ended lease lives here until its end has been told.
 */

#include "service/lease_record.h"

#include <stdlib.h>

static struct lease_event *post(struct leases *leases, enum lease_event_kind kind)
{
        struct lease_event *event = NEW(struct lease_event);

        if (TAILQ_EMPTY(&leases->outbox))
                leases->env->ops->timer_arm(leases->outbox_timer, 0);
        event->kind = kind;
        TAILQ_INSERT_TAIL(&leases->outbox, event, link);
        return event;
}

static struct lease_event *post_to(struct leases *leases, enum lease_event_kind kind, uint64_t connection)
{
        struct lease_event *event = post(leases, kind);

        event->connection = connection;
        leases->n_addressed++;
        return event;
}

void lease_tell_queued(struct lease_record *record)
{
        (void)post_to(record->leases, LEASE_EVENT_QUEUED, record->lease.members[0].connection);
}

void lease_tell_failed(struct leases *leases, uint64_t connection, int error)
{
        post_to(leases, LEASE_EVENT_FAILED, connection)->error = error;
}

void lease_tell_let_go(struct leases *leases, const struct lease_member *member, enum lease_state state,
                       const char *reason)
{
        struct lease_event *event;

        if (member->expects_grant) {
                lease_tell_failed(leases, member->connection, LEASES_E_NO_SUCH_LEASE);
                return;
        }
        event = post_to(leases, LEASE_EVENT_LET_GO, member->connection);
        event->state = state;
        event->reason = alloc_string(reason);
}

void lease_tell_changed(struct lease_record *record)
{
        if (record->is_change_told)
                return;
        record->is_change_told = true;
        post(record->leases, LEASE_EVENT_CHANGED)->lease = record->lease.id;
}

void lease_tell_ended(struct lease_record *record)
{
        post(record->leases, LEASE_EVENT_ENDED)->record = record;
}

static void free_event(struct lease_event *event)
{
        if (event->record)
                lease_record_free(event->record);
        free(event->reason);
        free(event);
}

static void take_out(struct leases *leases, struct lease_event *event)
{
        TAILQ_REMOVE(&leases->outbox, event, link);
        if (event->connection)
                leases->n_addressed--;
}

void lease_outbox_forget_connection(struct leases *leases, uint64_t connection)
{
        struct lease_event *event, *next;

        if (!leases->n_addressed)
                return;
        for (event = TAILQ_FIRST(&leases->outbox); event; event = next) {
                next = TAILQ_NEXT(event, link);
                if (event->connection != connection)
                        continue;
                take_out(leases, event);
                free_event(event);
        }
}

static void tell_queued(struct leases *leases, struct lease_event *event)
{
        struct lease_carrier *carrier = lease_carrier_find(leases, event->connection);
        struct lease_record *record = carrier ? carrier->record : NULL;

        if (!record || record->lease.state != LEASE_WAITING)
                return;
        lease_queue_number(leases);
        record->told = record->lease.position;
        leases->events->queued(leases->owner, event->connection, record->told);
}

static void tell_failed(struct leases *leases, struct lease_event *event)
{
        leases->events->failed(leases->owner, event->connection, event->error);
}

static void tell_let_go(struct leases *leases, struct lease_event *event)
{
        leases->events->let_go(leases->owner, event->connection, event->state, event->reason);
}

static void tell_changed(struct leases *leases, struct lease_event *event)
{
        struct lease_record *record = lease_by_id(leases, event->lease);

        if (!record)
                return;
        record->is_change_told = false;
        leases->events->changed(leases->owner, &record->lease);
}

static void tell_ended(struct leases *leases, struct lease_event *event)
{
        leases->events->ended(leases->owner, &event->record->lease);
}

void lease_outbox_on_timer(void *owner)
{
        static void (*const tell[])(struct leases *, struct lease_event *) = {
                [LEASE_EVENT_QUEUED] = tell_queued, [LEASE_EVENT_FAILED] = tell_failed,
                [LEASE_EVENT_LET_GO] = tell_let_go, [LEASE_EVENT_CHANGED] = tell_changed,
                [LEASE_EVENT_ENDED] = tell_ended,
        };
        struct leases *leases = owner;
        struct lease_event *event;

        while ((event = TAILQ_FIRST(&leases->outbox))) {
                take_out(leases, event);
                tell[event->kind](leases, event);
                free_event(event);
        }
}

void lease_outbox_clear(struct leases *leases)
{
        struct lease_event *event;

        while ((event = TAILQ_FIRST(&leases->outbox))) {
                take_out(leases, event);
                free_event(event);
        }
}
