/* SPDX-License-Identifier: MIT */
#pragma once

/* How errors of the library are made: by the errno of a connect, and from an error reply of the daemon. */

#include "client/lib/berth.h"

#include <stdbool.h>

struct cJSON;
struct varlink_reply;

/* sysexits, as the contract of the command line has them */
enum {
        EXIT_CODE_FAILED = 1,
        EXIT_CODE_USAGE = 64,
        EXIT_CODE_NO_DAEMON = 69,
        EXIT_CODE_NOT_IN_TIME = 75,
        EXIT_CODE_NOT_PERMITTED = 77,
        EXIT_CODE_BERTH_FAILED = 125,
};

/* All return -1, so that a function can end with return error_set(...). error may be NULL. */
int error_no_memory(struct berth_error *error);
int error_bad_argument(struct berth_error *error, const char *message);
int error_from_connect(struct berth_error *error, const char *path, bool in_socket_call, int number);
int error_path_too_long(struct berth_error *error, const char *path);
int error_lost(struct berth_error *error, const char *path, int number); /* number 0: the other side closed */
int error_bad_answer(struct berth_error *error, const char *path, const char *why);
int error_unanswered(struct berth_error *error, const char *path, int64_t waited_ms);
int error_bad_name(struct berth_error *error, const char *message, const char *fix);
int error_ended(struct berth_error *error, bool revoked, const char *reason);
int error_from_reply(struct berth_error *error, const struct varlink_reply *reply);
