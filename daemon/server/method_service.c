/* SPDX-License-Identifier: MIT */
#include "proto/idl.h"
#include "proto/protocol.h"
#include "server/methods.h"

struct outcome *method_get_info(struct call *call, struct services *services)
{
        static const struct json_field fields[] = {{NULL}};
        struct cJSON *parameters, *interfaces;
        char nothing;

        (void)services;
        if (!call_read(call, fields, &nothing))
                return call_fail_parameter(call, NULL);
        parameters = json_object();
        interfaces = json_array();
        json_add_string(parameters, "vendor", "berth");
        json_add_string(parameters, "product", "berthd");
        json_add_string(parameters, "version", BERTH_VERSION);
        json_add_string(parameters, "url", "man:berthd(8)");
        for (const char *const *interface = idl_interfaces; *interface; interface++)
                json_append_string(interfaces, *interface);
        json_add(parameters, "interfaces", interfaces);
        return call_reply(call, parameters);
}

struct outcome *method_get_interface_description(struct call *call, struct services *services)
{
        struct {
                const char *interface;
        } in = {.interface = NULL};
        static const struct json_field fields[] = {
                {"interface", JSON_STRING, 0, true, 0},
                {NULL},
        };
        struct cJSON *parameters;
        const char *text;

        (void)services;
        if (!call_read(call, fields, &in))
                return call_fail_parameter(call, NULL);
        text = idl_text(in.interface);
        parameters = json_object();
        if (!text) {
                json_add_string(parameters, "interface", in.interface);
                return call_fail(call, VARLINK_ERROR_INTERFACE_NOT_FOUND, parameters);
        }
        json_add_string(parameters, "description", text);
        return call_reply(call, parameters);
}
