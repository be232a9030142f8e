/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What is counted, and how Prometheus reads it. One table is the source of the names, types, units and labels;
 * docs/metrics.md is tested against it. Pure: whoever counts has a pointer to it, or NULL where nobody counts
 * (tests, the simulation).
 *
 * Counters and histograms run from the start of the process. Gauges are set when somebody asks. No label names a
 * namespace: there would be a new series for every run.
 */

#include <stdint.h>

enum metric {
        METRIC_BUILD_INFO,
        METRIC_START_TIME,
        METRIC_CONNECTIONS,
        METRIC_CLIENT_DISCONNECTS,
        METRIC_LEASES_ACTIVE,
        METRIC_LEASE_WAITERS,
        METRIC_LEASES,
        METRIC_LEASES_ENDED,
        METRIC_LEASE_DURATION,
        METRIC_STALE_EXPORTS,
        METRIC_SLOTS,
        METRIC_SLOT_WAITERS,
        METRIC_SLOT_WAIT,
        METRIC_SLOT_HOLD,
        METRIC_SWEEP_RUNS,
        METRIC_SWEEP_SCHEMAS,
        METRIC_SWEEP_CANDIDATES,
        METRIC_DETECTION_COMPLETE,
        METRIC_DETECTION_AGE,
        METRIC_DATABASE_UP,
        METRIC_LOCK_BLOCKED,
        METRIC_LOCK_TABLE,
        METRIC_LOCK_PEAK,
        METRIC_LEDGER_WRITABLE,
        METRICS_N,
};

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metric_row {
        const char *name; /* without the prefix "berth_" */
        enum metric_type type;
        const char *help;
        const char *label;         /* NULL: none */
        const char *const *values; /* of the label, each there from the start; NULL: as they come */
        const uint64_t *bounds;    /* of a histogram, in microseconds; ends with 0 */
};

extern const struct metric_row metrics_rows[METRICS_N];

struct metrics;

struct metrics *metrics_new(void);
struct metrics *metrics_free(struct metrics *metrics);

/* One more. value: of its label, or NULL. */
void metrics_count(struct metrics *metrics, enum metric metric, const char *value);
void metrics_observe(struct metrics *metrics, enum metric metric, uint64_t usec);
/* The gauges: first all are forgotten, then each is set that is known. */
void metrics_forget_gauges(struct metrics *metrics);
void metrics_set(struct metrics *metrics, enum metric metric, const char *value, double number);
/* One more on a gauge, from 0. */
void metrics_raise(struct metrics *metrics, enum metric metric, const char *value);

/* Prometheus's text format 0.0.4; the caller frees. */
char *metrics_print(const struct metrics *metrics);
