/* SPDX-License-Identifier: MIT */
#include "sim.h"

#include "oracle.h"
#include "people.h"
#include "run.h"
#include "stray.h"
#include "util/alloc.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVENTS_MAX 200000 /* far more than any schedule needs: it runs in a circle */

void sim_say(struct sim *sim, const char *format, ...)
{
        va_list arguments;

        if (!sim->verbose)
                return;
        printf("%10.6f  ", (double)(sim->clock.now - 1000 * SEC) / (double)SEC);
        va_start(arguments, format);
        (void)vprintf(format, arguments);
        va_end(arguments);
        (void)putchar('\n');
}

/* ---- what is to be kept, and until when ---- */

static struct kept *find_kept(struct sim *sim, const char *namespace)
{
        for (unsigned i = 0; i < N_KEPT_MAX; i++)
                if (!strcmp(sim->kept[i].namespace, namespace))
                        return &sim->kept[i];
        return NULL;
}

const struct kept *sim_kept(struct sim *sim, const char *namespace)
{
        return find_kept(sim, namespace);
}

void sim_keep(struct sim *sim, const char *namespace, uint64_t until)
{
        struct kept *kept = find_kept(sim, namespace);

        if (!kept)
                kept = find_kept(sim, "");
        if (!kept)
                return;
        sim_say(sim, "%s is to be kept for %llu s", namespace,
                (unsigned long long)((until - world_realtime(&sim->world)) / SEC));
        (void)strcpy(kept->namespace, namespace);
        kept->until = until;
}

void sim_forget_kept(struct sim *sim, const char *namespace)
{
        struct kept *kept = find_kept(sim, namespace);

        if (kept)
                kept->namespace[0] = '\0';
}

/* ---- a schedule ---- */

static void draw_settings(struct sim *sim)
{
        struct chance *chance = &sim->chance;
        struct settings *settings = &sim->settings;

        *settings = (struct settings){
                .ddl_slots = (unsigned)chance_between(chance, 1, 3),
                .max_leases = chance_one_in(chance, 3) ? (unsigned)chance_between(chance, 1, 4) : 0,
                .connect_timeout = 5 * SEC,
                .lock_timeout = chance_between(chance, 1, 5) * SEC,
                .statement_timeout = 30 * SEC,
                .start_grace = chance_between(chance, 5, 20) * SEC,
                .unleased_grace = chance_between(chance, 20, 60) * SEC,
                .keep_for = 20 * SEC,
                .sweep_interval = chance_between(chance, 10, 40) * SEC,
                .history = 86400 * SEC,
                .public_watch = true,
                .databases = sim->databases,
                .n_databases = sim->server.n_endpoints,
        };
        for (unsigned i = 0; i < sim->server.n_endpoints; i++)
                sim->databases[i] = (struct database_setting){.name = sim->server.endpoints[i].name,
                                                              .conninfo = sim->server.endpoints[i].conninfo};
}

static void run_until(struct sim *sim, uint64_t until)
{
        while (!*sim->violation && clock_turn(&sim->clock, until))
                if (sim->clock.n_fired > EVENTS_MAX)
                        oracle_fail(sim, "no end after %u events", EVENTS_MAX);
}

static const struct run *first_at_work(const struct sim *sim)
{
        const struct run *run;

        TAILQ_FOREACH (run, &sim->runs, link)
                if (!run_is_over(run))
                        return run;
        return NULL;
}

static void describe_lease(void *owner, const struct lease *lease)
{
        sim_say(owner, "lease %lld (%s): state %d, %u members", (long long)lease->id, lease->namespace,
                (int)lease->state, lease->n_members);
        for (unsigned i = 0; i < lease->n_members; i++)
                sim_say(owner, "    member %lld: connection %llu, pid %d%s", (long long)lease->members[i].id,
                        (unsigned long long)lease->members[i].connection,
                        (int)lease->members[i].peer.process.pid, lease->members[i].gone ? ", gone" : "");
}

/* Nothing fails any more: everybody gets what he waits for, and ends. */
static void wait_for_runs(struct sim *sim)
{
        uint64_t end = sim->clock.now + 900 * SEC;
        const struct run *run;

        while (!*sim->violation && (run = first_at_work(sim))) {
                run_until(sim, sim->clock.now + SEC);
                if (sim->clock.now < end)
                        continue;
                run_describe(run);
                leases_each(sim->host.leases, describe_lease, sim);
                oracle_fail(sim, "run %u (%s) is still at work long after all faults have ended", run->number,
                            run->namespace);
        }
}

static void sweep_twice(struct sim *sim)
{
        const struct sweep_request request = {.caller = ++sim->host.last_link};
        uint64_t end = sim->clock.now + 600 * SEC;

        for (unsigned n = 0; n < 2 && !*sim->violation; n++) {
                unsigned before;

                while (sweeper_start(sim->host.sweeper, &request) && !*sim->violation && sim->clock.now < end)
                        run_until(sim, sim->clock.now + SEC);
                before = sim->host.n_sweeps;
                while (sim->host.n_sweeps == before && !*sim->violation && sim->clock.now < end)
                        run_until(sim, sim->clock.now + SEC);
        }
        if (sim->clock.now >= end)
                oracle_fail(sim, "two sweeps have not ended within 600 s");
}

static void play(struct sim *sim)
{
        host_start(&sim->host);
        people_start(sim);
        run_until(sim, sim->calm_at);
        sim_say(sim, "---- calm ----");
        sim->calm = true;
        people_calm(sim);
        wait_for_runs(sim);
        if (*sim->violation)
                return;
        /* All that has to grow old does, and all that was to be kept need not be any more. */
        run_until(sim, sim->clock.now + sim->settings.unleased_grace + sim->settings.sweep_interval +
                               sim->settings.start_grace + 60 * SEC);
        if (*sim->violation)
                return;
        sim_say(sim, "---- after ----");
        sweep_twice(sim);
        if (!*sim->violation)
                oracle_at_end(sim);
}

static void add(struct counts *sum, const struct counts *counts)
{
        uint64_t *to = (uint64_t *)sum;
        const uint64_t *from = (const uint64_t *)counts;

        for (size_t i = 0; i < sizeof(*sum) / sizeof(uint64_t); i++)
                to[i] += from[i];
}

static void sim_init(struct sim *sim, uint64_t seed, bool verbose)
{
        sim->seed = seed;
        sim->verbose = verbose;
        chance_seed(&sim->chance, seed);
        clock_init(&sim->clock);
        TAILQ_INIT(&sim->runs);
        TAILQ_INIT(&sim->strays);
        TAILQ_INIT(&sim->sessions);
        world_init(&sim->world, sim);
        server_init(&sim->server, sim);
        draw_settings(sim);
        fake_pg_init(&sim->pg, sim);
        fake_ledger_init(&sim->ledger, sim);
        host_init(&sim->host, sim);
        sim->calm_at = sim->clock.now + chance_between(&sim->chance, 30, 180) * SEC;
}

static void sim_done(struct sim *sim)
{
        fake_ledger_done(&sim->ledger);
        fake_pg_done(&sim->pg);
        sessions_done(sim);
        server_done(&sim->server);
        runs_done(sim);
        strays_done(sim);
        world_done(&sim->world);
        clock_done(&sim->clock);
}

bool sim_run(uint64_t seed, bool verbose, struct counts *counts)
{
        struct sim *sim = NEW(struct sim);
        bool is_sound;

        sim_init(sim, seed, verbose);
        play(sim);
        host_done(&sim->host); /* it may leave something behind, and be found out */
        sim->counts.events = sim->clock.n_fired;
        is_sound = !*sim->violation;
        if (!is_sound)
                printf("seed %llu, after %.3f s: %s\n", (unsigned long long)seed,
                       (double)(sim->clock.now - 1000 * SEC) / (double)SEC, sim->violation);
        sim_done(sim);
        add(counts, &sim->counts);
        free(sim);
        return is_sound;
}
