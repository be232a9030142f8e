/* SPDX-License-Identifier: MIT */

#include "client/cli/fail.h"
#include "client/cli/leases.h"
#include "client/cli/public_writes.h"
#include "client/cli/query.h"
#include "client/cli/sweep_result.h"

#include "proto/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MS      5000
#define SHORT_COLUMNS  12 /* of a namespace where several stand in one line */
#define REASON_COLUMNS 40

#define LOCKS_TIGHT_PERCENT 80 /* of the lock table; berthd warns at the same mark */

static void print_headline(const struct cli *cli, const struct cJSON *status)
{
        const char *version = json_get_string(status, "version");
        int64_t leases = json_get_integer(status, "leases", 0),
                queued = json_get_integer(status, "queued", 0);
        bool complete = json_get_bool(status, "activeDetectionComplete", false);

        (void)printf("%s%s%s berthd %s - serving %" PRId64 " lease%s",
                     print_start(cli, complete ? PRINT_GOOD : PRINT_BAD), print_bullet(), print_stop(cli),
                     version ? version : "?", leases, leases == 1 ? "" : "s");
        if (queued)
                (void)printf(", %" PRId64 " waiting", queued);
        (void)putchar('\n');
}

static void print_databases(const struct cli *cli, const struct cJSON *status)
{
        const struct cJSON *databases = json_get(status, "databases");
        struct print_field field;

        print_field_begin(&field, cli, "Databases");
        for (const struct cJSON *database = json_first(databases); database; database = json_next(database)) {
                const char *name = json_get_string(database, "name"),
                           *why = json_get_string(database, "message");
                int64_t since_usec = json_get_integer(database, "sinceUSec", 0);
                char age[BERTH_DURATION_SIZE], reason[PRINT_REASON_SIZE];
                char *shown = print_cut(print_reason(why ? why : "not asked yet", reason), REASON_COLUMNS);

                if (json_get_bool(database, "reachable", false))
                        print_field_item(&field, PRINT_PLAIN, ", ", "%s ok", name);
                else
                        print_field_item(&field, PRINT_BAD, ", ", "%s UNREACHABLE (%s%s%s)", name,
                                         shown ? shown : "?", since_usec ? ", " : "",
                                         since_usec ? print_age(since_usec, age) : "");
                free(shown);
        }
        print_field_end(&field);
}

/* "gw3 p18234t1745… 1.2s" */
static void describe_use(const struct cJSON *use, char *text, size_t size)
{
        const char *namespace = json_get_string(use, "namespace"), *worker = json_get_string(use, "worker");
        char age[BERTH_DURATION_SIZE];
        bool is_long = namespace && strlen(namespace) > SHORT_COLUMNS;

        (void)snprintf(text, size, "%s %.*s%s %s%s", worker ? worker : "sweep", SHORT_COLUMNS,
                       namespace ? namespace : "?", is_long ? print_ellipsis() : "",
                       print_age(json_get_integer(use, "sinceUSec", 0), age),
                       json_get_bool(use, "draining", false) ? " draining" : "");
}

static const struct cJSON *find_holder(const struct cJSON *cluster, int64_t slot)
{
        for (const struct cJSON *use = json_first(json_get(cluster, "holders")); use; use = json_next(use))
                if (json_get_integer(use, "slot", -1) == slot)
                        return use;
        return NULL;
}

static void print_queue(struct print_field *field, const struct cJSON *cluster)
{
        const struct cJSON *first = json_first(json_get(cluster, "waiters"));
        char text[80];
        int n = 0;

        for (const struct cJSON *use = first; use; use = json_next(use))
                n++;
        if (!first) {
                print_field_item(field, PRINT_FAINT, "   ", "queue: -");
                return;
        }
        describe_use(first, text, sizeof(text));
        print_field_item(field, PRINT_WARNING, "   ", "queue: %d, first %s", n, text);
}

/* No peak: no holder has been looked at yet. */
static void print_locks(struct print_field *field, const struct cJSON *cluster)
{
        int64_t table = json_get_integer(cluster, "lockTable", 0),
                peak = json_get_integer(cluster, "lockPeak", 0),
                needed = json_get_integer(cluster, "slots", 0) * peak;
        char of_peak[PRINT_COUNT_SIZE], of_table[PRINT_COUNT_SIZE], all[PRINT_COUNT_SIZE];

        if (!table || !peak)
                return;
        if (needed * 100 <= table * LOCKS_TIGHT_PERCENT)
                print_field_item(field, PRINT_PLAIN, "   ", "locks: peak %s of %s",
                                 print_count(peak, of_peak), print_count(table, of_table));
        else
                print_field_item(field, PRINT_WARNING, "   ", "locks: peak %s of %s, all slots need %s",
                                 print_count(peak, of_peak), print_count(table, of_table),
                                 print_count(needed, all));
}

static void print_cluster(const struct cli *cli, const struct cJSON *cluster)
{
        const char *separator = "";
        char text[80];
        struct print_field field;

        print_field_begin(&field, cli, "Slots");
        for (const struct cJSON *name = json_first(json_get(cluster, "databases")); name;
             name = json_next(name)) {
                print_field_item(&field, PRINT_PLAIN, separator, "%s", json_string(name));
                separator = ", ";
        }
        separator = "  ";
        for (int64_t slot = 0; slot < json_get_integer(cluster, "slots", 0); slot++, separator = "   ") {
                const struct cJSON *use = find_holder(cluster, slot);

                if (use)
                        describe_use(use, text, sizeof(text));
                print_field_item(&field, use ? PRINT_PLAIN : PRINT_FAINT, separator, "[%" PRId64 "] %s", slot,
                                 use ? text : "free");
        }
        print_queue(&field, cluster);
        print_locks(&field, cluster);
        print_field_end(&field);
}

/* Only when there is something to do about it. */
static void print_ledger(const struct cli *cli, const struct cJSON *status)
{
        const struct cJSON *ledger = json_get(status, "ledger");
        const char *message = json_get_string(ledger, "message");
        struct print_field field;

        if (!message)
                return;
        print_field_begin(&field, cli, "Ledger");
        print_field_item(&field, json_get_bool(ledger, "writable", true) ? PRINT_WARNING : PRINT_BAD, "",
                         "%s", message);
        print_field_end(&field);
}

static void print_sweep(const struct cli *cli, const struct cJSON *status)
{
        const struct cJSON *result = json_get(status, "lastSweep");
        const char *unsettled = json_get_string(status, "unsettled");
        struct sweep_counts counts = sweep_count(result);
        struct print_field field;
        char summary[400];

        print_field_begin(&field, cli, "Sweep");
        if (result) {
                sweep_summarize(result, summary, sizeof(summary));
                print_field_item(&field, sweep_exit_code(&counts) ? PRINT_BAD : PRINT_PLAIN, "", "%s",
                                 summary);
        } else {
                print_field_item(&field, PRINT_FAINT, "", "none yet");
        }
        if (unsettled)
                print_field_item(&field, PRINT_PLAIN, "; ", "none now: %s", unsettled);
        print_field_end(&field);
}

static void print_status(const struct cli *cli, const struct cJSON *status)
{
        int64_t started_usec = json_get_integer(status, "startedUSec", 0);
        char at[PRINT_TIME_SIZE], age[BERTH_DURATION_SIZE];

        print_headline(cli, status);
        (void)printf("     Socket: %s\n      Since: %s; %s ago\n", query_socket(),
                     print_time(started_usec, at), print_age(started_usec, age));
        print_databases(cli, status);
        for (const struct cJSON *cluster = json_first(json_get(status, "clusters")); cluster;
             cluster = json_next(cluster))
                print_cluster(cli, cluster);
        print_ledger(cli, status);
        public_writes_print(cli, status);
        print_sweep(cli, status);
}

static int status_of_daemon(struct cli *cli)
{
        struct cJSON *status;
        int r = query_one(cli, "io.berth.manage.GetStatus", NULL, ANSWER_MS, &status);

        if (!r && cli->options.json)
                print_json(status);
        else if (!r)
                print_status(cli, status);
        json_free(status);
        return r;
}

/* A forced name may have had several leases: the last one is meant. */
static int keep_last(void *userdata, const struct cJSON *reply)
{
        struct cJSON **last = userdata;
        struct lease_view view, before;

        if (!leases_read(reply, &view) || (leases_read(*last, &before) && before.lease > view.lease))
                return CLI_OK;
        json_free(*last);
        *last = json_copy(reply);
        return CLI_OK;
}

static int show_lease(struct cli *cli, const struct cJSON *reply)
{
        struct lease_view view;

        if (!leases_read(reply, &view))
                return cli_fail_as(cli, "NoSuchLease", CLI_FAILED, "'berth list --all' shows all",
                                   "no lease of namespace %s; berthd does not know it", cli->operands[0]);
        if (cli->options.json)
                print_json(reply);
        else
                leases_print(cli, &view);
        return CLI_OK;
}

static int status_of_lease(struct cli *cli)
{
        struct cJSON *parameters = json_object(), *last = NULL;
        struct berth_error error;
        struct query query = {
                .method = "io.berth.manage.ListLeases",
                .parameters = parameters,
                .more = true,
                .timeout_ms = ANSWER_MS,
                .waiting = "waiting for berthd",
                .take = keep_last,
                .userdata = &last,
        };
        int r;

        if (berth_check_namespace(cli->operands[0], &error)) {
                json_free(parameters);
                return cli_fail(cli, &error);
        }
        (void)json_add_string(parameters, "namespace", cli->operands[0]);
        (void)json_add_bool(parameters, "all", true);
        r = query_run(cli, &query);
        if (!r)
                r = show_lease(cli, last);
        json_free(last);
        return r;
}

int cmd_status(struct cli *cli)
{
        return cli->operands[0] ? status_of_lease(cli) : status_of_daemon(cli);
}
