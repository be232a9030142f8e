/* SPDX-License-Identifier: MIT */
#pragma once

/* Where a picture goes: to the file of --output, whole or not at all, else to standard output. */

#include "client/cli/cli.h"

#include <stdio.h>

/* 0, or an exit code: what went wrong has been told. */
int output_write(const struct cli *cli, void (*draw)(FILE *out, void *userdata), void *userdata);
