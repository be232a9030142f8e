/* SPDX-License-Identifier: MIT */
#pragma once

/* What a command finds in its environment. */

#include "client/cli/cli.h"

/*
 * The name that the environment insists on: $BERTH_NAMESPACE_FORCE, or that of an alias, which is one of
 * $BERTH_NAMESPACE_ENV or configured: HONEY_NAMESPACE_FORCE. NULL: none.
 */
const char *environment_forced(const char *configured);
/* Exports the lease, under our names and those of $BERTH_NAMESPACE_ENV. 0, or an exit code. */
int environment_export(struct cli *cli, const struct berth_lease *lease);
/* The command line as a label. Caller frees; NULL: no memory. */
char *environment_command_line(char *const *argv);
