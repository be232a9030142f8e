/* SPDX-License-Identifier: MIT */
#include "core/decide.h"
#include "proto/protocol.h"
#include "server/methods.h"

#include <stddef.h>

static struct outcome *fail(struct call *call, struct services *services, int error, const char *database)
{
        struct cJSON *parameters = json_object();

        if (error == SWEEP_E_NO_SUCH_DATABASE) {
                json_add_string(parameters, "database", database);
                return call_fail(call, BERTH_ERROR_MANAGE_NO_SUCH_DATABASE, parameters);
        }
        json_add_integer(parameters, "sinceUSec", (int64_t)sweeper_running_since(services->sweeper));
        return call_fail(call, BERTH_ERROR_SWEEP_RUNNING, parameters);
}

struct outcome *method_sweep(struct call *call, struct services *services)
{
        struct {
                const char *database;
                bool dry_run;
        } in = {.database = NULL};
#define FIELD(member) offsetof(__typeof__(in), member)
        static const struct json_field fields[] = {
                {"database", JSON_STRING, FIELD(database), false, 0},
                {"dryRun", JSON_BOOL, FIELD(dry_run), false, 0},
                {NULL},
        };
#undef FIELD
        struct sweep_request request = {.caller = call_connection(call)};
        int r;

        if (!call_read(call, fields, &in))
                return call_fail_parameter(call, NULL);
        /* What is swept may be anybody's. */
        if (!in.dry_run && !call_is_operator(call))
                return call_fail(call, VARLINK_ERROR_PERMISSION_DENIED, NULL);
        request.dry_run = in.dry_run;
        request.database = in.database;
        r = sweeper_start(services->sweeper, &request);
        return r ? fail(call, services, r, in.database) : call_later(call);
}

/* ---- what the service tells ---- */

static void on_verdict(void *owner, uint64_t caller, const struct sweep_item *item)
{
        struct services *services = owner;
        struct call *call = call_find(services->server, caller, method_sweep);
        struct cJSON *parameters;

        if (!call || !call->more)
                return;
        parameters = json_object();
        json_add_string(parameters, "database", item->database);
        json_add_string(parameters, "schema", item->schema);
        json_add_string(parameters, "verdict", sweep_verdict_name(item->verdict));
        if (item->verdict == SWEEP_KEPT)
                json_add_string(parameters, "reason", drop_reason_name(item->reason));
        json_add_string(parameters, "detail", item->detail);
        json_add_string(parameters, "sqlState", item->sqlstate[0] ? item->sqlstate : NULL);
        call_progress(call, parameters);
}

static void on_finished(void *owner, uint64_t caller, const struct sweep_result *result)
{
        struct services *services = owner;
        struct call *call = call_find(services->server, caller, method_sweep);
        struct cJSON *parameters;

        if (!call)
                return;
        parameters = json_object();
        json_add(parameters, "result", sweep_result_json(result));
        call_reply(call, parameters);
}

const struct sweep_events services_sweep_events = {
        .verdict = on_verdict,
        .finished = on_finished,
};
