/* SPDX-License-Identifier: MIT */
#include "world.h"

#include "sim.h"
#include "util/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_PID 300
#define N_PIDS    40
#define TICK      (10 * MSEC)

struct timer {
        struct world *world;
        struct clock_event *event; /* NULL: not armed */
        timer_fn *fire;
        void *owner;
};

struct process_watch {
        struct world *world;
        struct process_id process;
        process_gone_fn *gone;
        void *owner;
        uint64_t id;
        struct clock_event *event; /* it has ended, and that is on its way */
        bool told;
        struct process_watch *next, **link;
};

static struct world *world_of(struct env *env)
{
        return (struct world *)env;
}

/* ---- time and chance ---- */

static uint64_t boottime(struct env *env)
{
        return world_of(env)->sim->clock.now;
}

static uint64_t monotonic(struct env *env)
{
        const struct clock *clock = &world_of(env)->sim->clock;

        return clock->now - clock->suspended;
}

uint64_t world_realtime(const struct world *world)
{
        return world->sim->clock.now + (uint64_t)world->sim->clock.wall;
}

static uint64_t realtime(struct env *env)
{
        return world_realtime(world_of(env));
}

static void random_bytes(struct env *env, void *bytes, size_t n)
{
        for (size_t i = 0; i < n; i++)
                ((uint8_t *)bytes)[i] = (uint8_t)chance_bits(&world_of(env)->sim->chance);
}

static const char *boot_id(struct env *env)
{
        return world_of(env)->boot_id;
}

/* ---- timers ---- */

static struct timer *timer_new(struct env *env, timer_fn *fire, void *owner)
{
        struct timer *timer = NEW(struct timer);

        *timer = (struct timer){.world = world_of(env), .fire = fire, .owner = owner};
        timer->world->n_timers++;
        return timer;
}

static void on_timer(void *owner, uint64_t argument)
{
        struct timer *timer = owner;

        (void)argument;
        timer->event = NULL;
        timer->fire(timer->owner);
}

static void timer_disarm(struct timer *timer)
{
        clock_cancel(&timer->world->sim->clock, timer->event);
        timer->event = NULL;
}

static void timer_arm(struct timer *timer, uint64_t delay)
{
        timer_disarm(timer);
        timer->event = clock_plan_for_daemon(&timer->world->sim->clock, delay, on_timer, timer, 0);
}

static void timer_free(struct timer *timer)
{
        if (!timer)
                return;
        timer_disarm(timer);
        timer->world->n_timers--;
        free(timer);
}

/* ---- processes ---- */

static struct process *alive(const struct world *world, pid_t pid)
{
        for (struct process *process = world->processes; process; process = process->next)
                if (process->alive && process->pid == pid)
                        return process;
        return NULL;
}

static bool is_same(const struct world *world, const struct process *process, const struct process_id *id)
{
        return !strcmp(id->boot_id, world->boot_id) && process->pid == id->pid &&
               process->start_ticks == id->start_ticks && process->inode == id->pidfd_inode;
}

struct process *world_spawn(struct world *world)
{
        struct process *process = NEW(struct process);
        uint64_t now = world->sim->clock.now;

        do
                world->last_pid = FIRST_PID + (world->last_pid - FIRST_PID + 1) % N_PIDS;
        while (alive(world, world->last_pid));
        process->pid = world->last_pid;
        process->started = now;
        process->start_ticks = now / TICK;
        /* A pid comes back within one clock tick only here: the kernel has 32768 of them at least. */
        for (struct process *other = world->processes; other; other = other->next)
                if (other->pid == process->pid && other->start_ticks >= process->start_ticks)
                        process->start_ticks = other->start_ticks + 1;
        process->inode = world->has_pidfs ? chance_bits(&world->sim->chance) >> 32 : 0;
        process->alive = true;
        process->next = world->processes;
        world->processes = process;
        return process;
}

static void on_gone(void *owner, uint64_t argument)
{
        struct process_watch *watch = owner;

        (void)argument;
        watch->event = NULL;
        watch->told = true;
        watch->gone(watch->owner, watch->id);
}

static void tell(struct process_watch *watch)
{
        struct sim *sim = watch->world->sim;

        if (!watch->event && !watch->told)
                watch->event = clock_plan_for_daemon(&sim->clock, chance_below(&sim->chance, 3 * MSEC),
                                                     on_gone, watch, 0);
}

void world_kill(struct world *world, struct process *process)
{
        if (!process->alive)
                return;
        process->alive = false;
        for (struct process_watch *watch = world->watches; watch; watch = watch->next)
                if (is_same(world, process, &watch->process))
                        tell(watch);
}

struct process_id world_identify(const struct world *world, const struct process *process)
{
        struct process_id id = {0};

        if (process->is_foreign)
                return id;
        id.pid = process->pid;
        id.start_ticks = process->start_ticks;
        id.pidfd_inode = process->inode;
        (void)snprintf(id.boot_id, sizeof(id.boot_id), "%s", world->boot_id);
        return id;
}

static enum process_state process_state(struct env *env, const struct process_id *id)
{
        const struct world *world = world_of(env);
        const struct process *process;

        if (!id->pid)
                return PROCESS_UNKNOWN;
        process = alive(world, id->pid);
        return process && is_same(world, process, id) ? PROCESS_ALIVE : PROCESS_GONE;
}

static struct process_watch *process_watch(struct env *env, const struct process_id *id,
                                           process_gone_fn *gone, void *owner, uint64_t number)
{
        struct world *world = world_of(env);
        struct process_watch *watch;

        if (!id->pid)
                return NULL;
        watch = NEW(struct process_watch);
        *watch = (struct process_watch){
                .world = world, .process = *id, .gone = gone, .owner = owner, .id = number};
        watch->next = world->watches;
        watch->link = &world->watches;
        if (watch->next)
                watch->next->link = &watch->next;
        world->watches = watch;
        world->n_watches++;
        if (process_state(env, id) == PROCESS_GONE)
                tell(watch);
        return watch;
}

static void process_unwatch(struct process_watch *watch)
{
        if (!watch)
                return;
        clock_cancel(&watch->world->sim->clock, watch->event);
        *watch->link = watch->next;
        if (watch->next)
                watch->next->link = watch->link;
        watch->world->n_watches--;
        free(watch);
}

/* The kernel counts the start from boot, so in real time it moves with the wall clock. */
static bool process_started_by(struct env *env, pid_t pid, uint64_t realtime_usec)
{
        const struct world *world = world_of(env);
        const struct process *process = alive(world, pid);

        return process && process->started + (uint64_t)world->sim->clock.wall <= realtime_usec + SEC;
}

/* ---- life ---- */

static const struct env_ops ops = {
        .boottime = boottime,
        .monotonic = monotonic,
        .realtime = realtime,
        .random = random_bytes,
        .boot_id = boot_id,
        .timer_new = timer_new,
        .timer_arm = timer_arm,
        .timer_disarm = timer_disarm,
        .timer_free = timer_free,
        .process_watch = process_watch,
        .process_unwatch = process_unwatch,
        .process_state = process_state,
        .process_started_by = process_started_by,
};

void world_init(struct world *world, struct sim *sim)
{
        *world = (struct world){.env = {.ops = &ops}, .sim = sim, .last_pid = FIRST_PID};
        world->has_pidfs = chance_one_in(&sim->chance, 2);
        (void)strcpy(world->boot_id, "5eed0000-0000-4000-8000-000000000001");
}

void world_done(struct world *world)
{
        struct process *process;

        while ((process = world->processes)) {
                world->processes = process->next;
                free(process);
        }
}
