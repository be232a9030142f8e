/* SPDX-License-Identifier: MIT */
#pragma once

#include "client/cli/cli.h"

struct cJSON;

/* What GetStatus knows of writes into public: a line each, and what to do. Nothing where there are none. */
void public_writes_print(const struct cli *cli, const struct cJSON *status);
