/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The report of a run whose pytest could not write one: it was killed, or there was none. What stands in the folder
 * already is left as it is.
 */

#include <stdint.h>

struct run_report {
        const char *namespace, *label;
        char *const *argv;
        int64_t started_usec;
        int wait_status; /* of the command */
};

/* When nothing of the run is alive. What goes wrong costs a line on stderr and no outcome. */
void run_report_finish(const struct run_report *run);
