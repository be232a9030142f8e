/* SPDX-License-Identifier: MIT */

/*
 * After a start every lease of the ledger is RECOVERING: none of its connections is ours any more, and of its
 * processes we know what the kernel says. It is live again as soon as somebody attaches, and ends by proof
 * alone.
 */

#include "service/lease_record.h"

#include "util/log.h"

#include <stdio.h>
#include <string.h>

static void load_lease(struct leases *leases, const struct ledger_change *row)
{
        struct lease_record *record = lease_record_new(leases, LEASE_RECOVERING);

        record->lease.id = row->lease;
        record->lease.uid = row->uid;
        record->lease.forced = row->forced;
        record->lease.since_usec = row->time_usec;
        record->lease.label = alloc_string(row->label);
        record->kept_until = row->until_usec;
        record->acquirer = row->member;
        record->acquirer_process = row->process;
        memcpy(record->secret_hash, row->secret_hash, sizeof(record->secret_hash));
        (void)snprintf(record->lease.namespace, sizeof(record->lease.namespace), "%s", row->namespace);
        lease_table_name(record);
        lease_table_number(record);
        if (row->request && !lease_by_request(leases, row->uid, row->request))
                lease_table_request(record, row->uid, row->request);
}

static bool has_member(const struct lease_record *record, int64_t id)
{
        for (unsigned i = 0; i < record->lease.n_members; i++)
                if (record->lease.members[i].id == id)
                        return true;
        return false;
}

static void load_member(struct leases *leases, const struct ledger_change *row)
{
        struct lease_record *record = lease_by_id(leases, row->lease);
        struct lease_member *member;

        if (!record || has_member(record, row->member))
                return;
        member = lease_member_add(record);
        member->id = row->member;
        member->role = row->role;
        member->peer = (struct peer){row->uid, row->process};
        member->since_usec = row->time_usec;
        member->is_on_disk = true;
        (void)snprintf(member->worker, sizeof(member->worker), "%s", row->worker ? row->worker : "");
}

static enum lease_state parse_end(const char *outcome)
{
        if (outcome && strcmp(outcome, "released") == 0)
                return LEASE_RELEASED;
        return outcome && strcmp(outcome, "revoked") == 0 ? LEASE_REVOKED : LEASE_CRASHED;
}

static void load_ended(struct leases *leases, const struct ledger_change *row)
{
        struct lease_ended ended = {
                .id = row->lease,
                .uid = row->uid,
                .label = alloc_string(row->label),
                .state = parse_end(row->detail),
                .since_realtime = row->since_usec,
                .ended_realtime = row->time_usec,
                .kept_until = row->until_usec,
                .ended_usec = env_boottime(leases->env),
        };

        (void)snprintf(ended.namespace, sizeof(ended.namespace), "%s", row->namespace);
        lease_remember_ended(leases, &ended);
}

void leases_load(struct leases *leases, const struct ledger_change *row)
{
        static void (*const loaders[LEDGER_CHANGE_MAX_])(struct leases *, const struct ledger_change *) = {
                [LEDGER_LEASE_GRANTED] = load_lease,
                [LEDGER_LEASE_ENDED] = load_ended,
                [LEDGER_MEMBER_JOINED] = load_member,
        };

        if (loaders[row->kind])
                loaders[row->kind](leases, row);
}

const struct peer *leases_recovering_peer(struct leases *leases, int64_t id)
{
        struct lease_member *member;

        return lease_by_member(leases, id, &member) && !member->connection ? &member->peer : NULL;
}

void leases_adopt(struct leases *leases, int64_t id, uint64_t connection)
{
        struct lease_member *member;
        struct lease_record *record = lease_by_member(leases, id, &member);

        member->connection = connection;
        lease_carrier_set(leases, connection, record);
        record->lease.state = LEASE_LIVE;
}

static bool is_of_another_boot(struct env *env, const struct process_id *process)
{
        return *process->boot_id && strcmp(process->boot_id, env->ops->boot_id(env)) != 0;
}

static void recover_member(struct lease_record *record, struct lease_member *member)
{
        struct env *env = record->leases->env;
        struct process_id *process = &member->peer.process;

        if (!member->connection)
                member->closed_usec = env_boottime(env);
        if (is_of_another_boot(env, process))
                member->gone = true;
        else if (process->pid && env->ops->process_state(env, process) == PROCESS_GONE)
                member->gone = true;
        else
                lease_member_watch(record, member);
}

void leases_loaded(struct leases *leases, const struct ledger_numbers *next)
{
        struct lease_record *record, *after;
        unsigned n_recovering = 0;

        leases->next = *next;
        leases->is_loaded = true;
        for (record = TAILQ_FIRST(&leases->all); record; record = after) {
                after = TAILQ_NEXT(record, link);
                for (unsigned i = 0; i < record->lease.n_members; i++)
                        recover_member(record, &record->lease.members[i]);
                lease_settle(record);
        }
        TAILQ_FOREACH (record, &leases->all, link)
                n_recovering += record->lease.state == LEASE_RECOVERING;
        if (leases->n_live)
                log_info("leases recovering: n=%u live=%u", n_recovering, leases->n_live - n_recovering);
}

/* ---- members that no process speaks for ---- */

static bool is_gone_by_census(const struct lease_record *record, const struct lease_member *member,
                              uint64_t began)
{
        struct env *env = record->leases->env;
        const struct process_id *process = &member->peer.process;

        if (member->connection || member->gone)
                return false;
        if (process->pid && env->ops->process_state(env, process) == PROCESS_ALIVE)
                return false;
        return began >= member->closed_usec && began - member->closed_usec >= record->leases->start_grace;
}

static void settle_by_census(struct lease_record *record, uint64_t began)
{
        for (unsigned i = 0; i < record->lease.n_members; i++) {
                struct lease_member *member = &record->lease.members[i];

                if (is_gone_by_census(record, member, began))
                        member->gone = true;
        }
        lease_settle(record);
}

void leases_census(struct leases *leases, const struct live_set *live, uint64_t began_boottime)
{
        struct lease_record *record, *after;

        for (record = TAILQ_FIRST(&leases->all); record; record = after) {
                after = TAILQ_NEXT(record, link);
                if (record->lease.state != LEASE_LIVE && record->lease.state != LEASE_RECOVERING)
                        continue;
                if (!live_set_has(live, record->lease.namespace))
                        settle_by_census(record, began_boottime);
        }
}
