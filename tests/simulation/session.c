/* SPDX-License-Identifier: MIT */
#include "session.h"

#include "sim.h"
#include "util/alloc.h"

#include <stdlib.h>

static void on_lost(void *owner)
{
        struct session *session = owner;

        session->backend = NULL;
}

struct session *session_open(struct sim *sim, struct server_database *database, const char *application_name)
{
        struct session *session = NEW(struct session);

        session->sim = sim;
        session->backend = server_connect(&sim->server, database, application_name, on_lost, session);
        TAILQ_INSERT_TAIL(&sim->sessions, session, link);
        return session;
}

void session_close(struct session *session)
{
        if (!session)
                return;
        clock_cancel(&session->sim->clock, session->end);
        if (session->backend)
                server_disconnect(&session->sim->server, session->backend);
        TAILQ_REMOVE(&session->sim->sessions, session, link);
        free(session);
}

static void on_noticed(void *owner, uint64_t argument)
{
        struct session *session = owner;

        (void)argument;
        session->end = NULL;
        if (session->commits && session->backend)
                server_commit(&session->sim->server, session->backend);
        session_close(session);
}

void session_abandon(struct session *session, uint64_t delay)
{
        if (session)
                session->end = clock_plan(&session->sim->clock, delay, on_noticed, session, 0);
}

void sessions_done(struct sim *sim)
{
        while (!TAILQ_EMPTY(&sim->sessions))
                session_close(TAILQ_FIRST(&sim->sessions));
}
