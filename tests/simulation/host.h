/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The daemon: its services, put together as daemon.c and server/ do it, and the connections of its clients.
 * It can be killed and started again.
 *
 * A link is a client's connection. Processes hold it; when the last one lets go, the daemon reads a hang-up.
 * One call at a time is in work on each, and each is answered exactly once.
 */

#include "service/databases.h"
#include "service/leases.h"
#include "service/public_watch.h"
#include "service/slots.h"
#include "service/sweep.h"
#include "world.h"

#include <sys/queue.h>

enum call_kind { CALL_NONE, CALL_ACQUIRE, CALL_ATTACH, CALL_RELEASE, CALL_SLOT, CALL_SLOT_RELEASE };

struct call {
        enum call_kind kind;
        char namespace[NAMES_NAMESPACE_MAX + 1]; /* "": none */
        char secret[BERTH_SECRET_SIZE];
        char worker[NAMES_WORKER_MAX + 1];
        char request[40];
        const char *database; /* of an endpoint */
        enum role role;
        bool no_wait, keep;
        uint64_t timeout_usec;
        int64_t grant; /* to reclaim, or to release */
};

/* error 0: granted, attached, released; else the service's. */
struct reply {
        enum call_kind kind;
        int error;
        char namespace[NAMES_NAMESPACE_MAX + 1];
        char secret[BERTH_SECRET_SIZE];
        int64_t lease, grant;
};

struct link;

struct link_events {
        void (*replied)(void *owner, struct link *link, const struct reply *reply);
        /* The lease or (slot) the slot this connection holds was taken away. */
        void (*let_go)(void *owner, struct link *link, bool slot, bool revoked);
        void (*lost)(void *owner,
                     struct link *link); /* the daemon is gone, and the link with it after this */
};

struct link {
        uint64_t id;
        struct sim *sim;
        struct process *process; /* who connected */
        unsigned uid;
        unsigned n_holders;
        bool is_cut;        /* the daemon is gone */
        bool is_busy;       /* a call of the client's is not answered yet */
        bool is_read;       /* the daemon has not seen its end yet */
        struct call call;   /* on its way, or in work */
        struct reply reply; /* on its way back */
        enum call_kind pending;
        const struct link_events *events; /* NULL: nobody listens any more */
        void *owner;
        TAILQ_ENTRY(link) entry; /* host::links */
};

struct host {
        struct sim *sim;
        bool is_up;
        uint64_t started; /* boottime */
        unsigned n_lives;
        uint64_t last_link, sweep_caller;
        TAILQ_HEAD(, link) links;
        struct databases *databases;
        struct leases *leases;
        struct slots *slots;
        struct sweeper *sweeper;
        struct public_watch *public_watch;
        unsigned n_sweeps; /* finished in this life */
};

void host_init(struct host *host, struct sim *sim);
void host_done(struct host *host);
void host_start(struct host *host);
void host_kill(struct host *host); /* as kill -9 does */

/* NULL: no daemon there. One holder. */
struct link *host_connect(struct host *host, struct process *process, unsigned uid,
                          const struct link_events *events, void *owner);
void link_hold(struct link *link);
void link_let_go(struct link *link); /* one holder; the last one closes it, and it is gone then */
void link_call(struct link *link, const struct call *call);

/* The endpoint's cluster, among the server's. */
struct server_cluster *host_cluster(struct sim *sim, const char *database);
