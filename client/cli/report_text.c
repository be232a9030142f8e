/* SPDX-License-Identifier: MIT */

#include "client/cli/print.h"
#include "client/cli/report_lines.h"
#include "client/cli/report_print.h"
#include "client/cli/table.h"

#include "proto/json.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAILURES_SHOWN 20
#define COMMIT_SHOWN   12

static enum print_color color_of(const char *status)
{
        static const struct {
                const char *status;
                enum print_color color;
        } colors[] = {
                {"passed", PRINT_GOOD}, {"running", PRINT_GOOD},        {"no_tests", PRINT_WARNING},
                {"failed", PRINT_BAD},  {"interrupted", PRINT_WARNING}, {"error", PRINT_BAD},
                {"died", PRINT_BAD},
        };

        for (size_t i = 0; i < sizeof(colors) / sizeof(colors[0]); i++)
                if (!strcmp(colors[i].status, status))
                        return colors[i].color;
        return PRINT_PLAIN;
}

const char *report_counts(const struct cJSON *report, char ret_text[REPORT_COUNTS_SIZE])
{
        static const char *const names[] = {"failed", "error", "passed", "skipped", "xfailed", "xpassed"};
        const struct cJSON *counts = json_get(report, "counts");
        size_t used = 0;

        *ret_text = '\0';
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                int64_t n = json_get_integer(counts, names[i], 0);

                if (n > 0 && used < REPORT_COUNTS_SIZE - 40)
                        used += (size_t)snprintf(ret_text + used, REPORT_COUNTS_SIZE - used,
                                                 "%s%" PRId64 " %s", used ? ", " : "", n, names[i]);
        }
        return ret_text;
}

const char *report_end(const struct cJSON *report, char ret_text[REPORT_END_SIZE])
{
        int64_t exit_status = json_get_integer(report, "exit_status", 0);
        int64_t number = json_get_integer(report, "signal", 0);

        *ret_text = '\0';
        if (number > 0 && number < NSIG)
                (void)snprintf(ret_text, REPORT_END_SIZE, "signal %" PRId64 " (%s)", number,
                               strsignal((int)number));
        else if (exit_status)
                (void)snprintf(ret_text, REPORT_END_SIZE, "exit status %" PRId64, exit_status);
        return ret_text;
}

/* ---- one run ---- */

static void print_heading(const struct cli *cli, const struct cJSON *report)
{
        const char *status = report_text_of(report, "status"), *start = print_start(cli, color_of(status));
        char end[REPORT_END_SIZE];

        (void)printf("%s%s%s %s - %s%s%s%s%s\n", start, print_bullet(), print_stop(cli),
                     report_text_of(report, "namespace"), start, status, print_stop(cli),
                     *report_end(report, end) ? ", " : "", end);
}

static void print_line(const char *label, const char *text)
{
        char *cut = print_cut(text, print_width() - 14);

        (void)printf("%11s: %s\n", label, cut ? cut : "?");
        free(cut);
}

static void print_when(const struct cJSON *report)
{
        int64_t started_usec = report_read_time(json_get_string(report, "started_at"));
        char at[PRINT_TIME_SIZE], age[BERTH_DURATION_SIZE], took[BERTH_DURATION_SIZE];

        (void)printf("    Started: %s; %s ago, %s %s\n", print_time(started_usec, at),
                     print_age(started_usec, age), json_get(report, "ended_at") ? "took" : "going on for",
                     report_seconds(report, "duration_s", took));
}

static void print_place(const struct cli *cli, const struct cJSON *report)
{
        const char *commit = json_get_string(report, "git_head");
        char user[PRINT_USER_SIZE];
        struct print_field field;

        print_field_begin(&field, cli, "Where");
        print_field_item(&field, PRINT_PLAIN, "", "%s:%s", report_text_of(report, "host"),
                         report_text_of(report, "cwd"));
        if (commit)
                print_field_item(&field, PRINT_PLAIN, ", ", "commit %.*s", COMMIT_SHOWN, commit);
        print_field_item(&field, PRINT_PLAIN, ", ", "by %s",
                         print_user(json_get_integer(report, "uid", -1), user));
        print_field_end(&field);
}

static void print_tests(const struct cJSON *report)
{
        char counts[REPORT_COUNTS_SIZE], text[REPORT_COUNTS_SIZE + 64];
        int64_t n_workers = json_get_integer(report, "workers", 1);

        if (!*report_counts(report, counts) && strcmp(report_text_of(report, "status"), "no_tests") != 0)
                return; /* not known, or it was no pytest */
        (void)snprintf(text, sizeof(text), "%s", *counts ? counts : "none");
        if (n_workers > 1)
                (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), " (%" PRId64 " workers)",
                               n_workers);
        print_line("Tests", text);
}

/* "gw0 of pother for 3s" each, after "behind" */
static void describe_holders(const struct cJSON *wait, char *text, size_t size)
{
        size_t used = 0;

        *text = '\0';
        for (const struct cJSON *holder = json_first(json_get(wait, "holders")); holder && used < size;
             holder = json_next(holder)) {
                const char *worker = json_get_string(holder, "worker");
                const char *namespace = json_get_string(holder, "namespace");

                used += (size_t)snprintf(text + used, size - used, "%s%s%s%s", used ? " and " : ", behind ",
                                         worker ? worker : "the sweep", worker && namespace ? " of " : "",
                                         worker && namespace ? namespace : "");
        }
}

static void item_wait(struct print_field *field, const struct cJSON *wait)
{
        const char *database = json_get_string(wait, "database");
        char took[BERTH_DURATION_SIZE], holders[200];

        describe_holders(wait, holders, sizeof(holders));
        print_field_item(field, PRINT_PLAIN, "; ", "%s %s for a slot%s%s%s", report_text_of(wait, "worker"),
                         report_seconds(wait, "seconds", took), database ? " of " : "",
                         database ? database : "", holders);
}

static void item_crash(struct print_field *field, const struct cJSON *crash)
{
        const char *next = json_get_string(crash, "replaced_by"), *test = json_get_string(crash, "nodeid");

        print_field_item(field, PRINT_BAD, "; ", "%s%s%s%s%s", report_text_of(crash, "worker"),
                         test ? " in " : "", test ? test : "", next ? ", replaced by " : "",
                         next ? next : "");
}

static void item_public(struct print_field *field, const struct cJSON *write)
{
        bool is_table = !strcmp(report_text_of(write, "kind"), "table");

        print_field_item(field, PRINT_BAD, "; ", "%s %s in %s", is_table ? "table" : "rows of",
                         report_text_of(write, "table"), report_text_of(write, "database"));
}

static void item_leftover(struct print_field *field, const struct cJSON *schema)
{
        print_field_item(field, PRINT_WARNING, ", ", "%s", json_string(schema) ? json_string(schema) : "?");
}

static void print_notes(const struct cli *cli, const struct cJSON *report)
{
        static const struct {
                const char *member, *label;
                void (*item)(struct print_field *field, const struct cJSON *element);
        } notes[] = {
                {"worker_crashes", "Crashed", item_crash},
                {"slot_waits", "Waited", item_wait},
                {"public_writes", "In public", item_public},
                {"leftovers", "Left behind", item_leftover},
        };

        for (size_t i = 0; i < sizeof(notes) / sizeof(notes[0]); i++) {
                const struct cJSON *element = json_first(json_get(report, notes[i].member));
                struct print_field field;

                if (!element)
                        continue;
                print_field_begin(&field, cli, notes[i].label);
                for (; element; element = json_next(element))
                        notes[i].item(&field, element);
                print_field_end(&field);
        }
}

static void print_stale_export(const struct cJSON *report)
{
        const struct cJSON *stale = json_get(report, "stale_export");
        char text[400];

        if (!stale)
                return;
        (void)snprintf(text, sizeof(text), "BERTH_NAMESPACE=%.64s, %.250s",
                       report_text_of(stale, "namespace"), report_text_of(stale, "reason"));
        print_line("Ignored", text);
}

static void print_failures(const struct cli *cli, const struct cJSON *report)
{
        int n = 0;

        for (const struct cJSON *failure = json_first(json_get(report, "failures")); failure;
             failure = json_next(failure)) {
                if (!n)
                        (void)putchar('\n');
                if (n++ < FAILURES_SHOWN)
                        report_print_failure(cli, failure);
        }
        if (n > FAILURES_SHOWN)
                (void)printf("and %d more; --json has them\n", n - FAILURES_SHOWN);
}

void report_print_one(const struct cli *cli, const struct cJSON *report)
{
        const char *label = json_get_string(report, "label");

        print_heading(cli, report);
        if (label)
                print_line("Label", label);
        print_when(report);
        print_place(cli, report);
        print_tests(report);
        print_notes(cli, report);
        print_stale_export(report);
        (void)printf("     Report: %s\n", report_text_of(report, "file")); /* whole, to be copied */
        print_failures(cli, report);
}

/* ---- many ---- */

static void add_row(struct table *table, const struct cJSON *report)
{
        const struct cJSON *counts = json_get(report, "counts");
        char age[BERTH_DURATION_SIZE], took[BERTH_DURATION_SIZE], failed[24], passed[24];

        (void)snprintf(failed, sizeof(failed), "%" PRId64,
                       json_get_integer(counts, "failed", 0) + json_get_integer(counts, "error", 0));
        (void)snprintf(passed, sizeof(passed), "%" PRId64, json_get_integer(counts, "passed", 0));
        (void)table_add(table,
                        (const char *[]){
                                print_age(report_read_time(json_get_string(report, "started_at")), age),
                                json_get_string(report, "namespace"),
                                json_get_string(report, "status"),
                                failed,
                                passed,
                                report_seconds(report, "duration_s", took),
                                json_get_string(report, "label"),
                        });
}

void report_print_table(const struct cli *cli, const struct cJSON *reports)
{
        static const char *const headings[] = {"AGE",    "NAMESPACE", "STATUS", "FAILED",
                                               "PASSED", "TOOK",      "LABEL",  NULL};
        struct table *table = table_new(headings, 6);

        for (const struct cJSON *report = json_first(reports); table && report; report = json_next(report))
                add_row(table, report);
        if (table)
                table_print(table, cli);
        table_free(table);
}
