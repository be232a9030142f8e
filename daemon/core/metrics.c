/* SPDX-License-Identifier: MIT */
#include "core/metrics.h"

#include "util/alloc.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "berth_"
#define MSEC   UINT64_C(1000)
#define SECOND UINT64_C(1000000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)

#define VALUES(...) ((const char *const[]){__VA_ARGS__, NULL})

static const uint64_t slot_bounds[] = {
        1 * MSEC,    10 * MSEC,  50 * MSEC,   100 * MSEC,  250 * MSEC, 500 * MSEC, 1 * SECOND,
        2500 * MSEC, 5 * SECOND, 10 * SECOND, 30 * SECOND, 1 * MINUTE, 5 * MINUTE, 0,
};
static const uint64_t lease_bounds[] = {
        1 * SECOND,  10 * SECOND, 30 * SECOND, 1 * MINUTE, 2 * MINUTE, 5 * MINUTE,
        10 * MINUTE, 30 * MINUTE, 1 * HOUR,    4 * HOUR,   24 * HOUR,  0,
};

/* clang-format off */
const struct metric_row metrics_rows[METRICS_N] = {
        [METRIC_BUILD_INFO] = {"build_info", METRIC_GAUGE, "Always 1; the label has the version of berthd.",
                "version", NULL, NULL},
        [METRIC_START_TIME] = {"start_time_seconds", METRIC_GAUGE, "When berthd started, in seconds since 1970.",
                NULL, NULL, NULL},
        [METRIC_CONNECTIONS] = {"connections", METRIC_GAUGE, "Clients that are connected.", NULL, NULL, NULL},
        [METRIC_CLIENT_DISCONNECTS] = {"client_disconnects_total", METRIC_COUNTER,
                "Connections that have ended: hung up, or why berthd closed them.", "reason", NULL, NULL},
        [METRIC_LEASES_ACTIVE] = {"leases_active", METRIC_GAUGE, "Leases that are live or recovering.",
                NULL, NULL, NULL},
        [METRIC_LEASE_WAITERS] = {"lease_waiters", METRIC_GAUGE,
                "Runs that wait for a lease: for max_leases, or for a drop of the forced name.", NULL, NULL, NULL},
        [METRIC_LEASES] = {"leases_total", METRIC_COUNTER,
                "Leases granted, by who asked; unleased: namespaces without a lease that a census has found in use.",
                "origin", VALUES("runner", "plugin", "unleased"), NULL},
        [METRIC_LEASES_ENDED] = {"leases_ended_total", METRIC_COUNTER, "Leases that have ended, and how.",
                "outcome", VALUES("released", "crashed", "revoked"), NULL},
        [METRIC_LEASE_DURATION] = {"lease_duration_seconds", METRIC_HISTOGRAM,
                "For how long a lease was held, told when it ends.", NULL, NULL, lease_bounds},
        [METRIC_STALE_EXPORTS] = {"stale_exports_total", METRIC_COUNTER,
                "Attaches to a lease that has ended or never was: exported variables of an earlier run.",
                NULL, NULL, NULL},
        [METRIC_SLOTS] = {"ddl_slots", METRIC_GAUGE,
                "DDL slots of all clusters; draining: its holder is gone, and its sessions still build.",
                "state", VALUES("free", "held", "draining"), NULL},
        [METRIC_SLOT_WAITERS] = {"ddl_slot_waiters", METRIC_GAUGE, "Builds and drops that wait for a DDL slot.",
                NULL, NULL, NULL},
        [METRIC_SLOT_WAIT] = {"ddl_slot_wait_seconds", METRIC_HISTOGRAM,
                "For how long a DDL slot was waited for, told when it is granted; the sweep's drops are left out.",
                NULL, NULL, slot_bounds},
        [METRIC_SLOT_HOLD] = {"ddl_slot_hold_seconds", METRIC_HISTOGRAM,
                "For how long a DDL slot was held, told when it is free again; the sweep's drops are left out.",
                NULL, NULL, slot_bounds},
        [METRIC_SWEEP_RUNS] = {"sweep_runs_total", METRIC_COUNTER,
                "Sweeps, dry runs left out; incomplete: not every database was heard, and nothing was dropped.",
                "result", VALUES("complete", "incomplete"), NULL},
        [METRIC_SWEEP_SCHEMAS] = {"sweep_schemas_total", METRIC_COUNTER,
                "Verdicts of sweeps on schemas; unknown: the answer to a COMMIT was lost.",
                "result", VALUES("dropped", "failed", "kept", "unknown"), NULL},
        [METRIC_SWEEP_CANDIDATES] = {"sweep_candidates", METRIC_GAUGE,
                "Schemas that the last sweep has left, and why.", "reason",
                VALUES("live", "active_detection_incomplete", "recovering", "keep", "unleased_recent",
                       "external_dependents", "not_owner", "failed", "unknown"), NULL},
        [METRIC_DETECTION_COMPLETE] = {"detection_complete", METRIC_GAUGE,
                "1: the last census heard every database. Not there before the first.", NULL, NULL, NULL},
        [METRIC_DETECTION_AGE] = {"detection_age_seconds", METRIC_GAUGE,
                "Since the last complete census. Not there before the first.", NULL, NULL, NULL},
        [METRIC_DATABASE_UP] = {"database_up", METRIC_GAUGE,
                "1: it answered when it was last asked. Not there before that.", "database", NULL, NULL},
        [METRIC_LOCK_BLOCKED] = {"lock_blocked_backends", METRIC_GAUGE,
                "Sessions that waited for a lock when the database was last asked; being read makes berthd ask again.",
                "database", NULL, NULL},
        [METRIC_LOCK_TABLE] = {"lock_table_entries", METRIC_GAUGE,
                "Room in the lock table of the database's server.", "database", NULL, NULL},
        [METRIC_LOCK_PEAK] = {"ddl_slot_lock_peak", METRIC_GAUGE,
                "Most objects that one holder of a DDL slot was seen to have locked on the database's server.",
                "database", NULL, NULL},
        [METRIC_LEDGER_WRITABLE] = {"ledger_writable", METRIC_GAUGE,
                "1: the ledger can be written; 0: no lease is granted.", NULL, NULL, NULL},
};
/* clang-format on */

struct sample {
        char *value; /* of the label, or NULL */
        double number;
};

struct series {
        struct sample *samples;
        unsigned n_samples;
        uint64_t *buckets; /* histogram: one for each bound, and one for what is above */
        uint64_t sum_usec, n;
};

struct metrics {
        struct series series[METRICS_N];
};

static unsigned n_bounds(const struct metric_row *row)
{
        unsigned n = 0;

        while (row->bounds[n])
                n++;
        return n;
}

static struct sample *sample_of(struct metrics *metrics, enum metric metric, const char *value)
{
        struct series *series = &metrics->series[metric];

        assert(!value == !metrics_rows[metric].label);
        for (unsigned i = 0; i < series->n_samples; i++)
                if (!value || strcmp(series->samples[i].value, value) == 0)
                        return &series->samples[i];
        series->samples = alloc_array(series->samples, series->n_samples + 1, sizeof(*series->samples));
        series->samples[series->n_samples] = (struct sample){.value = alloc_string(value)};
        return &series->samples[series->n_samples++];
}

static void add_values(struct metrics *metrics, enum metric metric)
{
        const struct metric_row *row = &metrics_rows[metric];

        for (const char *const *value = row->values; value && *value; value++)
                (void)sample_of(metrics, metric, *value);
        if (row->type == METRIC_COUNTER && !row->label)
                (void)sample_of(metrics, metric, NULL);
}

static void clear(struct series *series)
{
        for (unsigned i = 0; i < series->n_samples; i++)
                free(series->samples[i].value);
        free(series->samples);
        series->samples = NULL;
        series->n_samples = 0;
}

struct metrics *metrics_new(void)
{
        struct metrics *metrics = NEW(struct metrics);

        for (enum metric i = 0; i < METRICS_N; i++) {
                add_values(metrics, i);
                if (metrics_rows[i].type == METRIC_HISTOGRAM)
                        metrics->series[i].buckets =
                                alloc_zero((n_bounds(&metrics_rows[i]) + 1) * sizeof(uint64_t));
        }
        return metrics;
}

struct metrics *metrics_free(struct metrics *metrics)
{
        if (!metrics)
                return NULL;
        for (enum metric i = 0; i < METRICS_N; i++) {
                clear(&metrics->series[i]);
                free(metrics->series[i].buckets);
        }
        free(metrics);
        return NULL;
}

void metrics_count(struct metrics *metrics, enum metric metric, const char *value)
{
        assert(metrics_rows[metric].type == METRIC_COUNTER);
        if (metrics)
                sample_of(metrics, metric, value)->number++;
}

void metrics_observe(struct metrics *metrics, enum metric metric, uint64_t usec)
{
        const struct metric_row *row = &metrics_rows[metric];
        struct series *series;
        unsigned i = 0;

        assert(row->type == METRIC_HISTOGRAM);
        if (!metrics)
                return;
        series = &metrics->series[metric];
        while (row->bounds[i] && usec > row->bounds[i])
                i++;
        series->buckets[i]++;
        series->sum_usec += usec;
        series->n++;
}

void metrics_forget_gauges(struct metrics *metrics)
{
        for (enum metric i = 0; i < METRICS_N; i++) {
                if (metrics_rows[i].type != METRIC_GAUGE)
                        continue;
                clear(&metrics->series[i]);
                add_values(metrics, i);
        }
}

void metrics_set(struct metrics *metrics, enum metric metric, const char *value, double number)
{
        assert(metrics_rows[metric].type == METRIC_GAUGE);
        sample_of(metrics, metric, value)->number = number;
}

void metrics_raise(struct metrics *metrics, enum metric metric, const char *value)
{
        assert(metrics_rows[metric].type == METRIC_GAUGE);
        sample_of(metrics, metric, value)->number++;
}

/* ---- text ---- */

/* In a label's value and, but for the quotes, in the help these have to be escaped. */
static void print_escaped(FILE *out, const char *text)
{
        for (; *text; text++) {
                if (*text == '\n')
                        (void)fputs("\\n", out);
                else if (*text == '\\' || *text == '"')
                        (void)fprintf(out, "\\%c", *text);
                else
                        (void)fputc(*text, out);
        }
}

static void print_seconds(FILE *out, uint64_t usec)
{
        (void)fprintf(out, "%" PRIu64, usec / SECOND);
        if (usec % SECOND)
                (void)fprintf(out, ".%06" PRIu64, usec % SECOND);
}

static void print_samples(FILE *out, const struct metric_row *row, const struct series *series)
{
        for (unsigned i = 0; i < series->n_samples; i++) {
                const struct sample *sample = &series->samples[i];

                (void)fprintf(out, PREFIX "%s", row->name);
                if (sample->value) {
                        (void)fprintf(out, "{%s=\"", row->label);
                        print_escaped(out, sample->value);
                        (void)fputs("\"}", out);
                }
                (void)fprintf(out, " %.15g\n", sample->number);
        }
}

static void print_histogram(FILE *out, const struct metric_row *row, const struct series *series)
{
        uint64_t so_far = 0;

        for (unsigned i = 0; row->bounds[i]; i++) {
                so_far += series->buckets[i];
                (void)fprintf(out, PREFIX "%s_bucket{le=\"%g\"} %" PRIu64 "\n", row->name,
                              (double)row->bounds[i] / (double)SECOND, so_far);
        }
        (void)fprintf(out, PREFIX "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n" PREFIX "%s_sum ", row->name,
                      series->n, row->name);
        print_seconds(out, series->sum_usec);
        (void)fprintf(out, "\n" PREFIX "%s_count %" PRIu64 "\n", row->name, series->n);
}

char *metrics_print(const struct metrics *metrics)
{
        static const char *const types[] = {
                [METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge", [METRIC_HISTOGRAM] = "histogram"};
        char *text = NULL;
        size_t size;
        FILE *out = open_memstream(&text, &size);

        if (!out)
                alloc_failed();
        for (enum metric i = 0; i < METRICS_N; i++) {
                const struct metric_row *row = &metrics_rows[i];

                (void)fprintf(out, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n", row->name, row->help,
                              row->name, types[row->type]);
                if (row->type == METRIC_HISTOGRAM)
                        print_histogram(out, row, &metrics->series[i]);
                else
                        print_samples(out, row, &metrics->series[i]);
        }
        if (fclose(out))
                alloc_failed();
        return text;
}
