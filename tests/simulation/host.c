/* SPDX-License-Identifier: MIT */
#include "host_internal.h"

#include "oracle.h"
#include "run.h"
#include "util/alloc.h"

#include <stdlib.h>
#include <string.h>

/* ---- links ---- */

struct link *host_find(struct host *host, uint64_t id)
{
        struct link *link;

        TAILQ_FOREACH (link, &host->links, entry)
                if (link->id == id)
                        return link;
        return NULL;
}

struct link *host_connect(struct host *host, struct process *process, unsigned uid,
                          const struct link_events *events, void *owner)
{
        struct link *link;

        if (!host->is_up)
                return NULL;
        link = NEW(struct link);
        *link = (struct link){.id = ++host->last_link,
                              .sim = host->sim,
                              .process = process,
                              .uid = uid,
                              .n_holders = 1,
                              .is_read = true,
                              .events = events,
                              .owner = owner};
        TAILQ_INSERT_TAIL(&host->links, link, entry);
        return link;
}

static void link_free(struct link *link)
{
        TAILQ_REMOVE(&link->sim->host.links, link, entry);
        free(link);
}

static void on_hang_up(void *owner, uint64_t id)
{
        struct host *host = owner;
        struct link *link = host_find(host, id);

        if (!link || !link->is_read)
                return; /* the daemon has been killed meanwhile */
        slots_connection_closed(host->slots, id);
        leases_connection_closed(host->leases, id);
        link_free(link);
}

void link_hold(struct link *link)
{
        link->n_holders++;
}

void link_let_go(struct link *link)
{
        struct sim *sim = link->sim;

        if (--link->n_holders)
                return;
        link->events = NULL;
        if (link->is_cut)
                link_free(link);
        else
                clock_plan_for_daemon(&sim->clock, chance_between(&sim->chance, 20, 2000), on_hang_up,
                                      &sim->host, link->id);
}

void host_mail(struct host *host, clock_fire_fn *fire, uint64_t id)
{
        clock_plan(&host->sim->clock, chance_between(&host->sim->chance, 20, 500), fire, host, id);
}

void link_call(struct link *link, const struct call *call)
{
        struct sim *sim = link->sim;

        if (link->is_busy)
                oracle_fail(sim, "the simulation itself: two calls at once on connection %llu",
                            (unsigned long long)link->id);
        link->is_busy = true;
        link->call = *call;
        clock_plan_for_daemon(&sim->clock, chance_between(&sim->chance, 20, 500), host_on_call, &sim->host,
                              link->id);
}

/* ---- life ---- */

static void load(void *owner, const struct ledger_change *row)
{
        struct host *host = owner;

        if (row->kind == LEDGER_LEASE_GRANTED || row->kind == LEDGER_LEASE_ENDED ||
            row->kind == LEDGER_MEMBER_JOINED)
                leases_load(host->leases, row);
        else if (row->kind == LEDGER_SLOT_GRANTED)
                slots_load(host->slots, row);
        else
                sweeper_load(host->sweeper, row);
}

void host_start(struct host *host)
{
        struct sim *sim = host->sim;
        struct ledger_numbers next;

        host->databases = databases_new(&sim->world.env, &sim->pg.pg, &sim->settings);
        host->leases =
                leases_new(&sim->world.env, &sim->ledger.ledger, &sim->settings, &host_lease_events, host);
        host->slots = slots_new(&sim->world.env, &sim->ledger.ledger, host->databases, &sim->pg.pg,
                                &sim->settings, &host_slot_events, host);
        host->sweeper = sweeper_new(&sim->world.env, &sim->pg.pg, &sim->ledger.ledger, host->databases,
                                    host->leases, host->slots, &sim->settings, &host_sweep_events, host);
        host->public_watch = public_watch_new(&sim->world.env, &sim->pg.pg, &sim->ledger.ledger,
                                              host->databases, host->leases, &sim->settings);
        fake_ledger_load(&sim->ledger, load, host, &next);
        leases_loaded(host->leases, &next);
        slots_loaded(host->slots, &next);
        sweeper_loaded(host->sweeper, &next);
        public_watch_configure(host->public_watch);
        databases_identify(host->databases);
        host->is_up = true;
        host->started = sim->clock.now;
        host->n_sweeps = 0;
        host->n_lives++;
        sim_say(sim, "daemon started");
}

static void on_cut(void *owner, uint64_t id)
{
        struct link *link = host_find(owner, id);

        if (link && link->events)
                link->events->lost(link->owner, link);
}

static void free_services(struct host *host)
{
        struct sim *sim = host->sim;

        host->sweeper = sweeper_free(host->sweeper);
        host->public_watch = public_watch_free(host->public_watch);
        host->slots = slots_free(host->slots);
        host->leases = leases_free(host->leases);
        host->databases = databases_free(host->databases);
        host->is_up = false;
        if (sim->world.n_timers || sim->world.n_watches || sim->pg.n_open)
                oracle_fail(sim, "services left %u timers, %u watches and %u connections behind",
                            sim->world.n_timers, sim->world.n_watches, sim->pg.n_open);
}

/* What the services are freed for here a real kill leaves to the kernel; the disk decides first what it has.
 */
void host_kill(struct host *host)
{
        struct link *link, *next;
        struct server_schema *schema;
        struct sim *sim = host->sim;

        sim_say(sim, "daemon killed");
        fake_ledger_crash(&sim->ledger);
        free_services(host);
        fake_ledger_forget(&sim->ledger);
        for (link = TAILQ_FIRST(&host->links); link; link = next) {
                next = TAILQ_NEXT(link, entry);
                link->is_cut = true;
                link->is_read = false;
                if (link->n_holders)
                        host_mail(host, on_cut, link->id);
                else
                        link_free(link);
        }
        for (unsigned i = 0; i < sim->server.n_databases; i++)
                TAILQ_FOREACH (schema, &sim->server.databases[i].schemas, link)
                        schema->listed = 0;
        for (unsigned i = 0; i < sim->server.n_endpoints; i++)
                sim->server.endpoints[i].looked_at = 0;
}

void host_init(struct host *host, struct sim *sim)
{
        *host = (struct host){.sim = sim};
        TAILQ_INIT(&host->links);
}

void host_done(struct host *host)
{
        struct link *link;

        if (host->is_up)
                free_services(host);
        while ((link = TAILQ_FIRST(&host->links)))
                link_free(link);
}

struct server_cluster *host_cluster(struct sim *sim, const char *database)
{
        for (unsigned i = 0; i < sim->server.n_endpoints; i++)
                if (!strcmp(sim->server.endpoints[i].name, database))
                        return sim->server.endpoints[i].database->cluster;
        return NULL;
}
