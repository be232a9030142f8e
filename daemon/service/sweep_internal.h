/* SPDX-License-Identifier: MIT */
#pragma once

/* What sweep.c (when, and in which order) and sweep_verdicts.c (what becomes of a schema, and who is told)
 * share. */

#include "service/census.h"
#include "service/drop.h"
#include "service/settling.h"
#include "service/sightings.h"
#include "service/sweep.h"

/* What one item of the result was made of. */
struct candidate {
        struct census_target *target;
        const struct census_schema *schema;
        bool allowed;
};

struct sweeper {
        struct drop_tools tools;
        struct databases *databases;
        struct sightings *sightings;
        const struct sweep_events *events;
        void *owner;

        struct timer *timer; /* the next automatic sweep */
        uint64_t due;        /* boottime at which it was to fire */
        struct settling *settling;
        uint64_t retry_delay;
        bool soon, stopping, has_said_longer;
        int64_t next_id;

        /* The one that runs; result NULL: none. */
        struct sweep_result *result;
        uint64_t caller;
        bool by_hand; /* also when its caller has hung up */
        char *only; /* database, or NULL */
        struct census *census;
        struct candidate *candidates; /* beside result->items */
        unsigned current;
        unsigned n_looks; /* censuses taken again for the current one */
        struct drop *drop;
        const char *halt; /* why it goes no further, or NULL */
        char *doubt;      /* what halt points to if we have been away meanwhile, or NULL */

        struct sweep_result *last;
};

/* The candidates of a census just taken become items of the result; those that stay are concluded at once. */
void sweep_judge(struct sweeper *sweeper);
enum drop_reason sweep_decide(struct sweeper *sweeper, const struct candidate *candidate);
/* A verdict is final: to the ledger, to the journal, to whoever asked. detail is taken. */
void sweep_conclude(struct sweeper *sweeper, struct sweep_item *item, enum sweep_verdict verdict,
                    enum drop_reason reason, char *detail);
/* An earlier drop of it came to nothing, and it is too early to try again: the same once more. */
void sweep_conclude_postponed(struct sweeper *sweeper, struct sweep_item *item, const struct failure *failure);
void sweep_conclude_kept(struct sweeper *sweeper, struct sweep_item *item, enum drop_reason reason);
