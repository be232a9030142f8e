/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Reports of runs as `berth report` shows them: report.json, with the status "running" and no ended_at for one that goes
 * on, and the path as "file" (docs/schema/report-list.json).
 */

#include "client/cli/cli.h"

#include <stdbool.h>

struct cJSON;

/* Which runs of the folder. */
struct report_choice {
        const char *namespace; /* NULL: any */
        bool only_failed;      /* not those that passed, ran no test, or go on */
        int n_max;
};

/*
 * Appends what was chosen to reports, the last run first. A file that cannot be read costs a line on stderr. Exit code
 * 0, also if there is none; else the failure has been told.
 */
int report_load(struct cli *cli, const struct report_choice *choice, struct cJSON *reports);

/* The one that a word means: a namespace, whose last run it is, or a path. NULL: *ret_code is the exit code. */
struct cJSON *report_load_one(struct cli *cli, const char *word, int *ret_code);
/* It is, if it looks like one: no namespace has a slash or a point. */
bool report_is_path(const char *word);

/* Exit code: there is none. namespace may be NULL. */
int report_fail_none(struct cli *cli, const char *namespace, bool only_failed);
