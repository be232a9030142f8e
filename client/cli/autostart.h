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

#define AUTOSTART_TIMEOUT_MS 15000

/* 0: somebody serves. -1: error says why not, and what to do. */
int autostart(int timeout_ms, struct berth_error *error);
