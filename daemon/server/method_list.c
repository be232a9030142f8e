/* SPDX-License-Identifier: MIT */
#include "proto/protocol.h"
#include "server/describe.h"
#include "server/methods.h"
#include "server/monitor.h"
#include "util/alloc.h"

#include <stddef.h>
#include <string.h>

/* call->text: the namespace that is asked for, or NULL. call->is_granted: the list is out, changes follow. */

static bool is_asked_for(const struct call *call, const struct lease *lease)
{
        return !call->text || strcmp(call->text, lease->namespace) == 0;
}

static struct cJSON *describe(struct services *services, const char *action, const struct lease *lease)
{
        struct cJSON *parameters = json_object();

        json_add_string(parameters, "action", action);
        json_add(parameters, "context", describe_lease_context(services, lease));
        json_add(parameters, "runtime", describe_lease_runtime(services, lease));
        return parameters;
}

/* ---- the list ---- */

struct list {
        struct call *call;
        struct services *services;
        bool subscribe;
};

static void add_lease(void *owner, const struct lease *lease)
{
        struct list *list = owner;

        if (!is_asked_for(list->call, lease))
                return;
        if (list->subscribe)
                call_progress(list->call, describe(list->services, "add", lease));
        else
                call_list_add(list->call, describe(list->services, NULL, lease));
}

static void add_past(void *owner, const struct lease_past *past)
{
        struct list *list = owner;
        struct cJSON *parameters;

        if (list->call->text && strcmp(list->call->text, past->namespace) != 0)
                return;
        parameters = describe_lease_past(past);
        if (list->subscribe) {
                json_add_string(parameters, "action", "add");
                call_progress(list->call, parameters);
                return;
        }
        call_list_add(list->call, parameters);
}

struct outcome *method_list_leases(struct call *call, struct services *services)
{
        struct {
                const char *namespace;
                bool all, subscribe;
        } in = {.namespace = NULL};
#define FIELD(member) offsetof(__typeof__(in), member)
        static const struct json_field fields[] = {
                {"namespace", JSON_STRING, FIELD(namespace), false, 0},
                {"all", JSON_BOOL, FIELD(all), false, 0},
                {"subscribe", JSON_BOOL, FIELD(subscribe), false, 0},
                {NULL},
        };
#undef FIELD
        struct list list = {.call = call, .services = services};
        struct cJSON *ready;

        if (!call_read(call, fields, &in))
                return call_fail_parameter(call, NULL);
        call->text = alloc_string(in.namespace);
        list.subscribe = in.subscribe;
        leases_each(services->leases, add_lease, &list);
        if (in.all)
                leases_each_ended(services->leases, add_past, &list);
        if (!in.subscribe)
                return call_list_end(call);
        ready = json_object();
        json_add_string(ready, "action", "ready");
        call_progress(call, ready);
        call->is_granted = true;
        return call_later(call);
}

/* ---- changes ---- */

struct change {
        struct services *services;
        const char *action;
        const struct lease *lease;
};

static void tell(void *owner, struct call *call)
{
        const struct change *change = owner;

        if (call->is_granted && is_asked_for(call, change->lease))
                call_progress(call, describe(change->services, change->action, change->lease));
}

void method_list_leases_tell(struct services *services, const char *action, const struct lease *lease)
{
        struct change change = {.services = services, .action = action, .lease = lease};

        call_each(services->server, method_list_leases, tell, &change);
        monitor_touch(services->monitor);
}
