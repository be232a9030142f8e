/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Threads that start connections where the name of the host must be looked up: PQconnectStart does that while
 * the caller waits, for seconds if the name server is slow (measured: 3 s, connect_timeout=1 or not). There
 * are few of them, they come when they are needed and go when there is nothing to do; what is started next
 * waits for one. A job that nobody waits for any more ends by itself, its connection is closed.
 */

#include <libpq-fe.h>

struct event_base;
struct starter;
struct start_job;

/* On the loop's thread. The connection is the owner's from here on; NULL as conninfo_start. The job is gone.
 */
typedef void started_fn(void *owner, PGconn *connection, unsigned n_hosts);

int starter_new(struct event_base *base, struct starter **ret);
struct starter *starter_free(struct starter *starter);

/* Texts are copied. */
struct start_job *starter_start(struct starter *starter, const char *conninfo, const char *application_name,
                                unsigned attempt, started_fn *started, void *owner);
void starter_cancel(struct start_job *job); /* NULL is allowed */
