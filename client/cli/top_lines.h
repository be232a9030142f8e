/* SPDX-License-Identifier: MIT */
#pragma once

/* Lines of text of a given width, for top_view.c. */

#include "client/cli/top_view.h"

struct lines {
        struct top_line *list;
        int n, size, width;
        bool has_failed; /* no memory: there is a line too few */
};

void lines_clear(struct lines *lines);
/* Cut to the width. */
__attribute__((format(printf, 3, 4))) struct top_line *lines_add(struct lines *lines, enum print_color color,
                                                                 const char *format, ...);
/* Behind the last line, with two spaces between, or on a line of its own where it does not fit. */
__attribute__((format(printf, 3, 4))) void lines_item(struct lines *lines, enum print_color color,
                                                      const char *format, ...);
/* The first n of them to the end of others; the last one says how many are left out. */
void lines_move(struct lines *to, struct lines *from, int n);
