/* SPDX-License-Identifier: MIT */
#include "server/measure.h"
#include "server/methods.h"
#include "util/cleanup.h"

struct outcome *method_get_metrics(struct call *call, struct services *services)
{
        static const struct json_field fields[] = {{NULL}};
        _cleanup_free_ char *text = NULL;
        struct cJSON *parameters;
        char nothing;

        if (!call_read(call, fields, &nothing))
                return call_fail_parameter(call, NULL);
        text = measure_print(services);
        parameters = json_object();
        json_add_string(parameters, "text", text);
        return call_reply(call, parameters);
}
