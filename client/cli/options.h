/* SPDX-License-Identifier: MIT */
#pragma once

/* Options out of tables: parsing, and the part of the help that lists them. */

#include "client/cli/cli.h"

#include <stdio.h>

extern const struct option_row common_options[]; /* of every verb; ends with a row without a name */

/*
 * Reads argv from argv[1] on into cli->options; operands and their number are left in cli. stop_at_operand:
 * what follows the first operand is not ours. False: cli_fail() has spoken.
 */
bool options_parse(struct cli *cli, const struct option_row *rows, bool stop_at_operand, int argc,
                   char **argv);
void options_print(FILE *stream, const struct option_row *rows);

/* "500ms", "30s", "5min", "2h", "3d", "1.5" (seconds). False: neither. */
bool options_read_duration(const char *text, int64_t *ret_ms);
