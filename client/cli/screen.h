/* SPDX-License-Identifier: MIT */
#pragma once

/* A terminal that is painted as a whole: ncurses, and the only file that knows it. */

#include "client/cli/top_view.h"

/* False: there is no such terminal; *ret_why says what is missing. */
bool screen_begin(const struct cli *cli, const char **ret_why);
/* The terminal is as it was. */
void screen_end(void);

void screen_size(int *ret_width, int *ret_height);
void screen_paint(const struct top_screen *screen);

enum screen_key {
        SCREEN_NOTHING, /* there is none */
        SCREEN_OTHER,
        SCREEN_RESIZED,
        SCREEN_UP,
        SCREEN_DOWN,
        SCREEN_PAGE_UP,
        SCREEN_PAGE_DOWN,
        SCREEN_HOME,
        SCREEN_CHARACTERS = 256, /* and above: a character; F1 is the same as '1' */
};
int screen_key(void);
