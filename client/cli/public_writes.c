/* SPDX-License-Identifier: MIT */
#include "client/cli/public_writes.h"

#include "client/cli/print.h"

#include "proto/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INDENT        13
#define LINES_MAX     5
#define SHORT_COLUMNS 12 /* of a namespace where several stand in one line */

static void print_line(const struct cli *cli, int nth, enum print_color color, char *text)
{
        char *cut;

        print_make_plain(text);
        cut = print_cut(text, print_width() - INDENT - 1);
        (void)printf("%*s%s%s%s\n", INDENT, nth ? "" : "Public: ", print_start(cli, color), cut ? cut : text,
                     print_stop(cli));
        free(cut);
}

static void add_names(const struct cJSON *write, char *text, size_t size)
{
        const char *separator = "; ";

        for (const struct cJSON *one = json_first(json_get(write, "namespaces")); one; one = json_next(one)) {
                const char *namespace = json_string(one);
                size_t n = strlen(text);

                (void)snprintf(text + n, size - n, "%s%.*s%s", separator, SHORT_COLUMNS,
                               namespace ? namespace : "?",
                               namespace && strlen(namespace) > SHORT_COLUMNS ? print_ellipsis() : "");
                separator = ", ";
        }
}

/* "platform public.users: 3 rows 2min ago; p18234t1745…, p18301t1745…" */
static void describe(const struct cJSON *write, char *text, size_t size)
{
        const char *database = json_get_string(write, "database"), *table = json_get_string(write, "table"),
                   *kind = json_get_string(write, "kind");
        int64_t rows = json_get_integer(write, "rows", 0);
        char age[BERTH_DURATION_SIZE], count[PRINT_COUNT_SIZE], what[PRINT_COUNT_SIZE + 8] = "new";

        if (kind && strcmp(kind, "table") != 0)
                (void)snprintf(what, sizeof(what), "%s row%s", print_count(rows, count),
                               rows == 1 ? "" : "s");
        (void)snprintf(text, size, "%s %s: %s, %s ago", database ? database : "?", table ? table : "?", what,
                       print_age(json_get_integer(write, "lastUSec", 0), age));
        add_names(write, text, size);
}

void public_writes_print(const struct cli *cli, const struct cJSON *status)
{
        const struct cJSON *writes = json_get(status, "publicWrites");
        char text[600];
        int n = 0, line = 0, skip;

        for (const struct cJSON *write = json_first(writes); write; write = json_next(write))
                n++;
        if (!n)
                return;
        skip = n > LINES_MAX ? n - LINES_MAX : 0;
        if (skip) {
                (void)snprintf(text, sizeof(text), "%d before these; --json has them", skip);
                print_line(cli, line++, PRINT_FAINT, text);
        }
        for (const struct cJSON *write = json_first(writes); write; write = json_next(write)) {
                if (skip-- > 0)
                        continue;
                describe(write, text, sizeof(text));
                print_line(cli, line++, PRINT_BAD, text);
        }
        (void)snprintf(text, sizeof(text), "one of these runs has public in its search_path; take it out");
        print_line(cli, line, PRINT_PLAIN, text);
}
