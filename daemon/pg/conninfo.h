/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Connection strings: one host an attempt.
 *
 * libpq goes on to the next host of a list only when the one before has failed, which a black hole never
 * does, and looks the next name up inside PQconnectPoll, on our loop. So we take lists apart, also those that
 * a service file holds, and hand libpq one host at a time.
 */

#include <stdbool.h>

#include <libpq-fe.h>

/* How many hosts the string itself lists; at least 1. A service may turn out to have more. */
unsigned conninfo_n_hosts(const char *conninfo);

/* Would conninfo_start look a name up, or read a service's definition from who knows where? */
bool conninfo_may_block(const char *conninfo, unsigned attempt);

/*
 * PQconnectStart for one host of the list; *ret_n_hosts is how many there are. What libpq says is wrong with
 * it is in the result, as always. NULL: this is no connection string; libpq's words for that may quote a
 * password, so that they are not passed on. May be called on any thread.
 */
PGconn *conninfo_start(const char *conninfo, const char *application_name, unsigned attempt,
                       unsigned *ret_n_hosts);

/* Why the password that the server wanted was not there, or NULL; to be freed. libpq tells stderr only. */
char *conninfo_why_no_password(PGconn *connection);

/* Takes the passwords of a connection out of a text. */
void conninfo_redact(PGconn *connection, char *text);
