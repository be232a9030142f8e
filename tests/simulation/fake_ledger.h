/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The ledger's seam, on the tables of the real store in memory, and a disk that confirms late, says no for a
 * while, or stops with the machine: of what was not confirmed then, any beginning may be on it.
 */

#include "proto/names.h"
#include "seam/ledger.h"
#include "world.h"

#include <sys/queue.h>

struct store;

#define N_FAKE_REQUESTS 256 /* more than are held at a time */

struct fake_ledger {
        struct ledger ledger; /* what the daemon gets */
        struct sim *sim;
        struct store *store;
        TAILQ_HEAD(fake_changes, fake_change) queue, decided; /* not on the disk yet; not told yet */
        struct clock_event *commit, *telling;
        char (*durable)[NAMES_NAMESPACE_MAX + 1]; /* namespaces of granted leases, by number */
        unsigned n_durable;
        struct {
                int64_t grant;
                char request[40];
        } requests[N_FAKE_REQUESTS]; /* what the last slots were asked for as */
        uint64_t full_until;         /* no space on the disk */
        bool has_refused;            /* a change without a callback waits for space */
};

void fake_ledger_init(struct fake_ledger *ledger, struct sim *sim);
void fake_ledger_done(struct fake_ledger *ledger);

/* The daemon is killed: the disk has what it has. */
void fake_ledger_crash(struct fake_ledger *ledger);
/* Nobody is called back any more. */
void fake_ledger_forget(struct fake_ledger *ledger);
void fake_ledger_load(struct fake_ledger *ledger, ledger_load_fn *each, void *owner,
                      struct ledger_numbers *ret_next);
bool fake_ledger_has_lease(struct fake_ledger *ledger, int64_t lease, const char *namespace);
/* Was a lease of that name ever on the disk? */
bool fake_ledger_knows(const struct fake_ledger *ledger, const char *namespace);
