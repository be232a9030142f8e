/* SPDX-License-Identifier: MIT */
#pragma once

/* What berth run and berth slot do alike with their command. */

#include "client/cli/child.h"

/* child_run(), with its failures told. 0: the command ran, see *ret_end. Else an exit code; *ret_end is
 * filled too. */
int command_run(struct cli *cli, const struct child_plan *plan, struct child_end *ret_end);

/* PID 1 has no default actions: until the command runs, INT and TERM end us as they would anybody. */
void command_die_as_init(void);
