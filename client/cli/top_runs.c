/* SPDX-License-Identifier: MIT */

/* The table of runs: what each has, and what it does or what keeps it from going on. */

#include "client/cli/top_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUNS_MAX        512
#define NAMESPACE_LEAST 9
#define LABEL_LEAST     7
#define CELL_SIZE       64

struct run {
        const struct cJSON *lease;
        const char *namespace, *label, *state;
        int64_t since_usec, uid, sessions, schemas;
        char owner[PRINT_USER_SIZE];
        char workers[24], slot[24], doing[CELL_SIZE];
        enum print_color color;
};

/* Of a run in "holders" or "waiters" of all clusters: how many, and the oldest. */
static int find_uses(const struct layout *layout, const char *list, const char *namespace,
                     const struct cJSON **ret_first)
{
        int n = 0;

        *ret_first = NULL;
        for (const struct cJSON *cluster = json_first(json_get(layout->status, "clusters")); cluster;
             cluster = json_next(cluster)) {
                for (const struct cJSON *use = json_first(json_get(cluster, list)); use;
                     use = json_next(use)) {
                        if (strcmp(text_of(use, "namespace"), namespace) != 0)
                                continue;
                        n++;
                        if (!*ret_first || json_get_integer(use, "sinceUSec", 0) <
                                                   json_get_integer(*ret_first, "sinceUSec", 0))
                                *ret_first = use;
                }
        }
        return n;
}

static const struct cJSON *find_block(const struct layout *layout, const char *namespace)
{
        for (const struct cJSON *one = json_first(json_get(layout->told, "locks")); one; one = json_next(one))
                if (!strcmp(text_of(json_get(one, "blocked"), "namespace"), namespace))
                        return one;
        return NULL;
}

/* What keeps a run from going on comes before what it does. */
static void read_doing(const struct layout *layout, struct run *run)
{
        const struct cJSON *held, *waiting, *block = find_block(layout, run->namespace);
        int n_held = find_uses(layout, "holders", run->namespace, &held),
            n_waiting = find_uses(layout, "waiters", run->namespace, &waiting);
        char text[BERTH_DURATION_SIZE];

        (void)snprintf(run->slot, sizeof(run->slot), "%s",
                       n_held      ? text_of(held, "worker")
                       : n_waiting ? "wait"
                                   : "-");
        if (n_held > 1)
                (void)snprintf(run->slot, sizeof(run->slot), "%.12s+%d", text_of(held, "worker"), n_held - 1);
        (void)snprintf(run->doing, sizeof(run->doing), "%s", run->state);
        if (!strcmp(run->state, "queued"))
                (void)snprintf(run->doing, sizeof(run->doing), "queued, place %" PRId64,
                               json_get_integer(run->lease, "position", 0));
        else if (block)
                (void)snprintf(run->doing, sizeof(run->doing), "blocked %s",
                               berth_format_duration(json_get_integer(block, "waitUSec", 0), text));
        else if (held)
                (void)snprintf(run->doing, sizeof(run->doing), "building %s",
                               age(layout, json_get_integer(held, "sinceUSec", 0), text));
        else if (waiting)
                (void)snprintf(run->doing, sizeof(run->doing), "waits %s",
                               age(layout, json_get_integer(waiting, "sinceUSec", 0), text));
        run->color = block ? PRINT_BAD : waiting || strcmp(run->state, "live") ? PRINT_WARNING : PRINT_PLAIN;
}

static void read_run(const struct layout *layout, const struct cJSON *lease, struct run *run)
{
        int64_t n = json_get_integer(lease, "workers", 0);

        *run = (struct run){
                .lease = lease,
                .namespace = text_of(lease, "namespace"),
                .label = text_of(lease, "label"),
                .state = text_of(lease, "state"),
                .since_usec = json_get_integer(lease, "sinceUSec", 0),
                .uid = json_get_integer(lease, "uid", 0),
                .sessions = json_get_integer(lease, "sessions", -1),
                .schemas = json_get_integer(lease, "schemas", -1),
        };
        (void)print_user(run->uid, run->owner);
        (void)snprintf(run->workers, sizeof(run->workers), "-");
        if (n)
                (void)snprintf(run->workers, sizeof(run->workers), "%" PRId64 "/%" PRId64,
                               json_get_integer(lease, "workersConnected", 0), n);
        read_doing(layout, run);
}

static int by_number(int64_t a, int64_t b)
{
        return a < b ? -1 : a > b;
}

static int by_age(const struct run *a, const struct run *b)
{
        return by_number(a->since_usec, b->since_usec);
}

static int by_namespace(const struct run *a, const struct run *b)
{
        return strcmp(a->namespace, b->namespace);
}

static int by_owner(const struct run *a, const struct run *b)
{
        return strcmp(a->owner, b->owner);
}

static int by_sessions(const struct run *a, const struct run *b)
{
        return by_number(b->sessions, a->sessions);
}

static int by_schemas(const struct run *a, const struct run *b)
{
        return by_number(b->schemas, a->schemas);
}

static const struct {
        const char *name;
        int (*compare)(const struct run *a, const struct run *b);
} sorts[TOP_SORTS_N] = {
        [TOP_BY_AGE] = {"age", by_age},
        [TOP_BY_NAMESPACE] = {"namespace", by_namespace},
        [TOP_BY_OWNER] = {"owner", by_owner},
        [TOP_BY_SESSIONS] = {"sessions", by_sessions},
        [TOP_BY_SCHEMAS] = {"schemas", by_schemas},
};

const char *top_sort_name(enum top_sort sort)
{
        return sorts[sort].name;
}

/* Two that are alike keep the order of their age. */
static int compare(const void *a, const void *b, void *choice_of)
{
        const struct top_choice *choice = choice_of;
        int r = sorts[choice->sort].compare(a, b);

        if (!r)
                r = by_age(a, b);
        return choice->is_reversed ? -r : r;
}

/* Cells of a line; a negative width stands at the left. Those behind the edge are cut with the line. */
static void add_cell(char *line, size_t size, const char *text, int width)
{
        char *cut = print_cut(text, abs(width));
        int missing = abs(width) - print_columns(cut ? cut : "");
        size_t used = strlen(line);

        (void)snprintf(line + used, size - used, "%*s%s%*s ", width > 0 ? missing : 0, "", cut ? cut : "",
                       width < 0 ? missing : 0, "");
        free(cut);
}

enum { NAMESPACE, OWNER, COMMAND, AGE, WORKERS, SESSIONS, SLOT, SCHEMAS, STATE, CELLS };

/* What a column is at least and at most; it is as wide as what is in it. The namespace gives way last. */
static const struct column {
        const char *heading;
        int most;
        bool is_number;
} columns_of_runs[CELLS] = {
        [NAMESPACE] = {"NAMESPACE", 32, false},
        [OWNER] = {"OWNER", 10, false},
        [COMMAND] = {"COMMAND", 200, false},
        [AGE] = {"AGE", 8, true},
        [WORKERS] = {"WRK", 7, true},
        [SESSIONS] = {"CONN", 5, true},
        [SLOT] = {"SLOT", 8, false},
        [SCHEMAS] = {"SCHEM", 6, true},
        [STATE] = {"STATE", 16, false},
};

static void measure_cells(int widths[CELLS], char *const cells[CELLS])
{
        for (int i = 0; i < CELLS; i++) {
                int columns = print_columns(cells[i]);

                if (columns > columns_of_runs[i].most)
                        columns = columns_of_runs[i].most;
                if (columns > widths[i])
                        widths[i] = columns;
        }
}

/* The command takes what is left, and gives it back where nothing is; then the namespace does. */
static void fit(int widths[CELLS], int width)
{
        int left = width - (CELLS - 1);

        for (int i = 0; i < CELLS; i++)
                left -= i == COMMAND ? 0 : widths[i];
        widths[COMMAND] = left > LABEL_LEAST ? left : LABEL_LEAST;
        left -= widths[COMMAND];
        if (left < 0)
                widths[NAMESPACE] += left;
        if (widths[NAMESPACE] < NAMESPACE_LEAST)
                widths[NAMESPACE] = NAMESPACE_LEAST;
}

static void add_row(struct lines *lines, const int widths[CELLS], char *const cells[CELLS],
                    enum print_color color, bool is_heading)
{
        char text[1024] = "";
        struct top_line *line;

        for (int i = 0; i < CELLS; i++)
                add_cell(text, sizeof(text), cells[i], columns_of_runs[i].is_number ? widths[i] : -widths[i]);
        line = lines_add(lines, color, "%.*s", (int)strlen(text) - 1, text); /* without the last gap */
        if (line)
                line->is_heading = is_heading;
}

static void print_number(int64_t number, char *text)
{
        (void)snprintf(text, 24, number < 0 ? "-" : "%" PRId64, number);
}

static void print_cells(const struct layout *layout, const struct run *run, char texts[3][24],
                        char *cells[CELLS])
{
        print_number(run->sessions, texts[0]);
        print_number(run->schemas, texts[1]);
        (void)age(layout, run->since_usec, texts[2]);
        cells[NAMESPACE] = (char *)run->namespace;
        cells[OWNER] = (char *)run->owner;
        cells[COMMAND] = (char *)run->label;
        cells[AGE] = texts[2];
        cells[WORKERS] = (char *)run->workers;
        cells[SESSIONS] = texts[0];
        cells[SLOT] = (char *)run->slot;
        cells[SCHEMAS] = texts[1];
        cells[STATE] = (char *)run->doing;
}

static void add_table(struct lines *lines, const struct layout *layout, const struct run *runs, int n)
{
        char texts[3][24], *cells[CELLS], *headings[CELLS];
        int widths[CELLS] = {0};

        for (int i = 0; i < CELLS; i++)
                headings[i] = (char *)columns_of_runs[i].heading;
        measure_cells(widths, headings);
        for (int i = 0; i < n; i++) {
                print_cells(layout, &runs[i], texts, cells);
                measure_cells(widths, cells);
        }
        fit(widths, layout->width);
        add_row(lines, widths, headings, PRINT_PLAIN, true);
        for (int i = 0; i < n; i++) {
                print_cells(layout, &runs[i], texts, cells);
                add_row(lines, widths, cells, runs[i].color, false);
        }
}

void top_add_runs(struct lines *lines, const struct layout *layout)
{
        struct run *runs = calloc(RUNS_MAX, sizeof(*runs));
        int n = 0;

        if (!runs) {
                lines->has_failed = true;
                return;
        }
        for (const struct cJSON *one = json_first(json_get(layout->told, "leases")); one && n < RUNS_MAX;
             one = json_next(one))
                read_run(layout, one, &runs[n++]);
        qsort_r(runs, (size_t)n, sizeof(*runs), compare, (void *)layout->choice);
        add_table(lines, layout, runs, n);
        free(runs);
}
