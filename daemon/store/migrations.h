/* SPDX-License-Identifier: MIT */
#pragma once

/* The tables of the ledger, as numbered steps. The number of steps taken is the file's user_version. */

#include "store/sqlite.h"

#define LEDGER_APPLICATION_ID 0x62727468 /* "brth" */

/* A file of this version or below can be brought up to date; one above is a later daemon's. */
int64_t migrations_latest(void);
/* Takes what steps are missing, each in a transaction of its own; never downwards. 0 or -EIO. */
int migrations_run(struct sqlite *sqlite) MUST_CHECK;
