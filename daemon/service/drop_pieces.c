/* SPDX-License-Identifier: MIT */
/*
 * How much of a schema one transaction takes; see drop.h.
 *
 * A drop needs a lock for each object that goes, and the server's lock table is everybody's: whoever fills it makes
 * the builds of the living fail. So it is estimated first. The table holds nearly twice what its settings say (12,784
 * where they say 6,400), and beside us there may be the builds of the other slots.
 */
#include "service/drop_record.h"

#define WHOLE_PERCENT 80 /* of what the settings say: more goes in batches */
#define BATCH_PERCENT 40
#define GROW_AFTER    3 /* batches in a row that went well */

static int64_t lock_table(const struct drop *drop)
{
        const struct cluster *cluster = databases_cluster(drop->tools.databases, drop->target->cluster);

        return cluster ? cluster->lock_table : 0;
}

static bool fits(const struct drop *drop)
{
        int64_t limit = drop->room ? drop->room : lock_table(drop) * WHOLE_PERCENT / 100;

        return drop->is_indivisible || !limit || drop->reach.size <= limit;
}

static enum drop_piece choose(const struct drop *drop)
{
        if (!drop->reach.outside && fits(drop))
                return DROP_WHOLE;
        /* Before anything is missing the schema says so itself: a crash must not leave half a schema that looks whole. */
        if (!drop->marked)
                return DROP_MARK;
        return drop->reach.outside ? DROP_TIES : DROP_BATCH;
}

void drop_choose(struct drop *drop)
{
        drop->piece = choose(drop);
        if (drop->piece == DROP_BATCH && !drop->room)
                drop->room = lock_table(drop) * BATCH_PERCENT / 100;
}

bool drop_halve(struct drop *drop)
{
        int64_t tried = drop->piece == DROP_BATCH ? drop->room : drop->reach.size;

        if (tried <= 1 || drop->is_indivisible)
                return false;
        drop->room = tried / 2;
        drop->n_halvings++;
        drop->n_batches = 0;
        return true;
}

/* Whoever filled the table may have gone: a big schema would take for ever in the smallest of batches. */
void drop_grow(struct drop *drop)
{
        int64_t most = lock_table(drop) * BATCH_PERCENT / 100;

        if (++drop->n_batches < GROW_AFTER || drop->room >= most)
                return;
        drop->room = 2 * drop->room < most ? 2 * drop->room : most;
        drop->n_batches = 0;
        if (drop->n_halvings)
                drop->n_halvings--;
}
