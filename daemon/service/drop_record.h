/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the files of the drop share: drop.c (claim, slot, beginning and end), drop_steps.c (one transaction),
 * drop_pieces.c (how much of the schema goes in it), drop_aftermath.c (after a lost connection).
 */

#include "service/drop.h"

struct drop {
        struct drop_tools tools;
        struct census_target *target;
        const struct census_schema *schema;
        int64_t sweep;
        drop_ready_fn *ready;
        drop_done_fn *done;
        void *owner;

        struct drop_outcome outcome; /* as it stands; torn only at the end */
        bool claimed, slot_asked, slot_granted, is_pausing;
        bool torn;           /* a part of the schema has gone, or may have */
        struct timer *timer; /* pauses */

        /* The transaction under way. */
        const struct drop_step *step, *refused_at; /* refused_at: NULL if it was not */
        uint64_t asked, waited; /* boottime of the step's question; for how long, until it was refused */
        enum drop_piece { DROP_WHOLE, DROP_MARK, DROP_TIES, DROP_BATCH } piece;
        bool commit_sent;
        int backend_pid;

        /* How much at a time. */
        struct drop_reach reach; /* as last seen */
        bool marked;             /* the schema says of itself that a drop has begun */
        bool is_indivisible;     /* what is left goes only as a whole */
        int64_t room;            /* locks that a batch may take; 0: no batch was necessary yet */
        unsigned lock_tries, deadlocks, n_halvings;
        unsigned n_batches; /* since the last halving or doubling */

        struct pg_connection *aftermath;
        unsigned aftermath_tries;
};

/* One question, and what becomes of its answer. */
struct drop_step {
        const char *name;
        enum pg_question question;
        void (*take)(struct drop *drop, const struct pg_answer *answer);
};

/* ---- drop.c ---- */

/* The end: the claim is freed if that may be, the slot given back, the receiver told. */
void drop_settle(struct drop *drop);
/* The next transaction: after a pause, and with a slot asked for anew. */
void drop_again(struct drop *drop, uint64_t pause);
void drop_set_outcome(struct drop *drop, enum sweep_verdict verdict, enum drop_reason reason,
                      const char *sqlstate, char *detail /* taken */);

/* ---- drop_steps.c ---- */

void drop_begin(struct drop *drop);

/* ---- drop_pieces.c ---- */

/* What the transaction under way takes, by what is known of its reach. */
void drop_choose(struct drop *drop);
/* The lock table was full: with less it may work. False: there is no less. */
bool drop_halve(struct drop *drop);
/* A batch was committed: some later one may take more again. */
void drop_grow(struct drop *drop);

/* ---- drop_aftermath.c ---- */

void drop_lost(struct drop *drop, const struct pg_answer *answer);
void drop_reconnect(struct drop *drop);
