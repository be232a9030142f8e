/* SPDX-License-Identifier: MIT */
#include "fake_env.h"

#include "util/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define PROCESSES_MAX 4096

struct timer {
        struct fake_env *fake;
        timer_fn *fire;
        void *owner;
        bool armed;
        uint64_t at, order;
        TAILQ_ENTRY(timer) link;
};

struct process_watch {
        struct fake_env *fake;
        struct process_id process;
        process_gone_fn *gone;
        void *owner;
        uint64_t id;
        bool told;
        TAILQ_ENTRY(process_watch) link;
};

struct process {
        uint64_t start_ticks;
        bool alive, hidden;
};

struct fake_env {
        struct env env;
        uint64_t boottime, suspended, realtime_offset, order, chance, ticks;
        uint32_t said;
        bool has_said;
        uint64_t tick;
        unsigned depth, n_watches;
        pid_t last_pid;
        struct process processes[PROCESSES_MAX];
        TAILQ_HEAD(, timer) timers;
        TAILQ_HEAD(, process_watch) watches;
};

static struct fake_env *fake_of(struct env *env)
{
        return (struct fake_env *)env;
}

static uint64_t boottime(struct env *env)
{
        return fake_of(env)->boottime += fake_of(env)->tick;
}

static uint64_t monotonic(struct env *env)
{
        return fake_of(env)->boottime - fake_of(env)->suspended;
}

static uint64_t realtime(struct env *env)
{
        return fake_of(env)->boottime + fake_of(env)->realtime_offset;
}

/* splitmix64 */
static uint64_t draw(struct fake_env *fake)
{
        uint64_t z = fake->chance += 0x9e3779b97f4a7c15;

        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
}

static void random_bytes(struct env *env, void *bytes, size_t n)
{
        struct fake_env *fake = fake_of(env);

        if (fake->has_said && n == sizeof(fake->said)) {
                memcpy(bytes, &fake->said, n);
                fake->has_said = false;
                return;
        }
        for (size_t i = 0; i < n; i++)
                ((uint8_t *)bytes)[i] = (uint8_t)draw(fake);
}

static const char *boot_id(struct env *env)
{
        (void)env;
        return FAKE_BOOT_ID;
}

static struct timer *timer_new(struct env *env, timer_fn *fire, void *owner)
{
        struct timer *timer = NEW(struct timer);

        timer->fake = fake_of(env);
        timer->fire = fire;
        timer->owner = owner;
        TAILQ_INSERT_TAIL(&timer->fake->timers, timer, link);
        return timer;
}

static void timer_arm(struct timer *timer, uint64_t delay_usec)
{
        timer->armed = true;
        timer->at = timer->fake->boottime + delay_usec;
        timer->order = ++timer->fake->order;
}

static void timer_disarm(struct timer *timer)
{
        timer->armed = false;
}

static void timer_free(struct timer *timer)
{
        if (!timer)
                return;
        TAILQ_REMOVE(&timer->fake->timers, timer, link);
        free(timer);
}

static enum process_state process_state(struct env *env, const struct process_id *id)
{
        const struct process *process;

        if (strcmp(id->boot_id, FAKE_BOOT_ID) != 0)
                return PROCESS_GONE;
        if (id->pid <= 0 || id->pid >= PROCESSES_MAX)
                return PROCESS_UNKNOWN;
        process = &fake_of(env)->processes[id->pid];
        if (process->hidden)
                return PROCESS_UNKNOWN;
        return process->alive && process->start_ticks == id->start_ticks ? PROCESS_ALIVE : PROCESS_GONE;
}

static struct process_watch *process_watch(struct env *env, const struct process_id *process,
                                           process_gone_fn *gone, void *owner, uint64_t id)
{
        struct process_watch *watch;

        if (!process->pid)
                return NULL;
        watch = NEW(struct process_watch);
        *watch = (struct process_watch){
                .fake = fake_of(env), .process = *process, .gone = gone, .owner = owner, .id = id};
        watch->fake->n_watches++;
        TAILQ_INSERT_TAIL(&watch->fake->watches, watch, link);
        return watch;
}

static void process_unwatch(struct process_watch *watch)
{
        if (!watch)
                return;
        TAILQ_REMOVE(&watch->fake->watches, watch, link);
        free(watch);
}

static bool process_started_by(struct env *env, pid_t pid, uint64_t realtime_usec)
{
        (void)realtime_usec;
        return pid > 0 && pid < PROCESSES_MAX && fake_of(env)->processes[pid].alive;
}

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

struct fake_env *fake_env_new(void)
{
        struct fake_env *fake = NEW(struct fake_env);

        fake->env.ops = &ops;
        fake->boottime = 1000 * 1000000ULL;
        fake->realtime_offset = 1700000000 * 1000000ULL;
        fake->last_pid = 100;
        TAILQ_INIT(&fake->timers);
        TAILQ_INIT(&fake->watches);
        return fake;
}

struct fake_env *fake_env_free(struct fake_env *fake)
{
        if (!TAILQ_EMPTY(&fake->timers) || !TAILQ_EMPTY(&fake->watches)) {
                (void)fprintf(stderr, "fake_env: a timer or a watch was left behind\n");
                abort();
        }
        free(fake);
        return NULL;
}

struct env *fake_env(struct fake_env *fake)
{
        return &fake->env;
}

static struct timer *next_timer(const struct fake_env *fake, uint64_t until)
{
        struct timer *timer, *next = NULL;

        TAILQ_FOREACH (timer, &fake->timers, link) {
                if (!timer->armed || timer->at > until)
                        continue;
                if (!next || timer->at < next->at || (timer->at == next->at && timer->order < next->order))
                        next = timer;
        }
        return next;
}

static struct process_watch *next_watch(struct fake_env *fake)
{
        struct process_watch *watch;

        TAILQ_FOREACH (watch, &fake->watches, link)
                if (!watch->told && process_state(&fake->env, &watch->process) == PROCESS_GONE)
                        return watch;
        return NULL;
}

static void fire(struct fake_env *fake, struct timer *timer)
{
        fake_env_enter(fake);
        timer->armed = false;
        timer->fire(timer->owner);
        fake_env_leave(fake);
}

bool fake_env_fire_early(struct fake_env *fake, uint64_t usec)
{
        struct timer *timer = next_timer(fake, fake->boottime + usec);

        if (timer)
                fire(fake, timer);
        return timer;
}

static bool turn_once(struct fake_env *fake)
{
        struct process_watch *watch = next_watch(fake);
        struct timer *timer = watch ? NULL : next_timer(fake, fake->boottime);

        if (timer)
                fire(fake, timer);
        if (!watch)
                return timer;
        fake_env_enter(fake);
        watch->told = true;
        watch->gone(watch->owner, watch->id);
        fake_env_leave(fake);
        return true;
}

bool fake_env_turn(struct fake_env *fake)
{
        bool any = false;

        while (turn_once(fake))
                any = true;
        return any;
}

void fake_env_pass(struct fake_env *fake, uint64_t usec)
{
        uint64_t until = fake->boottime + usec;
        struct timer *timer;

        (void)fake_env_turn(fake);
        while ((timer = next_timer(fake, until))) {
                fake->boottime = timer->at;
                (void)fake_env_turn(fake);
        }
        if (fake->boottime < until) /* a callback may have stalled the loop */
                fake->boottime = until;
}

void fake_env_suspend(struct fake_env *fake, uint64_t usec)
{
        fake->suspended += usec;
        fake_env_stall(fake, usec);
}

void fake_env_stall(struct fake_env *fake, uint64_t usec)
{
        fake->boottime += usec;
}

void fake_env_set_clock(struct fake_env *fake, uint64_t realtime_usec)
{
        fake->realtime_offset = realtime_usec - fake->boottime;
}

unsigned fake_env_n_timers_armed(const struct fake_env *fake)
{
        const struct timer *timer;
        unsigned n = 0;

        TAILQ_FOREACH (timer, &fake->timers, link)
                n += timer->armed;
        return n;
}

static struct process_id start(struct fake_env *fake, pid_t pid)
{
        struct process_id id = {.pid = pid, .start_ticks = ++fake->ticks, .boot_id = FAKE_BOOT_ID};

        if (pid >= PROCESSES_MAX)
                abort();
        fake->processes[pid] = (struct process){.start_ticks = id.start_ticks, .alive = true};
        return id;
}

struct process_id fake_env_spawn(struct fake_env *fake)
{
        return start(fake, ++fake->last_pid);
}

void fake_env_kill(struct fake_env *fake, const struct process_id *process)
{
        fake->processes[process->pid].alive = false;
}

struct process_id fake_env_reuse_pid(struct fake_env *fake, const struct process_id *process)
{
        return start(fake, process->pid);
}

void fake_env_hide(struct fake_env *fake, const struct process_id *process)
{
        fake->processes[process->pid].hidden = true;
}

unsigned fake_env_n_watched(const struct fake_env *fake)
{
        const struct process_watch *watch;
        unsigned n = 0;

        TAILQ_FOREACH (watch, &fake->watches, link)
                n++;
        return n;
}

void fake_env_tick(struct fake_env *fake, uint64_t usec)
{
        fake->tick = usec;
}

unsigned fake_env_n_watches(const struct fake_env *fake)
{
        return fake->n_watches;
}

void fake_env_say_random(struct fake_env *fake, uint32_t bits)
{
        fake->said = bits;
        fake->has_said = true;
}

void fake_env_enter(struct fake_env *fake)
{
        fake->depth++;
}

void fake_env_leave(struct fake_env *fake)
{
        fake->depth--;
}

bool fake_env_in_loop(const struct fake_env *fake)
{
        return fake->depth;
}
