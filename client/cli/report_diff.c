/* SPDX-License-Identifier: MIT */

#include "client/cli/print.h"
#include "client/cli/report_lines.h"
#include "client/cli/report_print.h"

#include "proto/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A test may fail in its call and in its teardown: it is one test. */
static bool is_in(const char *nodeid, const struct cJSON *failures)
{
        for (const struct cJSON *failure = json_first(failures); failure; failure = json_next(failure)) {
                const char *other = json_get_string(failure, "nodeid");

                if (other && nodeid && !strcmp(other, nodeid))
                        return true;
        }
        return false;
}

/* The failures of one run whose tests also failed in the other (or did not), each test once. */
static struct cJSON *compare(const struct cJSON *run, const struct cJSON *other, bool in_both)
{
        const struct cJSON *theirs = json_get(other, "failures");
        struct cJSON *found = json_array();

        for (const struct cJSON *failure = json_first(json_get(run, "failures")); failure;
             failure = json_next(failure)) {
                const char *nodeid = json_get_string(failure, "nodeid");

                if (is_in(nodeid, theirs) == in_both && !is_in(nodeid, found))
                        (void)json_append(found, json_copy(failure));
        }
        return found;
}

static struct cJSON *head_of(const struct cJSON *report)
{
        static const char *const members[] = {"namespace", "status", "started_at", "file"};
        struct cJSON *head = json_object();

        for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
                (void)json_add_string(head, members[i], json_get_string(report, members[i]));
        (void)json_add(head, "counts", json_copy(json_get(report, "counts")));
        return head;
}

static void print_head(const char *sign, const struct cJSON *report)
{
        char age[BERTH_DURATION_SIZE], counts[REPORT_COUNTS_SIZE];

        (void)report_counts(report, counts);
        (void)printf("%s %s  %s, %s ago%s%s\n", sign, json_get_string(report, "namespace"),
                     json_get_string(report, "status"),
                     print_age(report_read_time(json_get_string(report, "started_at")), age),
                     *counts ? "; " : "", counts);
}

static void print_tests(const struct cli *cli, const char *heading, const struct cJSON *failures,
                        bool in_full)
{
        int n = 0;

        for (const struct cJSON *failure = json_first(failures); failure; failure = json_next(failure))
                n++;
        (void)printf("\n%s: %d\n", heading, n);
        for (const struct cJSON *failure = json_first(failures); failure; failure = json_next(failure)) {
                const char *nodeid = json_get_string(failure, "nodeid");

                if (in_full)
                        report_print_failure(cli, failure);
                else
                        (void)printf("  %s\n", nodeid ? nodeid : "?");
        }
}

void report_print_diff(const struct cli *cli, const struct cJSON *before, const struct cJSON *after)
{
        struct cJSON *newly = compare(after, before, false), *no_longer = compare(before, after, false);
        struct cJSON *still = compare(after, before, true), *result;

        if (!cli->options.json) {
                print_head("-", before);
                print_head("+", after);
                print_tests(cli, "fail newly", newly, true);
                print_tests(cli, "fail no longer, or were not run", no_longer, false);
                print_tests(cli, "still fail", still, false);
        }
        result = json_object();
        (void)json_add(result, "before", head_of(before));
        (void)json_add(result, "after", head_of(after));
        (void)json_add(result, "newly", newly);
        (void)json_add(result, "no_longer", no_longer);
        (void)json_add(result, "still", still);
        if (cli->options.json)
                print_json(result);
        json_free(result);
}
