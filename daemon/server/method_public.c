/* SPDX-License-Identifier: MIT */
#include "server/describe.h"
#include "server/methods.h"

static struct outcome *reply(struct call *call, const struct services *services)
{
        struct cJSON *object = json_object();

        json_add(object, "publicWrites", describe_public_writes(services));
        return call_reply(call, object);
}

static void looked(void *owner, uint64_t caller)
{
        struct services *services = owner;
        struct call *call = call_find(services->server, caller, method_check_public);

        if (call)
                reply(call, services);
}

struct outcome *method_check_public(struct call *call, struct services *services)
{
        static const struct json_field fields[] = {{NULL}};
        char nothing;

        if (!call_read(call, fields, &nothing))
                return call_fail_parameter(call, NULL);
        if (!public_watch_ask(services->public_watch, call_connection(call), looked, services))
                return reply(call, services);
        return call_later(call);
}
