/* SPDX-License-Identifier: MIT */
#pragma once

/* What server.c, accept.c and connection.c share. */

#include "server/connection.h"
#include "server/keep.h"
#include "server/server.h"
#include "util/hash.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <sys/queue.h>

#define INBOX_SIZE 16384

TAILQ_HEAD(connection_list, connection);

/* How many connections one user has. */
struct uid_use {
        unsigned uid, n;
        UT_hash_handle hh;
};

struct server {
        struct event_base *base;
        const struct method *methods;
        struct services *services;
        struct metrics *metrics; /* NULL: nobody counts */
        struct server_limits limits;
        server_closed_fn *closed;
        server_holds_fn *holds;
        struct keep *keep; /* NULL: there is no store */
        bool stopping;

        struct connection *by_id; /* uthash; the dead are not in it */
        struct uid_use *by_uid;
        uint64_t last_id;
        unsigned n_served;  /* counted against the limits */
        unsigned n_refused; /* told that the house is full, then closed */

        /* Each connection that has something to do when the loop's turn ends: go on with its input, or be
         * freed. */
        struct connection_list later;
        struct event turn;

        /* accept.c */
        int listen_fd, reserve_fd;
        struct event *acceptable, *pause;
        unsigned n_pauses;

        char inbox[INBOX_SIZE]; /* what one read(2) brings; used by one connection at a time */
};

/* Counts it in, and serves it. */
struct connection *server_add(struct server *server, uint64_t id, int fd, const struct peer *peer);
void server_schedule(struct server *server, struct connection *connection);
void server_forget(struct server *server, struct connection *connection);
/* There is no room, errno says of what kind: nobody is let in for a moment. */
void server_pause_accept(struct server *server, int error);
void server_close_listener(struct server *server);
