/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

/*
 * Is it a connection string that libpq can read, keyword/value or URI? Nothing is connected to. False:
 * *ret_message says why, without what it could quote of a password; the caller frees it.
 */
bool pg_check_conninfo(const char *conninfo, char **ret_message);

/* Does it hold a password? Of one that libpq cannot read nothing is known: false. */
bool pg_has_password(const char *conninfo);
/* What may be shown of it: keyword=value for each that is set, passwords as "***". Caller frees. */
char *pg_show_conninfo(const char *conninfo);
