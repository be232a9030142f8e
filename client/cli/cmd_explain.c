/* SPDX-License-Identifier: MIT */

/* berth explain: the answer, what it stands on in order of time, and what to do. A dozen lines at most. */

#include "client/cli/print.h"
#include "client/cli/query.h"

#include "proto/json.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ANSWER_MS      30000 /* it asks every database */
#define ANSWER_LINES   3
#define ADVICE_LINES   2
#define EVIDENCE_LINES 7
#define EVIDENCE_MAX   1000
#define TEXT_SIZE      300

struct evidence {
        int64_t time_usec;
        int order; /* among those of one moment */
        char text[TEXT_SIZE];
};

struct story {
        const struct cJSON *reply;
        struct evidence *lines; /* EVIDENCE_MAX */
        int n;
};

__attribute__((format(printf, 3, 4))) static void add(struct story *story, int64_t time_usec,
                                                      const char *format, ...)
{
        va_list arguments;

        if (!time_usec || story->n == EVIDENCE_MAX)
                return;
        story->lines[story->n].time_usec = time_usec;
        story->lines[story->n].order = story->n;
        va_start(arguments, format);
        (void)vsnprintf(story->lines[story->n].text, TEXT_SIZE, format, arguments);
        va_end(arguments);
        story->n++;
}

static const char *or_empty(const char *text)
{
        return text ? text : "";
}

/* ---- leases and slots ---- */

static void add_lease(struct story *story, const struct cJSON *lease)
{
        int64_t id = json_get_integer(lease, "lease", 0), joined = json_get_integer(lease, "joined", 0),
                status = json_get_integer(lease, "exitStatus", -1);
        const char *label = json_get_string(lease, "label"), *reason = json_get_string(lease, "reason");
        char user[PRINT_USER_SIZE], members[48] = "", code[48] = "";

        if (joined)
                (void)snprintf(members, sizeof(members), ", %" PRId64 " joined", joined);
        if (status >= 0)
                (void)snprintf(code, sizeof(code), ", exit status %" PRId64, status);
        add(story, json_get_integer(lease, "sinceUSec", 0), "lease %" PRId64 " %sgranted to %s%s%s%s", id,
            json_get_bool(lease, "forced", false) ? "of that name " : "",
            print_user(json_get_integer(lease, "uid", 0), user), members, label ? ": " : "", or_empty(label));
        add(story, json_get_integer(lease, "endedUSec", 0), "lease %" PRId64 " %s%s%s%s", id,
            or_empty(json_get_string(lease, "state")), code, reason ? ": " : "", or_empty(reason));
}

static void add_slot(struct story *story, const struct cJSON *use)
{
        const char *worker = json_get_string(use, "worker"), *database = json_get_string(use, "database");
        int64_t slot = json_get_integer(use, "slot", -1), since = json_get_integer(use, "sinceUSec", 0);

        if (slot < 0)
                add(story, since, "%s waits for a DDL slot in %s", worker ? worker : "the sweep",
                    or_empty(database));
        else
                add(story, since, "%s holds DDL slot %" PRId64 " in %s%s", worker ? worker : "the sweep",
                    slot, or_empty(database), json_get_bool(use, "draining", false) ? ", draining" : "");
}

/* ---- verdicts ---- */

/* One verdict of one schema, and whether a line tells it already. */
struct told {
        const struct cJSON *schema, *verdict;
        bool done;
};

static bool is_same(const struct cJSON *a, const struct cJSON *b, const char *key)
{
        return !strcmp(or_empty(json_get_string(a, key)), or_empty(json_get_string(b, key)));
}

static bool goes_with(const struct told *a, const struct told *b)
{
        return json_get_integer(a->verdict, "sweep", 0) == json_get_integer(b->verdict, "sweep", 0) &&
               is_same(a->verdict, b->verdict, "verdict") && is_same(a->verdict, b->verdict, "reason") &&
               is_same(a->verdict, b->verdict, "sqlState");
}

static void join(char *text, size_t size, const char *word)
{
        size_t length = strlen(text);

        if (length < size)
                (void)snprintf(text + length, size - length, "%s%s", length ? ", " : "", word);
}

/* One of "main, tenant1"? */
static bool has_word(const char *list, const char *word)
{
        size_t length = strlen(word);

        for (const char *at = list; *at; at += strspn(at, ", ")) {
                size_t n = strcspn(at, ",");

                if (n == length && !strncmp(at, word, n))
                        return true;
                at += n;
        }
        return false;
}

/* What one sweep said alike of several is one line: "sweep 41: dropped 8 schemas in platform, tenant1". */
static void add_verdict(struct story *story, struct told *all, int n, int i)
{
        const struct cJSON *verdict = all[i].verdict;
        const char *reason = json_get_string(verdict, "reason"), *detail = json_get_string(verdict, "detail");
        const char *sqlstate = json_get_string(verdict, "sqlState");
        char where[120] = "", what[64] = "";
        int n_alike = 0;

        for (int k = i; k < n; k++) {
                const char *database = json_get_string(all[k].schema, "database");

                if (all[k].done || !goes_with(&all[i], &all[k]))
                        continue;
                all[k].done = true;
                n_alike += is_same(all[i].schema, all[k].schema, "database");
                if (database && !has_word(where, database))
                        join(where, sizeof(where), database);
        }
        if (n_alike > 1)
                (void)snprintf(what, sizeof(what), " %d schemas", n_alike);
        add(story, json_get_integer(verdict, "timeUSec", 0), "sweep %" PRId64 ": %s%s in %s%s%s%s%s%s%s",
            json_get_integer(verdict, "sweep", 0), or_empty(json_get_string(verdict, "verdict")), what, where,
            reason ? ": " : "", or_empty(reason), sqlstate ? ": " : "", or_empty(sqlstate),
            detail ? ": " : "", or_empty(detail));
}

static void add_verdicts(struct story *story)
{
        const struct cJSON *schemas = json_get(story->reply, "schemas");
        struct told *all = calloc(EVIDENCE_MAX, sizeof(*all));
        int n = 0;

        for (const struct cJSON *schema = json_first(schemas); schema; schema = json_next(schema)) {
                const struct cJSON *verdicts = json_get(schema, "verdicts");

                add(story, json_get_integer(schema, "firstSeenUSec", 0), "first seen in %s",
                    or_empty(json_get_string(schema, "database")));
                for (const struct cJSON *one = json_first(verdicts); one; one = json_next(one))
                        if (all && n < EVIDENCE_MAX)
                                all[n++] = (struct told){.schema = schema, .verdict = one};
        }
        for (int i = 0; i < n; i++)
                if (!all[i].done)
                        add_verdict(story, all, n, i);
        free(all);
}

static void add_writes(struct story *story)
{
        const struct cJSON *writes = json_get(story->reply, "publicWrites");

        for (const struct cJSON *one = json_first(writes); one; one = json_next(one))
                add(story, json_get_integer(one, "timeUSec", 0), "noticed in %s: %s",
                    or_empty(json_get_string(one, "database")), or_empty(json_get_string(one, "what")));
}

/* ---- the census ---- */

/* "2026-11-21T05:58:00.123456Z" */
static int64_t read_time(const char *text)
{
        struct tm utc = {0};

        return text && strptime(text, "%Y-%m-%dT%H:%M:%S", &utc) ? (int64_t)timegm(&utc) * 1000000 : 0;
}

static void add_census(struct story *story)
{
        const struct cJSON *sweep = json_get(story->reply, "lastSweep"),
                           *databases = json_get(sweep, "databases");
        int64_t at_usec = read_time(json_get_string(sweep, "finished_at"));
        char reason[PRINT_REASON_SIZE];

        for (const struct cJSON *one = json_first(databases); one; one = json_next(one))
                if (json_get_string(one, "error"))
                        add(story, at_usec, "sweep %" PRId64 ": no word from %s: %s",
                            json_get_integer(sweep, "sweep_id", 0), or_empty(json_get_string(one, "name")),
                            print_reason(json_get_string(one, "error"), reason));
        databases = json_get(story->reply, "unheard");
        for (const struct cJSON *one = json_first(databases); one; one = json_next(one))
                add(story, print_now_usec(), "%s could not be asked: %s",
                    or_empty(json_get_string(one, "name")),
                    print_reason(or_empty(json_get_string(one, "message")), reason));
}

/* ---- printing ---- */

/* As many lines as there may be, broken at spaces; what does not fit into the last is cut. */
static void print_wrapped(const char *text, int indent, int max_lines)
{
        const int width = print_width() - indent;

        for (int line = 1; *text; line++) {
                size_t fits = strlen(text);
                char *cut;

                if (line == max_lines || print_columns(text) <= width) {
                        cut = print_cut(text, width);
                        (void)printf("%s\n", cut ? cut : text);
                        free(cut);
                        return;
                }
                while (fits && (text[fits] != ' ' || (int)fits > width))
                        fits--;
                if (!fits)
                        fits = strnlen(text, (size_t)width);
                (void)printf("%.*s\n%*s", (int)fits, text, indent, "");
                text += fits + (text[fits] == ' ');
        }
}

static int by_time(const void *a, const void *b)
{
        const struct evidence *one = a, *other = b;

        if (one->time_usec == other->time_usec)
                return one->order - other->order;
        return one->time_usec < other->time_usec ? -1 : 1;
}

static void print_line(const struct evidence *evidence)
{
        time_t sec = (time_t)(evidence->time_usec / 1000000);
        char at[32] = "?", *cut;
        struct tm local;

        if (localtime_r(&sec, &local))
                (void)strftime(at, sizeof(at), "%Y-%m-%d %H:%M:%S", &local);
        cut = print_cut(evidence->text, print_width() - 23);
        (void)printf("  %s  %s\n", at, cut ? cut : evidence->text);
        free(cut);
}

/* The newest; what came before is counted. */
static void print_evidence(struct story *story)
{
        int first = story->n > EVIDENCE_LINES ? story->n - EVIDENCE_LINES + 1 : 0;

        qsort(story->lines, (size_t)story->n, sizeof(*story->lines), by_time);
        if (first)
                (void)printf("  %d earlier; --json has them\n", first);
        for (int i = first; i < story->n; i++)
                print_line(&story->lines[i]);
}

static void print_explanation(const struct cJSON *reply)
{
        struct story story = {.reply = reply, .lines = calloc(EVIDENCE_MAX, sizeof(*story.lines))};
        const char *answer = json_get_string(reply, "answer"), *advice = json_get_string(reply, "advice");
        const struct cJSON *list;

        print_wrapped(or_empty(answer), 2, ANSWER_LINES);
        if (story.lines) {
                list = json_get(reply, "leases");
                for (const struct cJSON *lease = json_first(list); lease; lease = json_next(lease))
                        add_lease(&story, lease);
                list = json_get(reply, "slots");
                for (const struct cJSON *use = json_first(list); use; use = json_next(use))
                        add_slot(&story, use);
                add_verdicts(&story);
                add_writes(&story);
                add_census(&story);
                print_evidence(&story);
        }
        free(story.lines);
        if (!advice)
                return;
        (void)fputs("do: ", stdout);
        print_wrapped(advice, 4, ADVICE_LINES);
}

int cmd_explain(struct cli *cli)
{
        struct cJSON *parameters = json_object(), *reply;
        const char *standing;
        int r;

        (void)json_add_string(parameters, "name", cli->operands[0]);
        r = query_one(cli, "io.berth.manage.Explain", parameters, ANSWER_MS, &reply);
        standing = json_get_string(reply, "standing");
        if (!r && cli->options.json)
                print_json(reply);
        else if (!r)
                print_explanation(reply);
        if (!r && standing && !strcmp(standing, "nothing"))
                r = CLI_FAILED;
        json_free(reply);
        return r;
}
