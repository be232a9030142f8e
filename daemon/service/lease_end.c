/* SPDX-License-Identifier: MIT */
#include "service/lease_record.h"

#include "util/log.h"

#include <assert.h>
#include <string.h>

static const char *end_name(enum lease_state state)
{
        static const char *const names[] = {
                [LEASE_CRASHED] = "crashed", [LEASE_RELEASED] = "released", [LEASE_REVOKED] = "revoked"};

        return names[state];
}

static void write_end(struct lease_record *record, const char *reason)
{
        struct ledger *ledger = record->leases->ledger;
        struct ledger_change change = {
                .kind = LEDGER_LEASE_ENDED,
                .time_usec = env_realtime(record->leases->env),
                .lease = record->lease.id,
                .namespace = record->lease.namespace,
                .uid = record->lease.uid,
                .detail = end_name(record->lease.state),
                .reason = reason,
                .exit_status = record->exit_status,
        };

        ledger->ops->submit(ledger, &change, NULL, NULL, 0);
        if (!record->kept_until)
                return;
        change = (struct ledger_change){.kind = LEDGER_LEASE_KEPT,
                                        .time_usec = change.time_usec,
                                        .lease = record->lease.id,
                                        .namespace = record->lease.namespace,
                                        .exit_status = -1,
                                        .until_usec = record->kept_until};
        ledger->ops->submit(ledger, &change, NULL, NULL, 0);
        lease_keep_ended(record);
}

static void remember(struct lease_record *record)
{
        struct lease_ended ended = {
                .id = record->lease.id,
                .uid = record->lease.uid,
                .label = alloc_string(record->lease.label),
                .state = record->lease.state,
                .since_realtime = record->lease.since_usec,
                .ended_realtime = env_realtime(record->leases->env),
                .kept_until = record->kept_until,
                .ended_usec = env_boottime(record->leases->env),
                .has_secret_hash = record->lease.state == LEASE_RELEASED,
        };

        memcpy(ended.namespace, record->lease.namespace, sizeof(ended.namespace));
        memcpy(ended.secret_hash, record->secret_hash, sizeof(ended.secret_hash));
        lease_remember_ended(record->leases, &ended);
}

static void measure(const struct lease_record *record)
{
        struct metrics *metrics = record->leases->metrics;
        uint64_t now = env_realtime(record->leases->env);

        metrics_count(metrics, METRIC_LEASES_ENDED, end_name(record->lease.state));
        metrics_observe(metrics, METRIC_LEASE_DURATION,
                        now > record->lease.since_usec ? now - record->lease.since_usec : 0);
}

void lease_end(struct lease_record *record, enum lease_state state, const char *reason)
{
        struct leases *leases = record->leases;

        assert(!lease_has_ended(record));
        record->lease.state = state;
        write_end(record, reason);
        remember(record);
        measure(record);
        log_info("lease ended: namespace=%s lease=%lld how=%s%s%s", record->lease.namespace,
                 (long long)record->lease.id, end_name(state), reason ? " reason=" : "",
                 reason ? reason : "");
        for (unsigned i = 0; i < record->lease.n_members; i++) {
                const struct lease_member *member = &record->lease.members[i];

                if (!member->connection)
                        continue;
                lease_carrier_drop(leases, member->connection);
                lease_tell_let_go(leases, member, state, reason);
        }
        lease_table_remove(record);
        leases->n_live--;
        lease_tell_ended(record);
        lease_queue_advance(leases);
}
