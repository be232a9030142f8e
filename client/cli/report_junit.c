/* SPDX-License-Identifier: MIT */

#include "client/cli/report_print.h"

#include "proto/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Text between tags and in attributes. XML 1.0 has no way to write most control characters, nor U+FFFE and U+FFFF (in
 * UTF-8 EF BF BE and EF BF BF); a line break in an attribute would be read as a space.
 */
static void put(const char *text)
{
        static const struct {
                char character;
                const char *written;
        } references[] = {
                {'&', "&amp;"}, {'<', "&lt;"},   {'>', "&gt;"},   {'"', "&quot;"},
                {'\t', "&#9;"}, {'\n', "&#10;"}, {'\r', "&#13;"},
        };

        for (; *text; text++) {
                const char *written = (unsigned char)*text < 0x20 ? "?" : NULL;

                for (size_t i = 0; i < sizeof(references) / sizeof(references[0]); i++)
                        if (references[i].character == *text)
                                written = references[i].written;
                if (!strncmp(text, "\xef\xbf\xbe", 3) || !strncmp(text, "\xef\xbf\xbf", 3)) {
                        written = "?";
                        text += 2;
                }
                if (written)
                        (void)fputs(written, stdout);
                else
                        (void)putchar(*text);
        }
}

static void put_attribute(const char *name, const char *text)
{
        (void)printf(" %s=\"", name);
        put(text ? text : "");
        (void)putchar('"');
}

static void put_number(const char *name, int64_t number)
{
        (void)printf(" %s=\"%" PRId64 "\"", name, number);
}

static void put_property(const struct cJSON *report, const char *name)
{
        if (!json_get_string(report, name))
                return;
        (void)fputs("<property", stdout);
        put_attribute("name", name);
        put_attribute("value", json_get_string(report, name));
        (void)fputs("/>", stdout);
}

/* tests/test_x.py::TestY::test_z is test_z of tests.test_x.TestY, as pytest's own --junit-xml has it. */
static void put_test_name(const char *nodeid)
{
        const char *name = strstr(nodeid, "::"), *brackets = strchr(nodeid, '[');
        char *class = strdup(nodeid); /* what comes in its place is shorter */
        size_t used = 0;

        if (!class)
                return;
        for (const char *next = name; next && (!brackets || next < brackets); next = strstr(next + 2, "::"))
                name = next;
        if (!name)
                name = nodeid;
        for (const char *at = nodeid; at < name; at++) {
                if (!strncmp(at, ".py", 3) && (at + 3 == name || at[3] == ':'))
                        at += 2;
                else if (*at != ':')
                        class[used++] = *at == '/' ? '.' : *at;
                else if (at[1] == ':')
                        class[used++] = '.';
        }
        class[used] = '\0';
        put_attribute("classname", class);
        free(class);
        put_attribute("name", name == nodeid ? nodeid : name + 2);
}

static void put_blockers(const struct cJSON *failure)
{
        for (const struct cJSON *blocker = json_first(json_get(failure, "blockers")); blocker;
             blocker = json_next(blocker)) {
                const char *run = json_get_string(blocker, "namespace"),
                           *query = json_get_string(blocker, "query");

                (void)fputs("\nblocked by ", stdout);
                put(run ? run : "a session");
                (void)printf(", pid %" PRId64 ": ", json_get_integer(blocker, "blocker_pid", 0));
                put(query ? query : "");
        }
}

static void put_failure(const struct cJSON *failure)
{
        const char *nodeid = json_get_string(failure, "nodeid"), *phase = json_get_string(failure, "phase");
        const char *state = json_get_string(failure, "sqlstate"),
                   *message = json_get_string(failure, "message");
        const char *element = phase && !strcmp(phase, "call") ? "failure" : "error";

        (void)fputs("<testcase", stdout);
        put_test_name(nodeid ? nodeid : "?");
        (void)printf(" time=\"0\"><%s", element);
        put_attribute("message", message);
        if (state)
                put_attribute("type", state);
        (void)putchar('>');
        put(message ? message : "");
        put_blockers(failure);
        (void)printf("</%s></testcase>\n", element);
}

/* A run that did not come to its end is an error, whatever its tests say. */
static void put_death(const struct cJSON *report)
{
        char end[REPORT_END_SIZE];

        (void)fputs("<testcase classname=\"berth\"", stdout);
        put_attribute("name", json_get_string(report, "namespace"));
        (void)fputs(" time=\"0\"><error", stdout);
        put_attribute("message", *report_end(report, end) ? end : "it did not come to its end");
        (void)fputs("/></testcase>\n", stdout);
}

static void put_suite(const struct cJSON *report)
{
        const struct cJSON *counts = json_get(report, "counts");
        int64_t has_died = !strcmp(json_get_string(report, "status"), "died"), n = has_died;

        for (const struct cJSON *count = json_first(counts); count; count = json_next(count))
                n += json_get_integer(counts, json_name(count), 0);
        (void)fputs("<testsuite", stdout);
        put_attribute("name", json_get_string(report, "namespace"));
        put_number("tests", n);
        put_number("failures", json_get_integer(counts, "failed", 0));
        put_number("errors", json_get_integer(counts, "error", 0) + has_died);
        put_number("skipped",
                   json_get_integer(counts, "skipped", 0) + json_get_integer(counts, "xfailed", 0));
        (void)printf(" time=\"%.3f\"", json_get_number(report, "duration_s", 0));
        put_attribute("timestamp", json_get_string(report, "started_at"));
        put_attribute("hostname", json_get_string(report, "host"));
        (void)fputs(">\n<properties>", stdout);
        put_property(report, "status");
        put_property(report, "label");
        put_property(report, "git_head");
        (void)fputs("</properties>\n", stdout);
        if (has_died)
                put_death(report);
        for (const struct cJSON *failure = json_first(json_get(report, "failures")); failure;
             failure = json_next(failure))
                put_failure(failure);
        (void)fputs("</testsuite>\n", stdout);
}

void report_print_junit(const struct cJSON *reports)
{
        (void)fputs("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<testsuites>\n", stdout);
        for (const struct cJSON *report = json_first(reports); report; report = json_next(report))
                put_suite(report);
        (void)fputs("</testsuites>\n", stdout);
}
