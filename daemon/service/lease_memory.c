/* SPDX-License-Identifier: MIT */
#include "service/lease_record.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * A look at the schemas takes a while. A lease that ended during it may have made its schemas after they were
 * listed, so what ended a moment ago is not forgotten yet.
 */
#define REMEMBER_AT_LEAST_USEC (600 * USEC_PER_SEC)

static void forget(struct leases *leases, struct lease_ended *ended)
{
        HASH_DEL(leases->ended, ended);
        free(ended->label);
        free(ended);
}

void lease_remember_ended(struct leases *leases, const struct lease_ended *ended)
{
        struct lease_ended *old = lease_ended_find(leases, ended->namespace);

        if (old)
                forget(leases, old);
        old = NEW(struct lease_ended);
        *old = *ended;
        HASH_ADD_STR(leases->ended, namespace, old);
}

struct lease_ended *lease_ended_find(struct leases *leases, const char *namespace)
{
        struct lease_ended *ended;

        HASH_FIND_STR(leases->ended, namespace, ended);
        return ended;
}

void leases_each_ended(struct leases *leases, lease_past_fn *each, void *owner)
{
        struct lease_ended *ended, *next;

        HASH_ITER (hh, leases->ended, ended, next) {
                struct lease_past past = {
                        .id = ended->id,
                        .namespace = ended->namespace,
                        .label = ended->label,
                        .uid = ended->uid,
                        .state = ended->state,
                        .since_usec = ended->since_realtime,
                        .ended_usec = ended->ended_realtime,
                        .kept_until_usec = leases_kept_until(leases, ended->namespace),
                };

                each(owner, &past);
        }
}

void leases_forget_ended(struct leases *leases, bool (*has_schemas)(void *owner, const char *namespace),
                         void *owner)
{
        uint64_t now = env_boottime(leases->env);
        struct lease_ended *ended, *next;

        HASH_ITER (hh, leases->ended, ended, next) {
                if (now - ended->ended_usec < REMEMBER_AT_LEAST_USEC || has_schemas(owner, ended->namespace))
                        continue;
                assert(leases->ended); /* has_schemas() only looks */
                forget(leases, ended);
        }
}

uint64_t leases_kept_until(struct leases *leases, const char *namespace)
{
        struct lease_record *record = lease_by_name(leases, namespace);
        struct lease_ended *ended = lease_ended_find(leases, namespace);
        uint64_t until;

        if (record && record->lease.state != LEASE_WAITING)
                until = record->kept_until;
        else
                until = ended ? ended->kept_until : 0;
        return until > env_realtime(leases->env) ? until : 0;
}

uint64_t leases_ended_at(struct leases *leases, const char *namespace)
{
        const struct lease_ended *ended = lease_ended_find(leases, namespace);

        return ended ? ended->ended_usec : 0;
}

enum lease_standing leases_standing(struct leases *leases, const char *namespace)
{
        const struct lease_record *record = lease_by_name(leases, namespace);

        if (record && record->lease.state == LEASE_RECOVERING)
                return STANDING_RECOVERING;
        if (record && record->lease.state != LEASE_WAITING)
                return STANDING_LIVE;
        if (!lease_ended_find(leases, namespace))
                return STANDING_UNKNOWN;
        return leases_kept_until(leases, namespace) ? STANDING_KEPT : STANDING_ENDED;
}

static struct lease_claim *find_claim(struct leases *leases, const char *namespace)
{
        struct lease_claim *claim;

        HASH_FIND_STR(leases->claims, namespace, claim);
        return claim;
}

bool lease_is_claimed(struct leases *leases, const char *namespace)
{
        return find_claim(leases, namespace);
}

bool leases_claim(struct leases *leases, const char *namespace)
{
        struct lease_claim *claim = find_claim(leases, namespace);

        /*
         * Whoever waits for the name would wait for ever behind claim after claim. A claim of an earlier life
         * stands whatever else is on record: its DROP may still be under way on the server.
         */
        if (leases->is_loaded && (lease_by_name(leases, namespace) || leases_kept_until(leases, namespace)))
                return false;
        if (!claim) {
                claim = NEW(struct lease_claim);
                (void)snprintf(claim->namespace, sizeof(claim->namespace), "%s", namespace);
                HASH_ADD_STR(leases->claims, namespace, claim);
        }
        claim->count++;
        return true;
}

void leases_unclaim(struct leases *leases, const char *namespace)
{
        struct lease_claim *claim = find_claim(leases, namespace);

        assert(claim);
        if (--claim->count)
                return;
        HASH_DEL(leases->claims, claim);
        free(claim);
        lease_queue_advance(leases);
}

void lease_memory_clear(struct leases *leases)
{
        struct lease_ended *ended, *next_ended;
        struct lease_claim *claim, *next_claim;

        HASH_ITER (hh, leases->ended, ended, next_ended)
                forget(leases, ended);
        HASH_ITER (hh, leases->claims, claim, next_claim) {
                HASH_DEL(leases->claims, claim);
                free(claim);
        }
}
