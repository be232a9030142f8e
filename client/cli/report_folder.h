/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Where reports of runs lie: $BERTH_REPORT_DIR, else $XDG_STATE_HOME/berth/reports, else ~/.local/state/berth/reports.
 * pytest-berth has the same rule (_report.py), and docs/reports.md says it.
 */

#include <stdbool.h>
#include <stddef.h>

#define REPORT_PATH_SIZE 4096

/* An absolute path. False: there is none, because $BERTH_REPORT_DIR is "off", or nothing says where home is. */
bool report_folder_path(char ret_path[REPORT_PATH_SIZE]);

/*
 * To write in: made (0700) where it is missing. The default one must be the user's own and no symbolic link. Returns a
 * descriptor, or -1: *ret_why says why.
 */
int report_folder_open(const char *path, const char **ret_why);
