/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * berthd --detach: serve in the background. For clients that find no daemon; a hundred may come at once.
 *
 *      launcher: lock ─▶ does somebody answer? ─yes─▶ exit 0
 *                          ▲   └─no─▶ fork ─▶ wait ─▶ ready      exit 0
 *                          └──────────────────┴─▶ somebody else was starting or stopping: again, for a while
 *
 * The lock is on a file beside the socket, never on the socket. Launchers take turns by it, and the daemon that one
 * of them starts keeps it until it serves: whoever comes after finds it serving. That there is only one daemon is
 * seen to by the daemon's own locks, on its socket and on its ledger.
 */

#include <stdbool.h>

/*
 * To be called before anything else has been opened: all descriptors but the standard ones are closed. true: we are
 * the daemon now, in a session of our own; detach_ready must follow. false: the launcher has done, and
 * *ret_exit_status says how.
 */
bool detach_start(const char *socket_path, int *ret_exit_status);

/* It serves: the launcher ends, and from here on messages go to log_path. */
void detach_ready(const char *log_path);
