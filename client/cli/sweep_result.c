/* SPDX-License-Identifier: MIT */

#include "client/cli/sweep_result.h"

#include "client/cli/print.h"

#include "proto/json.h"

#include <inttypes.h>
#include <stdio.h>

static size_t count(const struct cJSON *array)
{
        size_t n = 0;

        for (const struct cJSON *value = json_first(array); value; value = json_next(value))
                n++;
        return n;
}

struct sweep_counts sweep_count(const struct cJSON *result)
{
        struct sweep_counts counts = {
                .complete = json_get_bool(result, "active_detection_complete", false),
                .dry_run = json_get_bool(result, "dry_run", false),
        };
        const struct cJSON *databases = json_get(result, "databases");

        for (const struct cJSON *database = json_first(databases); database; database = json_next(database)) {
                counts.dropped += count(json_get(database, "dropped"));
                counts.would_drop += count(json_get(database, "would_drop"));
                counts.kept += count(json_get(database, "kept"));
                counts.failed += count(json_get(database, "failed"));
                counts.unknown += count(json_get(database, "unknown"));
        }
        return counts;
}

int sweep_exit_code(const struct sweep_counts *counts)
{
        if (counts->failed || counts->unknown)
                return CLI_FAILED;
        return counts->complete ? CLI_OK : CLI_INCOMPLETE;
}

/* "tenant1, tenant2", those that did not answer, or may not be believed */
static void list_unheard(const struct cJSON *result, char *text, size_t size)
{
        const struct cJSON *databases = json_get(result, "databases");
        size_t used = 0;

        *text = '\0';
        for (const struct cJSON *database = json_first(databases); database; database = json_next(database)) {
                const char *name = json_get_string(database, "name");

                if (!json_get_string(database, "error") || !name || used >= size)
                        continue;
                used += (size_t)snprintf(text + used, size - used, "%s%s", used ? ", " : "", name);
        }
}

void sweep_summarize(const struct cJSON *result, char *text, size_t size)
{
        struct sweep_counts counts = sweep_count(result);
        char unheard[200];
        int n;

        if (!counts.complete) {
                list_unheard(result, unheard, sizeof(unheard));
                n = snprintf(text, size, "%s: detection incomplete%s%s%s; ",
                             counts.dropped ? "cut short" : "held back", *unheard ? " (" : "", unheard,
                             *unheard ? ")" : "");
                if (n > 0 && (size_t)n < size && counts.dropped)
                        (void)snprintf(text + n, size - (size_t)n, "%zu dropped, %zu kept", counts.dropped,
                                       counts.kept);
                else if (n > 0 && (size_t)n < size)
                        (void)snprintf(text + n, size - (size_t)n, "%zu candidate%s kept", counts.kept,
                                       counts.kept == 1 ? "" : "s");
                return;
        }
        n = snprintf(text, size, "%zu %s, %zu kept", counts.dry_run ? counts.would_drop : counts.dropped,
                     counts.dry_run ? "would be dropped" : "dropped", counts.kept);
        if (n > 0 && (size_t)n < size && (counts.failed || counts.unknown))
                (void)snprintf(text + n, size - (size_t)n, ", %zu failed", counts.failed + counts.unknown);
}

static void print_row(const struct cli *cli, enum print_color color, const char *verdict, const char *schema,
                      const char *reason, const char *detail)
{
        char rest[2048];

        (void)snprintf(rest, sizeof(rest), "%s%s%s%s%s", schema ? schema : "?", reason ? "  " : "",
                       reason ? reason : "",
                       !detail || !*detail ? ""
                       : reason            ? ": "
                                           : "  ",
                       detail ? detail : "");
        (void)printf("  %s%-10s%s  ", print_start(cli, color), verdict, print_stop(cli));
        print_fitted_at(14, rest);
}

static void print_names(const struct cli *cli, const struct cJSON *names, enum print_color color,
                        const char *verdict)
{
        for (const struct cJSON *name = json_first(names); name; name = json_next(name))
                print_row(cli, color, verdict, json_string(name), NULL, NULL);
}

static bool has_rows(const struct cJSON *database)
{
        static const char *const lists[] = {"dropped", "would_drop", "failed", "unknown", "kept"};

        for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
                if (json_first(json_get(database, lists[i])))
                        return true;
        return false;
}

static void print_database(const struct cli *cli, const struct cJSON *database)
{
        const char *name = json_get_string(database, "name"), *error = json_get_string(database, "error");
        bool reachable = json_get_bool(database, "reachable", true);
        char reason[PRINT_REASON_SIZE];

        if (reachable && !has_rows(database))
                return;
        (void)printf("%s", name ? name : "?");
        if (!reachable)
                (void)printf(": %sUNREACHABLE%s (%s)", print_start(cli, PRINT_BAD), print_stop(cli),
                             print_reason(error ? error : "no reason given", reason));
        (void)putchar('\n');
        print_names(cli, json_get(database, "dropped"), PRINT_GOOD, "dropped");
        print_names(cli, json_get(database, "would_drop"), PRINT_GOOD, "would drop");
        for (const struct cJSON *failed = json_first(json_get(database, "failed")); failed;
             failed = json_next(failed))
                print_row(cli, PRINT_BAD, "failed", json_get_string(failed, "schema"),
                          json_get_string(failed, "sqlstate"), json_get_string(failed, "message"));
        print_names(cli, json_get(database, "unknown"), PRINT_BAD, "unknown");
        for (const struct cJSON *kept = json_first(json_get(database, "kept")); kept; kept = json_next(kept))
                print_row(cli, PRINT_FAINT, "kept", json_get_string(kept, "schema"),
                          json_get_string(kept, "reason"), json_get_string(kept, "detail"));
}

void sweep_print(const struct cli *cli, const struct cJSON *result)
{
        struct sweep_counts counts = sweep_count(result);
        const struct cJSON *databases = json_get(result, "databases");
        char summary[400];

        sweep_summarize(result, summary, sizeof(summary));
        for (const struct cJSON *database = json_first(databases); database; database = json_next(database))
                print_database(cli, database);
        (void)printf("%s %" PRId64 ": %s%s%s\n", counts.dry_run ? "dry run" : "sweep",
                     json_get_integer(result, "sweep_id", 0),
                     print_start(cli, sweep_exit_code(&counts) ? PRINT_BAD : PRINT_PLAIN), summary,
                     print_stop(cli));
}
