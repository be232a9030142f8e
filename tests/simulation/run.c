/* SPDX-License-Identifier: MIT */
#include "run_internal.h"

#include "oracle.h"
#include "util/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- ends ---- */

void run_kill(struct run *run)
{
        for (unsigned i = 0; i < run->n_members; i++)
                member_exit(&run->members[i]);
}

bool run_is_over(const struct run *run)
{
        for (unsigned i = 0; i < run->n_members; i++)
                if (is_alive(&run->members[i]))
                        return false;
        return true;
}

static bool is_connected(const struct member *member)
{
        return member->is_attached && member->link && !member->link->is_cut;
}

/* Somebody holds its link, though it may be dead itself. */
static bool is_carried_on(const struct run *run, const struct member *member)
{
        if (member->link || !member->is_member)
                return false;
        for (unsigned i = 1; is_runner(member) && i < run->n_members; i++)
                if (run->members[i].inherited && !run->members[i].inherited->is_cut)
                        return true;
        return false;
}

bool run_lives(const struct run *run)
{
        if (!run->is_granted || run->is_revoked || run->is_over)
                return false;
        for (unsigned i = 0; i < run->n_members; i++) {
                const struct member *member = &run->members[i];

                if (run->is_released ? !is_runner(member) && is_connected(member)
                                     : member->is_member && (is_alive(member) || is_carried_on(run, member)))
                        return true;
        }
        return false;
}

bool member_holds_slot(const struct member *member)
{
        const struct sim *sim = member->run->sim;

        if (!member->grant || !is_alive(member) || !run_lives(member->run))
                return false;
        if (member->slot_life == sim->host.n_lives)
                return member->link;
        /* From before a restart: reserved until the grace has passed. */
        return sim->clock.now < sim->host.started + sim->settings.start_grace;
}

/* ---- what the daemon has decided ---- */

static struct member *member_of(struct link *link)
{
        return link->events == &member_events ? link->owner : NULL;
}

void run_on_granted(struct link *link, const struct lease *lease)
{
        struct member *runner = member_of(link);

        oracle_on_granted(link->sim, runner ? runner->run : NULL, lease->namespace, lease->id);
        if (!runner)
                return;
        sim_say(link->sim, "run %u is granted %s, lease %lld", runner->run->number, lease->namespace,
                (long long)lease->id);
        runner->is_member = runner->is_attached = true;
        runner->run->is_granted = true;
        runner->run->lease = lease->id;
        (void)strcpy(runner->run->namespace, lease->namespace);
}

void run_on_attached(struct link *link, const struct lease *lease)
{
        struct member *member = member_of(link);

        if (!member)
                return;
        member->is_member = member->is_attached = true;
        for (unsigned i = 0; i < lease->n_members; i++)
                if (lease->members[i].connection == link->id)
                        member->id = lease->members[i].id;
}

void run_on_refused(struct link *link, int error)
{
        struct member *member = member_of(link);

        if (member && run_lives(member->run) && !member->run->is_released)
                oracle_fail(link->sim, "run %u (%s) lives, and member %u may not attach: %d",
                            member->run->number, member->run->namespace, member->index, error);
}

void run_on_released(struct link *link)
{
        struct member *member = member_of(link);

        if (member)
                member->run->is_released = true;
}

void run_on_slot(struct link *link, const struct slot_use *use)
{
        struct member *member = member_of(link);

        if (!member)
                return;
        member->grant = use->grant;
        member->slot_life = link->sim->host.n_lives;
        oracle_on_slot(link->sim, member->endpoint->database->cluster);
}

void run_on_slot_released(struct link *link)
{
        struct member *member = member_of(link);

        if (member)
                member->grant = member->told_grant = 0;
}

void run_on_revoked(struct sim *sim, const char *namespace)
{
        struct run *run;

        TAILQ_FOREACH (run, &sim->runs, link)
                run->is_revoked |= !run->is_over && !strcmp(run->namespace, namespace);
}

void run_on_slot_let_go(struct link *link)
{
        run_on_slot_released(link);
}

void run_on_ended(struct sim *sim, const struct lease *lease)
{
        struct run *run;

        TAILQ_FOREACH (run, &sim->runs, link) {
                if (run->lease != lease->id)
                        continue;
                if (lease->state == LEASE_REVOKED)
                        run->is_revoked = true;
                else if (run_lives(run)) {
                        run_describe(run);
                        oracle_fail(sim, "lease %lld of run %u (%s) ended in state %d, and it lives",
                                    (long long)lease->id, run->number, run->namespace, (int)lease->state);
                }
                run->is_over = true;
        }
}

/* ---- life ---- */

static void members_init(struct run *run)
{
        struct chance *chance = &run->sim->chance;

        run->n_members = 1 + (unsigned)chance_below(chance, N_WORKERS_MAX + 1);
        for (unsigned i = 0; i < run->n_members; i++) {
                struct member *member = &run->members[i];

                member->run = run;
                member->index = i;
                (void)snprintf(member->worker, sizeof(member->worker), "gw%u", i ? i - 1 : 0);
                member->attaches = !chance_one_in(chance, 6);
                member->n_builds = (unsigned)chance_below(chance, 3);
                member->n_tests = (unsigned)chance_below(chance, 5);
        }
}

void run_describe(const struct run *run)
{
        for (unsigned i = 0; i < run->n_members; i++) {
                const struct member *member = &run->members[i];

                if (is_alive(member))
                        sim_say(run->sim,
                                "member %u, %lld: work %d, grant %lld, link %lld%s%s, call in work "
                                "%d%s%s",
                                i, (long long)member->id, (int)member->work, (long long)member->grant,
                                member->link ? (long long)member->link->id : 0,
                                can_call(member) ? "" : " busy", member->is_attached ? " attached" : "",
                                member->link ? (int)member->link->pending : 0,
                                member->next ? ", has a next step" : "",
                                member->reconnect ? ", reconnects" : "");
        }
}

void run_start(struct sim *sim)
{
        struct run *run = NEW(struct run);
        struct chance *chance = &sim->chance;

        run->sim = sim;
        run->number = ++sim->n_runs_ever;
        run->uid = 1000 + (unsigned)chance_below(chance, 3);
        run->ending = (enum ending)chance_below(chance, END_MAX_);
        run->keeps = chance_one_in(chance, 6);
        run->no_wait = chance_one_in(chance, 8);
        if (chance_one_in(chance, 4))
                run->timeout_usec = chance_between(chance, SEC, 20 * SEC);
        if (chance_one_in(chance, 3))
                (void)snprintf(run->forced, sizeof(run->forced), "dev%u", (unsigned)chance_below(chance, 2));
        /* Without it, one whose reply was lost waits behind the lease it does not know it has, where
         * leases are few. */
        if (sim->settings.max_leases || chance_one_in(chance, 2))
                (void)snprintf(run->request, sizeof(run->request), "r%u", run->number);
        members_init(run);
        TAILQ_INSERT_TAIL(&sim->runs, run, link);
        run->members[0].process = world_spawn(&sim->world);
        /* One without identity that loses its connection may be taken for dead: it must come back. */
        run->members[0].process->is_foreign = run->ending != END_CLOSE && chance_one_in(chance, 6);
        member_reconnect_soon(&run->members[0]);
}

void runs_done(struct sim *sim)
{
        struct run *run;

        while ((run = TAILQ_FIRST(&sim->runs))) {
                TAILQ_REMOVE(&sim->runs, run, link);
                free(run);
        }
}
