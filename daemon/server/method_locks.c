/* SPDX-License-Identifier: MIT */
#include "proto/protocol.h"
#include "server/describe.h"
#include "server/methods.h"
#include "server/monitor.h"
#include "util/alloc.h"

#include <stddef.h>
#include <string.h>

static struct outcome *fail(struct call *call, const char *error, const char *database, const char *message)
{
        struct cJSON *parameters = json_object();

        json_add_string(parameters, "database", database);
        json_add_string(parameters, "message", message);
        return call_fail(call, error, parameters);
}

struct outcome *method_list_locks(struct call *call, struct services *services)
{
        struct {
                const char *database;
        } in = {.database = NULL};
        static const struct json_field fields[] = {
                {"database", JSON_STRING, 0, false, 0},
                {NULL},
        };

        if (!call_read(call, fields, &in))
                return call_fail_parameter(call, NULL);
        if (locks_ask(services->locks, call_connection(call), in.database))
                return fail(call, BERTH_ERROR_MANAGE_NO_SUCH_DATABASE, in.database, NULL);
        return call_later(call);
}

struct cJSON *describe_lock_side(const struct lock_side *side)
{
        struct cJSON *object = json_object();
        struct berth_name name;

        json_add_integer(object, "pid", side->pid);
        json_add_string(object, "applicationName", side->application_name);
        json_add_string(object, "gid", side->gid);
        if ((side->application_name && names_parse_application_name(side->application_name, &name)) ||
            (side->schema && names_parse_schema(side->schema, &name))) {
                json_add_string(object, "namespace", name.namespace);
                json_add_string(object, "worker", name.worker);
        }
        json_add_string(object, "query", side->query);
        describe_add_time(object, "transactionUSec", side->transaction_usec);
        return object;
}

struct cJSON *describe_lock_pair(const struct lock_pair *pair)
{
        struct cJSON *object = json_object();

        json_add_string(object, "database", pair->database);
        json_add(object, "blocked", describe_lock_side(&pair->blocked));
        json_add(object, "blocker", describe_lock_side(&pair->blocker));
        json_add_string(object, "waitEvent", pair->wait_event);
        describe_add_time(object, "waitUSec", pair->wait_usec);
        return object;
}

/*
 * A database that could not be asked is told last, as an error, when the others have been heard: a list with
 * a hole in it must not look like a whole one. Until then "database\0message" of the first one waits in
 * call->text.
 */
static void remember_error(struct call *call, const char *database, const char *error)
{
        if (!call->text)
                call->text = alloc_printf("%s%c%s", database, '\0', error);
}

static void finish(struct call *call)
{
        struct cJSON *last = call->item;

        if (!call->text) {
                call_list_end(call);
                return;
        }
        call->item = NULL;
        if (last)
                call_progress(call, last);
        fail(call, BERTH_ERROR_MANAGE_DATABASE_UNREACHABLE, call->text, call->text + strlen(call->text) + 1);
}

void services_lock_found(void *owner, uint64_t caller, const struct lock_pair *pair, const char *database,
                         const char *error)
{
        struct services *services = owner;
        struct call *call = call_find(services->server, caller, method_list_locks);

        if (caller == MONITOR_CALLER)
                monitor_lock_found(services->monitor, pair, database, error);
        if (!call)
                return;
        if (pair)
                call_list_add(call, describe_lock_pair(pair));
        else if (error)
                remember_error(call, database, error);
        else
                finish(call);
}
