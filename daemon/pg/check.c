/* SPDX-License-Identifier: MIT */
#include "pg/check.h"

#include "util/alloc.h"
#include "util/cleanup.h"

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

/* libpq's word for it: what a dialog would show as asterisks. */
static bool is_secret(const PQconninfoOption *option)
{
        return option->dispchar && *option->dispchar == '*';
}

bool pg_has_password(const char *conninfo)
{
        PQconninfoOption *options = PQconninfoParse(conninfo, NULL);
        bool found = false;

        for (const PQconninfoOption *option = options; option && option->keyword; option++)
                found = found || (is_secret(option) && option->val && *option->val);
        PQconninfoFree(options);
        return found;
}

/* As a conninfo is written: in quotes where it has to be. */
static char *add_option(char *shown, const PQconninfoOption *option)
{
        const char *value = is_secret(option) ? "***" : option->val;
        bool is_plain = *value && !strpbrk(value, " '\\\t");
        _cleanup_free_ char *before = shown;

        return alloc_printf("%s%s%s=%s%s%s", before, *before ? " " : "", option->keyword, is_plain ? "" : "'",
                            value, is_plain ? "" : "'");
}

char *pg_show_conninfo(const char *conninfo)
{
        PQconninfoOption *options = PQconninfoParse(conninfo, NULL);
        char *shown = alloc_string("");

        for (const PQconninfoOption *option = options; option && option->keyword; option++)
                if (option->val)
                        shown = add_option(shown, option);
        PQconninfoFree(options);
        return shown;
}
