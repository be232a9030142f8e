/* SPDX-License-Identifier: MIT */
#include "run.h"

#include "oracle.h"
#include "sim.h"
#include "util/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void step(void *owner, uint64_t argument);
static void reconnect(void *owner, uint64_t argument);
static const struct link_events link_events;

static struct chance *chance_of(const struct member *member)
{
        return &member->run->sim->chance;
}

static bool is_runner(const struct member *member)
{
        return member->index == 0;
}

static bool is_alive(const struct member *member)
{
        return member->process && member->process->alive;
}

static void plan(struct member *member, uint64_t low, uint64_t high)
{
        struct clock *clock = &member->run->sim->clock;

        clock_cancel(clock, member->next);
        member->next = clock_plan(clock, chance_between(chance_of(member), low, high), step, member, 0);
}

/* ---- ends ---- */

static void let_go_of(struct link **link)
{
        if (*link)
                link_let_go(*link);
        *link = NULL;
}

/* Its own link, perhaps still held by children: what comes over it nobody hears. */
static void drop_link(struct member *member)
{
        if (member->link)
                member->link->events = NULL;
        let_go_of(&member->link);
        member->is_attached = false;
}

static void member_exit(struct member *member)
{
        struct sim *sim = member->run->sim;
        bool link_first = chance_one_in(chance_of(member), 2);

        if (!is_alive(member))
                return;
        clock_cancel(&sim->clock, member->next);
        clock_cancel(&sim->clock, member->reconnect);
        member->next = member->reconnect = NULL;
        member->work = WORK_DONE;
        if (link_first)
                drop_link(member);
        world_kill(&sim->world, member->process);
        drop_link(member);
        let_go_of(&member->inherited);
        session_abandon(member->session, chance_one_in(chance_of(member), 4)
                                                 ? chance_below(chance_of(member), 4 * SEC)
                                                 : chance_below(chance_of(member), 20 * MSEC));
        member->session = NULL;
}

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

/* Nothing is on its way over it: one call at a time. */
static bool can_call(const struct member *member)
{
        return member->link && !member->link->is_busy;
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
        /* From before a restart: reserved until the grace has passed, if the disk knows of it. */
        return !member->is_forgotten && sim->clock.now < sim->host.started + sim->settings.start_grace;
}

/* ---- calls ---- */

static void call_acquire(struct member *runner)
{
        const struct run *run = runner->run;
        struct call call = {.kind = CALL_ACQUIRE, .no_wait = run->no_wait, .timeout_usec = run->timeout_usec};

        (void)strcpy(call.namespace, run->forced);
        (void)strcpy(call.request, run->request);
        link_call(runner->link, &call);
}

static void call_attach(struct member *member)
{
        struct call call = {.kind = CALL_ATTACH, .role = is_runner(member) ? ROLE_RUNNER : ROLE_WORKER};

        (void)strcpy(call.namespace, member->run->namespace);
        (void)strcpy(call.secret, member->run->secret);
        (void)strcpy(call.worker, is_runner(member) ? "" : member->worker);
        link_call(member->link, &call);
}

static void call_slot(struct member *member)
{
        struct call call = {.kind = CALL_SLOT, .database = member->endpoint->name, .grant = member->grant};

        if (!member->grant && chance_one_in(chance_of(member), 10))
                call.no_wait = true;
        else if (!member->grant && chance_one_in(chance_of(member), 5))
                call.timeout_usec = chance_between(chance_of(member), SEC, 20 * SEC);
        (void)strcpy(call.worker, member->worker);
        if (!member->is_attached) {
                (void)strcpy(call.namespace, member->run->namespace);
                (void)strcpy(call.secret, member->run->secret);
        }
        link_call(member->link, &call);
}

static void call_slot_release(struct member *member)
{
        const struct call call = {.kind = CALL_SLOT_RELEASE, .grant = member->grant};

        link_call(member->link, &call);
}

static void call_release(struct member *runner)
{
        const struct run *run = runner->run;
        struct call call = {.kind = CALL_RELEASE, .keep = run->keeps};

        if (!runner->is_attached) {
                (void)strcpy(call.namespace, run->namespace);
                (void)strcpy(call.secret, run->secret);
        }
        link_call(runner->link, &call);
}

/* ---- connections ---- */

static void reconnect_soon(struct member *member)
{
        member->reconnect =
                clock_plan(&member->run->sim->clock, chance_between(chance_of(member), 10 * MSEC, 500 * MSEC),
                           reconnect, member, 0);
}

static void reconnect(void *owner, uint64_t argument)
{
        struct member *member = owner;
        struct run *run = member->run;

        (void)argument;
        member->reconnect = NULL;
        member->link = host_connect(&run->sim->host, member->process, run->uid, &link_events, member);
        if (!member->link) {
                reconnect_soon(member);
                return;
        }
        if (is_runner(member) && !*run->secret) /* also where the reply was lost */
                call_acquire(member);
        else if (is_runner(member) || member->attaches)
                call_attach(member);
        else if (!member->next)
                plan(member, 0, MSEC);
}

static void on_lost(void *owner, struct link *link)
{
        struct member *member = owner;

        (void)link;
        drop_link(member);
        let_go_of(&member->inherited);
        member->attaches = true;
        if (is_alive(member) && !member->reconnect)
                reconnect_soon(member);
}

/* ---- what members do ---- */

static void spawn(struct member *member)
{
        struct run *run = member->run;
        const struct member *runner = &run->members[0];

        member->process = world_spawn(&run->sim->world);
        member->process->is_foreign = runner->process->is_foreign;
        if (is_runner(member))
                return;
        if (!runner->link || runner->link->is_cut) {
                member->attaches = true;
        } else if (!member->attaches || chance_one_in(chance_of(member), 5)) {
                member->inherited = runner->link;
                link_hold(runner->link);
        }
}

static void spawn_workers(struct run *run)
{
        for (unsigned i = 1; i < run->n_members; i++)
                plan(&run->members[i], MSEC, 2 * SEC);
}

static bool workers_are_done(const struct run *run)
{
        for (unsigned i = 1; i < run->n_members; i++)
                if (!run->members[i].process || run->members[i].process->alive)
                        return false;
        return true;
}

static void end_run(struct member *runner)
{
        struct run *run = runner->run;

        sim_say(run->sim, "run %u (%s) ends: %d", run->number, run->namespace, (int)run->ending);
        switch (run->ending) {
        case END_RELEASE:
        case END_RELEASE_EARLY:
                if (can_call(runner))
                        call_release(runner);
                else
                        plan(runner, 100 * MSEC, 100 * MSEC); /* the daemon is away */
                break;
        case END_KILL_ALL:
                run->sim->counts.crashes++;
                run_kill(run);
                break;
        case END_KILL_RUNNER:
                run->sim->counts.crashes++;
                member_exit(runner);
                break;
        case END_CLOSE:
                drop_link(runner);
                run->ending = END_KILL_RUNNER;
                plan(runner, 100 * MSEC, 10 * SEC);
                break;
        case END_MAX_:
                break;
        }
}

static void runner_step(struct member *runner)
{
        struct run *run = runner->run;

        if (!run->is_granted)
                return;
        if (run->is_revoked) {
                run_kill(run);
                return;
        }
        if (run->ending != END_RELEASE || workers_are_done(run))
                end_run(runner);
        else
                plan(runner, 100 * MSEC, 500 * MSEC);
}

static void schema_name(const struct member *member, char ret[NAMES_MAX + 1])
{
        (void)names_make_schema(member->run->namespace, member->worker, member->n_builds % 2 ? NULL : "x",
                                ret, NULL);
}

static void application_name(const struct member *member, char ret[NAMES_MAX + 1])
{
        (void)names_make_application_name(member->run->namespace, member->worker, NULL, ret, NULL);
}

static void open_session(struct member *member, struct server_database *database)
{
        char name[NAMES_MAX + 1];

        application_name(member, name);
        member->session = session_open(member->run->sim, database, name);
}

static void close_session(struct member *member)
{
        session_close(member->session);
        member->session = NULL;
}

/* Its schema, made or found; false: somebody has a lock on it, or the server is gone. */
static bool build(struct member *member)
{
        struct sim *sim = member->run->sim;
        struct server_backend *backend = member->session->backend;
        struct server_schema *schema;
        char name[NAMES_MAX + 1];

        if (!backend)
                return false;
        schema_name(member, name);
        switch (server_create(&sim->server, backend, name)) {
        case SERVER_DONE:
                sim->counts.builds++;
                schema = backend->schema;
                schema->may_drop = !chance_one_in(&sim->chance, 30);
                schema->has_dependents = chance_one_in(&sim->chance, 30);
                schema->reaches_outside = chance_one_in(&sim->chance, 10);
                return true;
        case SERVER_EXISTS:
                return server_use(backend, server_find(backend->database, name)) == SERVER_DONE;
        case SERVER_BLOCKED:
        case SERVER_MISSING:
        case SERVER_DENIED:
                break;
        }
        return false;
}

static void begin_build(struct member *member)
{
        open_session(member, member->endpoint->database);
        if (!build(member)) {
                close_session(member);
                plan(member, 20 * MSEC, 200 * MSEC);
                return;
        }
        member->session->commits = chance_one_in(chance_of(member), 3);
        plan(member, 20 * MSEC, 3 * SEC);
}

static void end_build(struct member *member)
{
        struct sim *sim = member->run->sim;

        if (member->session->backend)
                server_commit(&sim->server, member->session->backend);
        close_session(member);
        member->work = WORK_RELEASES;
        plan(member, 0, MSEC);
}

static void release_slot(struct member *member)
{
        if (!member->grant) { /* taken away meanwhile */
                member->work = WORK_NOTHING;
                member->n_builds--;
        } else if (can_call(member)) {
                call_slot_release(member);
                return;
        }
        plan(member, 10 * MSEC, 100 * MSEC);
}

static void test(struct member *member)
{
        struct sim *sim = member->run->sim;
        struct server_database *database =
                &sim->server.databases[chance_below(&sim->chance, sim->server.n_databases)];
        struct server_schema *schema;
        char name[NAMES_MAX + 1];

        if (member->session) {
                close_session(member);
                member->n_tests--;
                plan(member, 0, 2 * SEC); /* a pool that keeps nothing */
                return;
        }
        if (!member->n_tests) {
                member_exit(member);
                return;
        }
        open_session(member, database);
        schema_name(member, name);
        schema = server_find(database, name);
        if (schema && server_sees(member->session->backend, schema))
                (void)server_use(member->session->backend, schema);
        plan(member, 5 * MSEC, 3 * SEC);
}

static void worker_step(struct member *member)
{
        struct run *run = member->run;
        struct sim *sim = run->sim;

        if (!member->process) {
                if (!is_alive(&run->members[0]) || run->is_revoked)
                        return;
                spawn(member);
                reconnect_soon(member);
                return;
        }
        if (!run_lives(run) || chance_one_in(&sim->chance, 60)) {
                member_exit(member);
                return;
        }
        switch (member->work) {
        case WORK_NOTHING:
                if (!can_call(member)) {
                        plan(member, 100 * MSEC, 500 * MSEC);
                } else if (member->n_builds) {
                        member->endpoint =
                                &sim->server.endpoints[chance_below(&sim->chance, sim->server.n_endpoints)];
                        member->work = WORK_WAITS_FOR_SLOT;
                        call_slot(member);
                } else {
                        member->work = WORK_TESTS;
                        plan(member, 0, SEC);
                }
                break;
        case WORK_WAITS_FOR_SLOT:
                break;
        case WORK_BUILDS:
                if (member->session)
                        end_build(member);
                else
                        begin_build(member);
                break;
        case WORK_RELEASES:
                release_slot(member);
                break;
        case WORK_TESTS:
                test(member);
                break;
        case WORK_DONE:
                break;
        }
}

static void step(void *owner, uint64_t argument)
{
        struct member *member = owner;

        (void)argument;
        member->next = NULL;
        if (is_runner(member))
                runner_step(member);
        else
                worker_step(member);
}

/* ---- replies ---- */

static void on_acquired(struct member *runner, const struct reply *reply)
{
        struct run *run = runner->run;

        if (reply->error) {
                sim_say(run->sim, "run %u is refused: %d", run->number, reply->error);
                member_exit(runner);
                return;
        }
        (void)strcpy(run->secret, reply->secret);
        spawn_workers(run);
        plan(runner, 100 * MSEC, 20 * SEC);
}

/* Back after a restart: what it was about is asked again. */
static void resume(struct member *member)
{
        if (!is_runner(member) && (member->work == WORK_WAITS_FOR_SLOT || member->grant))
                call_slot(member);
        else if (!member->next)
                plan(member, 0, 10 * MSEC);
}

static void on_slot(struct member *member, const struct reply *reply)
{
        struct run *run = member->run;

        if (!reply->error) {
                if (member->work == WORK_WAITS_FOR_SLOT) {
                        member->work = WORK_BUILDS;
                        plan(member, 0, 10 * MSEC);
                } else if (!member->next) {
                        plan(member, 0, 10 * MSEC);
                }
                return;
        }
        sim_say(run->sim, "run %u %s gets no slot: %d", run->number, member->worker, reply->error);
        member->grant = 0;
        if (member->work == WORK_WAITS_FOR_SLOT) {
                member->work = WORK_NOTHING;
                member->n_builds--;
        }
        if (!member->next)
                plan(member, 10 * MSEC, SEC);
}

static void on_replied(void *owner, struct link *link, const struct reply *reply)
{
        struct member *member = owner;

        (void)link;
        if (!is_alive(member))
                return;
        switch (reply->kind) {
        case CALL_ACQUIRE:
                on_acquired(member, reply);
                break;
        case CALL_ATTACH:
                if (reply->error)
                        member_exit(member);
                else
                        resume(member);
                break;
        case CALL_SLOT:
                on_slot(member, reply);
                break;
        case CALL_SLOT_RELEASE:
                member->grant = 0;
                member->work = WORK_NOTHING;
                member->n_builds--;
                plan(member, 0, 100 * MSEC);
                break;
        case CALL_RELEASE:
                member_exit(member);
                break;
        case CALL_NONE:
                break;
        }
}

static void on_let_go(void *owner, struct link *link, bool slot, bool revoked)
{
        struct member *member = owner;

        (void)link;
        (void)revoked;
        if (!slot)
                member_exit(member);
}

static const struct link_events link_events = {.replied = on_replied, .let_go = on_let_go, .lost = on_lost};

/* ---- what the daemon has decided ---- */

static struct member *member_of(struct link *link)
{
        return link->events == &link_events ? link->owner : NULL;
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
        member->is_forgotten = false;
        member->slot_life = link->sim->host.n_lives;
        oracle_on_slot(link->sim, member->endpoint->database->cluster);
}

void run_on_slot_released(struct link *link)
{
        struct member *member = member_of(link);

        if (member)
                member->grant = 0;
}

/*
 * Two replies do not wait for the disk: that of a slot and that of Attach. What was granted a moment before a
 * crash is not known any more. With --strict that is no excuse.
 */
void run_on_killed(struct sim *sim)
{
        struct run *run;

        if (sim->is_strict)
                return;
        TAILQ_FOREACH (run, &sim->runs, link)
                for (unsigned i = 1; i < run->n_members; i++) {
                        struct member *member = &run->members[i];

                        member->is_forgotten = !fake_ledger_has_grant(&sim->ledger, member->grant);
                        member->is_member &= fake_ledger_has_member(&sim->ledger, member->id);
                }
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
        reconnect_soon(&run->members[0]);
}

void runs_done(struct sim *sim)
{
        struct run *run;

        while ((run = TAILQ_FIRST(&sim->runs))) {
                TAILQ_REMOVE(&sim->runs, run, link);
                free(run);
        }
}
