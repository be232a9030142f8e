/* SPDX-License-Identifier: MIT */
#include "run_internal.h"

#include <stdio.h>
#include <string.h>

static void step(void *owner, uint64_t argument);
static void reconnect(void *owner, uint64_t argument);

void member_plan(struct member *member, uint64_t low, uint64_t high)
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

void member_exit(struct member *member)
{
        struct sim *sim = member->run->sim;
        bool link_first = chance_one_in(chance_of(member), 2);

        if (!is_alive(member))
                return;
        if (member->session && member_holds_slot(member))
                member->session->grant = member->grant;
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

void member_call_slot(struct member *member)
{
        struct call call = {
                .kind = CALL_SLOT, .database = member->endpoint->name, .grant = member->told_grant};

        (void)snprintf(call.request, sizeof(call.request), "%s-%u", member->worker, member->n_requests);
        if (!member->told_grant && chance_one_in(chance_of(member), 10))
                call.no_wait = true;
        else if (!member->told_grant && chance_one_in(chance_of(member), 5))
                call.timeout_usec = chance_between(chance_of(member), SEC, 20 * SEC);
        (void)strcpy(call.worker, member->worker);
        if (!member->is_attached) {
                (void)strcpy(call.namespace, member->run->namespace);
                (void)strcpy(call.secret, member->run->secret);
        }
        link_call(member->link, &call);
}

void member_call_slot_release(struct member *member)
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

void member_reconnect_soon(struct member *member)
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
        member->link = host_connect(&run->sim->host, member->process, run->uid, &member_events, member);
        if (!member->link) {
                member_reconnect_soon(member);
                return;
        }
        if (is_runner(member) && !*run->secret) /* also where the reply was lost */
                call_acquire(member);
        else if (is_runner(member) || member->attaches)
                call_attach(member);
        else if (!member->next)
                member_plan(member, 0, MSEC);
}

static void on_lost(void *owner, struct link *link)
{
        struct member *member = owner;

        (void)link;
        drop_link(member);
        let_go_of(&member->inherited);
        member->attaches = true;
        if (is_alive(member) && !member->reconnect)
                member_reconnect_soon(member);
}

/* ---- what members do ---- */

void member_spawn(struct member *member)
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
                member_plan(&run->members[i], MSEC, 2 * SEC);
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
                        member_plan(runner, 100 * MSEC, 100 * MSEC); /* the daemon is away */
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
                member_plan(runner, 100 * MSEC, 10 * SEC);
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
                member_plan(runner, 100 * MSEC, 500 * MSEC);
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
        member_plan(runner, 100 * MSEC, 20 * SEC);
}

/* Back after a restart: what it was about is asked again. */
static void resume(struct member *member)
{
        if (!is_runner(member) && (member->work == WORK_WAITS_FOR_SLOT || member->grant))
                member_call_slot(member);
        else if (!member->next)
                member_plan(member, 0, 10 * MSEC);
}

static void on_slot(struct member *member, const struct reply *reply)
{
        struct run *run = member->run;

        if (!reply->error) {
                member->told_grant = reply->grant;
                if (member->work == WORK_WAITS_FOR_SLOT) {
                        member->work = WORK_BUILDS;
                        member_plan(member, 0, 10 * MSEC);
                } else if (!member->next) {
                        member_plan(member, 0, 10 * MSEC);
                }
                return;
        }
        sim_say(run->sim, "run %u %s gets no slot: %d", run->number, member->worker, reply->error);
        member->grant = member->told_grant = 0;
        if (member->work == WORK_WAITS_FOR_SLOT) {
                member->work = WORK_NOTHING;
                member->n_builds--;
        }
        if (!member->next)
                member_plan(member, 10 * MSEC, SEC);
}

/* The daemon cannot write for now. */
static void come_again(struct member *member)
{
        drop_link(member);
        if (!member->reconnect)
                member_reconnect_soon(member);
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
                if (reply->error == LEASES_E_LEDGER)
                        come_again(member);
                else if (reply->error)
                        member_exit(member);
                else
                        resume(member);
                break;
        case CALL_SLOT:
                on_slot(member, reply);
                break;
        case CALL_SLOT_RELEASE:
                member->grant = member->told_grant = 0;
                member->work = WORK_NOTHING;
                member->n_builds--;
                member_plan(member, 0, 100 * MSEC);
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

const struct link_events member_events = {.replied = on_replied, .let_go = on_let_go, .lost = on_lost};
