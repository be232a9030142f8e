/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Threads for the steps of connecting that may keep the caller waiting: PQconnectStart looks names up
 * (measured: 3 s with a slow name server, connect_timeout=1 or not), and PQconnectPoll computes what SCRAM
 * and TLS want (measured: 8 ms a password, and a census opens many connections at once). Waiting for a server
 * is left to the loop, so that no black hole keeps a thread.
 *
 * There are few of them, they come when they are needed and go when there is nothing to do; what is to be
 * done next waits for one. A job that nobody waits for any more ends by itself, and its connection is closed.
 */

#include <libpq-fe.h>

struct event_base;
struct helper;
struct helper_job;

/* The connection is the owner's (again). */
struct helped {
        PGconn *connection;               /* NULL: see conninfo_start */
        unsigned n_hosts;                 /* of helper_start; else 0 */
        PostgresPollingStatusType status; /* what to wait for */
        size_t received;                  /* bytes */
};

/* On the loop's thread, never from inside a call. The job is gone. */
typedef void helped_fn(void *owner, const struct helped *helped);

int helper_new(struct event_base *base, struct helper **ret);
/* Does not wait for threads that are at work. Owners must have cancelled their jobs. */
struct helper *helper_free(struct helper *helper);

/* conninfo_start. Texts are copied. */
struct helper_job *helper_start(struct helper *helper, const char *conninfo, const char *application_name,
                                unsigned attempt, helped_fn *done, void *owner);
/* PQconnectPoll. Takes the connection. */
struct helper_job *helper_poll(struct helper *helper, PGconn *connection, helped_fn *done, void *owner);
void helper_cancel(struct helper_job *job); /* NULL is allowed */
