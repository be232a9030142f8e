/* SPDX-License-Identifier: MIT */
#include "server/describe.h"
#include "server/methods.h"
#include "util/alloc.h"

#include <stddef.h>
#include <string.h>

/* call->text: the schema that is asked for. */
struct outcome *method_list_lock_holders(struct call *call, struct services *services)
{
        struct {
                const char *schema;
        } in = {.schema = NULL};
        static const struct json_field fields[] = {
                {"schema", JSON_STRING, 0, true, 0},
                {NULL},
        };

        if (!call_read(call, fields, &in))
                return call_fail_parameter(call, NULL);
        call->text = alloc_string(in.schema);
        holders_ask(services->holders, call_connection(call));
        return call_later(call);
}

static struct cJSON *describe_holding(const struct lock_holding *holding)
{
        struct cJSON *object = json_object();

        json_add_string(object, "database", holding->database);
        json_add(object, "holder", describe_lock_side(&holding->holder));
        json_add_string(object, "locks", holding->locks);
        return object;
}

static struct cJSON *describe_unheard(const char *database, const char *error)
{
        struct cJSON *object = json_object();

        json_add_string(object, "database", database);
        json_add_string(object, "message", error);
        return object;
}

void services_holder_found(void *owner, uint64_t caller, const struct lock_holding *holding,
                           const char *schema, const char *database, const char *error)
{
        struct services *services = owner;
        struct call *call = call_find(services->server, caller, method_list_lock_holders);

        if (!call)
                return;
        if (holding && !strcmp(schema, call->text))
                call_list_add(call, describe_holding(holding));
        else if (error)
                call_list_add(call, describe_unheard(database, error));
        else if (!holding)
                call_list_end(call);
}
