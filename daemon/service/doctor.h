/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * berth doctor, the part that a daemon knows: what hurts or will hurt, in the configuration, in the databases, in the
 * ledger. Each check is a row of a table (doctor_checks.c) and gives one finding a database, or one a server.
 *
 * The same code runs in a daemon, and once, without one (daemon_diagnose.c): there whatever only a daemon has is NULL.
 */

#include "core/settings.h"
#include "seam/env.h"
#include "seam/ledger.h"
#include "seam/pg.h"
#include "service/databases.h"
#include "service/finding.h"
#include "service/lock_budget.h"
#include "service/public_watch.h"
#include "service/sweep.h"

struct doctor_sources {
        struct env *env;
        struct pg *pg;
        struct databases *databases;
        const struct settings *settings;
        struct ledger *ledger;           /* NULL: the caller inspects the file, see doctor_tell_ledger */
        struct lock_budget *lock_budget; /* or NULL */
        struct public_watch *public_watch;
        struct sweeper *sweeper;
};

/* What is to be said of the configuration, as it is now: tells as many findings as there are. */
typedef void doctor_configuration_fn(void *owner, finding_fn *tell, void *listener);

/* finding NULL: no more. */
typedef void doctor_fn(void *owner, uint64_t caller, const struct finding *finding);

struct doctor;

struct doctor *doctor_new(const struct doctor_sources *sources, doctor_configuration_fn *configuration,
                          void *configuration_owner, doctor_fn *each, void *owner);
struct doctor *doctor_free(struct doctor *doctor);
/* The callbacks come later. */
void doctor_ask(struct doctor *doctor, uint64_t caller);
void doctor_forget_caller(struct doctor *doctor, uint64_t caller);

/* error: 0 or that of the inspection. */
void doctor_tell_ledger(const struct ledger_inspection *inspection, int error, finding_fn *tell,
                        void *listener);
const char *finding_level_name(enum finding_level level); /* "ok", "warning", "problem" */
