/* SPDX-License-Identifier: MIT */

/* A failing test: its message, and who was in its way. */

#include "client/cli/print.h"
#include "client/cli/report_print.h"

#include "proto/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INDENT    4
#define LINES_MAX 4 /* of a message */

const char *report_text_of(const struct cJSON *object, const char *name)
{
        const char *text = json_get_string(object, name);

        return text ? text : "?";
}

const char *report_seconds(const struct cJSON *object, const char *name, char ret_text[BERTH_DURATION_SIZE])
{
        return berth_format_duration((int64_t)(json_get_number(object, name, 0) * 1e6), ret_text);
}

/* As many bytes of text as a line takes, up to the end of a word where there is one. */
static size_t bytes_of_line(const char *text, int columns)
{
        size_t fit = print_fit(text, columns), n = fit;

        if (!text[fit])
                return fit;
        while (n && text[n] != ' ')
                n--;
        return n ? n : fit;
}

/* The end of a long message says what happened as often as its beginning. */
static void print_indented(const char *text)
{
        int columns = print_width() - INDENT - 1;
        char *cut;

        for (int line = 1; line < LINES_MAX && print_columns(text) > columns; line++) {
                size_t n = bytes_of_line(text, columns);

                (void)printf("%*s%.*s\n", INDENT, "", (int)n, text);
                text += n + strspn(text + n, " ");
        }
        cut = print_cut(text, columns);
        (void)printf("%*s%s\n", INDENT, "", cut ? cut : "?");
        free(cut);
}

/* "gw3 of pother (pid 8)"; a prepared transaction has no process. */
static void describe_session(const struct cJSON *blocker, char *text, size_t size)
{
        const char *worker = json_get_string(blocker, "worker"), *run = json_get_string(blocker, "namespace");
        const char *application = json_get_string(blocker, "application_name");
        int64_t pid = json_get_integer(blocker, "blocker_pid", 0);
        char process[32] = "";

        if (pid)
                (void)snprintf(process, sizeof(process), " (pid %" PRId64 ")", pid);
        if (run)
                (void)snprintf(text, size, "%.20s%s%.40s%s", worker ? worker : "", worker ? " of " : "", run,
                               process);
        else
                (void)snprintf(text, size, "%.64s%s",
                               !pid          ? "a prepared transaction"
                               : application ? application
                                             : "a session",
                               process);
}

/* Whoever was waited for when berthd was asked, or, if the wait was over, whoever held locks still. */
static void print_blocker(const struct cJSON *blocker)
{
        bool was_waited_for = json_get(blocker, "wait_s") || json_get(blocker, "blocked_pid");
        char text[2000], waited[BERTH_DURATION_SIZE] = "", who[200];

        describe_session(blocker, who, sizeof(who));
        if (json_get(blocker, "wait_s"))
                (void)report_seconds(blocker, "wait_s", waited);
        (void)snprintf(text, sizeof(text), "%s %.63s by %s%s%s: %.1500s",
                       was_waited_for ? "blocked in" : "locks are held in",
                       report_text_of(blocker, "database"), who, *waited ? " for " : "", waited,
                       report_text_of(blocker, "query"));
        print_indented(text);
}

void report_print_failure(const struct cli *cli, const struct cJSON *failure)
{
        const char *phase = report_text_of(failure, "phase"), *state = json_get_string(failure, "sqlstate");
        bool in_test = !strcmp(phase, "call");

        (void)printf("%s%s%s %s (%s%s%s%s%s)\n", print_start(cli, PRINT_BAD), in_test ? "FAILED" : "ERROR",
                     print_stop(cli), report_text_of(failure, "nodeid"), report_text_of(failure, "worker"),
                     in_test ? "" : ", ", in_test ? "" : phase, state ? ", " : "", state ? state : "");
        print_indented(report_text_of(failure, "message"));
        for (const struct cJSON *blocker = json_first(json_get(failure, "blockers")); blocker;
             blocker = json_next(blocker))
                print_blocker(blocker);
}
