/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The lines of a run (docs/schema/report_line.json) put together as its report (report.json): for a run that is going
 * on, and for one whose pytest never came to the end.
 */

#include "proto/json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct report_lines {
        struct cJSON **list;
        size_t n;
        const struct cJSON *opened, *closed; /* in the list; closed NULL: pytest has not come to its end */
        int64_t last_usec;                   /* when the last line was written */
};

/*
 * A last line that is not whole is not looked at; one that cannot be read within is passed over. False: the first line
 * opens no report; *message says what is wrong. The caller owes report_lines_done().
 */
bool report_lines_read(const char *text, size_t length, struct report_lines *ret,
                       char message[JSON_MESSAGE_SIZE]);
void report_lines_done(struct report_lines *lines);

/* What the lines do not know. A line Closed knows status and exit status, and has the last word. */
struct report_end {
        const char *written_by, *status;
        int exit_status;    /* -1: not known */
        int signal;         /* 0: none */
        int64_t ended_usec; /* 0: it goes on */
};

/* NULL: no memory. */
struct cJSON *report_lines_build(const struct report_lines *lines, const struct report_end *end);

#define REPORT_TIME_SIZE 48
/* "2026-11-21T09:00:00.123456Z"; returns ret_text */
const char *report_time(int64_t usec, char ret_text[REPORT_TIME_SIZE]);
/* Microseconds since the epoch; 0: it is no such time. */
int64_t report_read_time(const char *text);
