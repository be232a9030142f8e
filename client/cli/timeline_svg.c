/* SPDX-License-Identifier: MIT */

/*
 * The picture, from above: the time; for each cluster a lane a slot, and below who waited meanwhile; the sweeps and what
 * they dropped; a row for each run; what the marks mean. The colour is the run's in all of them.
 */

#include "client/cli/timeline.h"

#include "client/cli/print.h"
#include "client/cli/svg.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WIDTH           1200.0
#define LEFT            190.0
#define RIGHT           24.0
#define TOP             66.0
#define LANE            24.0
#define WAIT_LANE       10.0 /* lower where there are many */
#define WAIT_LEAST_LANE 3.0
#define THIN            6.0 /* a lane that has no room for a border */
#define WAITS_HEIGHT    240.0
#define WAIT_LANES      200
#define DROP_LANE       7.0
#define DROP_LANES      12
#define HEADING         26.0
#define LEGEND          58.0
#define TICKS_MAX       10
#define CHARACTER       6.3 /* about the width of one */
#define BAR_LEAST       1.5
#define WAIT_LEAST      2.0 /* pixels: a shorter wait is none */
#define RUNS_HEIGHT     900.0

#define SECOND INT64_C(1000000)

static const char style[] =
        ".grid { stroke: #eaeef2; }\n.axis { stroke: #8c959f; }\n.lane rect { fill: #f6f8fa; }\n"
        ".heading { font-weight: bold; }\n.small { font-size: 9px; }\n.in { fill: #ffffff; }\n"
        ".hold rect, .run rect { stroke-width: 0; }\n"
        ".wait rect { fill-opacity: 0.25; stroke-width: 1; stroke-dasharray: 3 2; }\n"
        ".thin rect { fill-opacity: 0.6; stroke-width: 0; }\n"
        ".open rect { stroke-width: 1.5; stroke-dasharray: 4 2; fill-opacity: 0.55; }\n"
        ".sweep rect { fill: #8c959f; }\n.drop rect { fill: #1a7f37; }\n.bad rect { fill: #cf222e; }\n"
        ".crash { stroke: #cf222e; stroke-width: 2.2; }\n.revoke { stroke: #bf8700; stroke-width: 3; }\n"
        "g:hover > rect { filter: brightness(0.85); }\n";

struct picture {
        struct svg svg;
        const struct timeline *timeline;
        double y; /* of what comes next */
};

static double x_of(const struct picture *picture, int64_t usec)
{
        const struct timeline *t = picture->timeline;
        double share = (double)(usec - t->from) / (double)(t->to - t->from);

        return LEFT + fmax(0, fmin(1, share)) * (WIDTH - LEFT - RIGHT);
}

static double width_of(const struct picture *picture, int64_t from, int64_t to)
{
        return fmax(BAR_LEAST, x_of(picture, to) - x_of(picture, from));
}

static const char *span(int64_t from, int64_t to, char ret_text[BERTH_DURATION_SIZE])
{
        return berth_format_duration(to > from ? to - from : 0, ret_text);
}

#define CLOCK_SIZE 40

static struct tm local_of(int64_t usec)
{
        time_t sec = (time_t)(usec / SECOND);
        struct tm local = {.tm_year = 70};

        (void)localtime_r(&sec, &local);
        return local;
}

/* A macro, so that the compiler sees the format. Gives text. */
#define clock_of(usec, format, text)                                                                         \
        ({                                                                                                   \
                struct tm local = local_of(usec);                                                            \
                if (!strftime(text, CLOCK_SIZE, format, &local))                                             \
                        (void)strcpy(text, "?");                                                             \
                (const char *)(text);                                                                        \
        })

static bool is_seen(const struct timeline *timeline, int64_t from, int64_t to)
{
        return to >= timeline->from && from <= timeline->to;
}

/* ---- the time ---- */

static int64_t tick_step(int64_t usec)
{
        static const int steps[] = {1,   2,   5,    10,   15,   30,    60,    120,   300,
                                    600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400};
        size_t n = sizeof(steps) / sizeof(steps[0]);

        for (size_t i = 0; i < n; i++)
                if (usec / (steps[i] * SECOND) <= TICKS_MAX)
                        return steps[i] * SECOND;
        return (usec / TICKS_MAX / (86400 * SECOND) + 1) * 86400 * SECOND;
}

/* On whole minutes and hours of where the reader is. */
static int64_t first_tick(int64_t from, int64_t step)
{
        time_t sec = (time_t)(from / SECOND);
        struct tm local;
        int64_t offset = localtime_r(&sec, &local) ? (int64_t)local.tm_gmtoff * SECOND : 0;

        return ((from + offset) / step + 1) * step - offset;
}

static void draw_time(const struct picture *picture)
{
        const struct timeline *t = picture->timeline;
        int64_t step = tick_step(t->to - t->from);
        char text[CLOCK_SIZE];

        for (int64_t tick = first_tick(t->from, step); tick < t->to; tick += step) {
                double x = x_of(picture, tick);

                svg_line(&picture->svg, x, TOP - 14, x, picture->svg.height - LEGEND, "grid");
                svg_text(&picture->svg, x, TOP - 18, "faint", "middle", "%s",
                         clock_of(tick,
                                  step >= 86400 * SECOND ? "%b %d"
                                  : step >= 60 * SECOND  ? "%H:%M"
                                                         : "%H:%M:%S",
                                  text));
        }
        svg_line(&picture->svg, LEFT, TOP - 14, WIDTH - RIGHT, TOP - 14, "axis");
}

static void draw_title(const struct picture *picture)
{
        const struct timeline *t = picture->timeline;
        char from[CLOCK_SIZE], to[CLOCK_SIZE], length[BERTH_DURATION_SIZE];
        const struct timeline_run *run;
        int n_crashed = 0;

        TAILQ_FOREACH (run, &t->runs, link)
                n_crashed += !strcmp(run->outcome, "crashed");
        svg_text(&picture->svg, 12, 24, "title", "start", "berth timeline");
        svg_text(&picture->svg, LEFT, 24, "faint", "start", "%s to %s (%s), %u run%s, %d crashed",
                 clock_of(t->from, "%a %Y-%m-%d %H:%M:%S", from), clock_of(t->to, "%H:%M:%S %Z", to),
                 span(t->from, t->to, length), t->n_runs, t->n_runs == 1 ? "" : "s", n_crashed);
}

/* ---- parts ---- */

static void draw_heading(struct picture *picture, const char *what, const char *names)
{
        svg_text(&picture->svg, 12, picture->y + HEADING - 8, "heading", "start", "%s%s%s", what,
                 names && *names ? " of " : "", names ? names : "");
        picture->y += HEADING;
}

static void draw_lane(const struct picture *picture, double height, const char *name)
{
        svg_bar_begin(&picture->svg, LEFT, picture->y + 1, WIDTH - LEFT - RIGHT, height - 2, "lane", NULL);
        svg_bar_end(&picture->svg);
        if (name)
                svg_text(&picture->svg, LEFT - 8, picture->y + height / 2 + 4, "faint", "end", "%s", name);
}

static const char *color_of(const struct timeline *timeline, const struct timeline_hold *hold,
                            char color[SVG_COLOR_SIZE])
{
        const struct timeline_run *run = timeline_find_run(timeline, hold->lease, hold->namespace);

        return run ? svg_color(run->number, color) : "#57606a";
}

static void draw_hold(const struct picture *picture, const struct timeline_hold *hold)
{
        const struct timeline *t = picture->timeline;
        double x = x_of(picture, hold->from), width = width_of(picture, hold->from, hold->to);
        char color[SVG_COLOR_SIZE], held[BERTH_DURATION_SIZE], waited[BERTH_DURATION_SIZE], at[CLOCK_SIZE];

        svg_bar_begin(&picture->svg, x, picture->y + 3, width, LANE - 6, hold->is_open ? "hold open" : "hold",
                      color_of(t, hold, color));
        svg_tooltip(&picture->svg, "%s of %s: held slot %d for %s from %s, %s; waited %s", hold->worker,
                    hold->namespace, hold->slot, span(hold->from, hold->to, held),
                    clock_of(hold->from, "%H:%M:%S", at), hold->why ? hold->why : "and holds it",
                    hold->asked ? span(hold->asked, hold->from, waited) : "?");
        if ((double)strlen(hold->worker) * CHARACTER + 6 < width)
                svg_text(&picture->svg, x + 4, picture->y + LANE / 2 + 4,
                         hold->is_open ? "small" : "small in", "start", "%s", hold->worker);
        if (hold->why && !strcmp(hold->why, "died"))
                svg_line(&picture->svg, x + width, picture->y + 2, x + width, picture->y + LANE - 2, "crash");
        svg_bar_end(&picture->svg);
}

static void draw_slots(struct picture *picture, const struct timeline_cluster *cluster)
{
        const struct timeline_hold *hold;
        char name[24];

        for (int slot = 0; slot < cluster->n_slots; slot++) {
                (void)snprintf(name, sizeof(name), "slot %d", slot);
                draw_lane(picture, LANE, name);
                TAILQ_FOREACH (hold, &picture->timeline->holds, link)
                        if (hold->cluster == cluster && hold->slot == slot && hold->from &&
                            is_seen(picture->timeline, hold->from, hold->to))
                                draw_hold(picture, hold);
                picture->y += LANE;
        }
}

/* Into the first lane that is free by then; what finds none shares the last. */
static int find_lane(double *ends, int n, double from, double to)
{
        int lane = 0;

        while (lane < n - 1 && ends[lane] > from)
                lane++;
        ends[lane] = fmax(ends[lane], to + 1);
        return lane;
}

static int64_t wait_end(const struct timeline_hold *hold)
{
        return hold->from ? hold->from : hold->to;
}

static bool is_wait(const struct picture *picture, const struct timeline_hold *hold,
                    const struct timeline_cluster *cluster)
{
        return hold->cluster == cluster && hold->asked &&
               is_seen(picture->timeline, hold->asked, wait_end(hold)) &&
               x_of(picture, wait_end(hold)) - x_of(picture, hold->asked) >= WAIT_LEAST;
}

static double wait_lane(int n_lanes)
{
        return fmax(WAIT_LEAST_LANE, fmin(WAIT_LANE, WAITS_HEIGHT / (n_lanes ? n_lanes : 1)));
}

/* height 0: only measured, how many lanes the waits need. */
static int draw_waits(const struct picture *picture, const struct timeline_cluster *cluster, double height)
{
        double ends[WAIT_LANES] = {0};
        const struct timeline_hold *hold;
        int n_lanes = 0;

        TAILQ_FOREACH (hold, &picture->timeline->holds, link) {
                char color[SVG_COLOR_SIZE], waited[BERTH_DURATION_SIZE], at[CLOCK_SIZE];
                double x, width;
                int lane;

                if (!is_wait(picture, hold, cluster))
                        continue;
                x = x_of(picture, hold->asked);
                width = width_of(picture, hold->asked, wait_end(hold));
                lane = find_lane(ends, WAIT_LANES, x, x + width);
                n_lanes = lane + 1 > n_lanes ? lane + 1 : n_lanes;
                if (height <= 0)
                        continue;
                svg_bar_begin(&picture->svg, x, picture->y + 1 + (lane + 0.15) * height, width, height * 0.7,
                              height < THIN ? "wait thin" : "wait", color_of(picture->timeline, hold, color));
                svg_tooltip(&picture->svg, "%s of %s: waited %s for a slot from %s%s", hold->worker,
                            hold->namespace, span(hold->asked, wait_end(hold), waited),
                            clock_of(hold->asked, "%H:%M:%S", at), hold->from ? "" : ", and waits");
                svg_bar_end(&picture->svg);
        }
        return n_lanes;
}

static void draw_cluster(struct picture *picture, const struct timeline_cluster *cluster)
{
        int n_waits = draw_waits(picture, cluster, 0);
        double height = wait_lane(n_waits), all = fmax(14, n_waits * height + 2);

        draw_heading(picture, "Slots", cluster->names && *cluster->names ? cluster->names : cluster->key);
        draw_slots(picture, cluster);
        if (!n_waits)
                return;
        draw_lane(picture, all, "waiting");
        (void)draw_waits(picture, cluster, height);
        picture->y += all;
}

/* ---- sweeps ---- */

static void draw_sweep(const struct picture *picture, const struct timeline_sweep *sweep, double y,
                       double height)
{
        char took[BERTH_DURATION_SIZE], at[CLOCK_SIZE];
        const char *kind = sweep->schema ? "drop" : "sweep";
        char class[16];

        (void)snprintf(class, sizeof(class), "%s%s", kind,
                       sweep->is_bad    ? " bad"
                       : sweep->is_open ? " open"
                                        : "");
        svg_bar_begin(&picture->svg, x_of(picture, sweep->from), y, width_of(picture, sweep->from, sweep->to),
                      height, class, NULL);
        svg_tooltip(&picture->svg, "%s%s%s%s%s, %s from %s", sweep->schema ? sweep->schema : "",
                    sweep->schema ? " in " : "", sweep->schema && sweep->database ? sweep->database : "",
                    sweep->schema ? ": " : "", sweep->detail ? sweep->detail : "",
                    span(sweep->from, sweep->to, took), clock_of(sweep->from, "%H:%M:%S", at));
        svg_bar_end(&picture->svg);
}

static int draw_drops(const struct picture *picture, bool is_drawn)
{
        double ends[DROP_LANES] = {0};
        const struct timeline_sweep *drop;
        int n_lanes = 0;

        TAILQ_FOREACH (drop, &picture->timeline->sweeps, link) {
                double x = x_of(picture, drop->from);
                int lane;

                if (!drop->schema || !is_seen(picture->timeline, drop->from, drop->to))
                        continue;
                lane = find_lane(ends, DROP_LANES, x, x + width_of(picture, drop->from, drop->to));
                n_lanes = lane + 1 > n_lanes ? lane + 1 : n_lanes;
                if (is_drawn)
                        draw_sweep(picture, drop, picture->y + lane * DROP_LANE + 1, DROP_LANE - 2);
        }
        return n_lanes;
}

static void draw_sweeps(struct picture *picture)
{
        const struct timeline_sweep *sweep;
        int n_drops = draw_drops(picture, false);

        if (TAILQ_EMPTY(&picture->timeline->sweeps))
                return;
        draw_heading(picture, "Sweeps", NULL);
        draw_lane(picture, 16, "sweeps");
        TAILQ_FOREACH (sweep, &picture->timeline->sweeps, link)
                if (!sweep->schema && is_seen(picture->timeline, sweep->from, sweep->to))
                        draw_sweep(picture, sweep, picture->y + 4, 8);
        picture->y += 16;
        if (!n_drops)
                return;
        draw_lane(picture, fmax(14, n_drops * DROP_LANE + 2), "drops");
        (void)draw_drops(picture, true);
        picture->y += fmax(14, n_drops * DROP_LANE + 2);
}

/* ---- runs ---- */

static void draw_mark(const struct picture *picture, const struct timeline_run *run, double x, double y,
                      double height)
{
        double size = fmin(5, height / 2);

        if (!strcmp(run->outcome, "revoked"))
                svg_line(&picture->svg, x, y + 1, x, y + height - 1, "revoke");
        if (strcmp(run->outcome, "crashed") != 0)
                return;
        svg_line(&picture->svg, x - size, y + height / 2 - size, x + size, y + height / 2 + size, "crash");
        svg_line(&picture->svg, x - size, y + height / 2 + size, x + size, y + height / 2 - size, "crash");
}

/* The command goes where there is room: into the bar, behind it, or before it. */
static void draw_label(const struct picture *picture, const struct timeline_run *run, double x, double width,
                       double y)
{
        double needed = (double)print_columns(run->label) * CHARACTER * 0.85 + 12;
        bool is_open = !strcmp(run->outcome, "live");

        if (needed < width)
                svg_text(&picture->svg, x + 5, y, is_open ? "small" : "small in", "start", "%s", run->label);
        else if (x + width + needed < WIDTH - RIGHT)
                svg_text(&picture->svg, x + width + 9, y, "small faint", "start", "%s", run->label);
        else if (x - needed > LEFT)
                svg_text(&picture->svg, x - 6, y, "small faint", "end", "%s", run->label);
}

static void draw_run(const struct picture *picture, const struct timeline_run *run, double height)
{
        double x = x_of(picture, run->from), width = width_of(picture, run->from, run->to),
               bar = fmax(2, height - 4);
        bool has_text = height >= 12, is_open = !strcmp(run->outcome, "live");
        char color[SVG_COLOR_SIZE], lasted[BERTH_DURATION_SIZE], at[CLOCK_SIZE];

        svg_bar_begin(&picture->svg, x, picture->y + 2, width, bar, is_open ? "run open" : "run",
                      svg_color(run->number, color));
        svg_tooltip(&picture->svg, "%s%s%s%s: %s, %s from %s", run->namespace, run->label ? " (" : "",
                    run->label ? run->label : "", run->label ? ")" : "", run->why ? run->why : run->outcome,
                    span(run->from, run->to, lasted), clock_of(run->from, "%H:%M:%S", at));
        if (has_text && run->label)
                draw_label(picture, run, x, width, picture->y + height / 2 + 3.5);
        draw_mark(picture, run, x + width, picture->y, height);
        svg_bar_end(&picture->svg);
        if (height >= 10)
                svg_text(&picture->svg, LEFT - 8, picture->y + height / 2 + 3.5, "small", "end", "%s",
                         run->namespace);
}

static double run_height(const struct timeline *timeline)
{
        return fmax(4, fmin(20, RUNS_HEIGHT / (timeline->n_runs ? timeline->n_runs : 1)));
}

static void draw_runs(struct picture *picture)
{
        const struct timeline_run *run;
        double height = run_height(picture->timeline);

        draw_heading(picture, "Runs", NULL);
        TAILQ_FOREACH (run, &picture->timeline->runs, link) {
                if (picture->svg.out)
                        draw_run(picture, run, height);
                picture->y += height;
        }
        if (!picture->timeline->n_runs) {
                svg_text(&picture->svg, LEFT, picture->y + 10, "faint", "start", "none");
                picture->y += 20;
        }
}

/* ---- what the marks mean ---- */

static double draw_key(const struct picture *picture, double x, const char *class, const char *color,
                       const char *text)
{
        double y = picture->svg.height - LEGEND + 24;

        svg_bar_begin(&picture->svg, x, y, 26, 10, class, color);
        svg_bar_end(&picture->svg);
        svg_text(&picture->svg, x + 32, y + 9, "faint", "start", "%s", text);
        return x + 32 + (double)strlen(text) * CHARACTER + 18;
}

static double draw_line_key(const struct picture *picture, double x, bool is_cross, const char *text)
{
        double y = picture->svg.height - LEGEND + 24;

        if (is_cross) {
                svg_line(&picture->svg, x, y, x + 10, y + 10, "crash");
                svg_line(&picture->svg, x, y + 10, x + 10, y, "crash");
        } else {
                svg_line(&picture->svg, x + 5, y, x + 5, y + 10, "revoke");
        }
        svg_text(&picture->svg, x + 16, y + 9, "faint", "start", "%s", text);
        return x + 16 + (double)strlen(text) * CHARACTER + 18;
}

static void draw_legend(const struct picture *picture)
{
        char color[SVG_COLOR_SIZE];
        double x = LEFT;

        svg_color(0, color);
        x = draw_key(picture, x, "hold", color, "held, ended");
        x = draw_key(picture, x, "hold open", color, "held, live");
        x = draw_key(picture, x, "wait", color, "waited for a slot");
        x = draw_line_key(picture, x, true, "crashed");
        x = draw_line_key(picture, x, false, "revoked");
        x = draw_key(picture, x, "sweep", NULL, "sweep");
        x = draw_key(picture, x, "drop", NULL, "drop");
        x = draw_key(picture, x, "bad", NULL, "incomplete, failed");
        svg_text(&picture->svg, LEFT, picture->svg.height - 10, "small faint", "start",
                 "one colour a run; rest the pointer on a bar to read what it is");
}

static void draw_all(struct picture *picture)
{
        const struct timeline_cluster *cluster;

        picture->y = TOP - 10;
        TAILQ_FOREACH (cluster, &picture->timeline->clusters, link)
                if (cluster->n_slots)
                        draw_cluster(picture, cluster);
        draw_sweeps(picture);
        draw_runs(picture);
}

void timeline_svg(const struct timeline *timeline, FILE *out)
{
        FILE *nowhere = fopen("/dev/null", "w");
        struct picture picture = {.svg = {.out = nowhere, .width = WIDTH, .height = 0}, .timeline = timeline};

        /* Once to learn how high it is. */
        if (!nowhere)
                return;
        draw_all(&picture);
        (void)fclose(nowhere);
        picture.svg.out = out;
        picture.svg.height = picture.y + 10 + LEGEND;
        svg_begin(&picture.svg, "berth timeline", style);
        draw_title(&picture);
        draw_time(&picture);
        draw_all(&picture);
        draw_legend(&picture);
        svg_end(&picture.svg);
}
