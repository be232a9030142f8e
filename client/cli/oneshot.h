/* SPDX-License-Identifier: MIT */
#pragma once

/* berthd as a program that answers one question without serving: what is left to ask where no daemon is. */

#include "client/cli/cli.h"

/* Which configuration is meant: --config, the user's own, or the system's. */
bool oneshot_is_user(const struct cli *cli);

/*
 * Runs berthd with that option (and --config, --user) and gives each line of its stdout to take. 0: it ran, *ret_status
 * is its exit status and *ret_said (to be freed) the first line it has logged, or NULL. -1: error says why it did not.
 */
int oneshot_run(const struct cli *cli, const char *option, void (*take)(void *userdata, const char *line),
                void *userdata, int *ret_status, char **ret_said, struct berth_error *error);
