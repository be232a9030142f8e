/* SPDX-License-Identifier: MIT */

/*
 * Sweep. One sweep at a time: who asks while one runs waits for the next, which all who want the same share.
 *
 *      asked ──▶ waits ──▶ its sweep runs ──▶ the result
 *         └── none runs ──────▲
 *
 * call->text: the database, or NULL. call->number: 1 for a dry run. call->began_usec: asked at. call->is_granted:
 * its sweep runs.
 */

#include "core/decide.h"
#include "proto/protocol.h"
#include "server/measure.h"
#include "server/methods.h"
#include "server/monitor.h"
#include "util/alloc.h"

#include <stddef.h>
#include <string.h>

struct look {
        struct services *services;
        struct call *found;
        const struct call *like;
        const struct sweep_item *item;
        const struct sweep_result *result;
};

static bool wants_the_same(const struct call *a, const struct call *b)
{
        const char *one = a->text ? a->text : "", *other = b->text ? b->text : "";

        return a->number == b->number && !strcmp(one, other);
}

static struct outcome *fail(struct call *call, struct services *services, int error)
{
        struct cJSON *parameters = json_object();

        if (error == SWEEP_E_NO_SUCH_DATABASE) {
                json_add_string(parameters, "database", call->text);
                return call_fail(call, BERTH_ERROR_MANAGE_NO_SUCH_DATABASE, parameters);
        }
        json_add_integer(parameters, "sinceUSec", (int64_t)sweeper_running_since(services->sweeper));
        return call_fail(call, BERTH_ERROR_SWEEP_RUNNING, parameters);
}

static int start(struct services *services, const struct call *call)
{
        const struct sweep_request request = {
                .caller = call_connection(call), .dry_run = call->number, .database = call->text};

        return sweeper_start(services->sweeper, &request);
}

static struct outcome *wait_behind(struct call *call, struct services *services)
{
        struct cJSON *parameters = json_object();

        json_add_integer(parameters, "waitsForUSec", (int64_t)sweeper_running_since(services->sweeper));
        call_progress(call, parameters);
        return call_later(call);
}

struct outcome *method_sweep(struct call *call, struct services *services)
{
        struct {
                const char *database;
                bool dry_run, no_wait;
        } in = {.database = NULL};
#define FIELD(member) offsetof(__typeof__(in), member)
        static const struct json_field fields[] = {
                {"database", JSON_STRING, FIELD(database), false, 0},
                {"dryRun", JSON_BOOL, FIELD(dry_run), false, 0},
                {"noWait", JSON_BOOL, FIELD(no_wait), false, 0},
                {NULL},
        };
#undef FIELD
        int r;

        if (!call_read(call, fields, &in))
                return call_fail_parameter(call, NULL);
        /* What is swept may be anybody's. */
        if (!in.dry_run && !call_is_operator(call))
                return call_fail(call, VARLINK_ERROR_PERMISSION_DENIED, NULL);
        call->text = alloc_string(in.database);
        call->number = in.dry_run;
        call->began_usec = env_boottime(services->env);
        if (in.database && !databases_find(services->databases, in.database))
                return fail(call, services, SWEEP_E_NO_SUCH_DATABASE);
        r = start(services, call);
        if (r == SWEEP_E_RUNNING && !in.no_wait)
                return wait_behind(call, services);
        if (r)
                return fail(call, services, r);
        call->is_granted = true;
        return call_later(call);
}

/* ---- the next one ---- */

static void find_first(void *owner, struct call *call)
{
        struct look *look = owner;

        if (!call->is_granted && (!look->found || call->began_usec < look->found->began_usec))
                look->found = call;
}

static void join(void *owner, struct call *call)
{
        struct look *look = owner;

        if (!call->is_granted && wants_the_same(call, look->like))
                call->is_granted = true;
}

/* Whoever has waited longest, and all who want the same. */
static void start_next(struct services *services)
{
        for (;;) {
                struct look look = {.services = services};
                int r;

                call_each(services->server, method_sweep, find_first, &look);
                if (!look.found)
                        return;
                r = start(services, look.found);
                if (r == SWEEP_E_RUNNING)
                        return; /* berthd is stopping */
                if (r) {
                        fail(look.found, services, r); /* a reload took the database away */
                        continue;
                }
                look.like = look.found;
                call_each(services->server, method_sweep, join, &look);
                return;
        }
}

/* ---- what the service tells ---- */

static void tell_verdict(void *owner, struct call *call)
{
        const struct look *look = owner;
        const struct sweep_item *item = look->item;
        struct cJSON *parameters;

        if (!call->more || !call->is_granted)
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

static void on_verdict(void *owner, uint64_t caller, const struct sweep_item *item)
{
        struct services *services = owner;
        struct look look = {.item = item};

        (void)caller;
        call_each(services->server, method_sweep, tell_verdict, &look);
        monitor_touch(services->monitor);
}

static void tell_result(void *owner, struct call *call)
{
        const struct look *look = owner;
        struct cJSON *parameters;

        if (!call->is_granted)
                return;
        parameters = json_object();
        json_add(parameters, "result", sweep_result_json(look->result));
        call_reply(call, parameters);
}

static void on_finished(void *owner, uint64_t caller, const struct sweep_result *result)
{
        struct services *services = owner;
        struct look look = {.result = result};

        (void)caller;
        measure_sweep(services, result);
        monitor_touch(services->monitor);
        call_each(services->server, method_sweep, tell_result, &look);
        start_next(services);
}

const struct sweep_events services_sweep_events = {
        .verdict = on_verdict,
        .finished = on_finished,
};
