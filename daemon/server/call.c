/* SPDX-License-Identifier: MIT */
#include "server/call.h"

#include "os/process.h"
#include "proto/protocol.h"
#include "server/server_internal.h"
#include "util/alloc.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What an outcome points to: there is nothing in it. */
static char answered, later, dropped;

static struct outcome *outcome(char *which)
{
        return (struct outcome *)which;
}

static struct connection *connection_of(const struct call *call)
{
        return (struct connection *)((char *)call - offsetof(struct connection, call));
}

uint64_t call_connection(const struct call *call)
{
        return connection_of(call)->id;
}

const struct peer *call_peer(const struct call *call)
{
        return &connection_of(call)->peer;
}

bool call_is_operator(const struct call *call)
{
        const struct connection *c = connection_of(call);
        gid_t gid = c->server->limits.operator_gid;

        if (c->peer.uid == 0 || c->peer.uid == geteuid())
                return true;
        return gid != (gid_t)-1 && peer_in_group(c->fd, gid) == 1;
}

/* ---- answers ---- */

static void send_reply(struct call *call, struct cJSON *parameters, const char *error, bool continues)
{
        size_t length;
        char *text;

        if (call->oneway) {
                (void)json_free(parameters);
                return;
        }
        text = varlink_print_reply(parameters, error, continues, &length);
        if (!text)
                alloc_failed();
        connection_send(connection_of(call), text, length);
        free(text);
}

static struct outcome *finish(struct call *call, struct cJSON *parameters, const char *error)
{
        struct connection *c = connection_of(call);

        keep_look_soon(c);
        send_reply(call, parameters, error, false);
        call->is_answered = true;
        /* The method is still running and reads its parameters: call_dispatch frees them then. */
        if (call->message.message)
                return outcome(&answered);
        call_done(call);
        if (c->n_pending > 0)
                server_schedule(c->server, c);
        keep_settle(c);
        return outcome(&answered);
}

struct outcome *call_reply(struct call *call, struct cJSON *parameters)
{
        return finish(call, parameters, NULL);
}

struct outcome *call_fail(struct call *call, const char *error, struct cJSON *parameters)
{
        return finish(call, parameters, error);
}

struct outcome *call_fail_parameter(struct call *call, const char *field)
{
        struct cJSON *parameters = json_object();

        (void)json_add_string(parameters, "parameter", field ? field : call->bad_field);
        return call_fail(call, VARLINK_ERROR_INVALID_PARAMETER, parameters);
}

void call_hold(struct call *call)
{
        keep_hold(connection_of(call));
}

void call_progress(struct call *call, struct cJSON *parameters)
{
        if (!call->more) {
                (void)json_free(parameters);
                return;
        }
        send_reply(call, parameters, NULL, true);
        /* Else when all of what came with it has been looked at. */
        if (!call->message.message)
                keep_settle(connection_of(call));
}

bool call_is_behind(const struct call *call)
{
        return connection_is_behind(connection_of(call));
}

void call_list_add(struct call *call, struct cJSON *item)
{
        struct cJSON *previous = call->item;

        call->item = item;
        if (previous)
                call_progress(call, previous);
}

struct outcome *call_list_end(struct call *call)
{
        struct cJSON *last = call->item;

        call->item = NULL;
        return call_reply(call, last);
}

struct outcome *call_later(struct call *call)
{
        (void)call;
        return outcome(&later);
}

struct outcome *call_drop(struct call *call, const char *why)
{
        connection_close(connection_of(call), why);
        return outcome(&dropped);
}

bool call_read(struct call *call, const struct json_field *fields, void *target)
{
        return json_read(call->message.parameters, fields, target, &call->bad_field);
}

/* ---- finding ---- */

struct call *call_find(struct server *server, uint64_t connection, method_fn *method)
{
        struct connection *c;

        HASH_FIND(hh, server->by_id, &connection, sizeof(connection), c);
        return c && c->call.method && c->call.method->run == method ? &c->call : NULL;
}

void call_each(struct server *server, method_fn *method, call_each_fn *each, void *owner)
{
        struct connection *c, *next;

        HASH_ITER (hh, server->by_id, c, next) {
                if (c->call.method && c->call.method->run == method)
                        each(owner, &c->call);
        }
}

/* ---- from the wire ---- */

static const struct method *find_method(const struct method *methods, const char *name)
{
        for (; methods->name; methods++)
                if (strcmp(methods->name, name) == 0)
                        return methods;
        return NULL;
}

/* The interface is what stands before the last dot; is it one of ours? */
static bool has_interface(const struct method *methods, const char *name, size_t length)
{
        for (; methods->name; methods++)
                if (strncmp(methods->name, name, length) == 0 && methods->name[length] == '.' &&
                    !strchr(methods->name + length + 1, '.'))
                        return true;
        return false;
}

static struct outcome *fail_unknown(struct call *call, const struct method *methods)
{
        const char *name = call->message.method, *dot = strrchr(name, '.');
        size_t length = dot ? (size_t)(dot - name) : strlen(name);
        struct cJSON *parameters = json_object();
        char *interface;

        if (dot && has_interface(methods, name, length)) {
                (void)json_add_string(parameters, "method", name);
                return call_fail(call, VARLINK_ERROR_METHOD_NOT_FOUND, parameters);
        }
        interface = alloc_printf("%.*s", (int)length, name);
        (void)json_add_string(parameters, "interface", interface);
        free(interface);
        return call_fail(call, VARLINK_ERROR_INTERFACE_NOT_FOUND, parameters);
}

static struct outcome *fail_full(struct call *call)
{
        struct connection *c = connection_of(call);
        struct cJSON *parameters = json_object();
        struct outcome *full;

        (void)json_add_string(parameters, "limit", c->refused);
        (void)json_add_integer(parameters, "value", c->refused_value);
        full = call_fail(call, BERTH_ERROR_LIMIT_REACHED, parameters);
        connection_leave(c);
        return full;
}

static struct outcome *run(struct call *call, struct server *server)
{
        if (connection_of(call)->refused)
                return fail_full(call);
        call->method = find_method(server->methods, call->message.method);
        if (!call->method)
                return fail_unknown(call, server->methods);
        if (call->oneway && (call->method->flags & METHOD_HOLDS))
                return call_drop(call, "oneway on a method that holds");
        if (!call->more && (call->method->flags & METHOD_NEEDS_MORE))
                return call_fail(call, VARLINK_ERROR_EXPECTED_MORE, NULL);
        return call->method->run(call, server->services);
}

bool call_dispatch(struct connection *c, const char *frame, size_t length)
{
        struct call *call = &c->call;
        char message[JSON_MESSAGE_SIZE];

        *call = (struct call){.method = NULL};
        if (!varlink_call_parse(frame, length, &call->message, message))
                return false;
        call->more = call->message.more;
        call->oneway = call->message.oneway;
        if (run(call, c->server) == outcome(&later) && !call->is_answered) {
                /* It may wait for days: what was asked has been taken over, and need not be kept. */
                varlink_call_done(&call->message);
                return true;
        }
        call_done(call);
        return true;
}

void call_done(struct call *call)
{
        if (call->message.message)
                varlink_call_done(&call->message);
        free(call->text);
        (void)json_free(call->item);
        *call = (struct call){.method = NULL};
}
