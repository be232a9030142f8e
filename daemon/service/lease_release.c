/* SPDX-License-Identifier: MIT */

/* Ends that somebody asks for: release and revoke; and what is to stay after an end: keep. */

#include "service/lease_record.h"

#include "util/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t keep_until(struct leases *leases, uint64_t keep_usec)
{
        uint64_t now = env_realtime(leases->env), span = keep_usec ? keep_usec : leases->keep_for;

        return span > INT64_MAX - now ? INT64_MAX : now + span;
}

static void submit_kept(struct leases *leases, const struct lease_keep *keep, ledger_done_fn *done)
{
        leases->ledger->ops->submit(leases->ledger,
                                    &(struct ledger_change){
                                            .kind = LEDGER_LEASE_KEPT,
                                            .time_usec = env_realtime(leases->env),
                                            .lease = keep->lease,
                                            .namespace = keep->namespace,
                                            .exit_status = -1,
                                            .until_usec = keep->until,
                                    },
                                    done, done ? leases : NULL, keep->ticket);
}

/* Where the promise stands in memory: with the lease, or with what is remembered of it. NULL: nowhere. */
static uint64_t *find_promise(struct leases *leases, const char *namespace)
{
        struct lease_record *record = lease_by_name(leases, namespace);
        struct lease_ended *ended = lease_ended_find(leases, namespace);

        if (record && lease_is_granted(record))
                return &record->kept_until;
        return ended ? &ended->kept_until : NULL;
}

static struct lease_keep *find_keep(struct leases *leases, uint64_t ticket)
{
        struct lease_keep *keep;

        TAILQ_FOREACH (keep, &leases->keeps, link)
                if (keep->ticket == ticket)
                        return keep;
        return NULL;
}

/* It is as if it had not been asked for; also for whoever has asked since, and would fall back on it. */
static void take_promise_back(struct leases *leases, const struct lease_keep *keep)
{
        uint64_t *promise = find_promise(leases, keep->namespace);
        struct lease_keep *later;

        TAILQ_FOREACH (later, &leases->keeps, link) {
                if (strcmp(later->namespace, keep->namespace) != 0)
                        continue;
                later->before = keep->before;
                return;
        }
        if (promise)
                *promise = keep->before;
}

void lease_keep_ended(struct lease_record *record)
{
        struct lease_keep *keep;

        TAILQ_FOREACH (keep, &record->leases->keeps, link)
                if (keep->lease == record->lease.id && keep->until == record->kept_until)
                        keep->with_release = true;
}

static void on_kept(void *owner, uint64_t ticket, int error)
{
        struct leases *leases = owner;
        struct lease_keep *keep = find_keep(leases, ticket);

        TAILQ_REMOVE(&leases->keeps, keep, link);
        /* The lease is released whatever the disk says, and so its schemas stay: written when there is space. */
        if (error && keep->with_release)
                submit_kept(leases, keep, NULL);
        else if (error)
                take_promise_back(leases, keep);
        leases->events->kept(leases->owner, keep->connection, keep->until,
                             error && !keep->with_release ? LEASES_E_LEDGER : 0);
        free(keep);
}

/* From now on, and promised when it is durable. */
static void promise(struct leases *leases, uint64_t connection, const char *namespace, uint64_t until,
                    bool with_release)
{
        const struct lease_record *record = lease_by_name(leases, namespace);
        uint64_t *kept_until = find_promise(leases, namespace);
        struct lease_keep *keep = NEW(struct lease_keep);

        *keep = (struct lease_keep){
                .ticket = ++leases->last_keep,
                .connection = connection,
                .lease = record && lease_is_granted(record) ? record->lease.id : 0,
                .until = until,
                .before = *kept_until,
                .with_release = with_release,
        };
        (void)snprintf(keep->namespace, sizeof(keep->namespace), "%s", namespace);
        *kept_until = until;
        TAILQ_INSERT_TAIL(&leases->keeps, keep, link);
        submit_kept(leases, keep, on_kept);
}

/* Nothing left to release, but the caller had it: not an error. */
static bool was_released(struct leases *leases, const struct lease_release *release)
{
        const struct lease_carrier *carrier = lease_carrier_find(leases, release->connection);
        const struct lease_ended *ended;

        if (!release->namespace)
                return carrier && !carrier->record;
        ended = lease_ended_find(leases, release->namespace);
        return lease_secret_fits(release->secret,
                                 ended && ended->has_secret_hash ? ended->secret_hash : NULL);
}

static struct lease_record *find_to_release(struct leases *leases, const struct lease_release *release)
{
        const struct lease_carrier *carrier;
        struct lease_record *record;

        if (release->namespace || release->secret)
                return lease_by_secret(leases, release->namespace, release->secret);
        carrier = lease_carrier_find(leases, release->connection);
        record = carrier ? carrier->record : NULL;
        return record && lease_is_granted(record) ? record : NULL;
}

/*
 * Whoever releases, and the connection that acquired, keep the lease alive no longer. Every other member does, also
 * one of the same process: it has said that it carries the lease, and may be a thread that still works.
 */
static void let_holder_go(struct lease_record *record, uint64_t releaser)
{
        struct leases *leases = record->leases;

        for (unsigned i = 0; i < record->lease.n_members; i++) {
                struct lease_member *member = &record->lease.members[i];
                uint64_t connection = member->connection;

                if (!connection || (connection != releaser && member->id != record->acquirer))
                        continue;
                if (connection == releaser) {
                        lease_carrier_set(leases, connection, NULL);
                } else {
                        lease_carrier_drop(leases, connection);
                        lease_tell_let_go(leases, member, LEASE_RELEASED, NULL);
                }
                lease_member_close(record, member);
        }
}

int leases_release(struct leases *leases, const struct lease_release *release, uint64_t *ret_kept_until_usec)
{
        struct lease_record *record = find_to_release(leases, release);
        const struct lease_ended *ended;

        *ret_kept_until_usec = 0;
        if (!record && !was_released(leases, release))
                return LEASES_E_NO_SUCH_LEASE;
        if (!record) {
                ended = release->namespace ? lease_ended_find(leases, release->namespace) : NULL;
                *ret_kept_until_usec = ended ? ended->kept_until : 0;
                if (!release->keep || !*ret_kept_until_usec)
                        return 0;
                promise(leases, release->connection, release->namespace, ended->kept_until, true);
                return LEASES_LATER;
        }
        if (release->exit_status >= 0)
                record->exit_status = release->exit_status;
        if (release->keep)
                promise(leases, release->connection, record->lease.namespace,
                        keep_until(leases, release->keep_usec), true);
        *ret_kept_until_usec = record->kept_until;
        record->lease.state = LEASE_RELEASING;
        let_holder_go(record, release->connection);
        lease_tell_changed(record);
        lease_settle(record);
        return release->keep ? LEASES_LATER : 0;
}

int leases_revoke(struct leases *leases, const char *namespace, unsigned uid, bool permitted,
                  const char *reason)
{
        struct lease_record *record = lease_by_name(leases, namespace);

        if (!record || !lease_is_granted(record))
                return LEASES_E_NO_SUCH_LEASE;
        if (!permitted && record->lease.uid != uid)
                return LEASES_E_NOT_PERMITTED;
        log_warning("lease revoked: namespace=%s by_uid=%u; its connections are told", namespace, uid);
        lease_end(record, LEASE_REVOKED, reason);
        return 0;
}

int leases_keep(struct leases *leases, uint64_t connection, const char *namespace, unsigned uid,
                bool permitted, uint64_t keep_usec)
{
        struct lease_record *record = lease_by_name(leases, namespace);
        const struct lease_ended *ended = lease_ended_find(leases, namespace);

        if (record && !lease_is_granted(record))
                record = NULL;
        if (!record && !ended)
                return LEASES_E_NO_SUCH_LEASE;
        if (!permitted && uid != (record ? record->lease.uid : ended->uid))
                return LEASES_E_NOT_PERMITTED;
        promise(leases, connection, namespace, keep_until(leases, keep_usec), false);
        return LEASES_LATER;
}
