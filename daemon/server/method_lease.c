/* SPDX-License-Identifier: MIT */
#include "proto/protocol.h"
#include "server/describe.h"
#include "server/methods.h"
#include "util/alloc.h"
#include "util/cleanup.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* ---- what went wrong ---- */

static struct outcome *fail_name(struct call *call, const char *parameter, const char *message)
{
        struct cJSON *parameters = json_object();

        json_add_string(parameters, "parameter", parameter);
        json_add_string(parameters, "message", message);
        return call_fail(call, BERTH_ERROR_BAD_NAME, parameters);
}

static struct outcome *fail_lease(struct call *call, const char *error, const char *namespace,
                                  struct cJSON *lease_holder)
{
        struct cJSON *parameters = json_object();

        json_add_string(parameters, "namespace", namespace ? namespace : "");
        if (lease_holder)
                json_add(parameters, "holder", lease_holder);
        return call_fail(call, error, parameters);
}

static struct outcome *fail_ledger(struct call *call, const char *error, const char *outcome)
{
        _cleanup_free_ char *message = alloc_printf(
                "the ledger cannot be written; %s; see the daemon's log, and try again", outcome);
        struct cJSON *parameters = json_object();

        json_add_string(parameters, "message", message);
        return call_fail(call, error, parameters);
}

static struct outcome *fail_busy(struct call *call, struct services *services)
{
        uint64_t now = env_boottime(services->env);
        struct cJSON *parameters = json_object();

        json_add_integer(parameters, "waitedUSec", (int64_t)(now - call->began_usec));
        if (call->position > 0)
                json_add_integer(parameters, "position", call->position);
        json_add(parameters, "holders", describe_lease_holders(services));
        return call_fail(call, BERTH_ERROR_BUSY, parameters);
}

/* error: LEASES_E_*. namespace: as it was asked for, or NULL. */
static struct outcome *fail(struct call *call, struct services *services, int error, const char *namespace,
                            const char *message)
{
        const struct lease *lease;

        switch (error) {
        case LEASES_E_BAD_NAME:
                return fail_name(call, "namespace", message);
        case LEASES_E_IN_USE:
                lease = namespace ? leases_find(services->leases, namespace) : NULL;
                return fail_lease(call, BERTH_ERROR_NAMESPACE_IN_USE, namespace,
                                  lease ? describe_lease_holder(services, lease) : NULL);
        case LEASES_E_ALREADY_ATTACHED:
                lease = namespace ? leases_find(services->leases, namespace) : NULL;
                return fail_lease(call, BERTH_ERROR_ALREADY_ATTACHED, namespace,
                                  lease ? describe_lease_controller(services, lease) : NULL);
        case LEASES_E_ALREADY_CARRIES:
                lease = leases_resolve(services->leases, call_connection(call), NULL, NULL);
                return fail_lease(call, BERTH_ERROR_ALREADY_ATTACHED, lease ? lease->namespace : NULL, NULL);
        case LEASES_E_BUSY:
                return fail_busy(call, services);
        case LEASES_E_NO_SUCH_LEASE:
                return fail_lease(call, BERTH_ERROR_NO_SUCH_LEASE, namespace, NULL);
        case LEASES_E_NOT_PERMITTED:
                return call_fail(call, VARLINK_ERROR_PERMISSION_DENIED, NULL);
        default:
                return fail_ledger(call, BERTH_ERROR_LEDGER_UNAVAILABLE, "nothing was granted");
        }
}

/* ---- Acquire, Attach ---- */

static bool parse_role(const char *text, enum role *ret)
{
        static const struct {
                const char *name;
                enum role role;
        } roles[] = {
                {"controller", ROLE_CONTROLLER},
                {"worker", ROLE_WORKER},
                {"child", ROLE_CHILD},
        };

        *ret = ROLE_RUNNER;
        if (!text)
                return true;
        for (size_t i = 0; i < sizeof(roles) / sizeof(*roles); i++) {
                if (strcmp(text, roles[i].name) == 0) {
                        *ret = roles[i].role;
                        return true;
                }
        }
        return false;
}

struct outcome *method_acquire(struct call *call, struct services *services)
{
        struct {
                const char *namespace, *label, *role, *request;
                bool no_wait;
                int64_t timeout_usec;
        } in = {.namespace = NULL};
#define FIELD(member) offsetof(__typeof__(in), member)
        static const struct json_field fields[] = {
                {"namespace", JSON_STRING, FIELD(namespace), false, 0},
                {"label", JSON_STRING, FIELD(label), false, 0},
                {"role", JSON_STRING, FIELD(role), false, 0},
                {"noWait", JSON_BOOL, FIELD(no_wait), false, 0},
                {"timeoutUSec", JSON_INTEGER, FIELD(timeout_usec), false, 0},
                {"request", JSON_STRING, FIELD(request), false, 0},
                {NULL},
        };
#undef FIELD
        struct lease_request request = {.connection = call_connection(call), .peer = *call_peer(call)};
        char message[NAMES_MESSAGE_SIZE] = "";
        int r;

        if (!call_read(call, fields, &in))
                return call_fail_parameter(call, NULL);
        if (!parse_role(in.role, &request.role) || request.role > ROLE_CONTROLLER)
                return call_fail_parameter(call, "role");
        if (in.timeout_usec < 0)
                return call_fail_parameter(call, "timeoutUSec");
        if (in.label && strlen(in.label) > BERTH_LABEL_MAX)
                return call_fail_parameter(call, "label");
        if (in.request && (!in.request[0] || strlen(in.request) > BERTH_REQUEST_MAX))
                return call_fail_parameter(call, "request");
        request.namespace = in.namespace;
        request.label = in.label;
        request.request = in.request;
        request.no_wait = in.no_wait;
        request.timeout_usec = (uint64_t)in.timeout_usec;
        call->began_usec = env_boottime(services->env);
        r = leases_acquire(services->leases, &request, message);
        return r == 0 ? call_later(call) : fail(call, services, r, in.namespace, message);
}

static struct cJSON *describe_aliases(const struct services *services)
{
        const char *at = services->settings->namespace_env;
        struct cJSON *aliases = json_array();
        char name[NAMES_MAX + 1];

        for (at += strspn(at, " \t"); *at; at += strspn(at, " \t")) {
                size_t n = strcspn(at, " \t");

                (void)snprintf(name, sizeof(name), "%.*s", (int)n, at);
                json_append_string(aliases, name);
                at += n;
        }
        return aliases;
}

/* The first reply, or with 'more' the first of the call. */
static struct outcome *grant(struct call *call, struct services *services, const struct lease *lease,
                             const char *secret)
{
        struct cJSON *parameters = json_object(), *context = describe_lease_context(services, lease);

        call_hold(call);
        json_add(context, "aliases", describe_aliases(services));
        json_add_string(parameters, "state", "granted");
        json_add_string(parameters, "secret", secret);
        json_add(parameters, "context", context);
        if (!call->more)
                return call_reply(call, parameters);
        call->is_granted = true;
        call_progress(call, parameters);
        return call_later(call);
}

struct outcome *method_attach(struct call *call, struct services *services)
{
        struct {
                const char *namespace, *secret, *role, *worker;
        } in = {.namespace = NULL};
#define FIELD(member) offsetof(__typeof__(in), member)
        static const struct json_field fields[] = {
                {"namespace", JSON_STRING, FIELD(namespace), true, 0},
                {"secret", JSON_STRING, FIELD(secret), true, 0},
                {"role", JSON_STRING, FIELD(role), false, 0},
                {"worker", JSON_STRING, FIELD(worker), false, 0},
                {NULL},
        };
#undef FIELD
        struct lease_request request = {.connection = call_connection(call), .peer = *call_peer(call)};
        char message[NAMES_MESSAGE_SIZE] = "";
        const struct lease *lease;
        int r;

        if (!call_read(call, fields, &in))
                return call_fail_parameter(call, NULL);
        if (!parse_role(in.role, &request.role))
                return call_fail_parameter(call, "role");
        if ((request.role == ROLE_WORKER) != (in.worker != NULL))
                return call_fail_parameter(call, "worker");
        if (in.worker && !names_check_worker(in.worker, message))
                return fail_name(call, "worker", message);
        request.namespace = in.namespace;
        request.secret = in.secret;
        request.worker = in.worker;
        r = leases_attach(services->leases, &request, &lease);
        if (r == LEASES_LATER)
                return call_later(call);
        if (r == LEASES_E_NO_SUCH_LEASE)
                metrics_count(services->metrics, METRIC_STALE_EXPORTS, NULL);
        return r == 0 ? grant(call, services, lease, NULL) : fail(call, services, r, in.namespace, message);
}

/* ---- Release ---- */

static struct outcome *reply_kept(struct call *call, uint64_t until_usec)
{
        struct cJSON *parameters = json_object();

        if (until_usec)
                json_add_integer(parameters, "keptUntilUSec", (int64_t)until_usec);
        return call_reply(call, parameters);
}

struct outcome *method_release(struct call *call, struct services *services)
{
        struct {
                const char *namespace, *secret;
                int64_t exit_status, keep_usec;
                bool keep;
        } in = {.exit_status = -1};
#define FIELD(member) offsetof(__typeof__(in), member)
        static const struct json_field fields[] = {
                {"namespace", JSON_STRING, FIELD(namespace), false, 0},
                {"secret", JSON_STRING, FIELD(secret), false, 0},
                {"exitStatus", JSON_INTEGER, FIELD(exit_status), false, 0},
                {"keep", JSON_BOOL, FIELD(keep), false, 0},
                {"keepUSec", JSON_INTEGER, FIELD(keep_usec), false, 0},
                {NULL},
        };
#undef FIELD
        struct lease_release release = {.connection = call_connection(call)};
        uint64_t kept_until_usec = 0;
        const char *missing;
        int r;

        if (!call_read(call, fields, &in))
                return call_fail_parameter(call, NULL);
        missing = method_missing_half(in.namespace, in.secret);
        if (missing)
                return call_fail_parameter(call, missing);
        if (in.exit_status < -1 || in.exit_status > 255)
                return call_fail_parameter(call, "exitStatus");
        if (in.keep_usec < 0)
                return call_fail_parameter(call, "keepUSec");
        release.namespace = in.namespace;
        release.secret = in.secret;
        release.exit_status = (int)in.exit_status;
        release.keep = in.keep;
        release.keep_usec = (uint64_t)in.keep_usec;
        r = leases_release(services->leases, &release, &kept_until_usec);
        if (r == LEASES_LATER)
                return call_later(call);
        return r ? fail(call, services, r, in.namespace, NULL) : reply_kept(call, kept_until_usec);
}

/* ---- what the service tells ---- */

static void on_queued(void *owner, uint64_t connection, unsigned position)
{
        struct services *services = owner;
        struct call *call = call_find(services->server, connection, method_acquire);
        struct cJSON *parameters;

        if (!call)
                return;
        call->position = position;
        if (!call->more)
                return;
        parameters = json_object();
        json_add_string(parameters, "state", "queued");
        json_add_integer(parameters, "position", position);
        json_add(parameters, "holders", describe_lease_holders(services));
        call_progress(call, parameters);
}

static void on_granted(void *owner, uint64_t connection, const struct lease *lease, const char *secret)
{
        struct services *services = owner;
        struct call *call = call_find(services->server, connection, secret ? method_acquire : method_attach);

        if (call)
                grant(call, services, lease, secret);
        if (secret)
                method_list_leases_tell(services, "add", lease);
}

static void on_kept(void *owner, uint64_t connection, uint64_t until_usec, int error)
{
        struct services *services = owner;
        struct call *call = call_find(services->server, connection, method_release);

        if (!call)
                call = call_find(services->server, connection, method_keep);
        if (!call)
                return;
        if (error)
                fail_ledger(call, BERTH_ERROR_MANAGE_LEDGER_UNAVAILABLE, "nothing was kept");
        else
                reply_kept(call, until_usec);
}

static void on_failed(void *owner, uint64_t connection, int error)
{
        struct services *services = owner;
        struct call *call = call_find(services->server, connection, method_acquire);

        if (!call)
                call = call_find(services->server, connection, method_attach);
        if (call)
                fail(call, services, error, NULL, NULL);
}

static void on_let_go(void *owner, uint64_t connection, enum lease_state state, const char *reason)
{
        struct services *services = owner;
        struct call *call = call_find(services->server, connection, method_acquire);
        struct cJSON *parameters;

        if (!call)
                call = call_find(services->server, connection, method_attach);
        if (!call || !call->is_granted)
                return;
        parameters = json_object();
        json_add_string(parameters, "state", state == LEASE_REVOKED ? "revoked" : "released");
        json_add_string(parameters, "reason", reason);
        call_reply(call, parameters);
}

static void on_ended(void *owner, const struct lease *lease)
{
        method_list_leases_tell(owner, "remove", lease);
}

static void on_changed(void *owner, const struct lease *lease)
{
        method_list_leases_tell(owner, "change", lease);
}

const struct lease_events services_lease_events = {
        .queued = on_queued,
        .granted = on_granted,
        .failed = on_failed,
        .let_go = on_let_go,
        .kept = on_kept,
        .ended = on_ended,
        .changed = on_changed,
};
