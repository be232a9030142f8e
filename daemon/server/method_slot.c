/* SPDX-License-Identifier: MIT */
#include "proto/protocol.h"
#include "server/describe.h"
#include "server/methods.h"
#include "server/monitor.h"
#include "server/server.h"

#include <stddef.h>
#include <string.h>

/* ---- what went wrong ---- */

static struct outcome *fail_text(struct call *call, const char *error, const char *name, const char *text)
{
        struct cJSON *parameters = json_object();

        json_add_string(parameters, name, text ? text : "");
        return call_fail(call, error, parameters);
}

static struct outcome *fail_busy(struct call *call, struct services *services, unsigned cluster)
{
        uint64_t now = env_boottime(services->env);
        struct cJSON *parameters = json_object();

        json_add_integer(parameters, "waitedUSec", (int64_t)(now - call->began_usec));
        if (call->position > 0)
                json_add_integer(parameters, "position", call->position);
        json_add(parameters, "holders", describe_slot_holders(services, cluster));
        return call_fail(call, BERTH_ERROR_BUSY, parameters);
}

static struct outcome *fail_unreachable(struct call *call, const char *database, const char *message)
{
        struct cJSON *parameters = json_object();

        json_add_string(parameters, "database", database);
        json_add_string(parameters, "message", message ? message : "its server does not answer");
        return call_fail(call, BERTH_ERROR_DATABASE_UNREACHABLE, parameters);
}

static struct outcome *fail_not_held(struct call *call, int64_t grant)
{
        struct cJSON *parameters = json_object();

        if (grant > 0)
                json_add_integer(parameters, "grant", grant);
        return call_fail(call, BERTH_ERROR_NOT_HELD, parameters);
}

/* What the call was about, also where no use came into being. */
struct asked {
        const char *namespace, *database;
        unsigned cluster;
        int64_t reclaim;
};

static struct outcome *fail(struct call *call, struct services *services, int error,
                            const struct asked *asked, const char *message)
{
        switch (error) {
        case SLOTS_E_BUSY:
                return fail_busy(call, services, asked->cluster);
        case SLOTS_E_NOT_HELD:
                return fail_not_held(call, asked->reclaim);
        case SLOTS_E_NO_SUCH_DATABASE:
                return fail_text(call, BERTH_ERROR_NO_SUCH_DATABASE, "database", asked->database);
        case SLOTS_E_UNREACHABLE:
                return fail_unreachable(call, asked->database, message);
        default:
                return fail_text(call, BERTH_ERROR_NO_SUCH_LEASE, "namespace", asked->namespace);
        }
}

/* ---- AcquireSlot ---- */

static struct outcome *grant(struct call *call, const struct slot_use *use)
{
        struct cJSON *parameters = json_object();

        call_hold(call);
        json_add_string(parameters, "state", "granted");
        json_add_integer(parameters, "slot", use->slot);
        json_add_integer(parameters, "grant", use->grant);
        json_add_integer(parameters, "waitedUSec", (int64_t)(use->granted_usec - use->asked_usec));
        if (!call->more)
                return call_reply(call, parameters);
        call->is_granted = true;
        call->number = use->grant;
        call_progress(call, parameters);
        return call_later(call);
}

struct slot_parameters {
        const char *namespace, *secret, *worker, *database, *system_identifier, *request;
        bool no_wait;
        int64_t timeout_usec, reclaim;
};

#define FIELD(member) offsetof(struct slot_parameters, member)
static const struct json_field slot_fields[] = {
        {"namespace", JSON_STRING, FIELD(namespace), false, 0},
        {"secret", JSON_STRING, FIELD(secret), false, 0},
        {"worker", JSON_STRING, FIELD(worker), false, 0},
        {"database", JSON_STRING, FIELD(database), false, 0},
        {"systemIdentifier", JSON_STRING, FIELD(system_identifier), false, 0},
        {"noWait", JSON_BOOL, FIELD(no_wait), false, 0},
        {"timeoutUSec", JSON_INTEGER, FIELD(timeout_usec), false, 0},
        {"reclaim", JSON_INTEGER, FIELD(reclaim), false, 0},
        {"request", JSON_STRING, FIELD(request), false, 0},
        {NULL},
};
#undef FIELD

/* As PostgreSQL writes it: a number of 64 bits. */
static bool is_system_identifier(const char *text)
{
        size_t length = strlen(text);

        return length > 0 && length <= 20 && strspn(text, "0123456789") == length;
}

/* NULL: all well formed. */
static struct outcome *check(struct call *call, const struct slot_parameters *in)
{
        const char *missing = method_missing_half(in->namespace, in->secret);
        char message[NAMES_MESSAGE_SIZE];
        struct cJSON *parameters;

        if (missing)
                return call_fail_parameter(call, missing);
        if (in->timeout_usec < 0)
                return call_fail_parameter(call, "timeoutUSec");
        if (in->reclaim < 0)
                return call_fail_parameter(call, "reclaim");
        if (in->request && (!in->request[0] || strlen(in->request) > BERTH_REQUEST_MAX))
                return call_fail_parameter(call, "request");
        if (in->system_identifier && !is_system_identifier(in->system_identifier))
                return call_fail_parameter(call, "systemIdentifier");
        if (!in->worker || names_check_worker(in->worker, message))
                return NULL;
        parameters = json_object();
        json_add_string(parameters, "parameter", "worker");
        json_add_string(parameters, "message", message);
        return call_fail(call, BERTH_ERROR_BAD_NAME, parameters);
}

static struct outcome *ask(struct call *call, struct services *services, const struct slot_parameters *in,
                           const struct lease *lease)
{
        const struct slot_request request = {
                .connection = call_connection(call),
                .peer = *call_peer(call),
                .lease = lease->id,
                .namespace = lease->namespace,
                .worker = in->worker,
                .label = lease->label,
                .database = in->database,
                .system_identifier = in->system_identifier,
                .no_wait = in->no_wait,
                .timeout_usec = (uint64_t)in->timeout_usec,
                .reclaim = in->reclaim,
                .request = in->request,
        };
        struct asked asked = {.namespace = lease->namespace, .reclaim = in->reclaim};
        const struct slot_use *use;
        int r;

        call->began_usec = env_boottime(services->env);
        r = slots_acquire(services->slots, &request, &use);
        if (r > 0)
                return grant(call, use);
        if (r == 0)
                return call_later(call);
        asked.database = in->database ? in->database : in->system_identifier;
        asked.cluster = databases_known_cluster(services->databases, in->database, in->system_identifier);
        return fail(call, services, -r, &asked, NULL);
}

struct outcome *method_acquire_slot(struct call *call, struct services *services)
{
        struct slot_parameters in = {.namespace = NULL};
        const struct lease *lease;
        struct outcome *bad;

        if (!call_read(call, slot_fields, &in))
                return call_fail_parameter(call, NULL);
        bad = check(call, &in);
        if (bad)
                return bad;
        lease = leases_resolve(services->leases, call_connection(call), in.namespace, in.secret);
        if (!lease)
                return fail_text(call, BERTH_ERROR_NO_SUCH_LEASE, "namespace", in.namespace);
        return ask(call, services, &in, lease);
}

/* ---- ReleaseSlot ---- */

struct outcome *method_release_slot(struct call *call, struct services *services)
{
        struct {
                const char *namespace, *secret;
                int64_t grant;
        } in = {.namespace = NULL};
#define FIELD(member) offsetof(__typeof__(in), member)
        static const struct json_field fields[] = {
                {"namespace", JSON_STRING, FIELD(namespace), false, 0},
                {"secret", JSON_STRING, FIELD(secret), false, 0},
                {"grant", JSON_INTEGER, FIELD(grant), false, 0},
                {NULL},
        };
#undef FIELD
        const struct lease *lease;
        struct cJSON *parameters;
        uint64_t held_usec = 0;
        const char *missing;

        if (!call_read(call, fields, &in))
                return call_fail_parameter(call, NULL);
        missing = method_missing_half(in.namespace, in.secret);
        if (missing)
                return call_fail_parameter(call, missing);
        lease = leases_resolve(services->leases, call_connection(call), in.namespace, in.secret);
        if (in.namespace && !lease)
                return fail_text(call, BERTH_ERROR_NO_SUCH_LEASE, "namespace", in.namespace);
        if (slots_release(services->slots, call_connection(call), lease ? lease->id : 0, in.grant,
                          &held_usec))
                return fail_not_held(call, in.grant);
        parameters = json_object();
        json_add_integer(parameters, "heldUSec", (int64_t)held_usec);
        return call_reply(call, parameters);
}

/* ---- what the service tells ---- */

static void on_queued(void *owner, uint64_t connection, const struct slot_use *use, unsigned position)
{
        struct services *services = owner;
        struct call *call = call_find(services->server, connection, method_acquire_slot);
        struct cJSON *parameters;

        if (!call)
                return;
        call->position = position;
        if (!call->more)
                return;
        parameters = json_object();
        json_add_string(parameters, "state", "queued");
        json_add_integer(parameters, "position", position);
        json_add(parameters, "holders", describe_slot_holders(services, use->cluster));
        call_progress(call, parameters);
}

static void on_granted(void *owner, uint64_t connection, const struct slot_use *use)
{
        struct services *services = owner;
        struct call *call = call_find(services->server, connection, method_acquire_slot);

        /* Else it was taken back for a connection that has gone on from before a restart: nobody asks. */
        if (call && !call->is_granted)
                grant(call, use);
}

static void on_failed(void *owner, uint64_t connection, const struct slot_use *use, int error,
                      const char *message)
{
        struct services *services = owner;
        struct call *call = call_find(services->server, connection, method_acquire_slot);
        const struct asked asked = {
                .namespace = use->namespace,
                .database = use->database,
                .cluster = use->cluster,
        };

        if (call && !call->is_granted && error != SLOTS_E_NOT_ADOPTED)
                fail(call, services, error, &asked, message);
        else if (error == SLOTS_E_NOT_ADOPTED)
                server_drop(services->server, connection, "its slot could not be taken back");
}

static void on_let_go(void *owner, uint64_t connection, const struct slot_use *use, bool revoked,
                      const char *reason)
{
        struct services *services = owner;
        struct call *call = call_find(services->server, connection, method_acquire_slot);
        struct cJSON *parameters;

        /* A connection may hold several slots; only one of them is this call's. */
        if (!call || !call->is_granted || call->number != use->grant)
                return;
        parameters = json_object();
        json_add_string(parameters, "state", revoked ? "revoked" : "released");
        json_add_string(parameters, "reason", reason);
        call_reply(call, parameters);
}

static void on_changed(void *owner, unsigned cluster)
{
        struct services *services = owner;

        lock_budget_changed(services->lock_budget, cluster);
        monitor_touch(services->monitor);
}

const struct slot_events services_slot_events = {
        .queued = on_queued,
        .granted = on_granted,
        .failed = on_failed,
        .let_go = on_let_go,
        .changed = on_changed,
};
