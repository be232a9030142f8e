/* SPDX-License-Identifier: MIT */

#include "client/lib/error.h"
#include "client/lib/hold.h"
#include "client/lib/request.h"

#include "proto/json.h"
#include "proto/names.h"
#include "proto/protocol.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALIASES_SIZE 1024

struct berth_lease {
        struct hold hold; /* first: ops are given it */
        char namespace[BERTH_NAMESPACE_SIZE];
        char secret[BERTH_SECRET_SIZE];
        char forced[BERTH_NAMESPACE_SIZE]; /* "": none */
        char label[BERTH_LABEL_MAX + 1];
        char aliases[ALIASES_SIZE];
        char role[16];
        char worker[17];
        char request
                [REQUEST_ID_SIZE]; /* asked again with this after a lost reply, the daemon gives the same lease */
};

static struct cJSON *ask_attach(const struct berth_lease *lease)
{
        struct cJSON *parameters = json_object();

        (void)json_add_string(parameters, "namespace", lease->namespace);
        (void)json_add_string(parameters, "secret", lease->secret);
        (void)json_add_string(parameters, "role", request_given(lease->role));
        (void)json_add_string(parameters, "worker", request_given(lease->worker));
        return parameters;
}

static struct cJSON *ask_acquire(const struct berth_lease *lease)
{
        struct cJSON *parameters = json_object();

        (void)json_add_string(parameters, "namespace", request_given(lease->forced));
        (void)json_add_string(parameters, "label", request_given(lease->label));
        (void)json_add_string(parameters, "role", request_given(lease->role));
        (void)json_add_string(parameters, "request", lease->request);
        hold_add_patience(&lease->hold, parameters);
        return parameters;
}

static struct cJSON *lease_ask(struct hold *hold, const char **ret_method)
{
        const struct berth_lease *lease = (const struct berth_lease *)hold;

        *ret_method = *lease->secret ? BERTH_INTERFACE_LEASE ".Attach" : BERTH_INTERFACE_LEASE ".Acquire";
        return *lease->secret ? ask_attach(lease) : ask_acquire(lease);
}

/* A daemon is somebody else's program: what it names must not be PATH. What finds no room is left out. */
static void take_aliases(struct berth_lease *lease, const struct cJSON *names)
{
        size_t used = 0;

        lease->aliases[0] = '\0';
        for (const struct cJSON *one = json_first(names); one; one = json_next(one)) {
                const char *name = json_string(one);
                size_t n = name && names_is_alias(name) ? strlen(name) : 0;

                if (!n || used + n + 2 > sizeof(lease->aliases))
                        continue;
                used += (size_t)snprintf(lease->aliases + used, sizeof(lease->aliases) - used, "%s%s",
                                         used ? " " : "", name);
        }
}

static bool lease_take(struct hold *hold, const struct cJSON *parameters)
{
        struct berth_lease *lease = (struct berth_lease *)hold;
        const char *namespace = json_get_string(json_get(parameters, "context"), "namespace");
        const char *secret = json_get_string(parameters, "secret");

        take_aliases(lease, json_get(json_get(parameters, "context"), "aliases"));
        if (*lease->secret)
                return true; /* attached: we knew both */
        if (berth_check_namespace(namespace, NULL) || !secret || strlen(secret) >= sizeof(lease->secret))
                return false;
        (void)snprintf(lease->namespace, sizeof(lease->namespace), "%s", namespace);
        (void)snprintf(lease->secret, sizeof(lease->secret), "%s", secret);
        return true;
}

static const struct hold_ops lease_ops = {.ask = lease_ask, .take = lease_take};

static int start(struct berth_lease *lease, const char *socket, bool no_wait, int64_t timeout_ms,
                 struct berth_lease **ret_lease, struct berth_error *error)
{
        if (hold_start(&lease->hold, &lease_ops, socket, no_wait, timeout_ms, error)) {
                free(lease);
                return -1;
        }
        *ret_lease = lease;
        return 0;
}

int berth_lease_request(const struct berth_lease_request *request, struct berth_lease **ret_lease,
                        struct berth_error *error)
{
        struct berth_lease_request given = {0};
        struct berth_lease *lease;

        request_copy(&given, sizeof(given), request, request->size);
        if (given.namespace_ && berth_check_namespace(given.namespace_, error))
                return -1;
        lease = calloc(1, sizeof(*lease));
        if (!lease)
                return error_no_memory(error);
        request_set(lease->forced, sizeof(lease->forced), given.namespace_);
        request_set_text(lease->label, sizeof(lease->label), given.label);
        request_set(lease->role, sizeof(lease->role), given.role);
        if (request_make_id(lease->request, error)) {
                free(lease);
                return -1;
        }
        return start(lease, given.socket, given.no_wait, given.timeout_ms, ret_lease, error);
}

int berth_lease_attach(const char *socket, const char *namespace_, const char *secret, const char *role,
                       const char *worker, struct berth_lease **ret_lease, struct berth_error *error)
{
        struct berth_lease *lease;

        if (berth_check_namespace(namespace_, error) || (worker && berth_check_worker(worker, error)))
                return -1;
        if (!secret || !*secret || strlen(secret) >= sizeof(lease->secret))
                return error_bad_argument(error, "the secret has 32 hex digits");
        lease = calloc(1, sizeof(*lease));
        if (!lease)
                return error_no_memory(error);
        request_set(lease->namespace, sizeof(lease->namespace), namespace_);
        request_set(lease->secret, sizeof(lease->secret), secret);
        request_set(lease->role, sizeof(lease->role), role);
        request_set(lease->worker, sizeof(lease->worker), worker);
        return start(lease, socket, false, 0, ret_lease, error);
}

struct berth_lease *berth_lease_free(struct berth_lease *lease)
{
        if (!lease)
                return NULL;
        hold_done(&lease->hold);
        explicit_bzero(lease, sizeof(*lease));
        free(lease);
        return NULL;
}

static struct cJSON *ask_release(const struct berth_lease *lease, const struct berth_release *how)
{
        struct cJSON *parameters = json_object();

        (void)json_add_string(parameters, "namespace", lease->namespace);
        (void)json_add_string(parameters, "secret", lease->secret);
        if (how->exit_status >= 0)
                (void)json_add_integer(parameters, "exitStatus", how->exit_status);
        if (how->keep)
                (void)json_add_bool(parameters, "keep", true);
        if (how->keep && how->keep_ms > 0)
                (void)json_add_integer(parameters, "keepUSec", how->keep_ms * 1000);
        return parameters;
}

int berth_lease_release(struct berth_lease *lease, const struct berth_release *how,
                        int64_t *ret_kept_until_usec, struct berth_error *error)
{
        struct berth_release given = BERTH_RELEASE_INIT;
        struct berth_error ended;
        struct varlink_reply reply;
        bool repeated;

        if (how)
                request_copy(&given, sizeof(given), how, how->size);
        if (!lease->hold.was_granted || lease->hold.state == BERTH_ENDED)
                return error_bad_argument(error, "the lease is not held");
        if (hold_call_aside(&lease->hold, BERTH_INTERFACE_LEASE ".Release", ask_release(lease, &given),
                            &reply, &repeated, error))
                return -1;
        /* Asked twice, because the first answer was lost: then "no such lease" is the good news. */
        if (reply.error && !(repeated && !strcmp(reply.error, BERTH_ERROR_NO_SUCH_LEASE))) {
                (void)error_from_reply(error, &reply);
                varlink_reply_done(&reply);
                return -1;
        }
        if (ret_kept_until_usec)
                *ret_kept_until_usec = json_get_integer(reply.parameters, "keptUntilUSec", 0);
        varlink_reply_done(&reply);
        (void)error_ended(&ended, false, NULL);
        hold_end(&lease->hold, &ended);
        return 0;
}

enum berth_state berth_lease_wait(struct berth_lease *lease, int timeout_ms, struct berth_error *error)
{
        return hold_wait(&lease->hold, timeout_ms, error);
}

enum berth_state berth_lease_dispatch(struct berth_lease *lease, struct berth_error *error)
{
        return hold_dispatch(&lease->hold, error);
}

int berth_lease_fd(const struct berth_lease *lease)
{
        return hold_fd(&lease->hold);
}

int berth_lease_timeout(const struct berth_lease *lease)
{
        return hold_timeout(&lease->hold);
}

enum berth_state berth_lease_state(const struct berth_lease *lease)
{
        return lease->hold.state;
}

const char *berth_lease_namespace(const struct berth_lease *lease)
{
        return lease->namespace;
}

const char *berth_lease_secret(const struct berth_lease *lease)
{
        return lease->secret;
}

const char *berth_lease_aliases(const struct berth_lease *lease)
{
        return lease->aliases;
}

const char *berth_lease_socket(const struct berth_lease *lease)
{
        return lease->hold.socket;
}

int berth_lease_position(const struct berth_lease *lease)
{
        return lease->hold.position;
}

const char *berth_lease_holders(const struct berth_lease *lease)
{
        return lease->hold.holders;
}
