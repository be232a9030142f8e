/* SPDX-License-Identifier: MIT */
#pragma once

/* Pieces of an SVG document: text of other people is escaped, and what is no UTF-8 or no XML becomes '?'. */

#include <stdint.h>
#include <stdio.h>

struct svg {
        FILE *out;
        double width, height;
};

/* The element, its background, the classes of text. style: more CSS. */
void svg_begin(const struct svg *svg, const char *title, const char *style);
void svg_end(const struct svg *svg);

void svg_escaped(FILE *out, const char *text);
/* anchor: "start", "middle", "end" */
__attribute__((format(printf, 6, 7))) void svg_text(const struct svg *svg, double x, double y,
                                                    const char *class, const char *anchor, const char *format,
                                                    ...);
/* What is shown when the pointer rests there; for the element around it. */
__attribute__((format(printf, 2, 3))) void svg_tooltip(const struct svg *svg, const char *format, ...);
void svg_line(const struct svg *svg, double x1, double y1, double x2, double y2, const char *class);
/* A rectangle with a tooltip; what follows until svg_bar_end() belongs to it. color NULL: its class has one. */
void svg_bar_begin(const struct svg *svg, double x, double y, double width, double height, const char *class,
                   const char *color);
void svg_bar_end(const struct svg *svg);

#define SVG_COLOR_SIZE 32
/* One of many colours that can be told from its neighbours; returns ret_text */
const char *svg_color(unsigned number, char ret_text[SVG_COLOR_SIZE]);
