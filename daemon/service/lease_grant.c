/* SPDX-License-Identifier: MIT */

/*
 * From the queue through the ledger. A namespace is live from the moment its grant is submitted (the sweep
 * and other requests see it), and it is told to its caller only when the ledger has confirmed it.
 */

#include "service/lease_record.h"

#include "util/log.h"

#include <stdlib.h>
#include <string.h>

static bool is_known(struct leases *leases, const char *namespace)
{
        return lease_by_name(leases, namespace) || lease_ended_find(leases, namespace) ||
               lease_is_claimed(leases, namespace);
}

static void draw_namespace(struct lease_record *record)
{
        struct leases *leases = record->leases;
        struct berth_token token = {
                .pid = (uint32_t)record->lease.members[0].peer.process.pid,
                .epoch_sec = env_realtime(leases->env) / USEC_PER_SEC,
        };

        do {
                leases->env->ops->random(leases->env, &token.random, sizeof(token.random));
                names_make_token(&token, record->lease.namespace);
        } while (is_known(leases, record->lease.namespace));
        lease_table_name(record);
}

static void draw_secret(struct leases *leases, struct lease_secret *ret)
{
        uint8_t bytes[BERTH_SECRET_BYTES];

        leases->env->ops->random(leases->env, bytes, sizeof(bytes));
        lease_secret_make(bytes, ret);
        explicit_bzero(bytes, sizeof(bytes));
}

static void wipe_secret(struct lease_record *record)
{
        explicit_bzero(record->secret, sizeof(record->secret));
}

/* The ledger does not have it and never will: as if it had not been asked for. */
static void take_back(struct lease_record *record)
{
        struct leases *leases = record->leases;

        for (unsigned i = 0; i < record->lease.n_members; i++) {
                uint64_t connection = record->lease.members[i].connection;

                if (!connection)
                        continue;
                lease_carrier_drop(leases, connection);
                lease_tell_failed(leases, connection, LEASES_E_LEDGER);
        }
        log_error("lease not granted: namespace=%s reason=ledger_unavailable", record->lease.namespace);
        lease_table_remove(record);
        leases->n_live--;
        lease_record_free(record);
        lease_queue_advance(leases);
}

static struct lease_member *next_expecting(struct lease_record *record)
{
        for (unsigned i = 0; i < record->lease.n_members; i++)
                if (record->lease.members[i].connection && record->lease.members[i].expects_grant)
                        return &record->lease.members[i];
        return NULL;
}

/* Whoever is told may close, release or revoke at once; an ended record lives until its end is told. */
static void tell_granted(struct lease_record *record)
{
        const struct leases *leases = record->leases;
        char secret[BERTH_SECRET_SIZE];
        struct lease_member *member;

        memcpy(secret, record->secret, sizeof(secret));
        wipe_secret(record);
        while (!lease_has_ended(record) && (member = next_expecting(record))) {
                member->expects_grant = false;
                leases->events->granted(leases->owner, member->connection, &record->lease, secret);
        }
        explicit_bzero(secret, sizeof(secret));
}

static void on_granted(void *owner, uint64_t ticket, int error)
{
        struct leases *leases = owner;
        struct lease_record *record;

        /* First what came before it: the end of an earlier lease of this name. */
        lease_outbox_on_timer(leases);
        record = lease_by_id(leases, (int64_t)ticket);
        if (error) {
                take_back(record);
                return;
        }
        record->lease.state = LEASE_LIVE;
        record->lease.members[0].is_on_disk = true;
        metrics_count(leases->metrics, METRIC_LEASES,
                      record->lease.members[0].role == ROLE_CONTROLLER ? "plugin" : "runner");
        log_info("lease granted: namespace=%s pid=%d uid=%u lease=%lld", record->lease.namespace,
                 (int)record->acquirer_process.pid, record->lease.uid, (long long)record->lease.id);
        for (unsigned i = 1; i < record->lease.n_members; i++)
                lease_member_write(record, &record->lease.members[i]);
        lease_tell_changed(record);
        tell_granted(record);
        if (!lease_has_ended(record))
                lease_settle(record);
}

static void submit_grant(struct lease_record *record)
{
        const struct lease_member *member = &record->lease.members[0];
        struct ledger *ledger = record->leases->ledger;
        struct ledger_change change = {
                .kind = LEDGER_LEASE_GRANTED,
                .time_usec = record->lease.since_usec,
                .lease = record->lease.id,
                .member = member->id,
                .namespace = record->lease.namespace,
                .label = record->lease.label,
                .request = record->request ? strchr(record->request, ':') + 1 : NULL,
                .role = member->role,
                .uid = record->lease.uid,
                .process = member->peer.process,
                .forced = record->lease.forced,
                .exit_status = -1,
        };

        memcpy(change.secret_hash, record->secret_hash, sizeof(change.secret_hash));
        ledger->ops->submit(ledger, &change, on_granted, record->leases, (uint64_t)record->lease.id);
}

void lease_grant(struct lease_record *record)
{
        struct leases *leases = record->leases;
        struct lease_member *member = &record->lease.members[0];
        struct lease_secret secret;

        leases->n_live++;
        record->lease.state = LEASE_GRANTING;
        record->lease.position = 0;
        record->lease.since_usec = env_realtime(leases->env);
        if (!record->lease.forced)
                draw_namespace(record);
        draw_secret(leases, &secret);
        memcpy(record->secret, secret.text, sizeof(record->secret));
        memcpy(record->secret_hash, secret.hash, sizeof(record->secret_hash));
        explicit_bzero(&secret, sizeof(secret));

        record->lease.id = leases->next.lease++;
        lease_table_number(record);
        member->id = leases->next.member++;
        member->since_usec = record->lease.since_usec;
        record->acquirer = member->id;
        record->acquirer_process = member->peer.process;
        lease_member_watch(record, member);
        submit_grant(record);
}

/* ---- asked for again, after a lost reply ---- */

static struct lease_rekey *find_rekey(struct leases *leases, uint64_t ticket)
{
        struct lease_rekey *rekey;

        TAILQ_FOREACH (rekey, &leases->rekeys, link)
                if (rekey->ticket == ticket)
                        return rekey;
        return NULL;
}

static void fail_rekey(struct lease_record *record, const struct lease_rekey *rekey)
{
        struct leases *leases = record->leases;
        struct lease_member *member = lease_member_of(record, rekey->connection);

        if (!member)
                return;
        lease_carrier_drop(leases, rekey->connection);
        lease_member_close(record, member);
        lease_tell_failed(leases, rekey->connection, LEASES_E_LEDGER);
        lease_settle(record);
}

static void finish_rekey(struct lease_record *record, const struct lease_rekey *rekey)
{
        const struct leases *leases = record->leases;
        struct lease_member *member = lease_member_of(record, rekey->connection);

        memcpy(record->secret_hash, rekey->secret.hash, sizeof(record->secret_hash));
        if (!member)
                return;
        member->expects_grant = false;
        member->is_on_disk = true; /* written before the secret was */
        leases->events->granted(leases->owner, member->connection, &record->lease, rekey->secret.text);
}

static void on_rekeyed(void *owner, uint64_t ticket, int error)
{
        struct leases *leases = owner;
        struct lease_rekey *rekey = find_rekey(leases, ticket);
        struct lease_record *record = lease_by_id(leases, rekey->lease);

        TAILQ_REMOVE(&leases->rekeys, rekey, link);
        if (record && error)
                fail_rekey(record, rekey);
        else if (record)
                finish_rekey(record, rekey);
        explicit_bzero(rekey, sizeof(*rekey));
        free(rekey);
}

static void submit_rekey(struct lease_record *record, uint64_t connection)
{
        struct leases *leases = record->leases;
        struct lease_rekey *rekey = NEW(struct lease_rekey);
        struct ledger_change change = {
                .kind = LEDGER_LEASE_REKEYED,
                .time_usec = env_realtime(leases->env),
                .lease = record->lease.id,
                .namespace = record->lease.namespace,
                .exit_status = -1,
        };

        rekey->ticket = ++leases->last_rekey;
        rekey->lease = record->lease.id;
        rekey->connection = connection;
        draw_secret(leases, &rekey->secret);
        TAILQ_INSERT_TAIL(&leases->rekeys, rekey, link);
        memcpy(change.secret_hash, rekey->secret.hash, sizeof(change.secret_hash));
        leases->ledger->ops->submit(leases->ledger, &change, on_rekeyed, leases, rekey->ticket);
}

int lease_grant_again(struct lease_record *record, const struct lease_request *request)
{
        struct lease_member *member;

        if (record->lease.state == LEASE_WAITING) {
                lease_queue_take_over(record, request);
                return 0;
        }
        if (request->role == ROLE_CONTROLLER && lease_controller_is_taken(record, &request->peer))
                return LEASES_E_ALREADY_ATTACHED;
        member = lease_member_join(record, request);
        member->expects_grant = true;
        /* While the grant is under way nobody has the secret yet: both are told the same one, when it is
         * done. A change without a callback is tried until it is written: not before its lease is. */
        if (record->lease.state == LEASE_GRANTING)
                return 0;
        if (!member->is_on_disk)
                lease_member_write(record, member);
        submit_rekey(record, request->connection);
        return 0;
}
