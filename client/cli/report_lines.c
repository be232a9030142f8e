/* SPDX-License-Identifier: MIT */

#include "client/cli/report_lines.h"

#include "client/cli/print.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- times ---- */

const char *report_time(int64_t usec, char ret_text[REPORT_TIME_SIZE])
{
        time_t sec = (time_t)(usec / 1000000);
        char day[24];
        struct tm utc;

        if (!gmtime_r(&sec, &utc) || !strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &utc))
                (void)snprintf(day, sizeof(day), "1970-01-01T00:00:00");
        (void)snprintf(ret_text, REPORT_TIME_SIZE, "%s.%06uZ", day, (unsigned)(usec % 1000000));
        return ret_text;
}

int64_t report_read_time(const char *text)
{
        struct tm utc = {.tm_isdst = 0};
        const char *end = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &utc) : NULL;

        if (!end || *end != '.' || strspn(end + 1, "0123456789") != 6 || strcmp(end + 7, "Z"))
                return 0;
        return (int64_t)timegm(&utc) * 1000000 + strtoll(end + 1, NULL, 10);
}

/* ---- reading ---- */

static bool is_event(const struct cJSON *line, const char *event)
{
        const char *is = json_get_string(line, "event");

        return is && !strcmp(is, event);
}

static bool add_line(struct report_lines *lines, struct cJSON *line)
{
        struct cJSON **grown = reallocarray(lines->list, lines->n + 1, sizeof(*grown));
        int64_t at_usec = report_read_time(json_get_string(line, "at"));

        if (!grown) {
                json_free(line);
                return false;
        }
        lines->list = grown;
        grown[lines->n++] = line;
        if (lines->n == 1 && is_event(line, "ReportOpened"))
                lines->opened = line;
        if (is_event(line, "Closed"))
                lines->closed = line;
        if (at_usec > lines->last_usec)
                lines->last_usec = at_usec;
        return true;
}

bool report_lines_read(const char *text, size_t length, struct report_lines *ret,
                       char message[JSON_MESSAGE_SIZE])
{
        struct report_lines lines = {.n = 0};
        char unread[JSON_MESSAGE_SIZE];
        const char *end;

        (void)snprintf(message, JSON_MESSAGE_SIZE, "it has no whole line");
        for (; (end = memchr(text, '\n', length)); length -= (size_t)(end + 1 - text), text = end + 1) {
                struct cJSON *line = json_parse(text, (size_t)(end - text), lines.n ? unread : message);

                if (line)
                        (void)add_line(&lines, line);
                if (!lines.opened)
                        break;
        }
        if (lines.n && !lines.opened)
                (void)snprintf(message, JSON_MESSAGE_SIZE, "its first line does not open a report");
        if (!lines.opened)
                report_lines_done(&lines);
        else
                *ret = lines;
        return lines.opened != NULL;
}

void report_lines_done(struct report_lines *lines)
{
        for (size_t i = 0; i < lines->n; i++)
                json_free(lines->list[i]);
        free(lines->list);
        lines->list = NULL;
        lines->n = 0;
}

/* ---- building ---- */

/* What a line tells becomes an element of a member of the report. The last line of a wait, or of a crash, counts. */
static const struct {
        const char *event, *member;
        const char *const kept[9]; /* members */
        const char
                *const key[4]; /* lines in which these are equal tell of one thing; empty: each of its own */
} kinds[] = {
        {"TestFailed",
         "failures",
         {"nodeid", "worker", "phase", "message", "sqlstate", "blockers", "diagnosis"},
         {NULL}},
        {"SlotWait",
         "slot_waits",
         {"worker", "database", "seconds", "holders"},
         {"worker", "database", "since"}},
        {"WorkerCrashed", "worker_crashes", {"worker", "replaced_by", "nodeid"}, {"worker"}},
        {"PublicWrite", "public_writes", {"database", "table", "kind"}, {"database", "table", "kind"}},
};

static bool is_same(const char *a, const char *b)
{
        return a && b ? !strcmp(a, b) : a == b;
}

static bool is_told_again(const struct report_lines *lines, size_t at, size_t kind)
{
        const char *const *key = kinds[kind].key;

        for (size_t later = at + 1; *key && later < lines->n; later++) {
                bool equal = is_event(lines->list[later], kinds[kind].event);

                for (size_t i = 0; equal && key[i]; i++)
                        equal = is_same(json_get_string(lines->list[at], key[i]),
                                        json_get_string(lines->list[later], key[i]));
                if (equal)
                        return true;
        }
        return false;
}

static bool copy_member(struct cJSON *to, const struct cJSON *from, const char *name)
{
        const struct cJSON *member = json_get(from, name);

        return member ? json_add(to, name, json_copy(member)) : json_add_null(to, name);
}

static struct cJSON *element(const struct cJSON *line, size_t kind)
{
        struct cJSON *object = json_object();

        for (const char *const *name = kinds[kind].kept; *name; name++)
                if (strcmp(*name, "diagnosis") || json_get(line, *name))
                        (void)copy_member(object, line, *name);
        return object;
}

static bool add_elements(struct cJSON *report, const struct report_lines *lines, size_t kind)
{
        struct cJSON *array = json_array();

        for (size_t i = 0; i < lines->n; i++)
                if (is_event(lines->list[i], kinds[kind].event) && !is_told_again(lines, i, kind))
                        (void)json_append(array, element(lines->list[i], kind));
        return json_add(report, kinds[kind].member, array);
}

/* Of a run that is not closed: its lines tell of what failed, and of nothing else. */
static bool add_counts(struct cJSON *report, const struct report_lines *lines)
{
        static const char *const names[] = {"passed", "failed", "error", "skipped", "xfailed", "xpassed"};
        struct cJSON *counts = json_object();
        int64_t n_failed = 0, n_errors = 0;

        for (size_t i = 0; i < lines->n; i++) {
                if (!is_event(lines->list[i], "TestFailed"))
                        continue;
                if (is_same(json_get_string(lines->list[i], "phase"), "call"))
                        n_failed++;
                else
                        n_errors++;
        }
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                (void)json_add_integer(counts, names[i], i == 1 ? n_failed : i == 2 ? n_errors : 0);
        return json_add(report, "counts", counts);
}

static int64_t count_workers(const struct report_lines *lines)
{
        int64_t n = 0;

        for (size_t i = 0; i < lines->n; i++) {
                const char *worker = json_get_string(lines->list[i], "worker");
                bool is_new = worker;

                for (size_t before = 0; is_new && before < i; before++)
                        is_new = !is_same(worker, json_get_string(lines->list[before], "worker"));
                n += is_new;
        }
        return n ? n : 1;
}

static void add_end(struct cJSON *report, const struct report_lines *lines, const struct report_end *end)
{
        int64_t started_usec = report_read_time(json_get_string(lines->opened, "started_at"));
        int64_t until_usec = end->ended_usec ? end->ended_usec : print_now_usec();
        char text[REPORT_TIME_SIZE];

        if (lines->closed) {
                (void)copy_member(report, lines->closed, "status");
                (void)copy_member(report, lines->closed, "exit_status");
        } else {
                (void)json_add_string(report, "status", end->status);
                (void)(end->exit_status < 0 ? json_add_null(report, "exit_status")
                                            : json_add_integer(report, "exit_status", end->exit_status));
        }
        (void)(end->signal ? json_add_integer(report, "signal", end->signal)
                           : json_add_null(report, "signal"));
        (void)(end->ended_usec ? json_add_string(report, "ended_at", report_time(end->ended_usec, text))
                               : json_add_null(report, "ended_at"));
        (void)json_add_number(report, "duration_s",
                              until_usec > started_usec ? (double)(until_usec - started_usec) / 1e6 : 0);
}

struct cJSON *report_lines_build(const struct report_lines *lines, const struct report_end *end)
{
        static const char *const of_opening[] = {"namespace",  "host",      "uid",         "cwd",
                                                 "git_head",   "argv",      "label",       "source",
                                                 "started_at", "databases", "stale_export"};
        struct cJSON *report = json_object();
        bool complete = json_add_integer(report, "schema_version", 1) &&
                        json_add_string(report, "written_by", end->written_by);

        for (size_t i = 0; i < sizeof(of_opening) / sizeof(of_opening[0]); i++)
                complete = complete && copy_member(report, lines->opened, of_opening[i]);
        add_end(report, lines, end);
        if (lines->closed)
                complete = complete && copy_member(report, lines->closed, "counts") &&
                           copy_member(report, lines->closed, "workers");
        else
                complete = complete && add_counts(report, lines) &&
                           json_add_integer(report, "workers", count_workers(lines));
        for (size_t kind = 0; complete && kind < sizeof(kinds) / sizeof(kinds[0]); kind++)
                complete = add_elements(report, lines, kind);
        complete = complete && json_add(report, "leftovers", json_array());
        return complete ? report : json_free(report);
}
