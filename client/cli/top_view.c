/* SPDX-License-Identifier: MIT */

/*
 * From above: the daemon and its databases, the slots, what is wrong; the runs; who waits for a slot; who blocks whom;
 * the keys. Where the screen is too low, each of the three tables gives way, the runs last.
 */

#include "client/cli/top_view.h"

#include "client/cli/top_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHORT_COLUMNS 12 /* of a namespace where others stand in the same line */
#define CELL_SIZE     64
#define WRONG_SHOWN   2 /* of one kind */

/* ---- the head ---- */

static void add_databases(struct lines *lines, const struct layout *layout)
{
        int n = 0, n_down = 0;

        for (const struct cJSON *one = json_first(json_get(layout->status, "databases")); one;
             one = json_next(one)) {
                n++;
                n_down += !json_get_bool(one, "reachable", false);
        }
        if (!n)
                lines_item(lines, PRINT_PLAIN, "no database configured");
        else if (n_down)
                lines_item(lines, PRINT_PLAIN, "%d of %d databases UNREACHABLE", n_down, n);
        else
                lines_item(lines, PRINT_PLAIN, "%d database%s ok", n, n == 1 ? "" : "s");
}

static void add_sweep(struct lines *lines, const struct layout *layout)
{
        const struct cJSON *sweep = json_get(layout->told, "sweep");
        int64_t since_usec = json_get_integer(layout->told, "sweepingUSec", 0);
        char text[BERTH_DURATION_SIZE];

        if (since_usec)
                lines_item(lines, PRINT_PLAIN, "sweeping for %s", age(layout, since_usec, text));
        if (!sweep)
                return;
        age(layout, json_get_integer(sweep, "finishedUSec", 0), text);
        if (!json_get_bool(sweep, "complete", false))
                lines_item(lines, PRINT_PLAIN, "sweep held back %s ago", text);
        else
                lines_item(lines, PRINT_PLAIN,
                           "swept %s ago: %" PRId64 " dropped, %" PRId64 " kept, %" PRId64 " failed", text,
                           json_get_integer(sweep, "dropped", 0), json_get_integer(sweep, "kept", 0),
                           json_get_integer(sweep, "failed", 0) + json_get_integer(sweep, "unknown", 0));
}

/* "gw3 p18234t1745… 1.2s" */
static void print_use(const struct layout *layout, const struct cJSON *use, char *text, size_t size)
{
        const char *worker = json_get_string(use, "worker");
        char *namespace = print_cut(text_of(use, "namespace"), SHORT_COLUMNS), held[BERTH_DURATION_SIZE];

        (void)snprintf(text, size, "%s%s%s %s%s", worker ? worker : "sweep", worker ? " " : "",
                       worker && namespace ? namespace : "",
                       age(layout, json_get_integer(use, "sinceUSec", 0), held),
                       json_get_bool(use, "draining", false) ? " draining" : "");
        free(namespace);
}

static const struct cJSON *holder_of(const struct cJSON *cluster, int64_t slot)
{
        for (const struct cJSON *use = json_first(json_get(cluster, "holders")); use; use = json_next(use))
                if (json_get_integer(use, "slot", -1) == slot)
                        return use;
        return NULL;
}

static void add_slots(struct lines *lines, const struct layout *layout, const struct cJSON *cluster)
{
        char names[CELL_SIZE] = "", text[CELL_SIZE];
        size_t used = 0;

        for (const struct cJSON *name = json_first(json_get(cluster, "databases"));
             name && used < sizeof(names); name = json_next(name))
                used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", used ? "," : " ",
                                         json_string(name));
        (void)lines_add(lines, PRINT_PLAIN, "slots%s", names);
        for (int64_t slot = 0; slot < json_get_integer(cluster, "slots", 0); slot++) {
                const struct cJSON *use = holder_of(cluster, slot);

                if (use)
                        print_use(layout, use, text, sizeof(text));
                lines_item(lines, PRINT_PLAIN, "[%" PRId64 "] %s", slot, use ? text : "free");
        }
}

/* Sixteen databases of one server go down together, and of public a day is told: the runs must stay in sight. */
static void add_down(struct lines *lines, const struct layout *layout)
{
        char reason[PRINT_REASON_SIZE];
        int n = 0;

        for (const struct cJSON *one = json_first(json_get(layout->status, "databases")); one;
             one = json_next(one))
                if (!json_get_bool(one, "reachable", false) && n++ < WRONG_SHOWN)
                        (void)lines_add(lines, PRINT_BAD, "%s: %s", text_of(one, "name"),
                                        print_reason(text_of(one, "message"), reason));
        if (n > WRONG_SHOWN)
                (void)lines_add(lines, PRINT_BAD, "%d more databases; see berth status", n - WRONG_SHOWN);
}

static void add_public_writes(struct lines *lines, const struct layout *layout)
{
        const struct cJSON *writes = json_get(layout->status, "publicWrites");
        int n = 0;

        for (const struct cJSON *one = json_first(writes); one; one = json_next(one))
                n++;
        if (n > WRONG_SHOWN)
                (void)lines_add(lines, PRINT_WARNING,
                                "written into public: %d tables before; see berth status", n - WRONG_SHOWN);
        for (const struct cJSON *one = json_first(writes); one; one = json_next(one))
                if (n-- <= WRONG_SHOWN)
                        (void)lines_add(lines, PRINT_WARNING, "written into public: %s in %s",
                                        text_of(one, "table"), text_of(one, "database"));
}

static void add_wrong(struct lines *lines, const struct layout *layout, const char *trouble)
{
        const char *unsettled = json_get_string(layout->status, "unsettled"),
                   *ledger = json_get_string(json_get(layout->status, "ledger"), "message"),
                   *why = json_get_string(json_get(layout->told, "sweep"), "why");

        if (trouble)
                (void)lines_add(lines, PRINT_BAD, "%s", trouble);
        add_down(lines, layout);
        if (ledger)
                (void)lines_add(lines, PRINT_BAD, "ledger: %s", ledger);
        if (why)
                (void)lines_add(lines, PRINT_WARNING, "sweep: %s", why);
        if (unsettled)
                (void)lines_add(lines, PRINT_WARNING, "no sweep now: %s", unsettled);
        add_public_writes(lines, layout);
}

static void add_head(struct lines *lines, const struct layout *layout, const char *trouble)
{
        int64_t n_runs = json_get_integer(layout->status, "leases", 0);
        char up[BERTH_DURATION_SIZE];

        if (!layout->told) {
                (void)lines_add(lines, trouble ? PRINT_BAD : PRINT_PLAIN, "%s",
                                trouble ? trouble : "waiting for berthd");
                return;
        }
        (void)lines_add(lines, PRINT_PLAIN, "berthd %s", text_of(layout->status, "version"));
        lines_item(lines, PRINT_PLAIN, "up %s",
                   age(layout, json_get_integer(layout->status, "startedUSec", 0), up));
        lines_item(lines, PRINT_PLAIN, "%" PRId64 " run%s, %" PRId64 " waiting", n_runs,
                   n_runs == 1 ? "" : "s", json_get_integer(layout->status, "queued", 0));
        add_databases(lines, layout);
        add_sweep(lines, layout);
        for (const struct cJSON *one = json_first(json_get(layout->status, "clusters")); one;
             one = json_next(one))
                add_slots(lines, layout, one);
        add_wrong(lines, layout, trouble);
}

/* ---- who waits, who blocks ---- */

static void add_heading(struct lines *lines, const char *text)
{
        struct top_line *line = lines_add(lines, PRINT_PLAIN, "%-*s", lines->width, text);

        if (line)
                line->is_heading = true;
}

static void add_waiters(struct lines *lines, const struct layout *layout)
{
        char waited[BERTH_DURATION_SIZE];
        int n = 0;

        for (const struct cJSON *cluster = json_first(json_get(layout->status, "clusters")); cluster;
             cluster = json_next(cluster)) {
                for (const struct cJSON *use = json_first(json_get(cluster, "waiters")); use;
                     use = json_next(use)) {
                        const char *worker = json_get_string(use, "worker");

                        if (n++ == 0)
                                add_heading(lines, "WAITING FOR A SLOT");
                        (void)lines_add(lines, PRINT_WARNING, "%8s  %s of %s, %s",
                                        age(layout, json_get_integer(use, "sinceUSec", 0), waited),
                                        worker ? worker : "a drop",
                                        worker ? text_of(use, "namespace") : "the sweep",
                                        text_of(use, "database"));
                }
        }
}

static void print_side(const struct cJSON *side, char *text, size_t size)
{
        const char *namespace = json_get_string(side, "namespace"),
                   *application = text_of(side, "applicationName");
        int64_t pid = json_get_integer(side, "pid", 0);

        if (namespace)
                (void)snprintf(text, size, "%s of %s", pid ? text_of(side, "worker") : "prepared transaction",
                               namespace);
        else if (!pid)
                (void)snprintf(text, size, "prepared transaction %s", text_of(side, "gid"));
        else
                (void)snprintf(text, size, "%s (pid %" PRId64 ")",
                               *application ? application : "unlabelled session", pid);
}

static void add_blockers(struct lines *lines, const struct layout *layout)
{
        int n = 0;

        for (const struct cJSON *one = json_first(json_get(layout->told, "locks")); one;
             one = json_next(one)) {
                char blocked[160], blocker[160], waited[BERTH_DURATION_SIZE];

                if (n++ == 0)
                        add_heading(lines, "BLOCKED");
                print_side(json_get(one, "blocked"), blocked, sizeof(blocked));
                print_side(json_get(one, "blocker"), blocker, sizeof(blocker));
                (void)lines_add(lines, PRINT_BAD, "%8s  %s, %s",
                                berth_format_duration(json_get_integer(one, "waitUSec", 0), waited), blocked,
                                text_of(one, "database"));
                (void)lines_add(lines, PRINT_PLAIN, "%8s  %s: %s", "behind", blocker,
                                text_of(json_get(one, "blocker"), "query"));
        }
        for (const struct cJSON *one = json_first(json_get(layout->told, "unheard")); one;
             one = json_next(one)) {
                char reason[PRINT_REASON_SIZE];

                if (n++ == 0)
                        add_heading(lines, "BLOCKED");
                (void)lines_add(lines, PRINT_WARNING, "%8s  %s could not be asked: %s", "?",
                                text_of(one, "name"), print_reason(text_of(one, "message"), reason));
        }
}

/* ---- all together ---- */

static void add_keys(struct lines *lines, const struct top_choice *choice)
{
        struct top_line *line =
                lines_add(lines, PRINT_FAINT,
                          "q quit  s sort: %s%s  r reverse  p %s  1 runs  2 waiting  3 blocked  0 all",
                          top_sort_name(choice->sort), choice->is_reversed ? " (reversed)" : "",
                          choice->is_paused ? "PAUSED, go on" : "pause");

        if (line && choice->is_paused)
                line->color = PRINT_WARNING;
}

static int least(int a, int b)
{
        return a < b ? a : b;
}

/* How many lines each table gets of what there is: the last two at most a third each, if the runs need it. */
static void share(int height, const int wanted[3], int ret[3])
{
        int third = height / 3, rest;

        ret[1] = least(wanted[1], third);
        ret[2] = least(wanted[2], third);
        ret[0] = least(wanted[0], height - ret[1] - ret[2]);
        rest = height - ret[0] - ret[1] - ret[2];
        for (int i = 1; i < 3; i++) {
                int more = least(rest, wanted[i] - ret[i]);

                ret[i] += more;
                rest -= more;
        }
}

/* Takes what is above the window out. */
static int scroll(struct lines *runs, int wanted, int n_shown)
{
        int max = runs->n > n_shown && n_shown > 2 ? runs->n - n_shown + 1 : 0, n = least(wanted, max);

        for (int i = 1; i <= n; i++)
                free(runs->list[i].text);
        if (n > 0)
                memmove(&runs->list[1], &runs->list[1 + n], (size_t)(runs->n - 1 - n) * sizeof(*runs->list));
        runs->n -= n > 0 ? n : 0;
        return max;
}

struct top_screen *top_layout(const struct cJSON *told, const struct top_choice *choice, const char *trouble,
                              int64_t now_usec, int width, int height)
{
        const struct layout layout = {told, json_get(told, "status"), choice, now_usec, width};
        void (*const adders[3])(struct lines *, const struct layout *) = {top_add_runs, add_waiters,
                                                                          add_blockers};
        struct lines all = {.width = width}, parts[3], keys = {.width = width}, head = {.width = width};
        struct top_screen *screen = calloc(1, sizeof(*screen));
        int wanted[3], shown[3], left;

        if (!screen || width < 1 || height < 1)
                return screen;
        add_head(&head, &layout, trouble);
        add_keys(&keys, choice);
        lines_move(&all, &head, least(head.n, height > 8 ? height - 5 : height - 1));
        left = height - all.n - 1;
        for (int i = 0; i < 3; i++) {
                parts[i] = (struct lines){.width = width};
                if (told && (choice->sections & 1U << i))
                        adders[i](&parts[i], &layout);
                wanted[i] = parts[i].n;
        }
        share(left > 0 ? left : 0, wanted, shown);
        screen->scroll_max = scroll(&parts[0], choice->scroll, shown[0]);
        for (int i = 0; i < 3; i++) {
                lines_move(&all, &parts[i], shown[i]);
                lines_clear(&parts[i]);
        }
        while (all.n < height - 1 && lines_add(&all, PRINT_PLAIN, "%s", ""))
                ;
        lines_move(&all, &keys, 1);
        lines_clear(&keys);
        lines_clear(&head);
        screen->lines = all.list;
        screen->n = least(all.n, height);
        for (int i = screen->n; i < all.n; i++)
                free(all.list[i].text);
        return screen;
}

struct top_screen *top_screen_free(struct top_screen *screen)
{
        if (!screen)
                return NULL;
        for (int i = 0; i < screen->n; i++)
                free(screen->lines[i].text);
        free(screen->lines);
        free(screen);
        return NULL;
}
