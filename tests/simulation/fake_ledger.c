/* SPDX-License-Identifier: MIT */
#include "fake_ledger.h"

#include "oracle.h"
#include "sim.h"
#include "store/apply.h"
#include "store/load.h"
#include "store/store.h"
#include "util/alloc.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fake_change {
        struct ledger_change change; /* with texts of its own */
        ledger_done_fn *done;
        void *owner;
        uint64_t ticket;
        int error;
        TAILQ_ENTRY(fake_change) link; /* fake_ledger::queue */
};

static struct fake_ledger *fake_of(struct ledger *ledger)
{
        return (struct fake_ledger *)ledger;
}

/* ---- a change of our own ---- */

static const size_t texts[] = {
        offsetof(struct ledger_change, namespace), offsetof(struct ledger_change, label),
        offsetof(struct ledger_change, worker),    offsetof(struct ledger_change, request),
        offsetof(struct ledger_change, cluster),   offsetof(struct ledger_change, database),
        offsetof(struct ledger_change, schema),    offsetof(struct ledger_change, oid),
        offsetof(struct ledger_change, detail),    offsetof(struct ledger_change, reason),
        offsetof(struct ledger_change, message),   offsetof(struct ledger_change, sqlstate),
};

static char **text_at(struct ledger_change *change, unsigned i)
{
        return (char **)(void *)((char *)change + texts[i]);
}

static struct fake_change *copy_of(const struct ledger_change *change)
{
        struct fake_change *copy = NEW(struct fake_change);

        copy->change = *change;
        for (unsigned i = 0; i < sizeof(texts) / sizeof(*texts); i++)
                *text_at(&copy->change, i) = alloc_string(*text_at(&copy->change, i));
        return copy;
}

static void change_free(struct fake_change *change)
{
        for (unsigned i = 0; i < sizeof(texts) / sizeof(*texts); i++)
                free(*text_at(&change->change, i));
        free(change);
}

/* ---- the disk ---- */

static bool is_full(const struct fake_ledger *ledger)
{
        return ledger->full_until > ledger->sim->clock.now;
}

static void remember_lease(struct fake_ledger *ledger, const struct ledger_change *change)
{
        unsigned n = (unsigned)change->lease + 1;

        if (n > ledger->n_durable) {
                ledger->durable = alloc_array(ledger->durable, n, sizeof(*ledger->durable));
                memset(ledger->durable + ledger->n_durable, 0,
                       (n - ledger->n_durable) * sizeof(*ledger->durable));
                ledger->n_durable = n;
        }
        (void)strncpy(ledger->durable[n - 1], change->namespace, NAMES_NAMESPACE_MAX);
}

/* The tables do not have it: a slot's request matters until a reboot only (store/held.h). */
static void remember_request(struct fake_ledger *ledger, const struct ledger_change *change)
{
        unsigned at = (unsigned)(change->grant % N_FAKE_REQUESTS);

        ledger->requests[at].grant = change->grant;
        (void)snprintf(ledger->requests[at].request, sizeof(ledger->requests[at].request), "%s",
                       change->request ? change->request : "");
}

static void remember(struct fake_ledger *ledger, const struct ledger_change *change)
{
        if (change->kind == LEDGER_LEASE_GRANTED)
                remember_lease(ledger, change);
        if (change->kind == LEDGER_SLOT_GRANTED)
                remember_request(ledger, change);
        /* One that is asked for while the DROP is on its way comes too late. */
        if (change->kind == LEDGER_LEASE_KEPT && !fake_pg_is_dropping(&ledger->sim->pg, change->namespace))
                sim_keep(ledger->sim, change->namespace, change->until_usec);
}

bool fake_ledger_has_lease(struct fake_ledger *ledger, int64_t lease, const char *namespace)
{
        return lease > 0 && lease < ledger->n_durable && !strcmp(ledger->durable[lease], namespace);
}

bool fake_ledger_knows(const struct fake_ledger *ledger, const char *namespace)
{
        for (unsigned i = 0; i < ledger->n_durable; i++)
                if (!strcmp(ledger->durable[i], namespace))
                        return true;
        return false;
}

static void apply(struct fake_ledger *ledger, const struct fake_change *change)
{
        if (ledger_apply(ledger->store, &change->change))
                oracle_fail(ledger->sim, "the store refuses a change of kind %d: %s",
                            (int)change->change.kind, store_error(ledger->store));
        remember(ledger, &change->change);
}

static void on_told(void *owner, uint64_t argument)
{
        struct fake_ledger *ledger = owner;
        struct fake_changes told = TAILQ_HEAD_INITIALIZER(told);
        struct fake_change *change;

        (void)argument;
        ledger->telling = NULL;
        TAILQ_CONCAT(&told, &ledger->decided, link);
        while ((change = TAILQ_FIRST(&told))) {
                TAILQ_REMOVE(&told, change, link);
                if (change->done)
                        change->done(change->owner, change->ticket, change->error);
                change_free(change);
        }
}

static void decide(struct fake_ledger *ledger, struct fake_change *change, int error)
{
        change->error = error;
        TAILQ_REMOVE(&ledger->queue, change, link);
        TAILQ_INSERT_TAIL(&ledger->decided, change, link);
}

static void on_commit(void *owner, uint64_t argument);

static void plan_commit(struct fake_ledger *ledger, uint64_t delay)
{
        if (!ledger->commit)
                ledger->commit = clock_plan(&ledger->sim->clock, delay, on_commit, ledger, 0);
}

/* Whoever waits for an answer is told no; the rest waits for space, in order. */
static void refuse(struct fake_ledger *ledger)
{
        struct fake_change *change, *next;

        for (change = TAILQ_FIRST(&ledger->queue); change; change = next) {
                next = TAILQ_NEXT(change, link);
                if (change->done)
                        decide(ledger, change, LEDGER_E_UNAVAILABLE);
                else
                        ledger->has_refused = true;
        }
        ledger->sim->counts.faults++;
        if (!TAILQ_EMPTY(&ledger->queue))
                plan_commit(ledger, 100 * MSEC);
}

static void write_all(struct fake_ledger *ledger, struct fake_change *end)
{
        struct fake_change *change;

        if (store_begin(ledger->store))
                oracle_fail(ledger->sim, "the store does not begin: %s", store_error(ledger->store));
        while ((change = TAILQ_FIRST(&ledger->queue)) && change != end) {
                apply(ledger, change);
                decide(ledger, change, 0);
        }
        if (store_commit(ledger->store))
                oracle_fail(ledger->sim, "the store does not commit: %s", store_error(ledger->store));
}

static void on_commit(void *owner, uint64_t argument)
{
        struct fake_ledger *ledger = owner;
        struct sim *sim = ledger->sim;

        (void)argument;
        ledger->commit = NULL;
        if (is_full(ledger)) {
                refuse(ledger);
        } else {
                write_all(ledger, NULL);
                ledger->has_refused = false;
        }
        if (!ledger->telling && !TAILQ_EMPTY(&ledger->decided))
                ledger->telling = clock_plan_for_daemon(&sim->clock, chance_below(&sim->chance, MSEC),
                                                        on_told, ledger, 0);
}

/* ---- the seam ---- */

static void submit(struct ledger *seam, const struct ledger_change *change, ledger_done_fn *done, void *owner,
                   uint64_t ticket)
{
        struct fake_ledger *ledger = fake_of(seam);
        struct fake_change *copy = copy_of(change);
        struct chance *chance = &ledger->sim->chance;

        if (change->kind == LEDGER_NOTED)
                oracle_on_noted(ledger->sim, change);
        if (change->kind == LEDGER_PUBLIC_WRITTEN)
                oracle_on_written(ledger->sim, change);
        copy->done = done;
        copy->owner = owner;
        copy->ticket = ticket;
        TAILQ_INSERT_TAIL(&ledger->queue, copy, link);
        plan_commit(ledger, chance_one_in(chance, 20) ? chance_below(chance, 2 * SEC)
                                                      : chance_between(chance, 200, 40 * MSEC));
}

static bool healthy(struct ledger *seam)
{
        return !fake_of(seam)->has_refused;
}

/* Nobody in a schedule asks for history: it decides nothing. */
static void history(struct ledger *seam, const char *namespace, uint64_t since_usec, uint64_t until_usec,
                    unsigned limit, ledger_history_fn *each, void *owner, uint64_t ticket)
{
        (void)seam;
        (void)namespace;
        (void)since_usec;
        (void)until_usec;
        (void)limit;
        each(owner, ticket, NULL, LEDGER_E_UNAVAILABLE);
}

static const struct ledger_ops ops = {.submit = submit, .healthy = healthy, .history = history};

/* ---- life ---- */

void fake_ledger_init(struct fake_ledger *ledger, struct sim *sim)
{
        *ledger = (struct fake_ledger){.ledger = {.ops = &ops}, .sim = sim};
        TAILQ_INIT(&ledger->queue);
        TAILQ_INIT(&ledger->decided);
        if (store_open_memory(&ledger->store))
                oracle_fail(sim, "no store in memory");
}

void fake_ledger_forget(struct fake_ledger *ledger)
{
        struct fake_change *change;

        clock_cancel(&ledger->sim->clock, ledger->commit);
        clock_cancel(&ledger->sim->clock, ledger->telling);
        ledger->commit = ledger->telling = NULL;
        TAILQ_CONCAT(&ledger->queue, &ledger->decided, link);
        while ((change = TAILQ_FIRST(&ledger->queue))) {
                TAILQ_REMOVE(&ledger->queue, change, link);
                change_free(change);
        }
        ledger->has_refused = false;
}

/* What is held of slots outlives the daemon, whatever the disk does. */
static void keep_held(struct fake_ledger *ledger)
{
        const struct fake_change *change;

        if (store_begin(ledger->store))
                oracle_fail(ledger->sim, "the store does not begin: %s", store_error(ledger->store));
        TAILQ_FOREACH (change, &ledger->queue, link)
                if (change->change.kind == LEDGER_SLOT_GRANTED || change->change.kind == LEDGER_SLOT_FREED)
                        apply(ledger, change);
        if (store_commit(ledger->store))
                oracle_fail(ledger->sim, "the store does not commit: %s", store_error(ledger->store));
}

/* Of what was under way, any beginning may have reached the disk. */
void fake_ledger_crash(struct fake_ledger *ledger)
{
        struct fake_change *end = TAILQ_FIRST(&ledger->queue);

        while (end && !chance_one_in(&ledger->sim->chance, 3))
                end = TAILQ_NEXT(end, link);
        if (!is_full(ledger))
                write_all(ledger, end);
        keep_held(ledger);
}

struct loading {
        const struct fake_ledger *ledger;
        ledger_load_fn *each;
        void *owner;
};

static void load_row(void *owner, const struct ledger_change *row)
{
        const struct loading *loading = owner;
        unsigned at = (unsigned)(row->grant % N_FAKE_REQUESTS);
        struct ledger_change with_request = *row;

        if (row->kind == LEDGER_SLOT_GRANTED && loading->ledger->requests[at].grant == row->grant)
                with_request.request = loading->ledger->requests[at].request;
        loading->each(loading->owner, &with_request);
}

void fake_ledger_load(struct fake_ledger *ledger, ledger_load_fn *each, void *owner,
                      struct ledger_numbers *ret_next)
{
        struct loading loading = {ledger, each, owner};

        if (store_restart(ledger->store) || ledger_load_from(ledger->store, load_row, &loading, ret_next))
                oracle_fail(ledger->sim, "the store does not load: %s", store_error(ledger->store));
}

void fake_ledger_done(struct fake_ledger *ledger)
{
        fake_ledger_forget(ledger);
        free(ledger->durable);
        store_free(ledger->store);
}
