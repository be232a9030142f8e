/* SPDX-License-Identifier: MIT */
#pragma once

/* A run's connection to a database. A dead client's backend stays for a while, with its locks. */

#include "server.h"

struct session {
        struct sim *sim;
        struct server_backend *backend; /* NULL: cut */
        struct clock_event *end;        /* its client has gone */
        bool commits;                   /* what it was sent ends in COMMIT */
        int64_t grant;                  /* of the slot that its dead client held, while that counts; or 0 */
        TAILQ_ENTRY(session) link;      /* sim::sessions */
};

TAILQ_HEAD(sessions, session);

struct session *session_open(struct sim *sim, struct server_database *database, const char *application_name);
void session_close(struct session *session); /* NULL is allowed */
void session_abandon(struct session *session,
                     uint64_t delay); /* the client is dead; the backend notices after that */
void sessions_done(struct sim *sim);
