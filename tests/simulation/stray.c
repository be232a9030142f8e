/* SPDX-License-Identifier: MIT */
#include "stray.h"

#include "sim.h"
#include "util/alloc.h"

#include <stdio.h>
#include <stdlib.h>

static void step(void *owner, uint64_t argument);

static void plan(struct stray *stray, uint64_t low, uint64_t high)
{
        struct clock *clock = &stray->sim->clock;

        stray->next = clock_plan(clock, chance_between(&stray->sim->chance, low, high), step, stray, 0);
}

static void open_session(struct stray *stray)
{
        struct sim *sim = stray->sim;
        char name[NAMES_MAX + 1];

        (void)names_make_application_name(stray->namespace, "gw0", NULL, name, NULL);
        stray->session = session_open(
                sim, &sim->server.databases[chance_below(&sim->chance, sim->server.n_databases)], name);
}

static void build(struct stray *stray)
{
        struct sim *sim = stray->sim;
        struct server_backend *backend = stray->session->backend;
        char name[NAMES_MAX + 1];

        (void)names_make_schema(stray->namespace, "gw0", NULL, name, NULL);
        if (backend && server_create(&sim->server, backend, name) == SERVER_DONE)
                server_commit(&sim->server, backend);
}

static void step(void *owner, uint64_t argument)
{
        struct stray *stray = owner;

        (void)argument;
        stray->next = NULL;
        if (stray->has_token && stray->session) {
                session_close(stray->session);
                stray->session = NULL;
                plan(stray, 0, 20 * SEC);
                return;
        }
        /* One that was cut comes back within seconds. */
        if (stray->session && !stray->session->backend) {
                session_close(stray->session);
                stray->session = NULL;
        }
        if (!stray->session) {
                open_session(stray);
                if (chance_one_in(&stray->sim->chance, 2))
                        build(stray);
        }
        plan(stray, 10 * MSEC, 2 * SEC);
}

static void on_end(void *owner, uint64_t argument)
{
        struct stray *stray = owner;

        (void)argument;
        stray->end = NULL;
        stray_end(stray);
}

void stray_end(struct stray *stray)
{
        struct sim *sim = stray->sim;

        clock_cancel(&sim->clock, stray->next);
        clock_cancel(&sim->clock, stray->end);
        stray->next = stray->end = NULL;
        world_kill(&sim->world, stray->process);
        session_abandon(stray->session, chance_below(&sim->chance, 2 * SEC));
        stray->session = NULL;
}

void stray_start(struct sim *sim)
{
        struct stray *stray = NEW(struct stray);
        struct berth_token token;

        stray->sim = sim;
        stray->process = world_spawn(&sim->world);
        stray->has_token = chance_one_in(&sim->chance, 2);
        token = (struct berth_token){.pid = (uint32_t)stray->process->pid,
                                     .epoch_sec = world_realtime(&sim->world) / SEC,
                                     .random = (uint32_t)chance_bits(&sim->chance)};
        if (stray->has_token)
                names_make_token(&token, stray->namespace);
        else
                (void)snprintf(stray->namespace, sizeof(stray->namespace), "man%llu",
                               (unsigned long long)sim->clock.now);
        TAILQ_INSERT_TAIL(&sim->strays, stray, link);
        open_session(stray);
        build(stray);
        plan(stray, 10 * MSEC, 2 * SEC);
        stray->end = clock_plan(&sim->clock, chance_between(&sim->chance, SEC, 150 * SEC), on_end, stray, 0);
}

void strays_done(struct sim *sim)
{
        struct stray *stray;

        while ((stray = TAILQ_FIRST(&sim->strays))) {
                TAILQ_REMOVE(&sim->strays, stray, link);
                free(stray);
        }
}
