/* SPDX-License-Identifier: MIT */
#include "varlink.h"

#include <stdio.h>
#include <string.h>

/* One JSON object, taken apart by the table. On false nothing is owed. */
static bool parse(const char *frame, size_t length, const struct json_field *fields, void *target,
                  struct cJSON **ret_message, char *message)
{
        struct cJSON *object = json_parse(frame, length, message);
        const char *field;

        if (!object)
                return false;
        if (!json_is_object(object)) {
                (void)snprintf(message, JSON_MESSAGE_SIZE, "not an object");
        } else if (!json_read(object, fields, target, &field)) {
                (void)snprintf(message, JSON_MESSAGE_SIZE,
                               "member %.40s is missing, unknown or of a wrong type", field);
        } else {
                *ret_message = object;
                return true;
        }
        (void)json_free(object);
        return false;
}

bool varlink_call_parse(const char *frame, size_t length, struct varlink_call *ret,
                        char message[JSON_MESSAGE_SIZE])
{
        struct {
                struct varlink_call call;
                bool upgrade;
        } in = {.upgrade = false};
#define FIELD(member) offsetof(__typeof__(in), member)
        static const struct json_field fields[] = {
                {"method", JSON_STRING, FIELD(call.method), true, 0},
                {"parameters", JSON_OBJECT, FIELD(call.parameters), false, 0},
                {"more", JSON_BOOL, FIELD(call.more), false, 0},
                {"oneway", JSON_BOOL, FIELD(call.oneway), false, 0},
                {"upgrade", JSON_BOOL, FIELD(upgrade), false, 0},
                {.name = NULL},
        };
#undef FIELD

        if (length > VARLINK_FRAME_MAX) {
                (void)snprintf(message, JSON_MESSAGE_SIZE, "longer than %d bytes", VARLINK_FRAME_MAX);
                return false;
        }
        if (!parse(frame, length, fields, &in, &in.call.message, message))
                return false;
        /* No method of ours turns the connection into another protocol. */
        if (in.upgrade || (in.call.more && in.call.oneway)) {
                (void)snprintf(message, JSON_MESSAGE_SIZE, in.upgrade ? "upgrade" : "both more and oneway");
                varlink_call_done(&in.call);
                return false;
        }
        *ret = in.call;
        return true;
}

void varlink_call_done(struct varlink_call *call)
{
        (void)json_free(call->message);
        *call = (struct varlink_call){.message = NULL};
}

bool varlink_reply_parse(const char *frame, size_t length, struct varlink_reply *ret,
                         char message[JSON_MESSAGE_SIZE])
{
        struct varlink_reply reply = {.message = NULL};
        static const struct json_field fields[] = {
                {"parameters", JSON_OBJECT, offsetof(struct varlink_reply, parameters), false, 0},
                {"error", JSON_STRING, offsetof(struct varlink_reply, error), false, 0},
                {"continues", JSON_BOOL, offsetof(struct varlink_reply, continues), false, 0},
                {.name = NULL},
        };

        if (!parse(frame, length, fields, &reply, &reply.message, message))
                return false;
        if (reply.error && reply.continues) {
                (void)snprintf(message, JSON_MESSAGE_SIZE, "an error that continues");
                varlink_reply_done(&reply);
                return false;
        }
        *ret = reply;
        return true;
}

void varlink_reply_done(struct varlink_reply *reply)
{
        (void)json_free(reply->message);
        *reply = (struct varlink_reply){.message = NULL};
}

/* Takes message; complete is false if a member could not be added. */
static char *print(struct cJSON *message, bool complete, size_t *ret_length)
{
        char *text = complete ? json_print(message) : NULL;

        (void)json_free(message);
        if (text)
                *ret_length = strlen(text) + 1;
        return text;
}

/* Takes parameters, whatever has become of the message so far. */
static bool add_parameters(struct cJSON *message, struct cJSON *parameters)
{
        return !parameters || json_add(message, "parameters", parameters);
}

static bool add_flag(struct cJSON *message, const char *name, bool flag)
{
        return !flag || json_add_bool(message, name, true);
}

char *varlink_print_call(const char *method, struct cJSON *parameters, bool more, bool oneway,
                         size_t *ret_length)
{
        struct cJSON *message = json_object();
        bool complete = json_add_string(message, "method", method);

        complete = add_parameters(message, parameters) && complete;
        complete = complete && add_flag(message, "more", more) && add_flag(message, "oneway", oneway);
        return print(message, complete, ret_length);
}

char *varlink_print_reply(struct cJSON *parameters, const char *error, bool continues, size_t *ret_length)
{
        struct cJSON *message = json_object();
        bool complete = json_add_string(message, "error", error);

        complete = add_parameters(message, parameters) && complete;
        complete = complete && add_flag(message, "continues", continues);
        return print(message, complete, ret_length);
}

long varlink_frame_length(const char *buffer, size_t length)
{
        const char *end = length ? memchr(buffer, '\0', length) : NULL;

        return end ? end - buffer : -1;
}
