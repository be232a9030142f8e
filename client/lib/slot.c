/* SPDX-License-Identifier: MIT */

#include "client/lib/error.h"
#include "client/lib/hold.h"
#include "client/lib/request.h"

#include "proto/json.h"
#include "proto/protocol.h"

#include <stdlib.h>
#include <string.h>

struct berth_slot {
        struct hold hold; /* first: ops are given it */
        char namespace[BERTH_NAMESPACE_SIZE];
        char secret[BERTH_SECRET_SIZE];
        char worker[17];
        char database[256];
        char system_identifier[32];
        int number;
        char request
                [REQUEST_ID_SIZE]; /* asked again with this after a lost reply, the daemon gives the same slot */
        int64_t grant; /* -1 until granted; with it the same slot is claimed again from a restarted daemon */
};

static struct cJSON *slot_ask(struct hold *hold, const char **ret_method)
{
        const struct berth_slot *slot = (const struct berth_slot *)hold;
        struct cJSON *parameters = json_object();

        *ret_method = BERTH_INTERFACE_LEASE ".AcquireSlot";
        (void)json_add_string(parameters, "namespace", slot->namespace);
        (void)json_add_string(parameters, "secret", slot->secret);
        (void)json_add_string(parameters, "worker", request_given(slot->worker));
        (void)json_add_string(parameters, "database", request_given(slot->database));
        (void)json_add_string(parameters, "systemIdentifier", request_given(slot->system_identifier));
        (void)json_add_string(parameters, "request", slot->request);
        if (slot->grant >= 0)
                (void)json_add_integer(parameters, "reclaim", slot->grant);
        else
                hold_add_patience(hold, parameters);
        return parameters;
}

static bool slot_take(struct hold *hold, const struct cJSON *parameters)
{
        struct berth_slot *slot = (struct berth_slot *)hold;
        int64_t number = json_get_integer(parameters, "slot", -1);
        int64_t grant = json_get_integer(parameters, "grant", -1);

        if (number < 0 || grant < 0)
                return false;
        slot->number = (int)number;
        slot->grant = grant;
        return true;
}

static const struct hold_ops slot_ops = {.ask = slot_ask, .take = slot_take};

static int check(const struct berth_slot_request *given, struct berth_error *error)
{
        const struct berth_slot *slot = NULL;

        if (berth_check_namespace(given->namespace_, error) ||
            (given->worker && berth_check_worker(given->worker, error)))
                return -1;
        if (!given->secret || strlen(given->secret) >= sizeof(slot->secret))
                return error_bad_argument(error, "the secret has 32 hex digits");
        if ((given->database && strlen(given->database) >= sizeof(slot->database)) ||
            (given->system_identifier && strlen(given->system_identifier) >= sizeof(slot->system_identifier)))
                return error_bad_argument(error, "no database has a name that long");
        return 0;
}

int berth_slot_request(const struct berth_slot_request *request, struct berth_slot **ret_slot,
                       struct berth_error *error)
{
        struct berth_slot_request given = {0};
        struct berth_slot *slot;

        request_copy(&given, sizeof(given), request, request->size);
        if (check(&given, error))
                return -1;
        slot = calloc(1, sizeof(*slot));
        if (!slot)
                return error_no_memory(error);
        slot->grant = slot->number = -1;
        request_set(slot->namespace, sizeof(slot->namespace), given.namespace_);
        request_set(slot->secret, sizeof(slot->secret), given.secret);
        request_set(slot->worker, sizeof(slot->worker), given.worker);
        request_set(slot->database, sizeof(slot->database), given.database);
        request_set(slot->system_identifier, sizeof(slot->system_identifier), given.system_identifier);
        if (request_make_id(slot->request, error) ||
            hold_start(&slot->hold, &slot_ops, given.socket, given.no_wait, given.timeout_ms, error)) {
                free(slot);
                return -1;
        }
        *ret_slot = slot;
        return 0;
}

struct berth_slot *berth_slot_free(struct berth_slot *slot)
{
        if (!slot)
                return NULL;
        hold_done(&slot->hold);
        explicit_bzero(slot, sizeof(*slot));
        free(slot);
        return NULL;
}

int berth_slot_release(struct berth_slot *slot, struct berth_error *error)
{
        struct cJSON *parameters;
        struct varlink_reply reply;
        struct berth_error ended;
        bool repeated;

        if (!slot->hold.was_granted || slot->hold.state == BERTH_ENDED)
                return error_bad_argument(error, "the slot is not held");
        parameters = json_object();
        (void)json_add_string(parameters, "namespace", slot->namespace);
        (void)json_add_string(parameters, "secret", slot->secret);
        (void)json_add_integer(parameters, "grant", slot->grant);
        if (hold_call_aside(&slot->hold, BERTH_INTERFACE_LEASE ".ReleaseSlot", parameters, &reply, &repeated,
                            error))
                return -1;
        if (reply.error && !(repeated && !strcmp(reply.error, BERTH_ERROR_NOT_HELD))) {
                (void)error_from_reply(error, &reply);
                varlink_reply_done(&reply);
                return -1;
        }
        varlink_reply_done(&reply);
        (void)error_ended(&ended, false, NULL);
        hold_end(&slot->hold, &ended);
        return 0;
}

enum berth_state berth_slot_wait(struct berth_slot *slot, int timeout_ms, struct berth_error *error)
{
        return hold_wait(&slot->hold, timeout_ms, error);
}

enum berth_state berth_slot_dispatch(struct berth_slot *slot, struct berth_error *error)
{
        return hold_dispatch(&slot->hold, error);
}

int berth_slot_fd(const struct berth_slot *slot)
{
        return hold_fd(&slot->hold);
}

int berth_slot_timeout(const struct berth_slot *slot)
{
        return hold_timeout(&slot->hold);
}

enum berth_state berth_slot_state(const struct berth_slot *slot)
{
        return slot->hold.state;
}

int berth_slot_position(const struct berth_slot *slot)
{
        return slot->hold.position;
}

const char *berth_slot_holders(const struct berth_slot *slot)
{
        return slot->hold.holders;
}

int berth_slot_number(const struct berth_slot *slot)
{
        return slot->number;
}
