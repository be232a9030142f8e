/* SPDX-License-Identifier: MIT */

/* The names of proto/names.h, with errors of the library. */

#include "client/lib/error.h"

#include "proto/names.h"

#include <stdio.h>

_Static_assert(BERTH_NAMESPACE_SIZE == NAMES_NAMESPACE_MAX + 1, "berth.h and proto/names.h agree");
_Static_assert(BERTH_NAME_SIZE == NAMES_MAX + 1, "berth.h and proto/names.h agree");

int berth_check_namespace(const char *text, struct berth_error *error)
{
        char message[NAMES_MESSAGE_SIZE], line[NAMES_MESSAGE_SIZE + 96],
                fix[64] = "use lower-case letters and digits";
        char proposal[NAMES_NAMESPACE_MAX + 1];

        if (text && names_check_namespace(text, message))
                return 0;
        (void)snprintf(line, sizeof(line), "bad namespace %.40s; it must match [a-z0-9]{1,32}: %s",
                       text ? text : "", text ? message : "there is none");
        if (text && names_suggest_namespace(text, proposal))
                (void)snprintf(fix, sizeof(fix), "try %s", proposal);
        return error_bad_name(error, line, fix);
}

int berth_check_worker(const char *text, struct berth_error *error)
{
        char message[NAMES_MESSAGE_SIZE], line[NAMES_MESSAGE_SIZE + 32];

        if (text && names_check_worker(text, message))
                return 0;
        (void)snprintf(line, sizeof(line), "bad worker; %s", text ? message : "there is none");
        return error_bad_name(error, line, "use the xdist worker id, such as gw0");
}

static int told(bool made, const char *message, struct berth_error *error)
{
        char line[NAMES_MESSAGE_SIZE + 32];

        if (made)
                return 0;
        (void)snprintf(line, sizeof(line), "no such name; %s", message);
        return error_bad_name(error, line, "use a shorter or simpler one");
}

int berth_schema_name(const char *namespace_, const char *worker, const char *suffix,
                      char ret_name[BERTH_NAME_SIZE], struct berth_error *error)
{
        char message[NAMES_MESSAGE_SIZE];

        return told(names_make_schema(namespace_, worker, suffix, ret_name, message), message, error);
}

int berth_application_name(const char *namespace_, const char *worker, const char *suffix,
                           char ret_name[BERTH_NAME_SIZE], struct berth_error *error)
{
        char message[NAMES_MESSAGE_SIZE];

        return told(names_make_application_name(namespace_, worker, suffix, ret_name, message), message,
                    error);
}

const char *berth_version(void)
{
        return BERTH_VERSION;
}
