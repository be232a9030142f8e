/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the methods work with, filled by daemon.c. The services' events come back with a pointer to it as
 * their owner: the tables below answer the calls that wait for them.
 */

#include "core/live_set.h"
#include "core/metrics.h"
#include "core/settings.h"
#include "seam/env.h"
#include "seam/ledger.h"
#include "server/method.h"
#include "service/databases.h"
#include "service/doctor.h"
#include "service/explain.h"
#include "service/holders.h"
#include "service/leases.h"
#include "service/lock_budget.h"
#include "service/locks.h"
#include "service/public_watch.h"
#include "service/slots.h"
#include "service/sweep.h"

struct monitor;
struct server;

struct services {
        struct env *env;
        struct ledger *ledger;
        struct databases *databases;
        struct leases *leases;
        struct slots *slots;
        struct lock_budget *lock_budget;
        struct public_watch *public_watch;
        struct sweeper *sweeper;
        struct locks *locks;
        struct holders *holders;
        struct explainer *explainer;
        struct doctor *doctor;
        struct cJSON *configuration; /* what GetConfiguration replies */
        struct server *server;
        struct monitor *monitor;
        const struct settings *settings;
        uint64_t started_usec; /* real time */
        struct metrics *metrics;
        struct live_report
                *unleased;      /* namespaces in use without a lease, as the last complete census saw them */
        uint64_t detected_usec; /* boottime of the last complete census; 0: none yet */
        char *ledger_trouble;   /* why it cannot be written; NULL: it can */
        char *ledger_warning;   /* what keeps it from being tidied; NULL: nothing */
};

extern const struct method services_methods[];
extern const struct lease_events services_lease_events;
extern const struct slot_events services_slot_events;
extern const struct sweep_events services_sweep_events;
void services_lock_found(void *owner, uint64_t caller, const struct lock_pair *pair, const char *database,
                         const char *error);
void services_holder_found(void *owner, uint64_t caller, const struct lock_holding *holding,
                           const char *schema, const char *database, const char *error);
void services_explained(void *owner, uint64_t caller, const struct explanation *explanation, int error);
void services_diagnosed(void *owner, uint64_t caller, const struct finding *finding);
/* For server_new: nothing of this connection is waited for any more. */
void services_connection_closed(struct services *services, uint64_t connection);
