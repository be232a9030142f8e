/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Leases: namespaces held by live runs (product section 4 in one place).
 *
 *      request ──▶ WAITING ──▶ GRANTING ──▶ LIVE ──▶ RELEASING ──▶ ended: released
 *                  (max_leases, (ledger      │  ▲        └─ members still connected
 *                   a drop of    under way)  │  └──── RECOVERING ◀── loaded from the ledger
 *                   the name)                ├──▶ ended: crashed   every member closed and every process gone
 *                                            └──▶ ended: revoked   an operator
 *
 * A namespace counts as live from GRANTING on, so from the first byte of the ledger's write. A lease ends only when
 * everything says so: each member (a connection that acquired or attached) has closed AND its process is proven
 * gone. A member without identity (pid 0) that closed makes the lease doubtful: it ends after start_grace and a
 * complete census that shows no labelled session of it (leases_census).
 *
 * Connections are ids; 0 is none. No callback is ever made from inside a call.
 */

#include "core/decide.h"
#include "core/metrics.h"
#include "core/roles.h"
#include "core/settings.h"
#include "proto/names.h"
#include "proto/protocol.h"
#include "seam/env.h"
#include "seam/ledger.h"
#include "service/peer.h"

enum lease_state {
        LEASE_WAITING, /* in the queue */
        LEASE_GRANTING,
        LEASE_LIVE,
        LEASE_RECOVERING,
        LEASE_RELEASING,
        LEASE_CRASHED, /* this and below: ended */
        LEASE_RELEASED,
        LEASE_REVOKED,
};

/* Outcomes of a call, and of what a waiting call comes to. */
enum {
        LEASES_LATER = -1, /* an event is the answer */
        LEASES_E_BAD_NAME = 1,
        LEASES_E_IN_USE,           /* forced name is live */
        LEASES_E_BUSY,             /* no_wait, or the time-out passed */
        LEASES_E_NO_SUCH_LEASE,    /* none, ended, or the secret is wrong: not told apart */
        LEASES_E_ALREADY_ATTACHED, /* a live controller carries it */
        LEASES_E_ALREADY_CARRIES,  /* this connection carries a lease */
        LEASES_E_LEDGER,           /* LedgerUnavailable; nothing was granted */
        LEASES_E_NOT_PERMITTED,
};

/* Read-only outside leases.c. */
struct lease_member {
        int64_t id;
        uint64_t connection; /* 0: closed */
        enum role role;
        char worker[NAMES_WORKER_MAX + 1];
        struct peer peer;
        bool gone; /* its process is */
        uint64_t since_usec;

        /* For lease_members.c only. */
        struct process_watch *watch; /* NULL: gone, or without identity */
        uint64_t closed_usec;        /* boottime of its close, or of our start */
        bool expects_grant;          /* its acquire or attach has not been answered yet */
        bool is_on_disk;             /* the ledger has confirmed it */
};

struct lease {
        int64_t id; /* 0 while WAITING */
        enum lease_state state;
        char namespace[NAMES_NAMESPACE_MAX + 1];
        char *label; /* or NULL */
        unsigned uid;
        bool forced;
        uint64_t since_usec; /* real time, as all here */
        unsigned n_members;
        struct lease_member *members;
        unsigned position; /* in the queue, 1 is next; only WAITING */
};

struct lease_request {
        uint64_t connection;
        struct peer peer;
        const char *namespace; /* forced, or NULL */
        const char *label;     /* or NULL */
        enum role role;        /* ROLE_RUNNER or ROLE_CONTROLLER */
        const char *worker;    /* only Attach, role worker */
        const char
                *request; /* the caller's name for it, or NULL: asked again by the same uid, the same lease */
        const char *secret; /* only Attach: 32 hex digits */
        bool no_wait;
        uint64_t timeout_usec; /* 0: for ever */
};

/* What connections and other services are told. */
struct lease_events {
        void (*queued)(void *owner, uint64_t connection, unsigned position);
        /* secret: NULL after an Attach */
        void (*granted)(void *owner, uint64_t connection, const struct lease *lease, const char *secret);
        /* LEASES_E_BUSY, LEASES_E_LEDGER; LEASES_E_NO_SUCH_LEASE: asked for again, and ended before the answer. */
        void (*failed)(void *owner, uint64_t connection, int error);
        /* A connection that carried the lease: state is LEASE_RELEASED or LEASE_REVOKED. */
        void (*let_go)(void *owner, uint64_t connection, enum lease_state state, const char *reason);
        /* Once per lease, whatever ended it. Slots of it go; a sweep may look. */
        void (*ended)(void *owner, const struct lease *lease);
        /* What Keep, or Release with keep, came to: 0 or LEASES_E_LEDGER. */
        void (*kept)(void *owner, uint64_t connection, uint64_t until_usec, int error);
        /* A member's process or connection has gone, or a member came: for status and subscriptions. */
        void (*changed)(void *owner, const struct lease *lease);
};

struct leases;

struct leases *leases_new(struct env *env, struct ledger *ledger, const struct settings *settings,
                          const struct lease_events *events, void *owner);
struct leases *leases_free(struct leases *leases);
/* Counts there from now on. */
void leases_measure(struct leases *leases, struct metrics *metrics);
void leases_configure(struct leases *leases, const struct settings *settings); /* after a reload */

/* At start: every row of the ledger that concerns leases and members, then leases_loaded() once. */
void leases_load(struct leases *leases, const struct ledger_change *row);
void leases_loaded(struct leases *leases, const struct ledger_numbers *next);

/*
 * Between the two: a member of the ledger, and its connection, which has outlived the daemon. NULL: no such member,
 * or it has its connection already.
 */
const struct peer *leases_recovering_peer(struct leases *leases, int64_t member);
void leases_adopt(struct leases *leases, int64_t member, uint64_t connection);

/* 0: under way, an event will tell. >0: LEASES_E_*; message (NAMES_MESSAGE_SIZE) is set for BAD_NAME. */
int leases_acquire(struct leases *leases, const struct lease_request *request, char *message);
/*
 * 0: attached, *ret is the lease. LEASES_LATER: granted() or failed() tell, when the ledger has the member: one that
 * a crash made us forget would not keep the lease alive.
 */
int leases_attach(struct leases *leases, const struct lease_request *request, const struct lease **ret);

struct lease_release {
        uint64_t connection;   /* the caller's */
        const char *namespace; /* both NULL: the lease that this connection carries */
        const char *secret;
        int exit_status; /* -1: not told */
        bool keep;
        uint64_t keep_usec; /* 0: keep_for */
};
/*
 * No further attach from now on; ends as soon as no other member is connected. Again: harmless. LEASES_LATER (with
 * keep): it is released, and kept() tells when that its schemas stay is on the disk.
 */
int leases_release(struct leases *leases, const struct lease_release *release, uint64_t *ret_kept_until_usec);
/* Ends it now. permitted: the caller may end other users' leases. */
int leases_revoke(struct leases *leases, const char *namespace, unsigned uid, bool permitted,
                  const char *reason);
/* Live or ended: its schemas stay for that long. LEASES_LATER: kept() is the answer. */
int leases_keep(struct leases *leases, uint64_t connection, const char *namespace, unsigned uid,
                bool permitted, uint64_t keep_usec);

void leases_connection_closed(struct leases *leases, uint64_t connection);

/* ---- looking ---- */

/* By namespace and secret, or the one the connection carries (both NULL). NULL: LEASES_E_NO_SUCH_LEASE. */
const struct lease *leases_resolve(struct leases *leases, uint64_t connection, const char *namespace,
                                   const char *secret);
int64_t leases_member_on(struct leases *leases,
                         uint64_t connection); /* that carries a lease there; 0: none */
const struct lease *leases_find(struct leases *leases, const char *namespace); /* not ended */
typedef void lease_fn(void *owner, const struct lease *lease);
void leases_each(struct leases *leases, lease_fn *each,
                 void *owner); /* waiting and not ended; oldest first */

/* The last lease of a namespace whose schemas may still be there, or that ended a moment ago. */
struct lease_past {
        int64_t id;
        const char *namespace;
        const char *label; /* or NULL */
        unsigned uid;
        enum lease_state state;   /* LEASE_CRASHED and below */
        uint64_t since_usec;      /* real time; 0: not on record */
        uint64_t ended_usec;      /* real time */
        uint64_t kept_until_usec; /* 0: not kept */
};
typedef void lease_past_fn(void *owner, const struct lease_past *past);
void leases_each_ended(struct leases *leases, lease_past_fn *each, void *owner); /* in no order */
unsigned leases_n_live(const struct leases *leases);
unsigned leases_n_waiting(const struct leases *leases);

/* ---- for census and sweep ---- */

enum lease_standing leases_standing(struct leases *leases, const char *namespace);
uint64_t leases_kept_until(struct leases *leases, const char *namespace); /* 0: not kept */
/* Boottime at which the last lease of that name ended in this life of the daemon, or its start; 0: not known. */
uint64_t leases_ended_at(struct leases *leases, const char *namespace);
/*
 * Reserves an ended or unknown namespace for a drop: granted to nobody until unclaimed. Counts, so that several
 * schemas of one namespace can be claimed. False: it is live, recovering or kept, or somebody waits for it. Before
 * leases_loaded it is always true: a claim of an earlier life stands until it is settled.
 */
bool leases_claim(struct leases *leases, const char *namespace);
void leases_unclaim(struct leases *leases, const char *namespace);
/*
 * A complete census has seen sessions of these (of these alone: not what leases_each names): ends doubtful leases that
 * it did not see and whose grace was over when it began.
 */
void leases_census(struct leases *leases, const struct live_set *live, uint64_t began_boottime);
/* Ended namespaces of which a complete look found no schema any more need not be remembered in memory. */
void leases_forget_ended(struct leases *leases, bool (*has_schemas)(void *owner, const char *namespace),
                         void *owner);
