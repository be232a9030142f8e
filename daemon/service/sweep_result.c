/* SPDX-License-Identifier: MIT */
#include "service/sweep_result.h"

#include "proto/json.h"
#include "service/census.h"
#include "util/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const char *sweep_verdict_name(enum sweep_verdict verdict)
{
        static const char *const names[] = {[SWEEP_DROPPED] = "dropped",
                                            [SWEEP_WOULD_DROP] = "would_drop",
                                            [SWEEP_KEPT] = "kept",
                                            [SWEEP_FAILED] = "failed",
                                            [SWEEP_UNKNOWN] = "unknown"};

        return names[verdict];
}

struct sweep_result *sweep_result_new(int64_t id, bool dry_run, uint64_t started_usec)
{
        struct sweep_result *result = NEW(struct sweep_result);

        result->id = id;
        result->dry_run = dry_run;
        result->started_usec = started_usec;
        return result;
}

static void clear_census(struct sweep_result *result)
{
        for (unsigned i = 0; i < result->n_databases; i++) {
                free(result->databases[i].name);
                free(result->databases[i].error);
        }
        free(result->databases);
        free(result->incomplete_reason);
        result->live = live_report_free(result->live);
}

static void copy_namespace(void *owner, const char *namespace)
{
        live_report_add(owner, namespace);
}

static void add_lease(void *owner, const struct lease *lease)
{
        if (lease->state != LEASE_WAITING)
                live_report_add(owner, lease->namespace);
}

void sweep_result_set_census(struct sweep_result *result, struct census *census, struct leases *leases)
{
        const struct live_report *report = census_report(census);

        clear_census(result);
        result->live = live_report_new(1);
        live_report_each(report, copy_namespace, result->live);
        leases_each(leases, add_lease, result->live);
        result->complete = census_live(census) != NULL;
        result->incomplete_reason = result->complete ? NULL : alloc_string(live_report_incomplete(report));
        result->n_databases = census_n_targets(census);
        result->databases = alloc_array(NULL, result->n_databases, sizeof(*result->databases));
        for (unsigned i = 0; i < result->n_databases; i++) {
                const struct census_target *target = census_target_at(census, i);

                result->databases[i] = (struct sweep_database){.name = alloc_string(target->name),
                                                               .reachable = target->reachable,
                                                               .error = alloc_string(target->error)};
        }
}

struct sweep_item *sweep_result_add(struct sweep_result *result, const char *database,
                                    const struct census_schema *schema)
{
        struct sweep_item *item;

        result->items = alloc_array(result->items, result->n_items + 1, sizeof(*result->items));
        item = &result->items[result->n_items++];
        *item = (struct sweep_item){.database = alloc_string(database),
                                    .schema = alloc_string(schema->name),
                                    .oid = alloc_string(schema->oid),
                                    .verdict = SWEEP_KEPT};
        (void)memcpy(item->namespace, schema->parsed.namespace, sizeof(item->namespace));
        return item;
}

struct sweep_result *sweep_result_free(struct sweep_result *result)
{
        if (!result)
                return NULL;
        clear_census(result);
        for (unsigned i = 0; i < result->n_items; i++) {
                free((char *)result->items[i].database);
                free((char *)result->items[i].schema);
                free((char *)result->items[i].oid);
                free(result->items[i].detail);
        }
        free(result->items);
        free(result);
        return NULL;
}

/* ---- JSON ---- */

static void add_time(struct cJSON *object, const char *name, uint64_t usec)
{
        time_t seconds = (time_t)(usec / USEC_PER_SEC);
        char day[32], text[48];
        struct tm utc;

        if (!usec) {
                (void)json_add_null(object, name);
                return;
        }
        (void)strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", gmtime_r(&seconds, &utc));
        (void)snprintf(text, sizeof(text), "%s.%06uZ", day, (unsigned)(usec % USEC_PER_SEC));
        (void)json_add_string(object, name, text);
}

static void add_text(struct cJSON *object, const char *name, const char *text)
{
        if (text && *text)
                (void)json_add_string(object, name, text);
        else
                (void)json_add_null(object, name);
}

static struct cJSON *kept_json(const struct sweep_item *item)
{
        struct cJSON *object = json_object();

        (void)json_add_string(object, "schema", item->schema);
        (void)json_add_string(object, "reason", drop_reason_name(item->reason));
        add_text(object, "detail", item->detail);
        return object;
}

static struct cJSON *failed_json(const struct sweep_item *item)
{
        struct cJSON *object = json_object();

        (void)json_add_string(object, "schema", item->schema);
        add_text(object, "sqlstate", item->sqlstate);
        (void)json_add_string(object, "message", item->detail ? item->detail : "");
        return object;
}

/* A list per verdict; a failed and a kept schema come with their reason, the others by name alone. */
static struct cJSON *database_json(const struct sweep_result *result, const struct sweep_database *database)
{
        static const enum sweep_verdict order[] = {SWEEP_DROPPED, SWEEP_WOULD_DROP, SWEEP_FAILED,
                                                   SWEEP_UNKNOWN, SWEEP_KEPT};
        struct cJSON *object = json_object();

        (void)json_add_string(object, "name", database->name);
        (void)json_add_bool(object, "reachable", database->reachable);
        add_text(object, "error", database->error);
        for (unsigned k = 0; k < sizeof(order) / sizeof(*order); k++) {
                struct cJSON *list = json_array();

                for (unsigned i = 0; i < result->n_items; i++) {
                        const struct sweep_item *item = &result->items[i];

                        if (item->verdict != order[k] || strcmp(item->database, database->name))
                                continue;
                        if (item->verdict == SWEEP_FAILED)
                                (void)json_append(list, failed_json(item));
                        else if (item->verdict == SWEEP_KEPT)
                                (void)json_append(list, kept_json(item));
                        else
                                (void)json_append_string(list, item->schema);
                }
                (void)json_add(object, sweep_verdict_name(order[k]), list);
        }
        return object;
}

static void append_namespace(void *owner, const char *namespace)
{
        (void)json_append_string(owner, namespace);
}

struct cJSON *sweep_result_json(const struct sweep_result *result)
{
        struct cJSON *object = json_object(), *namespaces = json_array(), *databases = json_array();

        if (result->live)
                live_report_each(result->live, append_namespace, namespaces);
        for (unsigned i = 0; i < result->n_databases; i++)
                (void)json_append(databases, database_json(result, &result->databases[i]));
        (void)json_add_integer(object, "sweep_id", result->id);
        (void)json_add_bool(object, "dry_run", result->dry_run);
        add_time(object, "started_at", result->started_usec);
        add_time(object, "finished_at", result->finished_usec);
        (void)json_add(object, "active_namespaces", namespaces);
        (void)json_add_bool(object, "active_detection_complete", result->complete);
        (void)json_add(object, "databases", databases);
        return object;
}
