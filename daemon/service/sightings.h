/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What sweeps remember of schemas between looks, by (database, schema, oid): when one of an unknown namespace
 * was first seen, and the claim of a drop whose end is not known. Both are in the ledger; this is its copy in
 * memory.
 */

#include "seam/env.h"
#include "seam/ledger.h"
#include "service/census.h"

struct sighting {
        char *database, *schema, *oid;
        char namespace[NAMES_NAMESPACE_MAX + 1];
        uint64_t first_seen; /* real time; 0: none */
        bool claimed;
};

struct sightings;

struct sightings *sightings_new(struct env *env, struct ledger *ledger);
struct sightings *sightings_free(struct sightings *sightings);
/* LEDGER_SIGHTED and LEDGER_CLAIMED rows; the caller tells leases of the claims (leases_claim). */
void sightings_load(struct sightings *sightings, const struct ledger_change *row);

/* When it was first seen: now, if never before. */
uint64_t sightings_first_seen(struct sightings *sightings, const char *database,
                              const struct census_schema *schema);
/* Does a claim of an earlier drop stand? */
bool sightings_is_claimed(struct sightings *sightings, const char *database,
                          const struct census_schema *schema);
void sightings_set_claimed(struct sightings *sightings, const char *database,
                           const struct census_schema *schema, bool claimed);

typedef void sightings_unclaim_fn(void *owner, const char *namespace);
/* Claims whose drop has come to its end, as a complete look shows: no other sweep is connected to their cluster.
 * unclaim() is called for each. */
void sightings_free_claims(struct sightings *sightings, struct census *census, sightings_unclaim_fn *unclaim,
                           void *owner);
/* After a complete look: forgets what is no longer there; unclaim() is called for each claim among it. */
void sightings_forget_gone(struct sightings *sightings, struct census *census, sightings_unclaim_fn *unclaim,
                           void *owner);
