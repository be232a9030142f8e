/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The host: its processes, and the daemon's view of time, chance and processes (seam/env.h). Pids are few and
 * used again soon.
 */

#include "chance.h"
#include "clock.h"
#include "seam/env.h"

struct sim;

struct process {
        pid_t pid;
        uint64_t start_ticks, started; /* started: boottime */
        uint64_t inode;
        bool alive;
        bool is_foreign; /* in a pid namespace the daemon cannot see */
        struct process *next;
};

struct world {
        struct env env; /* what the daemon gets */
        struct sim *sim;
        struct process *processes; /* newest first; they stay until the end of the schedule */
        pid_t last_pid;
        bool has_pidfs;
        char boot_id[37];
        struct process_watch *watches;
        unsigned n_timers, n_watches; /* the daemon's: none may be left when it has gone */
};

void world_init(struct world *world, struct sim *sim);
void world_done(struct world *world);

struct process *world_spawn(struct world *world);
void world_kill(struct world *world, struct process *process);
/* As SO_PEERCRED and /proc tell it. */
struct process_id world_identify(const struct world *world, const struct process *process);
uint64_t world_realtime(const struct world *world);
