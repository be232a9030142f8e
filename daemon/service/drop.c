/* SPDX-License-Identifier: MIT */
/* The drop of one schema from its claim to its end; see drop.h. Its transactions are in drop_steps.c. */
#include "service/drop.h"

#include "service/drop_record.h"
#include "util/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* So much longer than deadlock_timeout is long enough for autovacuum to be told to go. */
#define YIELD_USEC (500 * USEC_PER_MSEC)

uint64_t drop_lock_timeout(const struct drop_tools *tools, unsigned cluster_id)
{
        const struct cluster *cluster = databases_cluster(tools->databases, cluster_id);
        uint64_t configured = tools->settings->lock_timeout;
        uint64_t deadlock_timeout = cluster ? cluster->deadlock_timeout_msec * USEC_PER_MSEC : 0;

        return configured > deadlock_timeout ? configured : deadlock_timeout + YIELD_USEC;
}

/* ---- the end ---- */

static void change(struct drop *drop, enum ledger_change_kind kind, ledger_done_fn *done)
{
        const struct ledger_change claim = {.kind = kind,
                                            .time_usec = env_realtime(drop->tools.env),
                                            .database = drop->target->name,
                                            .schema = drop->schema->name,
                                            .oid = drop->schema->oid,
                                            .namespace = drop->schema->parsed.namespace,
                                            .sweep = drop->sweep};

        drop->tools.ledger->ops->submit(drop->tools.ledger, &claim, done, drop, 0);
}

void drop_set_outcome(struct drop *drop, enum sweep_verdict verdict, enum drop_reason reason,
                      const char *sqlstate, char *detail /* taken */)
{
        free(drop->outcome.detail);
        drop->outcome.verdict = verdict;
        drop->outcome.reason = reason;
        (void)snprintf(drop->outcome.sqlstate, sizeof(drop->outcome.sqlstate), "%s",
                       sqlstate ? sqlstate : "");
        drop->outcome.detail = detail;
}

static void give_slot_back(struct drop *drop)
{
        if (drop->slot_asked)
                slots_done_for_sweep(drop->tools.slots, (uint64_t)drop->sweep);
        drop->slot_asked = drop->slot_granted = false;
}

static void say_torn(struct drop *drop)
{
        char *detail = drop->outcome.detail;

        drop->outcome.detail =
                alloc_printf("%s%sa part of it has been dropped already, and nobody is granted "
                             "its namespace before the rest is",
                             detail ? detail : "", detail ? "; " : "");
        free(detail);
}

/*
 * Where the outcome is unknown, or a part of the schema is missing, the claim stays: nobody is granted the name
 * before the next look, or before the rest has gone.
 */
void drop_settle(struct drop *drop)
{
        struct drop_outcome *outcome = &drop->outcome, told;

        outcome->torn = drop->torn && outcome->verdict != SWEEP_DROPPED && !outcome->gone;
        if (outcome->torn)
                say_torn(drop);
        if (drop->claimed && outcome->verdict != SWEEP_UNKNOWN && !outcome->torn) {
                leases_unclaim(drop->tools.leases, drop->schema->parsed.namespace);
                change(drop, LEDGER_UNCLAIMED, NULL);
        }
        give_slot_back(drop);
        told = *outcome;
        outcome->detail = NULL; /* the receiver's now; and it frees the drop */
        drop->done(drop->owner, &told);
}

/* ---- claim, slot, start ---- */

static void slot_granted(void *owner, uint64_t id)
{
        struct drop *drop = owner;

        (void)id;
        drop->slot_granted = true;
        drop->ready(drop->owner);
}

bool drop_waits(const struct drop *drop)
{
        return drop->is_pausing || (drop->slot_asked && !drop->slot_granted);
}

void drop_go(struct drop *drop)
{
        drop_begin(drop);
}

void drop_cancel(struct drop *drop, enum drop_reason reason, char *detail /* taken */)
{
        drop_set_outcome(drop, SWEEP_KEPT, reason, NULL, detail);
        drop_settle(drop);
}

static void ask_slot(struct drop *drop)
{
        drop->is_pausing = false;
        drop->slot_asked = true;
        slots_request_for_sweep(drop->tools.slots, drop->target->cluster, (uint64_t)drop->sweep, slot_granted,
                                drop);
}

static void claimed(void *owner, uint64_t ticket, int error)
{
        struct drop *drop = owner;

        (void)ticket;
        if (!error) {
                ask_slot(drop);
                return;
        }
        leases_unclaim(drop->tools.leases, drop->schema->parsed.namespace);
        drop->claimed = false;
        drop->outcome.ledger_failed = true;
        drop_set_outcome(drop, SWEEP_KEPT, KEPT_ACTIVE_DETECTION_INCOMPLETE, NULL,
                         alloc_string("the ledger cannot be written"));
        drop_settle(drop);
}

void drop_again(struct drop *drop, uint64_t pause)
{
        give_slot_back(drop);
        drop->is_pausing = true;
        drop->tools.env->ops->timer_arm(drop->timer, pause);
}

/* From the loop: after a pause, or because somebody has the name. */
static void go_on(void *owner)
{
        struct drop *drop = owner;

        if (drop->aftermath_tries)
                drop_reconnect(drop);
        else if (drop->claimed)
                ask_slot(drop);
        else
                drop_settle(drop);
}

struct drop *drop_start(const struct drop_tools *tools, struct census_target *target,
                        const struct census_schema *schema, bool goes_on, int64_t sweep, drop_ready_fn *ready,
                        drop_done_fn *done, void *owner)
{
        struct drop *drop = NEW(struct drop);

        *drop = (struct drop){.tools = *tools,
                              .target = target,
                              .schema = schema,
                              .sweep = sweep,
                              .ready = ready,
                              .done = done,
                              .owner = owner,
                              .torn = goes_on,
                              .marked = schema->begun,
                              .timer = tools->env->ops->timer_new(tools->env, go_on, drop)};
        drop->claimed = goes_on || leases_claim(tools->leases, schema->parsed.namespace);
        if (goes_on) {
                ask_slot(drop);
        } else if (drop->claimed) {
                change(drop, LEDGER_CLAIMED, claimed);
        } else {
                drop_set_outcome(drop, SWEEP_KEPT, KEPT_LIVE, NULL,
                                 alloc_string("leased since it was listed"));
                tools->env->ops->timer_arm(drop->timer, 0);
        }
        return drop;
}

struct drop *drop_free(struct drop *drop)
{
        if (!drop)
                return NULL;
        drop->tools.pg->ops->close(drop->aftermath);
        drop->tools.env->ops->timer_free(drop->timer);
        free(drop->outcome.detail);
        free(drop);
        return NULL;
}
