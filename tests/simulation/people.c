/* SPDX-License-Identifier: MIT */
#include "people.h"

#include "oracle.h"
#include "run.h"
#include "sim.h"
#include "stray.h"

#include <stdio.h>
#include <string.h>

static uint64_t between(struct sim *sim, uint64_t low, uint64_t high)
{
        return chance_between(&sim->chance, low, high);
}

static struct endpoint *some_endpoint(struct sim *sim)
{
        return &sim->server.endpoints[chance_below(&sim->chance, sim->server.n_endpoints)];
}

static struct server_schema *some_schema(struct sim *sim)
{
        const struct server_database *database = some_endpoint(sim)->database;
        struct server_schema *schema, *found = NULL;
        unsigned n = 0;

        TAILQ_FOREACH (schema, &database->schemas, link)
                if (!schema->maker && *schema->namespace && chance_below(&sim->chance, ++n) == 0)
                        found = schema;
        return found;
}

static struct run *some_run(struct sim *sim)
{
        struct run *run, *found = NULL;
        unsigned n = 0;

        TAILQ_FOREACH (run, &sim->runs, link)
                if (*run->namespace && chance_below(&sim->chance, ++n) == 0)
                        found = run;
        return found;
}

/* ---- the daemon's fate ---- */

static void start_daemon(void *owner, uint64_t argument)
{
        struct sim *sim = owner;

        (void)argument;
        if (!sim->host.is_up)
                host_start(&sim->host);
}

static void kill_daemon(struct sim *sim)
{
        if (!sim->host.is_up)
                return;
        sim->counts.restarts++;
        host_kill(&sim->host);
        sim->clock.held_up_until = 0;
        clock_plan(&sim->clock, between(sim, 50 * MSEC, 3 * SEC), start_daemon, sim, 0);
}

static void hold_up_daemon(struct sim *sim)
{
        if (sim->clock.held_up_until > sim->clock.now)
                return;
        sim->clock.held_up_until = sim->clock.now + between(sim, 100 * MSEC, 15 * SEC);
        sim_say(sim, "daemon held up");
}

/* The servers are elsewhere: they give up the sessions of a host that sleeps. */
static void suspend(struct sim *sim)
{
        uint64_t duration = between(sim, 2 * SEC, 600 * SEC);
        struct session *session, *next;

        sim_say(sim, "suspended for %llu s", (unsigned long long)(duration / SEC));
        sim->clock.now += duration;
        sim->clock.suspended += duration;
        sim->resumed_at = sim->clock.now;
        for (session = TAILQ_FIRST(&sim->sessions); session; session = next) {
                next = TAILQ_NEXT(session, link);
                if (session->backend)
                        server_disconnect(&sim->server, session->backend);
                session->backend = NULL;
        }
}

static void step_clock(struct sim *sim)
{
        int64_t step = (int64_t)between(sim, 0, 60 * SEC) - (int64_t)(30 * SEC);
        struct stray *stray;

        sim->clock.wall += step;
        sim->has_clock_stepped = true;
        TAILQ_FOREACH (stray, &sim->strays, link)
                stray->is_excused |= stray->has_token && step > 0;
}

/* ---- servers' and disk's fate ---- */

static void break_endpoint(struct sim *sim)
{
        struct endpoint *endpoint = some_endpoint(sim);

        endpoint->fault = (enum fault)between(sim, 1, FAULT_MAX_ - 1);
        endpoint->fault_until = sim->clock.now + between(sim, 100 * MSEC, 20 * SEC);
        sim_say(sim, "%s has fault %d", endpoint->name, (int)endpoint->fault);
}

static void restart_server(struct sim *sim)
{
        sim_say(sim, "a server restarts");
        sim->counts.faults++;
        server_restart(&sim->server,
                       &sim->server.clusters[chance_below(&sim->chance, sim->server.n_clusters)]);
}

static void fill_disk(struct sim *sim)
{
        sim->ledger.full_until = sim->clock.now + between(sim, 10 * MSEC, 10 * SEC);
        sim_say(sim, "the disk is full for a while");
}

/* ---- operators and passers-by ---- */

static void sweep(struct sim *sim)
{
        const struct sweep_request request = {
                .caller = ++sim->host.last_link,
                .dry_run = chance_one_in(&sim->chance, 3),
                .database = chance_one_in(&sim->chance, 4) ? some_endpoint(sim)->name : NULL,
        };

        if (sim->host.is_up)
                (void)sweeper_start(sim->host.sweeper, &request);
}

static void keep(struct sim *sim)
{
        const struct run *run = some_run(sim);

        if (run && sim->host.is_up)
                (void)leases_keep(sim->host.leases, ++sim->host.last_link, run->namespace, run->uid, true,
                                  between(sim, SEC, 30 * SEC));
}

static void revoke(struct sim *sim)
{
        const struct run *run = some_run(sim);

        if (!run || !sim->host.is_up ||
            leases_revoke(sim->host.leases, run->namespace, 0, true, "it was in the way"))
                return;
        sim->counts.revoked++;
        run_on_revoked(sim, run->namespace);
}

/* Somebody looks into what an old run has left, under its name. A DROP that is on its way already is not held
 * up by that. */
static void revisit(struct sim *sim)
{
        const struct server_schema *schema = some_schema(sim);
        char name[NAMES_MAX + 1];

        if (!schema || !names_make_application_name(schema->namespace, "gw0", NULL, name, NULL))
                return;
        session_abandon(session_open(sim, some_endpoint(sim)->database, name),
                        between(sim, 100 * MSEC, 20 * SEC));
}

/* Somebody drops and makes it anew: the same name, another schema. */
static void make_anew(struct sim *sim)
{
        struct server_schema *schema = some_schema(sim);
        char name[NAMES_MAX + 1];
        struct session *session;

        if (!schema || oracle_live(sim, schema->namespace, NULL))
                return;
        (void)strcpy(name, schema->name);
        session = session_open(sim, schema->database, "psql");
        if (server_pin(session->backend, name) == SERVER_DONE &&
            server_drop(&sim->server, session->backend) == SERVER_DONE) {
                server_commit(&sim->server, session->backend);
                if (server_create(&sim->server, session->backend, name) == SERVER_DONE)
                        server_commit(&sim->server, session->backend);
        }
        session_close(session);
}

/* Somebody reads in it and goes for coffee; or prepares a transaction. */
static void lock(struct sim *sim)
{
        struct server_schema *schema = some_schema(sim);
        struct session *session;

        if (!schema)
                return;
        if (chance_one_in(&sim->chance, 3)) {
                schema->prepared_until = sim->clock.now + between(sim, SEC, 20 * SEC);
                return;
        }
        session = session_open(sim, schema->database, "psql");
        (void)server_use(session->backend, schema);
        session_abandon(session, between(sim, 100 * MSEC, 20 * SEC));
}

/* ---- what happens next ---- */

static const struct {
        unsigned weight;
        void (*happen)(struct sim *sim);
} happenings[] = {
        {40, run_start},  {8, stray_start},    {10, break_endpoint}, {2, restart_server}, {3, fill_disk},
        {3, kill_daemon}, {2, hold_up_daemon}, {1, suspend},         {1, step_clock},     {8, sweep},
        {2, keep},        {2, revoke},         {4, make_anew},       {4, lock},           {4, revisit},
};

static void happen(void *owner, uint64_t argument)
{
        struct sim *sim = owner;
        unsigned total = 0, at = 0, drawn;

        (void)argument;
        if (sim->calm)
                return;
        for (unsigned i = 0; i < sizeof(happenings) / sizeof(*happenings); i++)
                total += happenings[i].weight;
        drawn = (unsigned)chance_below(&sim->chance, total);
        while (drawn >= happenings[at].weight)
                drawn -= happenings[at++].weight;
        happenings[at].happen(sim);
        clock_plan(&sim->clock,
                   chance_one_in(&sim->chance, 4) ? between(sim, 0, 100 * MSEC) : between(sim, 0, 10 * SEC),
                   happen, sim, 0);
}

/* Names that look like ours, and are not. */
static void put_decoys(struct sim *sim)
{
        static const char *const names[] = {
                "public",       "test_gw0",      "test_prod",      "test_user_settings",
                "testing_data", "Test_dev1_gw0", "test_dev1__gw0",
        };

        for (unsigned i = 0; i < sim->server.n_databases; i++) {
                struct session *session = session_open(sim, &sim->server.databases[i], "psql");

                for (unsigned k = 0; k < sizeof(names) / sizeof(*names); k++) {
                        (void)server_create(&sim->server, session->backend, names[k]);
                        server_commit(&sim->server, session->backend);
                }
                session_close(session);
        }
}

void people_start(struct sim *sim)
{
        put_decoys(sim);
        clock_plan(&sim->clock, 0, happen, sim, 0);
}

void people_calm(struct sim *sim)
{
        struct server_schema *schema;
        struct stray *stray;

        for (unsigned i = 0; i < sim->server.n_endpoints; i++)
                sim->server.endpoints[i].fault_until = 0;
        for (unsigned i = 0; i < sim->server.n_databases; i++)
                TAILQ_FOREACH (schema, &sim->server.databases[i].schemas, link)
                        schema->prepared_until = 0;
        sim->ledger.full_until = 0;
        TAILQ_FOREACH (stray, &sim->strays, link)
                stray_end(stray);
}
