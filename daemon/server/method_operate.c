/* SPDX-License-Identifier: MIT */
#include "proto/protocol.h"
#include "server/methods.h"

#include <stddef.h>

/* Both end or spare what may be another user's. */

static struct outcome *fail(struct call *call, int error, const char *namespace)
{
        struct cJSON *parameters;

        if (error == LEASES_E_NOT_PERMITTED)
                return call_fail(call, VARLINK_ERROR_PERMISSION_DENIED, NULL);
        parameters = json_object();
        if (error == LEASES_E_LEDGER) {
                json_add_string(parameters, "message",
                                "the ledger cannot be written; nothing was changed; try again");
                return call_fail(call, BERTH_ERROR_MANAGE_LEDGER_UNAVAILABLE, parameters);
        }
        json_add_string(parameters, "namespace", namespace);
        return call_fail(call, BERTH_ERROR_MANAGE_NO_SUCH_LEASE, parameters);
}

struct outcome *method_revoke(struct call *call, struct services *services)
{
        struct {
                const char *namespace, *reason;
        } in = {.namespace = NULL};
#define FIELD(member) offsetof(__typeof__(in), member)
        static const struct json_field fields[] = {
                {"namespace", JSON_STRING, FIELD(namespace), true, 0},
                {"reason", JSON_STRING, FIELD(reason), false, 0},
                {NULL},
        };
#undef FIELD
        int r;

        if (!call_read(call, fields, &in))
                return call_fail_parameter(call, NULL);
        r = leases_revoke(services->leases, in.namespace, call_peer(call)->uid, call_is_operator(call),
                          in.reason ? in.reason : "operator");
        return r ? fail(call, r, in.namespace) : call_reply(call, NULL);
}

struct outcome *method_keep(struct call *call, struct services *services)
{
        struct {
                const char *namespace;
                int64_t keep_usec;
        } in = {.namespace = NULL};
#define FIELD(member) offsetof(__typeof__(in), member)
        static const struct json_field fields[] = {
                {"namespace", JSON_STRING, FIELD(namespace), true, 0},
                {"keepUSec", JSON_INTEGER, FIELD(keep_usec), false, 0},
                {NULL},
        };
#undef FIELD
        int r;

        if (!call_read(call, fields, &in))
                return call_fail_parameter(call, NULL);
        if (in.keep_usec < 0)
                return call_fail_parameter(call, "keepUSec");
        r = leases_keep(services->leases, call_connection(call), in.namespace, call_peer(call)->uid,
                        call_is_operator(call), (uint64_t)in.keep_usec);
        return r == LEASES_LATER ? call_later(call) : fail(call, r, in.namespace);
}
