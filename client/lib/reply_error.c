/* SPDX-License-Identifier: MIT */

/* Error replies of the daemon, told to people: one row for each error of the .varlink files. */

#include "client/lib/describe.h"
#include "client/lib/error.h"

#include "proto/json.h"
#include "proto/protocol.h"
#include "proto/varlink.h"

#include <stdio.h>
#include <string.h>

#define TEXT_SIZE sizeof(((struct berth_error *)0)->message)

struct story {
        const char *name;
        int exit_code;
        bool retryable;
        void (*tell)(struct berth_error *error, const struct cJSON *parameters);
        const char *fix;
};

static const char *text_of(const struct cJSON *parameters, const char *name, const char *otherwise)
{
        const char *text = json_get_string(parameters, name);

        return text && *text ? text : otherwise;
}

static void tell_busy(struct berth_error *error, const struct cJSON *parameters)
{
        char holders[300], waited[BERTH_DURATION_SIZE];
        int64_t usec = json_get_integer(parameters, "waitedUSec", 0);
        int n;

        describe_holders(json_get(parameters, "holders"), holders, sizeof(holders));
        if (usec >= 1000)
                n = snprintf(error->message, TEXT_SIZE, "nothing became free within %s",
                             berth_format_duration(usec, waited));
        else
                n = snprintf(error->message, TEXT_SIZE, "nothing is free");
        (void)snprintf(error->message + n, TEXT_SIZE - (size_t)n, *holders ? "; held by %s" : "; %s",
                       *holders ? holders : "all are in use");
}

static void tell_limit(struct berth_error *error, const struct cJSON *parameters)
{
        (void)snprintf(error->message, TEXT_SIZE, "a limit of berthd is reached; %s is %lld",
                       text_of(parameters, "limit", "one"),
                       (long long)json_get_integer(parameters, "value", 0));
}

static void tell_ledger(struct berth_error *error, const struct cJSON *parameters)
{
        (void)snprintf(error->message, TEXT_SIZE, "berthd cannot use its ledger; %s",
                       text_of(parameters, "message", "no reason given"));
}

static void tell_in_use(struct berth_error *error, const struct cJSON *parameters)
{
        const struct cJSON *holder = json_get(parameters, "holder");
        char who[200];

        describe_owner(holder, who, sizeof(who));
        (void)snprintf(error->message, TEXT_SIZE, "namespace %s is in use; %s",
                       text_of(parameters, "namespace", "?"), who);
}

static void tell_attached(struct berth_error *error, const struct cJSON *parameters)
{
        char who[200];

        describe_owner(json_get(parameters, "holder"), who, sizeof(who));
        (void)snprintf(error->message, TEXT_SIZE, "namespace %s has a controller already; %s",
                       text_of(parameters, "namespace", "?"), who);
}

static void tell_bad_name(struct berth_error *error, const struct cJSON *parameters)
{
        (void)snprintf(error->message, TEXT_SIZE, "bad %s; %s", text_of(parameters, "parameter", "name"),
                       text_of(parameters, "message", "it breaks a rule"));
}

static void tell_no_lease(struct berth_error *error, const struct cJSON *parameters)
{
        (void)snprintf(error->message, TEXT_SIZE,
                       "no lease of namespace %s; it has ended or never was, or the secret is wrong",
                       text_of(parameters, "namespace", "?"));
}

static void tell_no_such_lease(struct berth_error *error, const struct cJSON *parameters)
{
        (void)snprintf(error->message, TEXT_SIZE,
                       "no lease of namespace %s; it has ended, or is not on record",
                       text_of(parameters, "namespace", "?"));
}

static void tell_not_held(struct berth_error *error, const struct cJSON *parameters)
{
        (void)parameters;
        (void)snprintf(error->message, TEXT_SIZE, "the slot is not held; it was given back or taken away");
}

static void tell_no_database(struct berth_error *error, const struct cJSON *parameters)
{
        (void)snprintf(error->message, TEXT_SIZE, "no database %s; berthd is not configured with it",
                       text_of(parameters, "database", "was named"));
}

static void tell_unreachable(struct berth_error *error, const struct cJSON *parameters)
{
        const char *database = json_get_string(parameters, "database");
        const char *why = text_of(parameters, "message", "its server does not answer");

        if (database) {
                (void)snprintf(error->message, TEXT_SIZE, "cluster of database %s unknown; %s", database,
                               why);
                return;
        }
        /* Nobody is away: the caller has not said which server is meant. */
        (void)snprintf(error->message, TEXT_SIZE, "no database was named; there is more than one server");
        (void)snprintf(error->fix, sizeof(error->fix), "name one with --database; 'berth status' lists them");
        error->exit_code = EXIT_CODE_USAGE;
        error->retryable = false;
}

static void tell_unasked(struct berth_error *error, const struct cJSON *parameters)
{
        (void)snprintf(error->message, TEXT_SIZE, "database %s could not be asked; %s",
                       text_of(parameters, "database", "?"),
                       text_of(parameters, "message", "its server does not answer"));
}

static void tell_sweeping(struct berth_error *error, const struct cJSON *parameters)
{
        (void)parameters;
        (void)snprintf(error->message, TEXT_SIZE, "no sweep now; another one is running");
}

static void tell_parameter(struct berth_error *error, const struct cJSON *parameters)
{
        (void)snprintf(error->message, TEXT_SIZE,
                       "berthd refuses the call; parameter %s is wrong or unknown to it",
                       text_of(parameters, "parameter", "?"));
}

static void tell_unknown_call(struct berth_error *error, const struct cJSON *parameters)
{
        (void)snprintf(error->message, TEXT_SIZE,
                       "berthd does not know %s; it is of another version than berth",
                       text_of(parameters, "method", text_of(parameters, "interface", "this call")));
}

static void tell_denied(struct berth_error *error, const struct cJSON *parameters)
{
        (void)parameters;
        (void)snprintf(error->message, TEXT_SIZE, "not permitted; it belongs to another user");
}

#define RETRY   true
#define FOREVER false

static const struct story stories[] = {
        {BERTH_ERROR_BUSY, EXIT_CODE_NOT_IN_TIME, RETRY, tell_busy,
         "try again, or wait longer with -w; 'berth status' shows the queue"},
        {BERTH_ERROR_LIMIT_REACHED, EXIT_CODE_NOT_IN_TIME, RETRY, tell_limit, "try again later, or raise it"},
        {BERTH_ERROR_LEDGER_UNAVAILABLE, EXIT_CODE_BERTH_FAILED, RETRY, tell_ledger,
         "see the journal of berthd, and the disk of its state directory"},
        {BERTH_ERROR_NAMESPACE_IN_USE, EXIT_CODE_NOT_IN_TIME, RETRY, tell_in_use,
         "choose another name, or let berth make one"},
        {BERTH_ERROR_BAD_NAME, EXIT_CODE_USAGE, FOREVER, tell_bad_name, "choose another name"},
        {BERTH_ERROR_NO_SUCH_LEASE, EXIT_CODE_FAILED, FOREVER, tell_no_lease,
         "take a new lease; 'berth list --all' shows those that were"},
        {BERTH_ERROR_ALREADY_ATTACHED, EXIT_CODE_FAILED, FOREVER, tell_attached, "take a lease of your own"},
        {BERTH_ERROR_NOT_HELD, EXIT_CODE_FAILED, FOREVER, tell_not_held, "take it again"},
        {BERTH_ERROR_NO_SUCH_DATABASE, EXIT_CODE_USAGE, FOREVER, tell_no_database,
         "'berth status' lists the databases; name one with --database"},
        {BERTH_ERROR_DATABASE_UNREACHABLE, EXIT_CODE_NOT_IN_TIME, RETRY, tell_unreachable,
         "start that server, then try again"},
        {BERTH_ERROR_MANAGE_NO_SUCH_LEASE, EXIT_CODE_FAILED, FOREVER, tell_no_such_lease,
         "'berth list --all' shows all"},
        {BERTH_ERROR_MANAGE_NO_SUCH_DATABASE, EXIT_CODE_USAGE, FOREVER, tell_no_database,
         "'berth status' lists the databases"},
        {BERTH_ERROR_MANAGE_DATABASE_UNREACHABLE, EXIT_CODE_NOT_IN_TIME, RETRY, tell_unasked,
         "start that server, or ask one database alone"},
        {BERTH_ERROR_MANAGE_LEDGER_UNAVAILABLE, EXIT_CODE_BERTH_FAILED, RETRY, tell_ledger,
         "see the journal of berthd, and the disk of its state directory"},
        {BERTH_ERROR_SWEEP_RUNNING, EXIT_CODE_NOT_IN_TIME, RETRY, tell_sweeping, "try again when it is done"},
        {VARLINK_ERROR_PERMISSION_DENIED, EXIT_CODE_NOT_PERMITTED, FOREVER, tell_denied,
         "ask its owner, or a member of berthd's operator_group"},
        {VARLINK_ERROR_INVALID_PARAMETER, EXIT_CODE_USAGE, FOREVER, tell_parameter,
         "see that berthd and berth are of one version"},
        {VARLINK_ERROR_INTERFACE_NOT_FOUND, EXIT_CODE_BERTH_FAILED, FOREVER, tell_unknown_call,
         "upgrade berthd"},
        {VARLINK_ERROR_METHOD_NOT_FOUND, EXIT_CODE_BERTH_FAILED, FOREVER, tell_unknown_call,
         "upgrade berthd"},
        {VARLINK_ERROR_METHOD_NOT_IMPLEMENTED, EXIT_CODE_BERTH_FAILED, FOREVER, tell_unknown_call,
         "upgrade berthd"},
};

static const struct story *find_story(const char *name)
{
        for (size_t i = 0; i < sizeof(stories) / sizeof(stories[0]); i++)
                if (!strcmp(stories[i].name, name))
                        return &stories[i];
        return NULL;
}

int error_from_reply(struct berth_error *error, const struct varlink_reply *reply)
{
        const struct story *story = find_story(reply->error);

        if (!error)
                return -1;
        *error = (struct berth_error){.exit_code = EXIT_CODE_BERTH_FAILED};
        if (!story) {
                (void)snprintf(error->code, sizeof(error->code), "%s", reply->error);
                (void)snprintf(error->message, sizeof(error->message), "berthd refuses the call; %s",
                               reply->error);
                (void)snprintf(error->fix, sizeof(error->fix), "see the journal of berthd");
                return -1;
        }
        error->exit_code = story->exit_code;
        error->retryable = story->retryable;
        (void)snprintf(error->code, sizeof(error->code), "%s", strrchr(story->name, '.') + 1);
        (void)snprintf(error->fix, sizeof(error->fix), "%s", story->fix);
        story->tell(error, reply->parameters);
        return -1;
}
