/* SPDX-License-Identifier: MIT */
#include "service/sightings.h"

#include "util/alloc.h"
#include "util/cleanup.h"
#include "util/hash.h"

#include <stdlib.h>
#include <string.h>

#define RETRY_FIRST_USEC (30 * USEC_PER_SEC)
#define RETRY_MAX_USEC   (30 * 60 * USEC_PER_SEC)

struct entry {
        char *key; /* database/schema/oid; none of the last two holds a slash */
        struct sighting sighting;
        UT_hash_handle hh;
};

struct sightings {
        struct env *env;
        struct ledger *ledger;
        struct entry *all;
};

static struct entry *find(struct sightings *sightings, const char *database, const char *schema,
                          const char *oid, bool make)
{
        _cleanup_free_ char *key = alloc_printf("%s/%s/%s", database, schema, oid);
        struct entry *entry;
        struct berth_name name;

        HASH_FIND_STR(sightings->all, key, entry);
        if (entry || !make)
                return entry;
        entry = NEW(struct entry);
        entry->key = TAKE(key);
        entry->sighting.database = alloc_string(database);
        entry->sighting.schema = alloc_string(schema);
        entry->sighting.oid = alloc_string(oid);
        if (names_parse_schema(schema, &name))
                (void)memcpy(entry->sighting.namespace, name.namespace, sizeof(name.namespace));
        HASH_ADD_KEYPTR(hh, sightings->all, entry->key, strlen(entry->key), entry);
        return entry;
}

static void entry_free(struct sightings *sightings, struct entry *entry)
{
        HASH_DEL(sightings->all, entry);
        free(entry->key);
        free(entry->sighting.database);
        free(entry->sighting.schema);
        free(entry->sighting.oid);
        free(entry->sighting.failure.detail);
        free(entry);
}

static void submit(struct sightings *sightings, enum ledger_change_kind kind, const struct sighting *sighting)
{
        const struct ledger_change change = {.kind = kind,
                                             .time_usec = env_realtime(sightings->env),
                                             .database = sighting->database,
                                             .schema = sighting->schema,
                                             .oid = sighting->oid,
                                             .namespace = sighting->namespace};

        sightings->ledger->ops->submit(sightings->ledger, &change, NULL, NULL, 0);
}

void sightings_load(struct sightings *sightings, const struct ledger_change *row)
{
        struct entry *entry = find(sightings, row->database, row->schema, row->oid, true);

        if (row->kind == LEDGER_CLAIMED) {
                entry->sighting.claimed = entry->sighting.unsettled = true;
                entry->sighting.backend = SIGHTING_EARLIER_LIFE;
        } else {
                entry->sighting.first_seen = row->time_usec;
        }
}

uint64_t sightings_first_seen(struct sightings *sightings, const char *database,
                              const struct census_schema *schema)
{
        struct entry *entry = find(sightings, database, schema->name, schema->oid, true);

        if (!entry->sighting.first_seen) {
                entry->sighting.first_seen = env_realtime(sightings->env);
                submit(sightings, LEDGER_SIGHTED, &entry->sighting);
        }
        return entry->sighting.first_seen;
}

const struct sighting *sightings_claim(struct sightings *sightings, const char *database,
                                       const struct census_schema *schema)
{
        const struct entry *entry = find(sightings, database, schema->name, schema->oid, false);

        return entry && entry->sighting.claimed ? &entry->sighting : NULL;
}

void sightings_set_claimed(struct sightings *sightings, const char *database,
                           const struct census_schema *schema, bool unsettled, bool torn, int backend)
{
        struct entry *entry = find(sightings, database, schema->name, schema->oid, unsettled || torn);

        if (!entry)
                return;
        entry->sighting.claimed = unsettled || torn;
        entry->sighting.unsettled = unsettled;
        entry->sighting.torn = torn;
        entry->sighting.backend = backend;
}

bool sightings_may_drop(void *owner, int backend)
{
        struct sightings *sightings = owner;
        const struct entry *entry, *next;

        HASH_ITER (hh, sightings->all, entry, next)
                if (entry->sighting.claimed && entry->sighting.unsettled &&
                    (!entry->sighting.backend || entry->sighting.backend == backend))
                        return true;
        return false;
}

static const struct census_schema *listed(struct census *census, const struct sighting *sighting)
{
        for (unsigned i = 0; i < census_n_targets(census); i++) {
                const struct census_target *target = census_target_at(census, i);

                if (strcmp(target->name, sighting->database))
                        continue;
                for (unsigned k = 0; k < target->n_schemas; k++)
                        if (!strcmp(target->schemas[k].name, sighting->schema) &&
                            !strcmp(target->schemas[k].oid, sighting->oid))
                                return &target->schemas[k];
        }
        return NULL;
}

void sightings_note_begun(struct sightings *sightings, struct census *census)
{
        struct entry *entry, *next;

        HASH_ITER (hh, sightings->all, entry, next) {
                const struct census_schema *schema = listed(census, &entry->sighting);

                if (schema)
                        entry->sighting.torn = entry->sighting.claimed && schema->begun;
        }
}

/* Has nobody but us a connection to the cluster where it is? */
static bool is_ours_alone(struct census *census, const struct sighting *sighting)
{
        for (unsigned i = 0; i < census_n_targets(census); i++) {
                const struct census_target *target = census_target_at(census, i);

                if (!strcmp(target->name, sighting->database))
                        return !target->foreign_sweep;
        }
        return false;
}

void sightings_free_claims(struct sightings *sightings, struct census *census, sightings_unclaim_fn *unclaim,
                           void *owner)
{
        struct entry *entry, *next;

        HASH_ITER (hh, sightings->all, entry, next) {
                if (!entry->sighting.claimed || !is_ours_alone(census, &entry->sighting))
                        continue;
                entry->sighting.unsettled = false;
                if (entry->sighting.torn)
                        continue;
                entry->sighting.claimed = false;
                unclaim(owner, entry->sighting.namespace);
                submit(sightings, LEDGER_UNCLAIMED, &entry->sighting);
        }
}

void sightings_forget_gone(struct sightings *sightings, struct census *census, sightings_unclaim_fn *unclaim,
                           void *owner)
{
        struct entry *entry, *next;

        HASH_ITER (hh, sightings->all, entry, next) {
                if (listed(census, &entry->sighting))
                        continue;
                if (entry->sighting.claimed) {
                        unclaim(owner, entry->sighting.namespace);
                        submit(sightings, LEDGER_UNCLAIMED, &entry->sighting);
                }
                if (entry->sighting.first_seen)
                        submit(sightings, LEDGER_UNSIGHTED, &entry->sighting);
                entry_free(sightings, entry);
        }
}

/* ---- drops that came to nothing ---- */

void sightings_set_failed(struct sightings *sightings, const char *database,
                          const struct census_schema *schema, const struct failure *failure)
{
        struct entry *entry = find(sightings, database, schema->name, schema->oid, true);
        unsigned times = entry->sighting.failure.times;
        uint64_t delay = RETRY_FIRST_USEC;

        for (unsigned i = 0; i < times && delay < RETRY_MAX_USEC; i++)
                delay *= 2;
        free(entry->sighting.failure.detail);
        entry->sighting.failure = *failure;
        entry->sighting.failure.detail = alloc_string(failure->detail);
        entry->sighting.failure.times = times + 1;
        entry->sighting.failure.retry_at =
                env_boottime(sightings->env) + (delay < RETRY_MAX_USEC ? delay : RETRY_MAX_USEC);
}

void sightings_clear_failed(struct sightings *sightings, const char *database,
                            const struct census_schema *schema)
{
        struct entry *entry = find(sightings, database, schema->name, schema->oid, false);

        if (!entry)
                return;
        free(entry->sighting.failure.detail);
        entry->sighting.failure = (struct failure){};
}

const struct failure *sightings_postponed(struct sightings *sightings, const char *database,
                                          const struct census_schema *schema)
{
        const struct entry *entry = find(sightings, database, schema->name, schema->oid, false);

        return entry && entry->sighting.failure.retry_at > env_boottime(sightings->env)
                       ? &entry->sighting.failure
                       : NULL;
}

uint64_t sightings_next_retry(const struct sightings *sightings)
{
        const struct entry *entry, *next;
        uint64_t first = 0;

        HASH_ITER (hh, sightings->all, entry, next) {
                uint64_t retry_at = entry->sighting.failure.retry_at;

                if (retry_at && (!first || retry_at < first))
                        first = retry_at;
        }
        return first;
}

/* ---- life ---- */

struct sightings *sightings_new(struct env *env, struct ledger *ledger)
{
        struct sightings *sightings = NEW(struct sightings);

        sightings->env = env;
        sightings->ledger = ledger;
        return sightings;
}

struct sightings *sightings_free(struct sightings *sightings)
{
        struct entry *entry, *next;

        if (!sightings)
                return NULL;
        HASH_ITER (hh, sightings->all, entry, next)
                entry_free(sightings, entry);
        free(sightings);
        return NULL;
}
