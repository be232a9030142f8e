/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The socket: who is connected, and what each may do at once. It knows nothing of leases; the methods do, and
 * they come as a table.
 *
 * A connection is known to everybody else by its number, never by a pointer: whoever waits keeps the number
 * and looks it up again. Connections are freed at the end of the loop's turn, never in the middle of one of
 * their own callbacks.
 */

#include "server/method.h"
#include "service/peer.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct event_base;
struct metrics;
struct services;
struct server;

struct server_limits {
        unsigned max_connections;
        unsigned max_connections_per_uid;
        gid_t operator_gid; /* (gid_t)-1: no such group */
};

#define SERVER_HOLD_GRANTS 6

/* What a connection holds, by the numbers of the ledger. */
struct server_hold {
        int64_t member; /* as which it carries a lease; 0: none */
        int64_t grants[SERVER_HOLD_GRANTS];
        uint32_t n_grants;
        uint32_t has_more; /* there are more grants than that */
};

/* A connection has gone, or is about to: its number will not be found any more. */
typedef void server_closed_fn(struct services *services, uint64_t connection);

struct server *server_new(struct event_base *base, const struct method *methods, struct services *services,
                          const struct server_limits *limits, server_closed_fn *closed);
/* Closes what is left, and tells nobody: what was held stays held in the ledger. */
struct server *server_free(struct server *server);

/*
 * Keeps connections that hold something in the manager's store, if there is one (server/keep.h): before anybody
 * connects, first of all. table_fd: the descriptor of that name that was inherited, or -1; is not closed.
 */
typedef void server_holds_fn(struct services *services, uint64_t connection, struct server_hold *ret);
void server_keep(struct server *server, int table_fd, server_holds_fn *holds);
/*
 * A stored connection of that name goes on, with the number it had, if what it holds is on record: adopt says so,
 * and who is at its other end. Takes fd. Then, once for all of them, what can only be taken back later.
 */
typedef bool server_adopt_fn(struct services *services, uint64_t connection, const struct server_hold *hold,
                             int fd, struct peer *ret);
typedef bool server_reclaim_fn(struct services *services, uint64_t connection, const struct peer *peer,
                               const struct server_hold *hold);
bool server_restore(struct server *server, const char *name, int fd, server_adopt_fn *adopt);
void server_restored(struct server *server, server_reclaim_fn *reclaim);
/* Its client connects again, and asks again. */
void server_drop(struct server *server, uint64_t connection, const char *why);

/* Counts there from now on. */
void server_measure(struct server *server, struct metrics *metrics);
void server_configure(struct server *server, const struct server_limits *limits);

/* Serves a listening socket, which it closes at the end. */
void server_listen(struct server *server, int fd);
/* A connected socket, as if it had been accepted. Takes fd. */
void server_accept(struct server *server, int fd);

/* No new connection, no new call; calls that wait for something are closed without a reply. */
void server_stop(struct server *server);
unsigned server_n_connections(const struct server *server);
/* Since the start; it only grows. */
uint64_t server_n_accepted(const struct server *server);
