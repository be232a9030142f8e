/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One client: frames in, replies out, one call in work at a time, answered in order.
 *
 *      OPEN ──▶ LEAVING ──▶ DEAD      leaving: a last reply is on its way out, nothing is taken for a call
 *        └────────────────────▲       dead: freed when the loop's turn ends
 *
 * It is always read, also while its call waits: libevent reports no hang-up of a socket it does not read, and
 * a client that died in a queue would keep its place. What cannot be dispatched yet is kept, up to
 * CONNECTION_PENDING_MAX.
 */

#include "proto/varlink.h"
#include "server/call.h"
#include "service/peer.h"
#include "util/hash.h"

#include <event2/event_struct.h>
#include <sys/queue.h>

#define CONNECTION_PENDING_MAX (VARLINK_FRAME_MAX + 1) /* bytes read and not dispatched */
#define CONNECTION_OUTPUT_MAX  (1024 * 1024) /* bytes a client has not taken, before one more reply */

struct evbuffer;
struct keep_record;
struct server;

enum connection_state { CONNECTION_OPEN, CONNECTION_LEAVING, CONNECTION_DEAD };

struct connection {
        uint64_t id;
        struct server *server;
        enum connection_state state;
        int fd;
        struct peer peer;
        const char *refused; /* name of the limit that was full when it came, or NULL */
        unsigned refused_value;
        struct call call;

        struct event readable, writable;
        char *pending; /* read and not dispatched; NULL: nothing */
        size_t n_pending, pending_size, n_scanned;
        struct evbuffer *output; /* what did not fit into the socket; NULL: nothing yet */

        struct keep_record
                *kept; /* it holds something, and survives us; NULL: nothing, or there is no store */
        bool is_stored;

        bool is_scheduled;
        TAILQ_ENTRY(connection) later; /* server::later */
        UT_hash_handle hh;             /* server::by_id */
};

struct connection *connection_new(struct server *server, uint64_t id, int fd, const struct peer *peer);
struct connection *connection_free(struct connection *connection);

/* Now, and what does not fit when there is room. A client that takes nothing is closed. */
void connection_send(struct connection *connection, const char *bytes, size_t n);
/* Not all of it has left yet. */
bool connection_is_behind(const struct connection *connection);
/* Goes on with frames that came while a call was in work. */
void connection_continue(struct connection *connection);
/* why: for the log, in a few words; NULL: it hung up. */
void connection_close(struct connection *connection, const char *why);
/* Once its output has left. */
void connection_leave(struct connection *connection);
