/* SPDX-License-Identifier: MIT */

/*
 * No callback is made from inside a call: what a call brings about is noted at the record, and told by a
 * timer without delay. Places in the queue and changes for subscribers are told with a short delay, whatever
 * number of them has come together, so that two hundred waiters are no storm.
 */

#include "service/slot_record.h"

#include <assert.h>
#include <stdlib.h>

#define CHANGE_DELAY_USEC (100 * USEC_PER_MSEC)

/* Always behind what has been noted before: who had the slot is told before who has it next. */
void slot_tell(struct slot_record *record, enum slot_notice notice)
{
        struct slots *slots = record->slots;

        slot_untell(record);
        if (TAILQ_EMPTY(&slots->notices))
                slots->env->ops->timer_arm(slots->notice_timer, 0);
        TAILQ_INSERT_TAIL(&slots->notices, record, notices);
        record->notice = notice;
}

void slot_untell(struct slot_record *record)
{
        if (record->notice)
                TAILQ_REMOVE(&record->slots->notices, record, notices);
        record->notice = SLOT_TELL_NOTHING;
}

static void tell_queued(struct slot_record *record)
{
        const struct slots *slots = record->slots;

        record->told = slot_queue_position(record->cluster->queue, record->use.id);
        slots->events->queued(slots->owner, record->use.connection, &record->use, record->told);
}

static void tell_granted(struct slot_record *record)
{
        const struct slots *slots = record->slots;

        if (record->granted)
                record->granted(record->granted_owner, record->sweep);
        else
                slots->events->granted(slots->owner, record->use.connection, &record->use);
}

static void tell_failed(struct slot_record *record)
{
        const struct slots *slots = record->slots;
        uint64_t connection = record->use.connection;

        slot_record_leave(record);
        slots->events->failed(slots->owner, connection, &record->use, record->error, record->text);
        slot_record_free(record);
}

static void tell_let_go(struct slot_record *record)
{
        const struct slots *slots = record->slots;
        uint64_t connection = record->use.connection;

        slot_record_leave(record);
        slots->events->let_go(slots->owner, connection, &record->use, record->revoked, record->text);
        if (record->stage == SLOT_OVER)
                slot_record_free(record);
}

void slot_on_notices(void *owner)
{
        static void (*const tell[])(struct slot_record *) = {
                [SLOT_TELL_QUEUED] = tell_queued,
                [SLOT_TELL_GRANTED] = tell_granted,
                [SLOT_TELL_FAILED] = tell_failed,
                [SLOT_TELL_LET_GO] = tell_let_go,
        };
        struct slots *slots = owner;
        struct slot_record *record;

        while ((record = TAILQ_FIRST(&slots->notices))) {
                enum slot_notice notice = record->notice;

                assert(notice != SLOT_TELL_NOTHING);
                slot_untell(record);
                tell[notice](record);
        }
}

/* ---- places, and changes for subscribers ---- */

void slot_has_changed(struct slots *slots, struct slot_cluster *cluster)
{
        cluster->has_changed = true;
        if (slots->is_change_timer_armed)
                return;
        slots->is_change_timer_armed = true;
        slots->env->ops->timer_arm(slots->change_timer, CHANGE_DELAY_USEC);
}

struct place {
        uint64_t id;
        unsigned position;
};

struct places {
        struct place *list;
        unsigned n, position;
};

static void collect_place(void *owner, const struct slot_entry *entry)
{
        struct places *places = owner;

        if (entry->state == SLOT_WAITING)
                places->list[places->n++] = (struct place){entry->id, ++places->position};
}

/* By number, because whoever is told may end any of them. */
static void tell_places(struct slots *slots, const struct slot_cluster *cluster)
{
        unsigned n_waiting = slot_queue_n_waiting(cluster->queue);
        struct places places = {0};

        if (!n_waiting)
                return;
        places.list = alloc_array(NULL, n_waiting, sizeof(*places.list));
        slot_queue_each(cluster->queue, collect_place, &places);
        for (unsigned i = 0; i < places.n; i++) {
                struct slot_record *record = slot_record_find(slots, places.list[i].id);

                if (!record || record->stage != SLOT_QUEUED || !record->told ||
                    record->told == places.list[i].position)
                        continue;
                record->told = places.list[i].position;
                slots->events->queued(slots->owner, record->use.connection, &record->use, record->told);
        }
        free(places.list);
}

void slot_on_change(void *owner)
{
        struct slots *slots = owner;
        struct slot_cluster *cluster, *next;

        slots->is_change_timer_armed = false;
        HASH_ITER (hh, slots->clusters, cluster, next) {
                if (!cluster->has_changed)
                        continue;
                cluster->has_changed = false;
                tell_places(slots, cluster);
                slots->events->changed(slots->owner, cluster->id);
        }
}

/* ---- deadlines ---- */

/* One timer for all: it is armed for the earliest deadline known, and looks again when it fires. */
static void arm_deadline(struct slots *slots, uint64_t deadline)
{
        uint64_t now = env_boottime(slots->env);

        if (!deadline || (slots->deadline && slots->deadline <= deadline))
                return;
        slots->deadline = deadline;
        slots->env->ops->timer_arm(slots->deadline_timer, deadline > now ? deadline - now : 0);
}

void slot_set_deadline(struct slot_record *record, uint64_t timeout_usec)
{
        uint64_t now = env_boottime(record->slots->env);

        if (!timeout_usec || timeout_usec >= UINT64_MAX - now)
                return;
        record->deadline = now + timeout_usec;
        arm_deadline(record->slots, record->deadline);
}

void slot_on_deadline(void *owner)
{
        struct slots *slots = owner;
        uint64_t now = env_boottime(slots->env);
        struct slot_record *record, *next;

        slots->deadline = 0;
        for (record = TAILQ_FIRST(&slots->all); record; record = next) {
                next = TAILQ_NEXT(record, link);
                if (!slot_is_waiting(record))
                        continue;
                if (record->deadline && record->deadline <= now)
                        slot_fail(record, SLOTS_E_BUSY, NULL);
                else
                        arm_deadline(slots, record->deadline);
        }
}
