/* SPDX-License-Identifier: MIT */
#include "server/methods.h"

#include <stddef.h>

/* One answer must fit into what a connection may leave unread. */
#define HISTORY_MAX 1000

static struct cJSON *describe_event(const struct ledger_event *event)
{
        struct cJSON *object = json_object();

        json_add_integer(object, "timeUSec", (int64_t)event->time_usec);
        json_add_string(object, "event", event->event);
        if (event->lease)
                json_add_integer(object, "lease", event->lease);
        json_add_string(object, "namespace", event->namespace);
        json_add_string(object, "worker", event->worker);
        json_add_string(object, "database", event->database);
        json_add_string(object, "schema", event->schema);
        json_add_string(object, "detail", event->detail);
        if (event->since_usec)
                json_add_integer(object, "sinceUSec", (int64_t)event->since_usec);
        if (event->slot >= 0)
                json_add_integer(object, "slot", event->slot);
        json_add_string(object, "cluster", event->cluster);
        return object;
}

static void on_event(void *owner, uint64_t ticket, const struct ledger_event *event, int error)
{
        struct services *services = owner;
        struct call *call = call_find(services->server, ticket, method_get_history);

        if (!call)
                return;
        if (event)
                call_list_add(call, describe_event(event));
        else if (error)
                method_fail_ledger(call);
        else
                call_list_end(call);
}

struct outcome *method_get_history(struct call *call, struct services *services)
{
        struct {
                const char *namespace;
                int64_t since_usec, until_usec, limit;
        } in = {.limit = HISTORY_MAX};
#define FIELD(member) offsetof(__typeof__(in), member)
        static const struct json_field fields[] = {
                {"namespace", JSON_STRING, FIELD(namespace), false, 0},
                {"sinceUSec", JSON_INTEGER, FIELD(since_usec), false, 0},
                {"untilUSec", JSON_INTEGER, FIELD(until_usec), false, 0},
                {"limit", JSON_INTEGER, FIELD(limit), false, 0},
                {NULL},
        };
#undef FIELD

        if (!call_read(call, fields, &in))
                return call_fail_parameter(call, NULL);
        if (in.since_usec < 0)
                return call_fail_parameter(call, "sinceUSec");
        if (in.until_usec < 0)
                return call_fail_parameter(call, "untilUSec");
        if (in.limit < 1)
                return call_fail_parameter(call, "limit");
        services->ledger->ops->history(services->ledger, in.namespace, (uint64_t)in.since_usec,
                                       (uint64_t)in.until_usec,
                                       in.limit < HISTORY_MAX ? (unsigned)in.limit : HISTORY_MAX, on_event,
                                       services, call_connection(call));
        return call_later(call);
}
