/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The one line, or the one object, of a failure: "what; why; do this". Each function gives the exit code, so
 * that a verb ends with return cli_fail(...).
 */

#include "client/cli/cli.h"

int cli_fail(const struct cli *cli, const struct berth_error *error);
/* format: "what; why". fix NULL: the help of the verb. */
__attribute__((format(printf, 3, 4))) int cli_fail_usage(const struct cli *cli, const char *fix,
                                                         const char *format, ...);
__attribute__((format(printf, 5, 6))) int cli_fail_as(const struct cli *cli, const char *code, int exit_code,
                                                      const char *fix, const char *format, ...);
/* A line that is no failure of the verb, on stderr. */
__attribute__((format(printf, 1, 2))) void cli_warn(const char *format, ...);
