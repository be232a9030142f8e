/* SPDX-License-Identifier: MIT */
#pragma once

/* The result of a sweep, as GetStatus and Sweep give it. */

#include "client/cli/cli.h"

struct cJSON;

struct sweep_counts {
        size_t dropped, would_drop, kept, failed, unknown;
        bool complete, dry_run;
};

struct sweep_counts sweep_count(const struct cJSON *result);
/* "4 dropped, 2 kept, 1 failed", or why nothing was done; size as snprintf */
void sweep_summarize(const struct cJSON *result, char *text, size_t size);
void sweep_print(const struct cli *cli, const struct cJSON *result);
int sweep_exit_code(const struct sweep_counts *counts);
