/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What 'berth top' shows: a telling of io.berth.manage.Monitor, laid out in lines for a screen of any size. Knows no
 * terminal; screen.h paints what comes out of here.
 */

#include "client/cli/print.h"

struct cJSON;

enum top_sort { TOP_BY_AGE, TOP_BY_NAMESPACE, TOP_BY_OWNER, TOP_BY_SESSIONS, TOP_BY_SCHEMAS, TOP_SORTS_N };

enum top_section {
        TOP_RUNS = 1 << 0,
        TOP_WAITING = 1 << 1,
        TOP_BLOCKING = 1 << 2,
        TOP_ALL = TOP_RUNS | TOP_WAITING | TOP_BLOCKING,
};

/* What whoever looks has chosen. */
struct top_choice {
        enum top_sort sort;
        bool is_reversed, is_paused;
        unsigned sections;
        int scroll; /* runs that are above the window */
};

struct top_line {
        char *text; /* never wider than the screen */
        enum print_color color;
        bool is_heading;
};

struct top_screen {
        struct top_line *lines;
        int n; /* at most as many as the screen is high */
        int scroll_max;
};

/*
 * told NULL: nothing yet. trouble: why nothing comes any more, or NULL. The caller owes top_screen_free(); NULL: no
 * memory.
 */
struct top_screen *top_layout(const struct cJSON *told, const struct top_choice *choice, const char *trouble,
                              int64_t now_usec, int width, int height);
struct top_screen *top_screen_free(struct top_screen *screen);
