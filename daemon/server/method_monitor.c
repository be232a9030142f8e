/* SPDX-License-Identifier: MIT */
#include "proto/protocol.h"
#include "server/methods.h"
#include "server/monitor.h"

struct outcome *method_monitor(struct call *call, struct services *services)
{
        static const struct json_field fields[] = {{NULL}};
        struct cJSON *parameters;
        char nothing;

        if (!call_read(call, fields, &nothing))
                return call_fail_parameter(call, NULL);
        if (monitor_watch(services->monitor, call_connection(call)))
                return call_later(call);
        parameters = json_object();
        json_add_string(parameters, "limit", "watchers");
        json_add_integer(parameters, "value", MONITOR_WATCHERS_MAX);
        return call_fail(call, BERTH_ERROR_LIMIT_REACHED, parameters);
}
