/* SPDX-License-Identifier: MIT */

/*
 * A dead client's CREATE TABLEs still hold their locks. Its slot is handed on when the server says that they are
 * gone, or after a while: then it is said, and the server's lock table has to bear one build more.
 */

#include "service/slot_record.h"

#include "util/cleanup.h"
#include "util/log.h"

#include <stdlib.h>

void slot_report(const struct slot_record *record, const char *why)
{
        struct ledger *ledger = record->slots->ledger;
        _cleanup_free_ char *detail =
                alloc_printf("slot %d handed on all the same: %s", record->use.slot, why);

        log_warning("slot handed on all the same: namespace=%s worker=%s slot=%d; its holder is gone, and %s",
                    record->use.namespace, record->use.worker, record->use.slot, why);
        ledger->ops->submit(ledger,
                            &(struct ledger_change){
                                    .kind = LEDGER_NOTED,
                                    .time_usec = env_realtime(record->slots->env),
                                    .lease = record->use.lease,
                                    .namespace = record->use.namespace,
                                    .worker = record->use.worker,
                                    .database = record->use.database,
                                    .detail = detail,
                                    .exit_status = -1,
                            },
                            NULL, NULL, 0);
}

static void on_drained(void *owner, uint64_t id, const char *why)
{
        struct slot_record *record = slot_record_find(owner, id);

        record->drain = drain_free(record->drain);
        if (why)
                slot_report(record, why);
        slot_end(record, record->why);
        /* Else when its connection has been told. */
        if (!record->notice)
                slot_record_free(record);
}

void slot_orphan(struct slot_record *record, const char *why)
{
        struct slots *slots = record->slots;
        const struct drain_holder holder = {record->use.cluster, record->use.namespace, record->use.worker};

        /* Not told that it was granted: then it has not built anything. */
        if (record->notice != SLOT_TELL_GRANTED)
                record->drain = drain_start(slots->env, slots->pg, slots->databases, &slots->drain_limits,
                                            &holder, on_drained, slots, record->use.id);
        if (!record->drain) {
                slot_end(record, why);
                return;
        }
        record->stage = SLOT_ORPHANED;
        record->why = why;
        record->use.state = SLOT_DRAINING;
        (void)slot_queue_drain(record->cluster->queue, record->use.id);
        slot_has_changed(slots, record->cluster);
}
