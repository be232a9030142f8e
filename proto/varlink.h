/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Varlink messages (varlink.org): NUL-terminated JSON objects. A call is {method, parameters?, oneway?,
 * more?, upgrade?}, a reply {parameters?, continues?, error?}. A malformed message closes the connection;
 * there is no parse-error reply. Pure: the server and the library each bring their own buffers and sockets.
 */

#include "json.h"

#include <stdbool.h>
#include <stddef.h>

#define VARLINK_FRAME_MAX 65536 /* bytes of an inbound frame, without its NUL */

struct varlink_call {
        struct cJSON *message;          /* owns all below */
        const char *method;             /* "io.berth.lease.Acquire" */
        const struct cJSON *parameters; /* an object, or NULL */
        bool more, oneway;
};

/* False: malformed (message says how); close the connection. On true the caller owes varlink_call_done(). */
bool varlink_call_parse(const char *frame, size_t length, struct varlink_call *ret,
                        char message[JSON_MESSAGE_SIZE]);
void varlink_call_done(struct varlink_call *call);

struct varlink_reply {
        struct cJSON *message;
        const struct cJSON *parameters; /* an object, or NULL */
        const char *error;              /* full name, or NULL */
        bool continues;
};

bool varlink_reply_parse(const char *frame, size_t length, struct varlink_reply *ret,
                         char message[JSON_MESSAGE_SIZE]);
void varlink_reply_done(struct varlink_reply *reply);

/*
 * Text of a message, NUL included in *ret_length; the caller frees it. parameters are taken (may be NULL).
 * NULL: no memory.
 */
char *varlink_print_call(const char *method, struct cJSON *parameters, bool more, bool oneway,
                         size_t *ret_length);
char *varlink_print_reply(struct cJSON *parameters, const char *error, bool continues, size_t *ret_length);

/* Length of the first whole frame in a buffer (without its NUL), or -1 if there is none yet. */
long varlink_frame_length(const char *buffer, size_t length);
