/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The files of a report folder: <UTC stamp>_<namespace>.json, the report of a run, and beside it or in its place
 * <the same>.jsonl, the lines it wrote while it went on. Anybody may have put other files there.
 */

#include "client/cli/report_lines.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REPORT_NAMESPACE_SIZE 33
#define REPORT_STEM_SIZE      64
#define REPORT_FILE_SIZE      (REPORT_STEM_SIZE + sizeof(".jsonl"))

/* One run: its files have one stem. */
struct report_file {
        char stem[REPORT_STEM_SIZE]; /* 20261121T090000.123456Z_p18... */
        char namespace[REPORT_NAMESPACE_SIZE];
        bool is_final; /* there is a .json; else a .jsonl alone */
};

/* "20261121T090000.123456Z_NAMESPACE" */
void report_make_stem(int64_t usec, const char *namespace, char ret_stem[REPORT_STEM_SIZE]);

/*
 * Those of the folder, the last run first. namespace: of this one only; NULL: all. since_usec: not those that began
 * earlier. The caller frees *ret_files. Returns their number, or -1: errno.
 */
int report_files_list(int folder_fd, const char *namespace, int64_t since_usec,
                      struct report_file **ret_files);

/*
 * The bytes of a regular file that is no symbolic link and not too big to be a report. The caller frees. NULL: message
 * says why.
 */
char *report_file_read(int folder_fd, const char *name, size_t *ret_length, char message[JSON_MESSAGE_SIZE]);

/* Whether an object has all that a report must have, each of its type. False: message says what is wrong. */
bool report_check(const struct cJSON *report, char message[JSON_MESSAGE_SIZE]);
