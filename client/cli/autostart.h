/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A daemon for this user alone, where there is none: berthd --user --detach. berthd sees to it that of many that are
 * started at once one stays, and that this one serves before any of them returns.
 */

#include "client/cli/cli.h"

/*
 * Whether error, of a first call, is one that a daemon of our own would mend: nobody has said where the daemon is,
 * and there is no system daemon's socket, not even a dead one.
 */
bool autostart_is_due(const struct cli *cli, const struct berth_error *error);

/* Where berthd is: $BERTH_DAEMON, beside us, in PATH, in the sbin folders. False: nowhere. */
#define AUTOSTART_PATH_SIZE 4096
bool autostart_find_program(char ret[AUTOSTART_PATH_SIZE]);

#define AUTOSTART_TIMEOUT_MS 15000

/* 0: somebody serves. -1: error says why not, and what to do. */
int autostart(int timeout_ms, struct berth_error *error);
