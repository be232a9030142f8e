/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * DDL slots, per cluster (product section 5). The order is core/slot_queue's; here are connections, processes,
 * deadlines and the ledger. A slot is freed as soon as anything says so: release, its connection closing, its
 * process ending, its lease ending. A holder that is merely silent keeps it. Without ReleaseSlot or Release it is
 * DRAINING first: handed on when the holder's sessions have finished what they build (drain.h).
 *
 * A grant is in the ledger, but its reply does not wait for the disk: slots matter to processes of this boot only, and
 * the ledger knows what is held also after a kill -9.
 */

#include "core/metrics.h"
#include "core/roles.h"
#include "core/settings.h"
#include "core/slot_queue.h"
#include "proto/names.h"
#include "seam/env.h"
#include "seam/ledger.h"
#include "service/databases.h"
#include "service/peer.h"

enum {
        SLOTS_E_BUSY = 1,         /* no_wait, or the time-out passed */
        SLOTS_E_NOT_HELD,         /* no such grant, or not of this connection or lease */
        SLOTS_E_NO_SUCH_DATABASE, /* none of that name, none on that cluster, or none named and several clusters */
        SLOTS_E_UNREACHABLE,      /* its cluster is not known yet, and its server does not answer */
        SLOTS_E_GONE,             /* the lease ended while it waited */
        SLOTS_E_NOT_ADOPTED,      /* slots_adopt came to nothing: its server is out of reach */
};

struct slot_request {
        uint64_t connection;
        struct peer peer;
        int64_t lease;
        const char *namespace, *worker;           /* worker NULL: gw0 */
        const char *label;                        /* of the lease, or NULL */
        const char *database, *system_identifier; /* or NULL */
        bool no_wait;
        uint64_t timeout_usec; /* 0: for ever */
        int64_t reclaim;       /* a grant from before a restart, or 0 */
        bool only_reclaim;     /* that one or none */
        /* The caller's name for it, or NULL: after a restart the same lease gets what it was granted under it. */
        const char *request;
};

/* One holder or waiter. Read-only outside slots.c; strings live as long as the entry. */
struct slot_use {
        uint64_t id;
        int64_t grant; /* 0: waits */
        int slot;      /* -1: waits */
        enum slot_state state;
        uint64_t connection; /* 0: the sweep, a holder from before a restart, or one that is gone */
        int64_t lease;       /* 0: the sweep */
        unsigned cluster;
        struct peer peer;
        char namespace[NAMES_NAMESPACE_MAX + 1];
        char worker[NAMES_WORKER_MAX + 1]; /* "" for the sweep */
        char *label, *database;            /* or NULL */
        uint64_t asked_usec, granted_usec; /* boottime; granted 0: waits */
};

struct slot_events {
        void (*queued)(void *owner, uint64_t connection, const struct slot_use *use, unsigned position);
        void (*granted)(void *owner, uint64_t connection, const struct slot_use *use);
        /* A waiting call came to nothing: SLOTS_E_*; message for UNREACHABLE, else NULL. */
        void (*failed)(void *owner, uint64_t connection, const struct slot_use *use, int error,
                       const char *message);
        /* A held slot was given back elsewhere or taken away: "released" or "revoked". Not after a closed connection. */
        void (*let_go)(void *owner, uint64_t connection, const struct slot_use *use, bool revoked,
                       const char *reason);
        void (*changed)(void *owner, unsigned cluster); /* for subscriptions */
};

struct slots;

struct slots *slots_new(struct env *env, struct ledger *ledger, struct databases *databases, struct pg *pg,
                        const struct settings *settings, const struct slot_events *events, void *owner);
struct slots *slots_free(struct slots *slots);
/* Counts there from now on. */
void slots_measure(struct slots *slots, struct metrics *metrics);
void slots_configure(struct slots *slots, const struct settings *settings);
void slots_load(struct slots *slots, const struct ledger_change *row); /* LEDGER_SLOT_GRANTED */
void slots_loaded(struct slots *slots, const struct ledger_numbers *next);

/*
 * A slot of the ledger whose connection has outlived the daemon, too. slots_lost_peer: who held it, between the two
 * above; NULL: not on record. slots_adopt, after them: takes it back for that connection, as a reclaim that nobody
 * asked for; 1, 0: an event will tell if it fails, or <0: -SLOTS_E_*.
 */
const struct peer *slots_lost_peer(struct slots *slots, int64_t grant);
int slots_adopt(struct slots *slots, int64_t grant, uint64_t connection);
/* Grants of a connection. Returns how many there are; no more than max are written. */
unsigned slots_held_on(struct slots *slots, uint64_t connection, int64_t *ret_grants, unsigned max);

/* 1: *ret is held from now on (no event). 0: waits, an event will tell. <0: -SLOTS_E_*. */
int slots_acquire(struct slots *slots, const struct slot_request *request, const struct slot_use **ret);

/*
 * grant 0: the only slot of this connection, or, where it has none, of the lease. lease 0: only this connection's
 * own. 0, or SLOTS_E_NOT_HELD. *ret_held_usec: for how long it was held.
 */
int slots_release(struct slots *slots, uint64_t connection, int64_t lease, int64_t grant,
                  uint64_t *ret_held_usec);
void slots_connection_closed(struct slots *slots, uint64_t connection_id);
/* revoked: not by its holder's Release; what it holds is drained. */
void slots_lease_ended(struct slots *slots, int64_t lease, bool revoked, const char *reason);

/* The sweep's: one at a time per id, behind every run. granted comes later, never from inside. */
typedef void slots_granted_fn(void *owner, uint64_t id);
void slots_request_for_sweep(struct slots *slots, unsigned cluster, uint64_t id, slots_granted_fn *granted,
                             void *owner);
void slots_done_for_sweep(struct slots *slots, uint64_t id); /* held or waiting */

/* Holders by slot, then waiters in order; cluster as in databases.h, 0: nothing. */
typedef void slot_use_fn(void *owner, const struct slot_use *use, unsigned position);
void slots_each(struct slots *slots, unsigned cluster_id, slot_use_fn *each, void *owner);
unsigned slots_n_waiting(const struct slots *slots);
