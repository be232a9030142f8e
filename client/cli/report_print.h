/* SPDX-License-Identifier: MIT */
#pragma once

/* Reports (report_load.h) for people and for machines. */

#include "client/cli/cli.h"

struct cJSON;

void report_print_one(const struct cli *cli, const struct cJSON *report);
/* A line a run. */
void report_print_table(const struct cli *cli, const struct cJSON *reports);
/* A failing test, as it stands below report_print_one(). */
void report_print_failure(const struct cli *cli, const struct cJSON *failure);
/* A string member, or "?" */
const char *report_text_of(const struct cJSON *object, const char *name);
/* A number of seconds as "12s"; returns ret_text */
const char *report_seconds(const struct cJSON *object, const char *name, char ret_text[BERTH_DURATION_SIZE]);
/* "3 failed, 80 passed"; returns ret_text */
#define REPORT_COUNTS_SIZE 160
const char *report_counts(const struct cJSON *report, char ret_text[REPORT_COUNTS_SIZE]);
/* "signal 9 (Killed)", "exit status 1", or ""; returns ret_text */
#define REPORT_END_SIZE 64
const char *report_end(const struct cJSON *report, char ret_text[REPORT_END_SIZE]);

/* JUnit's XML: a test suite a run, with the tests that failed; of the others only the numbers are known. */
void report_print_junit(const struct cJSON *reports);
/* Annotations of a GitHub workflow. */
void report_print_github(const struct cJSON *reports);
/* What fails newly, no longer, still. */
void report_print_diff(const struct cli *cli, const struct cJSON *before, const struct cJSON *after);
