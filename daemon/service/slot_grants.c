/* SPDX-License-Identifier: MIT */
#include "service/slot_record.h"

#include "util/log.h"

#include <stdlib.h>

static void write_grant(const struct slot_record *record)
{
        struct ledger *ledger = record->slots->ledger;
        const struct slot_use *use = &record->use;

        ledger->ops->submit(ledger,
                            &(struct ledger_change){
                                    .kind = LEDGER_SLOT_GRANTED,
                                    .time_usec = env_realtime(record->slots->env),
                                    .lease = use->lease,
                                    .grant = use->grant,
                                    .namespace = use->namespace,
                                    .worker = use->worker,
                                    .request = record->request,
                                    .cluster = record->cluster->key,
                                    .since_usec = env_realtime(record->slots->env) -
                                                  (use->granted_usec - use->asked_usec),
                                    .slot = use->slot,
                                    .uid = use->peer.uid,
                                    .process = use->peer.process,
                                    .exit_status = -1,
                            },
                            NULL, NULL, 0);
}

static void write_freed(const struct slot_record *record, const char *why)
{
        struct ledger *ledger = record->slots->ledger;

        ledger->ops->submit(ledger,
                            &(struct ledger_change){
                                    .kind = LEDGER_SLOT_FREED,
                                    .time_usec = env_realtime(record->slots->env),
                                    .lease = record->use.lease,
                                    .grant = record->use.grant,
                                    .namespace = record->use.namespace,
                                    .worker = record->use.worker,
                                    .detail = why,
                                    .exit_status = -1,
                            },
                            NULL, NULL, 0);
}

/* The sweep's slots are not on record: no holder of one survives the daemon. */
static bool is_on_record(const struct slot_record *record)
{
        return record->use.lease && record->use.grant;
}

static void grant(struct slot_record *record, int slot)
{
        record->stage = SLOT_IN_USE;
        record->use.state = SLOT_HELD;
        record->use.slot = slot;
        record->use.grant = record->slots->next_grant++;
        record->use.granted_usec = env_boottime(record->slots->env);
        if (!is_on_record(record))
                return;
        metrics_observe(record->slots->metrics, METRIC_SLOT_WAIT,
                        record->use.granted_usec - record->use.asked_usec);
        write_grant(record);
}

void slot_hand_out(struct slots *slots, struct slot_cluster *cluster, const struct slot_record *mine)
{
        struct slot_entry next;
        struct slot_record *record;

        /* As long as somebody may still hold a slot of a former life, on whichever cluster. */
        if (slots->n_lost)
                return;
        while (slot_queue_next(cluster->queue, &next)) {
                record = slot_record_find(slots, next.id);
                grant(record, next.slot);
                if (record != mine)
                        slot_tell(record, SLOT_TELL_GRANTED);
        }
        slot_has_changed(slots, cluster);
}

void slot_hand_out_everywhere(struct slots *slots)
{
        struct slot_cluster *cluster, *next;

        HASH_ITER (hh, slots->clusters, cluster, next)
                slot_hand_out(slots, cluster, NULL);
}

void slot_enqueue(struct slot_record *record, unsigned cluster_id)
{
        struct slots *slots = record->slots;
        struct slot_cluster *cluster = slot_cluster_get(slots, cluster_id);
        bool is_sweep = record->granted;

        record->use.cluster = cluster_id;
        if (slot_reclaim(record, cluster))
                return;
        if (record->only_reclaim)
                return;
        record->stage = SLOT_QUEUED;
        record->cluster = cluster;
        slot_queue_request(cluster->queue, record->use.id, (uint64_t)record->use.lease,
                           is_sweep ? SLOT_FOR_SWEEP : SLOT_FOR_RUN);
        slot_hand_out(slots, cluster, is_sweep ? NULL : record);
}

/* The answer of databases_resolve, for a request that still waits for it. */
void slot_on_resolved(void *owner, uint64_t id, unsigned cluster, const char *why)
{
        struct slots *slots = owner;
        struct slot_record *record = slot_record_find(slots, id);

        if (!cluster) {
                slot_fail(record, record->only_reclaim ? SLOTS_E_NOT_ADOPTED : SLOTS_E_UNREACHABLE, why);
                return;
        }
        slot_enqueue(record, cluster);
        if (record->only_reclaim) {
                /* Its client has been told before the restart. */
                if (record->stage != SLOT_IN_USE)
                        slot_fail(record, SLOTS_E_NOT_ADOPTED, NULL);
                return;
        }
        if (record->stage == SLOT_IN_USE)
                slot_tell(record, SLOT_TELL_GRANTED);
        else if (record->no_wait)
                slot_fail(record, SLOTS_E_BUSY, NULL);
        else
                slot_tell(record, SLOT_TELL_QUEUED);
}

void slot_end(struct slot_record *record, const char *why)
{
        struct slots *slots = record->slots;
        struct slot_cluster *cluster = record->cluster;
        enum slot_stage stage = record->stage;

        record->stage = SLOT_OVER;
        if (is_on_record(record)) {
                metrics_observe(slots->metrics, METRIC_SLOT_HOLD,
                                env_boottime(slots->env) - record->use.granted_usec);
                write_freed(record, why);
        }
        if (stage == SLOT_RESOLVING)
                databases_forget_resolve(slots->databases, slots, record->use.id);
        if (stage == SLOT_LOST)
                slot_forget_lost(slots);
        if (!cluster)
                return;
        (void)slot_queue_remove(cluster->queue, record->use.id);
        slot_hand_out(slots, cluster, NULL);
}

void slot_fail(struct slot_record *record, int error, const char *message)
{
        slot_end(record, "failed");
        record->error = error;
        record->text = alloc_string(message);
        slot_tell(record, SLOT_TELL_FAILED);
}

void slot_let_go(struct slot_record *record, bool revoked, const char *reason)
{
        /* Not told yet that it was granted: then it never was. */
        if (record->notice == SLOT_TELL_GRANTED) {
                slot_fail(record, SLOTS_E_GONE, NULL);
                return;
        }
        record = slot_merge_adopter(record);
        if (record->stage == SLOT_LOST && revoked) {
                slot_give_up_lost(record, "revoked");
                return;
        }
        if (!record->connection) {
                slot_end(record, revoked ? "revoked" : "released");
                slot_record_free(record);
                return;
        }
        if (revoked)
                log_info("slot taken away: namespace=%s worker=%s slot=%d grant=%lld", record->use.namespace,
                         record->use.worker, record->use.slot, (long long)record->use.grant);
        /* Told before whoever has the slot next is. */
        record->revoked = revoked;
        record->text = alloc_string(reason);
        slot_tell(record, SLOT_TELL_LET_GO);
        if (revoked && record->stage == SLOT_IN_USE)
                slot_orphan(record, record->connection->is_process_gone ? "died" : "revoked");
        else
                slot_end(record, revoked ? "revoked" : "released");
}
