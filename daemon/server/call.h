/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One request, and how it ends.
 *
 * A method ends in exactly one outcome, and only the functions below make one: a reply, an error, or "later".
 * A call that is answered later belongs to its connection; an event finds it again by the connection's number
 * and answers with the same functions. While a call is in work the connection takes no other.
 */

#include "proto/json.h"
#include "proto/varlink.h"
#include "server/method.h"

#include <stdbool.h>
#include <stdint.h>

struct connection;
struct peer;
struct server;

struct outcome; /* never defined: only call_* make one */

struct call {
        const struct method *method; /* NULL: none in work */
        bool more, oneway;
        bool is_answered;
        bool is_granted;     /* a hold: 'granted' has left, the call lasts as long as the hold */
        unsigned position;   /* in a queue, as last told */
        int64_t number;      /* the method's: a grant */
        uint64_t began_usec; /* the method's: boottime */
        char *text;          /* the method's, freed with the call; or NULL */
        struct cJSON *item;  /* of a list: not sent yet, since it may be the last */

        struct varlink_call message; /* only while the method runs */
        const char *bad_field;
};

/* A whole frame. False: it is malformed, close the connection. */
bool call_dispatch(struct connection *connection, const char *frame, size_t length);
/* Frees what the call owns; no call is in work any more. */
void call_done(struct call *call);

/* Who asks. */
uint64_t call_connection(const struct call *call);
const struct peer *call_peer(const struct call *call);
/* Root, the daemon's own user, or a member of the operators' group. */
bool call_is_operator(const struct call *call);

/* The call in work of a connection, if it is of that method; else NULL. */
struct call *call_find(struct server *server, uint64_t connection, method_fn *method);
/* Each call in work of that method. */
typedef void call_each_fn(void *owner, struct call *call);
void call_each(struct server *server, method_fn *method, call_each_fn *each, void *owner);

/* The parameters into a struct that is all zero. False: return call_fail_parameter(call, NULL). */
bool call_read(struct call *call, const struct json_field *fields, void *target);

/* The last word; parameters are taken. */
struct outcome *call_reply(struct call *call, struct cJSON *parameters);
struct outcome *call_fail(struct call *call, const char *error, struct cJSON *parameters);
/* InvalidParameter; field NULL: the one that call_read found. */
struct outcome *call_fail_parameter(struct call *call, const char *field);
/* What was asked for is held from now on: to be said before the reply that tells it. */
void call_hold(struct call *call);
/* One of several replies; the call goes on. Only with 'more': without, it is dropped. */
void call_progress(struct call *call, struct cJSON *parameters);
/*
 * A list, one item a reply. Varlink marks all replies but the last, so each item waits for the next one. An
 * empty list is one empty reply.
 */
void call_list_add(struct call *call, struct cJSON *item);
struct outcome *call_list_end(struct call *call);
/* It has not taken all of what it was sent. */
bool call_is_behind(const struct call *call);

/* The method has seen to it that an event will answer. */
struct outcome *call_later(struct call *call);
/* No reply, the connection is closed: what was asked for cannot be held like this. */
struct outcome *call_drop(struct call *call, const char *why);
