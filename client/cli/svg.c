/* SPDX-License-Identifier: MIT */

#include "client/cli/svg.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define GOLDEN_ANGLE 137.508

/* How many bytes a character of UTF-8 has here; 0: it is none, or none that XML takes. */
static size_t character_size(const unsigned char *at)
{
        size_t n = *at < 0x80                  ? 1
                   : *at >= 0xc2 && *at < 0xe0 ? 2
                   : (*at & 0xf0) == 0xe0      ? 3
                   : *at >= 0xf0 && *at < 0xf5 ? 4
                                               : 0;

        if (*at < 0x20 || *at == 0x7f)
                return 0;
        for (size_t i = 1; i < n; i++)
                if ((at[i] & 0xc0) != 0x80)
                        return 0;
        /* Too long a form, a surrogate, U+FFFE and U+FFFF, beyond Unicode. */
        if (n == 3 && ((*at == 0xe0 && at[1] < 0xa0) || (*at == 0xed && at[1] > 0x9f) ||
                       (*at == 0xef && at[1] == 0xbf && at[2] > 0xbd)))
                return 0;
        if (n == 4 && ((*at == 0xf0 && at[1] < 0x90) || (*at == 0xf4 && at[1] > 0x8f)))
                return 0;
        return n;
}

void svg_escaped(FILE *out, const char *text)
{
        static const struct {
                char character;
                const char *escaped;
        } escapes[] = {{'&', "&amp;"},  {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"},
                       {'\'', "&#39;"}, {'\n', " "},   {'\t', " "}};

        for (const unsigned char *at = (const unsigned char *)text; *at;) {
                size_t n = character_size(at), i = 0;

                while (i < sizeof(escapes) / sizeof(escapes[0]) && escapes[i].character != (char)*at)
                        i++;
                if (i < sizeof(escapes) / sizeof(escapes[0]))
                        (void)fputs(escapes[i].escaped, out);
                else if (n)
                        (void)fwrite(at, 1, n, out);
                else
                        (void)fputc('?', out);
                at += n ? n : 1;
        }
}

static void print_escaped(FILE *out, const char *format, va_list arguments)
{
        char *text = NULL;

        if (vasprintf(&text, format, arguments) < 0)
                return;
        svg_escaped(out, text);
        free(text);
}

void svg_begin(const struct svg *svg, const char *title, const char *style)
{
        (void)fprintf(svg->out,
                      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" viewBox=\"0 "
                      "0 %.0f %.0f\">\n"
                      "<title>",
                      svg->width, svg->height, svg->width, svg->height);
        svg_escaped(svg->out, title);
        (void)fprintf(svg->out,
                      "</title>\n<style>\n"
                      "text { font-family: 'DejaVu Sans', Verdana, Helvetica, sans-serif; font-size: 11px; "
                      "fill: #24292f; }\n"
                      ".title { font-size: 15px; font-weight: bold; }\n.faint { fill: #6e7781; }\n%s"
                      "</style>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n",
                      style);
}

void svg_end(const struct svg *svg)
{
        (void)fputs("</svg>\n", svg->out);
}

void svg_text(const struct svg *svg, double x, double y, const char *class, const char *anchor,
              const char *format, ...)
{
        va_list arguments;

        (void)fprintf(svg->out, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\" text-anchor=\"%s\">", x, y, class,
                      anchor);
        va_start(arguments, format);
        print_escaped(svg->out, format, arguments);
        va_end(arguments);
        (void)fputs("</text>\n", svg->out);
}

void svg_tooltip(const struct svg *svg, const char *format, ...)
{
        va_list arguments;

        (void)fputs("<title>", svg->out);
        va_start(arguments, format);
        print_escaped(svg->out, format, arguments);
        va_end(arguments);
        (void)fputs("</title>", svg->out);
}

void svg_line(const struct svg *svg, double x1, double y1, double x2, double y2, const char *class)
{
        (void)fprintf(svg->out, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"%s\"/>\n", x1,
                      y1, x2, y2, class);
}

void svg_bar_begin(const struct svg *svg, double x, double y, double width, double height, const char *class,
                   const char *color)
{
        (void)fprintf(
                svg->out,
                "<g class=\"%s\"><rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"%.1f\"",
                class, x, y, width, height, fmin(2, width / 2));
        if (color)
                (void)fprintf(svg->out, " fill=\"%s\" stroke=\"%s\"", color, color);
        (void)fputs("/>", svg->out);
}

void svg_bar_end(const struct svg *svg)
{
        (void)fputs("</g>\n", svg->out);
}

/* h 0..6, as in every text book. */
static double channel(double hue, double saturation, double lightness, double shift)
{
        double k = fmod(shift + hue / 30, 12), a = saturation * fmin(lightness, 1 - lightness);

        return lightness - a * fmax(-1, fmin(fmin(k - 3, 9 - k), 1));
}

const char *svg_color(unsigned number, char ret_text[SVG_COLOR_SIZE])
{
        static const double shades[] = {0.50, 0.38, 0.58};
        double hue = fmod(210 + number * GOLDEN_ANGLE, 360);
        /* Yellow, green and cyan look brighter than they are, and white text has to stand on all of them. */
        double lightness = shades[number % 3] * (hue > 40 && hue < 200 ? 0.7 : 1);

        (void)snprintf(ret_text, SVG_COLOR_SIZE, "#%02x%02x%02x",
                       (unsigned)(255 * channel(hue, 0.6, lightness, 0)),
                       (unsigned)(255 * channel(hue, 0.6, lightness, 8)),
                       (unsigned)(255 * channel(hue, 0.6, lightness, 4)));
        return ret_text;
}
