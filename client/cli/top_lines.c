/* SPDX-License-Identifier: MIT */

#include "client/cli/top_lines.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GAP 2

void lines_clear(struct lines *lines)
{
        for (int i = 0; i < lines->n; i++)
                free(lines->list[i].text);
        free(lines->list);
        *lines = (struct lines){.width = lines->width};
}

static struct top_line *add(struct lines *lines, enum print_color color, char *text)
{
        struct top_line *grown = lines->list;

        if (lines->n == lines->size) {
                grown = reallocarray(lines->list, (size_t)lines->size * 2 + 8, sizeof(*grown));
                if (grown) {
                        lines->list = grown;
                        lines->size = lines->size * 2 + 8;
                }
        }
        if (!grown || !text) {
                lines->has_failed = true;
                free(text);
                return NULL;
        }
        lines->list[lines->n] = (struct top_line){.text = text, .color = color};
        return &lines->list[lines->n++];
}

struct top_line *lines_add(struct lines *lines, enum print_color color, const char *format, ...)
{
        char *whole = NULL, *text;
        va_list arguments;
        int r;

        va_start(arguments, format);
        r = vasprintf(&whole, format, arguments);
        va_end(arguments);
        text = r < 0 ? NULL : print_cut(whole, lines->width);
        if (r >= 0)
                free(whole);
        return add(lines, color, text);
}

void lines_item(struct lines *lines, enum print_color color, const char *format, ...)
{
        struct top_line *last = lines->n ? &lines->list[lines->n - 1] : NULL;
        char *item = NULL, *joined = NULL;
        va_list arguments;
        int r;

        va_start(arguments, format);
        r = vasprintf(&item, format, arguments);
        va_end(arguments);
        if (r < 0) {
                lines->has_failed = true;
                return;
        }
        if (last && last->color == color &&
            print_columns(last->text) + GAP + print_columns(item) <= lines->width &&
            asprintf(&joined, "%s%*s%s", last->text, GAP, "", item) >= 0) {
                free(last->text);
                last->text = joined;
        } else {
                (void)lines_add(lines, color, "%s", item);
        }
        free(item);
}

void lines_move(struct lines *to, struct lines *from, int n)
{
        int n_moved = n >= from->n ? from->n : n - 1;

        if (n <= 0)
                return;
        for (int i = 0; i < n_moved; i++) {
                struct top_line *line = add(to, from->list[i].color, from->list[i].text);

                from->list[i].text = NULL;
                if (line)
                        line->is_heading = from->list[i].is_heading;
        }
        if (n_moved < from->n)
                (void)lines_add(to, PRINT_FAINT, "  %s %d more", print_ellipsis(), from->n - n_moved);
}
