/* SPDX-License-Identifier: MIT */
#include "service/explain_words.h"

#include "util/alloc.h"
#include "util/cleanup.h"

#include <stdio.h>
#include <string.h>

/* Which rule does a name break that looks like one of ours? */
static char *broken_rule(const char *name, const char *prefix, bool worker_first)
{
        const char *rest = name + strlen(prefix), *second = strchr(rest, '_');
        char part[NAMES_MAX + 1], other[NAMES_MAX + 1], message[NAMES_MESSAGE_SIZE];
        const char *parts[2] = {part, other};

        if (strlen(name) > NAMES_MAX)
                return alloc_printf("it has %zu bytes, and PostgreSQL cuts names at %d", strlen(name),
                                    NAMES_MAX);
        if (!second)
                return alloc_printf("it is no %s", worker_first ? "pytest_{worker}_{namespace}[_{suffix}]"
                                                                : "test_{namespace}_{worker}[_{suffix}]");
        (void)snprintf(part, sizeof(part), "%.*s", (int)(second - rest), rest);
        (void)snprintf(other, sizeof(other), "%.*s", (int)strcspn(second + 1, "_"), second + 1);
        if (!names_check_namespace(parts[worker_first], message) ||
            !names_check_worker(parts[!worker_first], message))
                return alloc_string(message);
        second = strchr(second + 1, '_');
        if (second && !names_check_suffix(second + 1, message))
                return alloc_string(message);
        return alloc_string("it breaks the rules of such names");
}

char *explain_say_no_name(const char *name)
{
        _cleanup_free_ char *rule = NULL;

        if (!strncmp(name, "test_", 5))
                rule = broken_rule(name, "test_", false);
        else if (!strncmp(name, "pytest_", 7))
                rule = broken_rule(name, "pytest_", true);
        else
                rule = alloc_string("it is no namespace, and no test_{namespace}_{worker}[_{suffix}]");
        return alloc_printf("never a candidate: %s is not a berth name: %s", name, rule);
}
