/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Connections that outlive the daemon. One that holds a lease or a slot is put into the manager's store when it
 * is granted (os/fd_store.h); what it holds stands in a table in memory that is stored beside it. Both survive
 * kill -9, and the next daemon goes on with the same connection.
 *
 * What a dead daemon had read and not answered, or had not yet written, is lost with it, and a client would wait
 * for it for ever. So a record says whether anything of its connection is under way: from before the daemon
 * reads until the reply has left. A connection that was not settled is closed by the next daemon, and its client
 * asks again. It costs two stores in memory a call, and no system call.
 *
 * Where there is no store, nothing of this happens.
 */

#include "server/server.h"

#define KEEP_MAX         4096 /* as max_connections by default, and FileDescriptorStoreMax= of the unit */
#define KEEP_METHOD_SIZE 40

struct connection;

struct keep_record {
        uint64_t connection; /* 0: a free record */
        struct server_hold hold;
        int64_t number;                /* call.number of the open call */
        char method[KEEP_METHOD_SIZE]; /* the open call's, which is granted; "": none is open */
        uint32_t is_unsettled;
        uint32_t unused;
};

struct keep;

/* table_fd: inherited, or -1. NULL: there is no store. */
struct keep *keep_new(struct server *server, int table_fd);
struct keep *keep_free(struct keep *keep);
/* The greatest number of a connection that was ever stored. */
uint64_t keep_last_connection(const struct keep *keep);

/* It has just got something to hold, and has not been told yet. */
void keep_hold(struct connection *connection);
/* Something may be given back: looked at in a second, since the next hold may come at once. */
void keep_look_soon(struct connection *connection);
/* It is about to be closed by us: its peer shall see it. */
void keep_forget(struct connection *connection);
/* All that is under way stands in the record now. */
void keep_settle(struct connection *connection);
