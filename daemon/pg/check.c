/* SPDX-License-Identifier: MIT */
#include "pg/check.h"

#include "util/alloc.h"

#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

/* The one message that quotes a keyword and nothing else: of a password with a blank in it, others show the
 * rest. */
static const char harmless[] = "invalid connection option";

bool pg_check_conninfo(const char *conninfo, char **ret_message)
{
        char *message = NULL;
        PQconninfoOption *options = PQconninfoParse(conninfo, &message);

        if (options) {
                PQconninfoFree(options);
                return true;
        }
        if (message && strncmp(message, harmless, strlen(harmless)) == 0)
                *ret_message = alloc_printf("%.*s", (int)strcspn(message, "\n"), message);
        else
                *ret_message = alloc_string("not a connection string that libpq understands");
        PQfreemem(message);
        return false;
}
