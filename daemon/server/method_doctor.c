/* SPDX-License-Identifier: MIT */
#include "server/describe.h"
#include "server/methods.h"

struct outcome *method_diagnose(struct call *call, struct services *services)
{
        static const struct json_field fields[] = {{NULL}};
        char nothing;

        if (!call_read(call, fields, &nothing))
                return call_fail_parameter(call, NULL);
        doctor_ask(services->doctor, call_connection(call));
        return call_later(call);
}

void services_diagnosed(void *owner, uint64_t caller, const struct finding *finding)
{
        struct services *services = owner;
        struct call *call = call_find(services->server, caller, method_diagnose);

        if (call && finding)
                call_list_add(call, describe_finding(finding));
        else if (call)
                call_list_end(call);
}

struct outcome *method_get_configuration(struct call *call, struct services *services)
{
        static const struct json_field fields[] = {{NULL}};
        char nothing;

        if (!call_read(call, fields, &nothing))
                return call_fail_parameter(call, NULL);
        return call_reply(call, json_copy(services->configuration));
}
