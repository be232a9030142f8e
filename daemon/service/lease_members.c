/* SPDX-License-Identifier: MIT */

/*
 * Who carries a lease. Of each member two things are known: its connection, open or closed, and its process,
 * there or gone. Either alone proves nothing: a child may have inherited the socket, a live process may have
 * lost its own.
 *
 *      connection      process
 *      open            there, or gone, or unknown      carries the lease
 *      closed          there                           carries it too: it may attach again
 *      closed          unknown (no identity)           may be anywhere: a census decides (lease_recovery.c)
 *      closed          gone                            has left
 */

#include "service/lease_record.h"

#include "util/cleanup.h"
#include "util/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool lease_same_process(const struct process_id *a, const struct process_id *b)
{
        return a->pid && a->pid == b->pid && a->start_ticks == b->start_ticks &&
               !strcmp(a->boot_id, b->boot_id);
}

/* As far as anybody can tell, the same peer. Two without identity are, if they are of one user. */
static bool same_peer(const struct peer *a, const struct peer *b)
{
        if (!a->process.pid && !b->process.pid)
                return a->uid == b->uid;
        return lease_same_process(&a->process, &b->process);
}

static bool has_left(const struct lease_member *member)
{
        return !member->connection && member->gone;
}

/* Closed, and no process to ask about. */
static bool may_be_anywhere(const struct lease_member *member)
{
        return !member->connection && !member->gone && !member->watch;
}

/* A nested pytest inherits the variables, and the secret with them. */
bool lease_controller_is_taken(const struct lease_record *record, const struct peer *peer)
{
        for (unsigned i = 0; i < record->lease.n_members; i++) {
                const struct lease_member *member = &record->lease.members[i];

                if (member->role != ROLE_CONTROLLER || has_left(member))
                        continue;
                if (lease_same_process(&member->peer.process, &peer->process))
                        continue;
                if (may_be_anywhere(member) && same_peer(&member->peer, peer))
                        continue;
                return true;
        }
        return false;
}

struct lease_member *lease_member_add(struct lease_record *record)
{
        struct lease *lease = &record->lease;
        struct lease_member *member;

        lease->members = alloc_array(lease->members, lease->n_members + 1, sizeof(*lease->members));
        member = &lease->members[lease->n_members++];
        memset(member, 0, sizeof(*member));
        return member;
}

struct lease_member *lease_member_of(struct lease_record *record, uint64_t connection)
{
        for (unsigned i = 0; i < record->lease.n_members; i++)
                if (record->lease.members[i].connection == connection)
                        return &record->lease.members[i];
        return NULL;
}

static void on_process_gone(void *owner, uint64_t id)
{
        struct lease_record *record = owner;

        for (unsigned i = 0; i < record->lease.n_members; i++) {
                struct lease_member *member = &record->lease.members[i];

                if (member->id != (int64_t)id)
                        continue;
                record->leases->env->ops->process_unwatch(TAKE(member->watch));
                member->gone = true;
                lease_tell_changed(record);
                break;
        }
        lease_settle(record);
}

void lease_member_watch(struct lease_record *record, struct lease_member *member)
{
        struct env *env = record->leases->env;

        if (!member->watch && !member->gone)
                member->watch = env->ops->process_watch(env, &member->peer.process, on_process_gone, record,
                                                        (uint64_t)member->id);
}

static struct lease_member *find_returning(struct lease_record *record, const struct lease_request *request)
{
        const char *worker = request->worker ? request->worker : "";

        for (unsigned i = 0; i < record->lease.n_members; i++) {
                struct lease_member *member = &record->lease.members[i];

                if (!member->connection && !member->gone && member->role == request->role &&
                    !strcmp(member->worker, worker) && same_peer(&member->peer, &request->peer))
                        return member;
        }
        return NULL;
}

static void submit_joined(struct lease_record *record, const struct lease_member *member,
                          ledger_done_fn *done)
{
        struct ledger *ledger = record->leases->ledger;

        ledger->ops->submit(ledger,
                            &(struct ledger_change){
                                    .kind = LEDGER_MEMBER_JOINED,
                                    .time_usec = member->since_usec,
                                    .lease = record->lease.id,
                                    .namespace = record->lease.namespace,
                                    .member = member->id,
                                    .role = member->role,
                                    .worker = *member->worker ? member->worker : NULL,
                                    .uid = member->peer.uid,
                                    .process = member->peer.process,
                                    .exit_status = -1,
                            },
                            done, done ? record->leases : NULL, (uint64_t)member->id);
}

void lease_member_write(struct lease_record *record, const struct lease_member *member)
{
        submit_joined(record, member, NULL);
}

struct lease_record *lease_by_member(struct leases *leases, int64_t id, struct lease_member **ret)
{
        struct lease_record *record;

        TAILQ_FOREACH_REVERSE (record, &leases->all, lease_records, link) {
                for (unsigned i = 0; i < record->lease.n_members; i++) {
                        *ret = &record->lease.members[i];
                        if ((*ret)->id == id)
                                return record;
                }
        }
        return NULL;
}

/* As if it had not asked. Its process carries the lease on until it ends: that harms nobody. */
static void turn_away(struct lease_record *record, struct lease_member *member)
{
        uint64_t connection = member->connection;

        lease_carrier_drop(record->leases, connection);
        lease_member_close(record, member);
        lease_tell_failed(record->leases, connection, LEASES_E_LEDGER);
        lease_settle(record);
}

static void on_joined(void *owner, uint64_t ticket, int error)
{
        struct leases *leases = owner;
        struct lease_member *member;
        struct lease_record *record = lease_by_member(leases, (int64_t)ticket, &member);

        if (!record)
                return;
        member->is_on_disk |= !error;
        if (!member->connection || !member->expects_grant)
                return;
        if (error) {
                turn_away(record, member);
                return;
        }
        member->expects_grant = false;
        leases->events->granted(leases->owner, member->connection, &record->lease, NULL);
}

void lease_member_await(struct lease_record *record, struct lease_member *member)
{
        member->expects_grant = true;
        submit_joined(record, member, on_joined);
}

static struct lease_member *enroll(struct lease_record *record, const struct lease_request *request)
{
        struct lease_member *member = lease_member_add(record);

        member->id = record->leases->next.member++;
        member->role = request->role;
        member->peer = request->peer;
        member->since_usec = env_realtime(record->leases->env);
        (void)snprintf(member->worker, sizeof(member->worker), "%s", request->worker ? request->worker : "");
        return member;
}

struct lease_member *lease_member_join(struct lease_record *record, const struct lease_request *request)
{
        struct lease_member *member = find_returning(record, request);

        if (!member)
                member = enroll(record, request);
        member->connection = request->connection;
        member->closed_usec = 0;
        lease_member_watch(record, member);
        lease_carrier_set(record->leases, request->connection, record);
        if (record->lease.state == LEASE_RECOVERING) {
                record->lease.state = LEASE_LIVE;
                log_info("lease recovered: namespace=%s pid=%d", record->lease.namespace,
                         (int)member->peer.process.pid);
        }
        lease_tell_changed(record);
        return member;
}

void lease_member_close(struct lease_record *record, struct lease_member *member)
{
        member->connection = 0;
        member->expects_grant = false;
        member->closed_usec = env_boottime(record->leases->env);
}

void lease_members_unwatch(struct lease_record *record)
{
        for (unsigned i = 0; i < record->lease.n_members; i++) {
                struct lease_member *member = &record->lease.members[i];

                if (member->watch)
                        record->leases->env->ops->process_unwatch(TAKE(member->watch));
        }
}

static void strike_off(struct lease_record *record, unsigned index)
{
        struct leases *leases = record->leases;
        struct lease *lease = &record->lease;

        leases->ledger->ops->submit(leases->ledger,
                                    &(struct ledger_change){
                                            .kind = LEDGER_MEMBER_LEFT,
                                            .time_usec = env_realtime(leases->env),
                                            .lease = lease->id,
                                            .namespace = lease->namespace,
                                            .member = lease->members[index].id,
                                            .exit_status = -1,
                                    },
                                    NULL, NULL, 0);
        /* A census may know of its end before the kernel has told. */
        if (lease->members[index].watch)
                leases->env->ops->process_unwatch(TAKE(lease->members[index].watch));
        memmove(&lease->members[index], &lease->members[index + 1],
                (lease->n_members - index - 1) * sizeof(*lease->members));
        lease->n_members--;
}

static bool is_carried(const struct lease_record *record)
{
        for (unsigned i = 0; i < record->lease.n_members; i++)
                if (!has_left(&record->lease.members[i]))
                        return true;
        return false;
}

static bool is_connected(const struct lease_record *record)
{
        for (unsigned i = 0; i < record->lease.n_members; i++)
                if (record->lease.members[i].connection)
                        return true;
        return false;
}

void lease_settle(struct lease_record *record)
{
        enum lease_state state = record->lease.state;

        if (state == LEASE_RELEASING) {
                if (!is_connected(record))
                        lease_end(record, LEASE_RELEASED, NULL);
                return;
        }
        if (state != LEASE_LIVE && state != LEASE_RECOVERING)
                return;
        if (!is_carried(record)) {
                lease_end(record, LEASE_CRASHED, NULL);
                return;
        }
        for (unsigned i = record->lease.n_members; i > 0; i--)
                if (has_left(&record->lease.members[i - 1]))
                        strike_off(record, i - 1);
}
