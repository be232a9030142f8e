/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One schedule: a host, some PostgreSQL servers, a disk, the daemon's services as they are, and the people
 * and runs that use them, all in virtual time and all from one seed.
 *
 *      chaos   runs come, work, crash; databases, disk and daemon fail
 *      calm    nothing new, nothing fails; whoever is at work ends
 *      after   two sweeps; then nothing may be left
 *
 * The oracle (oracle.h) knows everything and looks on at every drop, every grant and at the end. The first
 * violation ends the schedule.
 */

#include "chance.h"
#include "clock.h"
#include "core/settings.h"
#include "fake_ledger.h"
#include "fake_pg.h"
#include "host.h"
#include "server.h"
#include "world.h"

struct counts {
        uint64_t leases, attaches, slots, sweeps, incomplete, drops, builds, faults, crashes, restarts,
                revoked, refused;
        uint64_t claims_waited, public_writes, events;
};

#include "session.h"

TAILQ_HEAD(runs, run);
TAILQ_HEAD(strays, stray);

#define N_KEPT_MAX 32

struct kept {
        char namespace[NAMES_NAMESPACE_MAX + 1]; /* "": none */
        uint64_t until;                          /* real time */
};

struct sim {
        uint64_t seed;
        bool verbose;
        struct chance chance;
        struct clock clock;
        struct settings settings;
        struct database_setting databases[N_ENDPOINTS_MAX];
        struct world world;
        struct server server;
        struct fake_pg pg;
        struct fake_ledger ledger;
        struct host host;
        struct runs runs;     /* leased ones; all of them until the end */
        struct strays strays; /* unleased ones */
        struct sessions sessions;
        unsigned n_runs_ever;
        uint64_t calm_at; /* chaos ends */
        bool calm, has_clock_stepped;
        uint64_t resumed_at; /* the last time the host was suspended; 0: never */
        struct kept kept[N_KEPT_MAX];
        char violation[512]; /* "" so far */
        struct counts counts;
};

/* One schedule. False: a violation, printed. Counts are added to *counts. */
bool sim_run(uint64_t seed, bool verbose, struct counts *counts);

/* What somebody was promised to find again. */
const struct kept *sim_kept(struct sim *sim, const char *namespace);
void sim_keep(struct sim *sim, const char *namespace, uint64_t until);
void sim_forget_kept(struct sim *sim, const char *namespace);

/* Only with --verbose. */
void sim_say(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
