/* SPDX-License-Identifier: MIT */

/*
 * A slot that was held before a restart stays reserved until its holder claims it again, its process is gone,
 * or start_grace has passed. Which of our clusters it is on may not be known yet, so nothing new is granted
 * anywhere until no such slot is left. One that is given up without its holder's doing takes its place in the
 * queue of its cluster first, and is drained there.
 */

#include "service/slot_record.h"

#include "util/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LATE_USEC USEC_PER_SEC

void slots_load(struct slots *slots, const struct ledger_change *row)
{
        struct slot_record *record;
        uint64_t now = env_realtime(slots->env), held;

        if (row->kind != LEDGER_SLOT_GRANTED)
                return;
        record = slot_record_new(slots, SLOT_LOST);
        held = now > row->time_usec ? now - row->time_usec : 0;
        slots->n_lost++;
        record->request = alloc_string(row->request);
        record->use.state = SLOT_HELD;
        record->use.grant = row->grant;
        record->use.slot = row->slot;
        record->use.lease = row->lease;
        record->use.peer = (struct peer){row->uid, row->process};
        record->use.granted_usec = record->use.asked_usec - (held < record->use.asked_usec ? held : 0);
        (void)snprintf(record->cluster_key, sizeof(record->cluster_key), "%s",
                       row->cluster ? row->cluster : "");
        (void)snprintf(record->use.namespace, sizeof(record->use.namespace), "%s", row->namespace);
        (void)snprintf(record->use.worker, sizeof(record->use.worker), "%s", row->worker ? row->worker : "");
}

/* Fewer slots are configured now than there were: the surplus is held all the same, and not granted again. */
static void restore(struct slot_record *record, struct slot_cluster *cluster)
{
        unsigned n_slots = slot_queue_slots(cluster->queue);
        unsigned n_needed = slot_queue_n_held(cluster->queue) + 1;
        int slot = record->use.slot;

        if (slot >= 0 && (unsigned)slot >= n_needed)
                n_needed = (unsigned)slot + 1;
        if (n_needed > n_slots)
                slot_queue_resize(cluster->queue, n_needed);
        /* Taken: two names of one server had been two clusters before. Any number does, as long as it counts.
         */
        for (unsigned i = 0;
             !slot_queue_restore(cluster->queue, record->use.id, (uint64_t)record->use.lease, slot); i++) {
                slot = (int)i;
                if (i >= slot_queue_slots(cluster->queue))
                        slot_queue_resize(cluster->queue, i + 1);
        }
        record->stage = SLOT_IN_USE;
        record->cluster = cluster;
        record->use.cluster = cluster->id;
        record->use.slot = slot;
        slot_queue_resize(cluster->queue, n_slots);
}

/* Of those with the same system_identifier the one at the same address, if it is known. */
static struct slot_cluster *place_of(const struct slot_record *record, unsigned id)
{
        struct slots *slots = record->slots;

        for (unsigned i = 1; i <= databases_n_clusters(slots->databases); i++) {
                struct slot_cluster *cluster = slot_cluster_get(slots, i);

                if (!strcmp(cluster->key, record->cluster_key))
                        return cluster;
        }
        return slot_cluster_get(slots, id);
}

/* Its own cluster may be the one of which we do not know yet, and the one we know a clone of it: the grace decides. */
static bool may_be_elsewhere(const struct slot_record *record, unsigned id)
{
        const struct slots *slots = record->slots;

        if (slots->is_grace_over || !strcmp(place_of(record, id)->key, record->cluster_key))
                return false;
        for (unsigned i = 0; i < databases_count(slots->databases); i++)
                if (!databases_at(slots->databases, i)->cluster)
                        return true;
        return false;
}

/* From the queue of its cluster on it is as any other whose holder died. */
static void place(struct slot_record *record, unsigned id)
{
        struct slots *slots = record->slots;

        restore(record, place_of(record, id));
        slot_orphan(record, record->why);
        if (record->stage == SLOT_OVER)
                slot_record_free(record);
        slot_forget_lost(slots);
}

static void on_placed(void *owner, uint64_t id, unsigned cluster, const char *why)
{
        struct slot_record *record = slot_record_find(owner, id);

        record->is_placed = false;
        if (cluster) {
                if (!may_be_elsewhere(record, cluster))
                        place(record, cluster);
                return;
        }
        slot_report(record, why);
        slot_end(record, record->why);
        slot_record_free(record);
}

void slot_give_up_lost(struct slot_record *record, const char *why)
{
        struct slots *slots = record->slots;
        char identifier[SLOT_CLUSTER_KEY_SIZE];
        unsigned cluster;

        if (record->is_placed)
                return;
        if (record->watch)
                slots->env->ops->process_unwatch(record->watch);
        record->watch = NULL;
        if (!record->why)
                record->why = why;
        (void)snprintf(identifier, sizeof(identifier), "%.*s", (int)strcspn(record->cluster_key, "@"),
                       record->cluster_key);
        if (!*identifier || !databases_count(slots->databases)) {
                slot_end(record, record->why);
                slot_record_free(record);
                return;
        }
        cluster = databases_known_cluster(slots->databases, NULL, identifier);
        if (cluster && may_be_elsewhere(record, cluster))
                return;
        if (cluster)
                place(record, cluster);
        else
                record->is_placed = !databases_resolve(slots->databases, NULL, identifier, on_placed, slots,
                                                       record->use.id);
}

static void on_process_gone(void *owner, uint64_t id)
{
        struct slots *slots = owner;

        slot_give_up_lost(slot_record_find(slots, id), "died");
}

static void recover(struct slot_record *record)
{
        struct env *env = record->slots->env;
        const struct process_id *process = &record->use.peer.process;
        bool is_of_this_boot = !*process->boot_id || !strcmp(process->boot_id, env->ops->boot_id(env));

        if (!is_of_this_boot || (process->pid && env->ops->process_state(env, process) == PROCESS_GONE))
                slot_give_up_lost(record, "died");
        else
                record->watch =
                        env->ops->process_watch(env, process, on_process_gone, record->slots, record->use.id);
}

static void arm_grace(struct slots *slots, uint64_t delay_usec)
{
        slots->grace_ends = env_boottime(slots->env) + delay_usec;
        slots->env->ops->timer_arm(slots->grace_timer, delay_usec);
}

void slots_loaded(struct slots *slots, const struct ledger_numbers *next)
{
        struct slot_record *record, *after;

        slots->next_grant = next->grant;
        for (record = TAILQ_FIRST(&slots->all); record; record = after) {
                after = TAILQ_NEXT(record, link);
                recover(record);
        }
        if (!slots->n_lost)
                return;
        log_info("slots reserved: n=%u", slots->n_lost);
        arm_grace(slots, slots->start_grace);
}

void slot_forget_lost(struct slots *slots)
{
        if (--slots->n_lost)
                return;
        slots->env->ops->timer_disarm(slots->grace_timer);
        slot_hand_out_everywhere(slots);
}

void slot_on_grace(void *owner)
{
        struct slots *slots = owner;
        uint64_t now = env_boottime(slots->env);
        struct slot_record *record, *next;

        /* A timer may be early (os/env_linux.h). */
        if (now < slots->grace_ends) {
                arm_grace(slots, slots->grace_ends - now);
                return;
        }
        /* We slept, or the loop stood still: whoever wanted to claim his slot has not been heard yet. */
        if (now - slots->grace_ends > LATE_USEC) {
                arm_grace(slots, LATE_USEC);
                return;
        }
        slots->is_grace_over = true;
        for (record = TAILQ_FIRST(&slots->all); record; record = next) {
                next = TAILQ_NEXT(record, link);
                if (record->stage != SLOT_LOST || record->is_placed)
                        continue;
                log_warning("slot not claimed again: namespace=%s worker=%s slot=%d; it is taken back now",
                            record->use.namespace, record->use.worker, record->use.slot);
                slot_give_up_lost(record, "not reclaimed");
        }
}

/* By its number; or, where the reply with the number was lost, by what its holder has called it. */
static bool is_meant(const struct slot_record *lost, const struct slot_record *record)
{
        if (lost->stage != SLOT_LOST || lost->use.lease != record->use.lease)
                return false;
        if (record->reclaim)
                return lost->use.grant == record->reclaim;
        return record->request && lost->request && !strcmp(lost->request, record->request);
}

static struct slot_record *find_lost(const struct slot_record *record)
{
        struct slot_record *lost;

        TAILQ_FOREACH (lost, &record->slots->all, link)
                if (is_meant(lost, record))
                        return lost;
        return NULL;
}

static struct slot_record *find_grant(struct slots *slots, int64_t grant)
{
        struct slot_record *record;

        TAILQ_FOREACH (record, &slots->all, link)
                if (record->stage == SLOT_LOST && !record->is_placed && record->use.grant == grant)
                        return record;
        return NULL;
}

const struct peer *slots_lost_peer(struct slots *slots, int64_t grant)
{
        const struct slot_record *record = find_grant(slots, grant);

        return record ? &record->use.peer : NULL;
}

int slots_adopt(struct slots *slots, int64_t grant, uint64_t connection)
{
        const struct slot_record *lost = find_grant(slots, grant);
        const struct slot_use *use;
        char identifier[SLOT_CLUSTER_KEY_SIZE];

        if (!lost)
                return -SLOTS_E_NOT_HELD;
        (void)snprintf(identifier, sizeof(identifier), "%.*s", (int)strcspn(lost->cluster_key, "@"),
                       lost->cluster_key);
        return slots_acquire(slots,
                             &(struct slot_request){
                                     .connection = connection,
                                     .peer = lost->use.peer,
                                     .lease = lost->use.lease,
                                     .namespace = lost->use.namespace,
                                     .worker = lost->use.worker,
                                     .system_identifier = *identifier ? identifier : NULL,
                                     .reclaim = grant,
                                     .only_reclaim = true,
                             },
                             &use);
}

struct slot_record *slot_merge_adopter(struct slot_record *lost)
{
        struct slots *slots = lost->slots;
        struct slot_record *record;

        TAILQ_FOREACH (record, &slots->all, link)
                if (record->only_reclaim && record->stage == SLOT_RESOLVING &&
                    record->reclaim == lost->use.grant)
                        break;
        if (lost->stage != SLOT_LOST || !record)
                return lost;
        record->use.grant = lost->use.grant;
        record->use.slot = lost->use.slot;
        record->use.granted_usec = lost->use.granted_usec;
        slot_record_free(lost);
        slot_forget_lost(slots);
        return record;
}

bool slot_reclaim(struct slot_record *record, struct slot_cluster *cluster)
{
        struct slots *slots = record->slots;
        struct slot_record *lost = slots->n_lost ? find_lost(record) : NULL;

        if (!lost)
                return false;
        record->use.state = SLOT_HELD;
        record->use.grant = lost->use.grant;
        record->use.slot = lost->use.slot;
        record->use.granted_usec = lost->use.granted_usec;
        restore(record, cluster);
        slot_record_free(lost);
        slot_forget_lost(slots);
        slot_has_changed(slots, cluster);
        return true;
}
