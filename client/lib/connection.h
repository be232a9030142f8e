/* SPDX-License-Identifier: MIT */
#pragma once

/* One connection to the daemon: whole frames out, whole replies in, each within a deadline. */

#include "client/lib/berth.h"

#include "proto/varlink.h"

#include <stdbool.h>

struct berth_connection;

int64_t clock_ms(void); /* CLOCK_MONOTONIC */

/* As berth_connect(), but tries each path once and waits for nothing: for back-off. */
int connection_try(const char *path, struct berth_connection **ret_connection, struct berth_error *error);

/* Takes parameters. */
int connection_call(struct berth_connection *connection, const char *method, struct cJSON *parameters,
                    bool more, struct berth_error *error);

/*
 * 1: a reply (perhaps an error reply), the caller owes varlink_reply_done(). 0: nothing within timeout_ms (<
 * 0: for ever). -1: the connection is of no more use.
 */
int connection_receive(struct berth_connection *connection, int timeout_ms, struct varlink_reply *ret_reply,
                       struct berth_error *error);
