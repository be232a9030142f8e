/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What sweeps remember of schemas between looks, by (database, schema, oid): when one of an unknown namespace
 * was first seen, the claim of a drop whose end is not known, or that is not done, and how often its drop has failed.
 * The first two are in the ledger; this is its copy in memory.
 */

#include "seam/env.h"
#include "seam/ledger.h"
#include "service/census.h"
#include "service/sweep.h"

/* What became of the last drop of it, if that came to nothing. In memory only: after a start all is tried again. */
struct failure {
        unsigned times;    /* in a row; 0: none */
        uint64_t retry_at; /* boottime; no sweep but one by hand tries before */
        enum sweep_verdict verdict;
        enum drop_reason reason;
        char sqlstate[6];
        char *detail; /* or NULL */
};

#define SIGHTING_EARLIER_LIFE (-1)

struct sighting {
        char *database, *schema, *oid;
        char namespace[NAMES_NAMESPACE_MAX + 1];
        uint64_t first_seen; /* real time; 0: none */
        bool claimed;
        bool unsettled; /* it is not known whether the drop that claimed it has ended */
        bool torn;      /* it came half way: the claim stays until the schema is gone */
        int backend;    /* that drop's; 0: not known, SIGHTING_EARLIER_LIFE: none of ours */
        struct failure failure;
};

struct sightings;

struct sightings *sightings_new(struct env *env, struct ledger *ledger);
struct sightings *sightings_free(struct sightings *sightings);
/* LEDGER_SIGHTED and LEDGER_CLAIMED rows; the caller tells leases of the claims (leases_claim). */
void sightings_load(struct sightings *sightings, const struct ledger_change *row);

/* When it was first seen: now, if never before. */
uint64_t sightings_first_seen(struct sightings *sightings, const char *database,
                              const struct census_schema *schema);
/* Of a claim that stands from an earlier drop; NULL: there is none. */
const struct sighting *sightings_claim(struct sightings *sightings, const char *database,
                                       const struct census_schema *schema);
/* How a drop has left it; neither: without a claim. */
void sightings_set_claimed(struct sightings *sightings, const char *database,
                           const struct census_schema *schema, bool unsettled, bool torn, int backend);
/* Could that backend of ours be at a drop whose end is not known? census_suspect_fn. */
bool sightings_may_drop(void *sightings, int backend);
/* A list of schemas has just been made: of the claimed ones it says which are missing a part. */
void sightings_note_begun(struct sightings *sightings, struct census *census);

typedef void sightings_unclaim_fn(void *owner, const char *namespace);
/*
 * Claims whose drop has come to its end, as a complete look shows: no other sweep is connected to their cluster. Those
 * of torn schemas stay, settled.
 * unclaim() is called for each other.
 */
void sightings_free_claims(struct sightings *sightings, struct census *census, sightings_unclaim_fn *unclaim,
                           void *owner);
/* After a complete look: forgets what is no longer there; unclaim() is called for each claim among it. */
void sightings_forget_gone(struct sightings *sightings, struct census *census, sightings_unclaim_fn *unclaim,
                           void *owner);

/* A drop has come to nothing: the next one waits for 30 s, then for twice as long each time, half an hour at most. */
void sightings_set_failed(struct sightings *sightings, const char *database,
                          const struct census_schema *schema, const struct failure *failure);
void sightings_clear_failed(struct sightings *sightings, const char *database,
                            const struct census_schema *schema);
/* NULL: it may be tried now. */
const struct failure *sightings_postponed(struct sightings *sightings, const char *database,
                                          const struct census_schema *schema);
uint64_t sightings_next_retry(const struct sightings *sightings); /* boottime; 0: none */
