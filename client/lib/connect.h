/* SPDX-License-Identifier: MIT */
#pragma once

/* From a path, or from none, to a connected descriptor. */

#include "client/lib/berth.h"

#include "proto/protocol.h"

#include <stdbool.h>

/*
 * path as for berth_connect(). wait_ms: how long to try again while the daemon's backlog is full. Returns the
 * descriptor (close-on-exec, non-blocking) or -1.
 */
int connect_socket(const char *path, int wait_ms, char ret_path[BERTH_SOCKET_PATH_MAX + 1],
                   struct berth_error *error);
