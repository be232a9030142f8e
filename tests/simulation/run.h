/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A leased run: a runner that acquires, workers that attach, take slots, build schemas and use them; and one
 * of the ways in which runs end.
 *
 * Whether it lives (run_lives) is known here without asking the daemon: it was told "granted", and it neither
 * was revoked nor is it proven dead.
 */

#include "host.h"
#include "session.h"

#define N_WORKERS_MAX 4

enum ending {
        END_RELEASE,
        END_RELEASE_EARLY, /* while workers are at work */
        END_KILL_ALL,
        END_KILL_RUNNER, /* the workers go on for a while */
        END_CLOSE,       /* the runner loses its connection and lives on */
        END_MAX_,
};

enum work { WORK_NOTHING, WORK_WAITS_FOR_SLOT, WORK_BUILDS, WORK_RELEASES, WORK_TESTS, WORK_DONE };

struct member {
        int64_t id; /* as the daemon numbers it; 0: it has not attached */
        struct run *run;
        unsigned index; /* 0: the runner; workers are gw<index - 1> */
        char worker[NAMES_WORKER_MAX + 1];
        struct process *process; /* NULL: not started */
        struct link *link;       /* its own */
        struct link *inherited;  /* the runner's, by fork */
        bool is_member;          /* the daemon has been told: it acquired or attached */
        bool attaches;           /* workers that do not are carried by what they inherited */
        bool is_attached;        /* on its present link */
        struct clock_event *next, *reconnect;
        enum work work;
        unsigned n_builds, n_tests;      /* left */
        const struct endpoint *endpoint; /* of the slot and the build */
        int64_t grant;                   /* of the slot it holds, or 0 */
        int64_t told_grant;              /* likewise, and the reply has reached it */
        unsigned slot_life;              /* of the daemon that granted it */
        unsigned n_requests;             /* for slots, ever */
        struct session *session;
};

struct run {
        struct sim *sim;
        unsigned number, uid;
        char namespace[NAMES_NAMESPACE_MAX + 1]; /* "": not granted yet */
        char forced[NAMES_NAMESPACE_MAX + 1];    /* "": a fresh one */
        char secret[BERTH_SECRET_SIZE];
        char request[16];
        int64_t lease;
        bool is_granted, is_released, is_revoked, is_over;
        bool keeps, no_wait;
        uint64_t timeout_usec;
        enum ending ending;
        unsigned n_members;
        struct member members[1 + N_WORKERS_MAX];
        TAILQ_ENTRY(run) link; /* sim::runs */
};

void run_start(struct sim *sim);
void run_kill(struct run *run); /* all of it, now */
void runs_done(struct sim *sim);

void run_describe(const struct run *run); /* with --verbose: what its processes are doing */
bool run_lives(const struct run *run);
bool run_is_over(const struct run *run); /* every process has ended */
/* Does the member hold a slot that counts, as far as the daemon can know? */
bool member_holds_slot(const struct member *member);

/* What the daemon has decided, at the moment it does. */
void run_on_granted(struct link *link, const struct lease *lease);
void run_on_attached(struct link *link, const struct lease *lease);
void run_on_refused(struct link *link, int error);
void run_on_released(struct link *link);
void run_on_slot(struct link *link, const struct slot_use *use);
void run_on_slot_released(struct link *link);
void run_on_slot_let_go(struct link *link);
void run_on_revoked(struct sim *sim, const char *namespace);
void run_on_ended(struct sim *sim, const struct lease *lease);
