/* SPDX-License-Identifier: MIT */
#include "server/measure.h"

#include "server/monitor.h"
#include "server/server.h"
#include "util/alloc.h"

#include <string.h>

void measure_begin(struct services *services)
{
        services->metrics = metrics_new();
        services->unleased = live_report_new(0);
        leases_measure(services->leases, services->metrics);
        slots_measure(services->slots, services->metrics);
        server_measure(services->server, services->metrics);
}

void measure_end(struct services *services)
{
        services->metrics = metrics_free(services->metrics);
        services->unleased = live_report_free(services->unleased);
}

/* ---- sweeps ---- */

struct unleased {
        struct services *services;
        struct live_report *now;
};

/* One that is in use without a lease counts when it is first seen. */
static void count_unleased(void *owner, const char *namespace)
{
        struct unleased *unleased = owner;
        struct services *services = unleased->services;

        if (leases_standing(services->leases, namespace) != STANDING_UNKNOWN)
                return;
        live_report_add(unleased->now, namespace);
        if (!live_report_has(services->unleased, namespace))
                metrics_count(services->metrics, METRIC_LEASES, "unleased");
}

static void look_at_living(struct services *services, const struct sweep_result *result)
{
        struct unleased unleased = {services, live_report_new(0)};

        live_report_each(result->live, count_unleased, &unleased);
        live_report_free(services->unleased);
        services->unleased = unleased.now;
        services->detected_usec = env_boottime(services->env);
}

void measure_sweep(struct services *services, const struct sweep_result *result)
{
        if (result->complete)
                look_at_living(services, result);
        if (result->dry_run)
                return;
        metrics_count(services->metrics, METRIC_SWEEP_RUNS, result->complete ? "complete" : "incomplete");
        for (unsigned i = 0; i < result->n_items; i++)
                metrics_count(services->metrics, METRIC_SWEEP_SCHEMAS,
                              sweep_verdict_name(result->items[i].verdict));
}

static void set_last_sweep(struct services *services, struct metrics *metrics)
{
        const struct sweep_result *last = sweeper_last(services->sweeper);

        if (!last)
                return;
        metrics_set(metrics, METRIC_DETECTION_COMPLETE, NULL, last->complete);
        if (services->detected_usec)
                metrics_set(metrics, METRIC_DETECTION_AGE, NULL,
                            (double)(env_boottime(services->env) - services->detected_usec) / USEC_PER_SEC);
        for (unsigned i = 0; i < last->n_items; i++) {
                const struct sweep_item *item = &last->items[i];

                if (item->verdict == SWEEP_KEPT)
                        metrics_raise(metrics, METRIC_SWEEP_CANDIDATES, drop_reason_name(item->reason));
                else if (item->verdict == SWEEP_FAILED || item->verdict == SWEEP_UNKNOWN)
                        metrics_raise(metrics, METRIC_SWEEP_CANDIDATES, sweep_verdict_name(item->verdict));
        }
}

/* ---- slots ---- */

struct slot_count {
        struct metrics *metrics;
        unsigned n_held;
};

static void count_use(void *owner, const struct slot_use *use, unsigned position)
{
        struct slot_count *count = owner;

        (void)position;
        if (!use->grant) {
                metrics_raise(count->metrics, METRIC_SLOT_WAITERS, NULL);
                return;
        }
        count->n_held++;
        metrics_raise(count->metrics, METRIC_SLOTS, use->state == SLOT_DRAINING ? "draining" : "held");
}

static void set_slots(struct services *services, struct metrics *metrics)
{
        unsigned n_clusters = databases_n_clusters(services->databases), n_free = 0;

        metrics_set(metrics, METRIC_SLOT_WAITERS, NULL, 0);
        for (unsigned id = 1; id <= n_clusters; id++) {
                struct slot_count count = {.metrics = metrics};

                slots_each(services->slots, id, count_use, &count);
                if (count.n_held < services->settings->ddl_slots)
                        n_free += services->settings->ddl_slots - count.n_held;
        }
        metrics_set(metrics, METRIC_SLOTS, "free", n_free);
}

/* ---- databases ---- */

static void set_databases(struct services *services, struct metrics *metrics)
{
        for (unsigned i = 0; i < databases_count(services->databases); i++) {
                const struct database *database = databases_at(services->databases, i);
                const struct cluster *cluster = databases_cluster(services->databases, database->cluster);
                int64_t peak = lock_budget_peak(services->lock_budget, database->cluster);
                int64_t n_blocked = monitor_blocked(services->monitor, database->name);

                if (database->asked)
                        metrics_set(metrics, METRIC_DATABASE_UP, database->name, database->reachable);
                if (n_blocked >= 0)
                        metrics_set(metrics, METRIC_LOCK_BLOCKED, database->name, (double)n_blocked);
                if (cluster && cluster->lock_table > 0)
                        metrics_set(metrics, METRIC_LOCK_TABLE, database->name, (double)cluster->lock_table);
                if (peak > 0)
                        metrics_set(metrics, METRIC_LOCK_PEAK, database->name, (double)peak);
        }
}

char *measure_print(struct services *services)
{
        struct metrics *metrics = services->metrics;

        metrics_forget_gauges(metrics);
        metrics_set(metrics, METRIC_BUILD_INFO, BERTH_VERSION, 1);
        metrics_set(metrics, METRIC_START_TIME, NULL, (double)services->started_usec / USEC_PER_SEC);
        metrics_set(metrics, METRIC_CONNECTIONS, NULL, server_n_connections(services->server));
        metrics_set(metrics, METRIC_LEASES_ACTIVE, NULL, leases_n_live(services->leases));
        metrics_set(metrics, METRIC_LEASE_WAITERS, NULL, leases_n_waiting(services->leases));
        metrics_set(metrics, METRIC_LEDGER_WRITABLE, NULL, !services->ledger_trouble);
        set_slots(services, metrics);
        set_last_sweep(services, metrics);
        set_databases(services, metrics);
        monitor_look_for_metrics(services->monitor);
        return metrics_print(metrics);
}
