/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

/*
 * Is it a connection string that libpq can read, keyword/value or URI? Nothing is connected to. False:
 * *ret_message says why, without what it could quote of a password; the caller frees it.
 */
bool pg_check_conninfo(const char *conninfo, char **ret_message);
