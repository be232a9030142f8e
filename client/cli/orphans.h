/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a command leaves running when it ends. We are its subreaper, so the kernel gives us every process
 * whose parent has gone: xdist workers of a killed pytest, which would go on with their tests for 15 s. They
 * get TERM, two seconds, KILL.
 */

#include <stdbool.h>

struct orphans;

/* Remembers the children we have already: they are not the command's. NULL: no memory. */
struct orphans *orphans_new(void);
struct orphans *orphans_free(struct orphans *orphans); /* takes NULL */

/*
 * Ends all others. signal_fd delivers SIGCHLD, and signals that mean "faster". False: some are alive still
 * (another user's, or stuck in the kernel).
 */
bool orphans_end(struct orphans *orphans, int signal_fd);
