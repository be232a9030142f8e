/* SPDX-License-Identifier: MIT */

/* "::error file=PATH,title=TEXT::TEXT": workflow commands, as the toolkit of GitHub's actions escapes them. */

#include "client/cli/report_print.h"

#include "proto/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void put(const char *text, size_t length, const char *escaped)
{
        for (; length && *text; text++, length--)
                if (strchr(escaped, *text) || (unsigned char)*text < 0x20)
                        (void)printf("%%%02X", (unsigned char)*text);
                else
                        (void)putchar(*text);
}

static void put_message(const char *text)
{
        put(text ? text : "", SIZE_MAX, "%");
}

static void put_property(const char *text, size_t length)
{
        put(text, length, "%:,");
}

static void put_blockers(const struct cJSON *failure)
{
        for (const struct cJSON *blocker = json_first(json_get(failure, "blockers")); blocker;
             blocker = json_next(blocker)) {
                const char *run = json_get_string(blocker, "namespace");

                (void)fputs("%0Ablocked by ", stdout);
                put_message(run ? run : "a session");
                (void)printf(", pid %" PRId64 ": ", json_get_integer(blocker, "blocker_pid", 0));
                put_message(json_get_string(blocker, "query"));
        }
}

static void put_failure(const struct cJSON *failure)
{
        const char *nodeid = json_get_string(failure, "nodeid"), *end;

        if (!nodeid)
                return;
        end = strstr(nodeid, "::");
        (void)fputs("::error file=", stdout);
        put_property(nodeid, end ? (size_t)(end - nodeid) : SIZE_MAX);
        (void)fputs(",title=", stdout);
        put_property(nodeid, SIZE_MAX);
        (void)fputs("::", stdout);
        put_message(json_get_string(failure, "message"));
        put_blockers(failure);
        (void)putchar('\n');
}

static void put_crash(const struct cJSON *crash)
{
        const char *test = json_get_string(crash, "nodeid");

        (void)fputs("::error title=worker ", stdout);
        put_property(json_get_string(crash, "worker") ? json_get_string(crash, "worker") : "?", SIZE_MAX);
        (void)fputs(" crashed::", stdout);
        put_message(test ? test : "between two tests");
        (void)putchar('\n');
}

static void put_public_write(const struct cJSON *write)
{
        (void)fputs("::warning title=written into public::", stdout);
        put_message(json_get_string(write, "kind"));
        (void)putchar(' ');
        put_message(json_get_string(write, "table"));
        (void)fputs(" in ", stdout);
        put_message(json_get_string(write, "database"));
        (void)putchar('\n');
}

static void put_death(const struct cJSON *report)
{
        char end[REPORT_END_SIZE];

        (void)fputs("::error title=run ", stdout);
        put_property(json_get_string(report, "namespace"), SIZE_MAX);
        (void)fputs(" died::", stdout);
        put_message(*report_end(report, end) ? end : "it did not come to its end");
        (void)putchar('\n');
}

static void put_each(const struct cJSON *report, const char *member,
                     void (*put_element)(const struct cJSON *element))
{
        for (const struct cJSON *element = json_first(json_get(report, member)); element;
             element = json_next(element))
                put_element(element);
}

void report_print_github(const struct cJSON *reports)
{
        for (const struct cJSON *report = json_first(reports); report; report = json_next(report)) {
                if (!strcmp(json_get_string(report, "status"), "died"))
                        put_death(report);
                put_each(report, "failures", put_failure);
                put_each(report, "worker_crashes", put_crash);
                put_each(report, "public_writes", put_public_write);
        }
}
