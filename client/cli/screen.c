/* SPDX-License-Identifier: MIT */

#include "client/cli/screen.h"

#include <curses.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <term.h>
#include <unistd.h>

#undef lines /* of term.h, which takes every word there is */

static SCREEN *terminal;
static bool has_painted_colors;

static const struct {
        short color;
        attr_t attributes;
} looks[] = {
        [PRINT_PLAIN] = {-1, A_NORMAL},    [PRINT_GOOD] = {COLOR_GREEN, A_NORMAL},
        [PRINT_BAD] = {COLOR_RED, A_BOLD}, [PRINT_WARNING] = {COLOR_YELLOW, A_NORMAL},
        [PRINT_FAINT] = {-1, A_DIM},
};

#define N_LOOKS ((int)(sizeof(looks) / sizeof(looks[0])))

static void begin_colors(const struct cli *cli)
{
        has_painted_colors = *print_start(cli, PRINT_BAD) && has_colors();
        if (!has_painted_colors)
                return;
        (void)start_color();
        (void)use_default_colors();
        for (int i = 0; i < N_LOOKS; i++)
                (void)init_pair((short)(i + 1), looks[i].color, -1);
}

/* Asked first, because newterm() leaves memory behind where it fails. */
static bool is_known(void)
{
        int why;

        if (setupterm(NULL, STDOUT_FILENO, &why) != OK)
                return false;
        (void)del_curterm(cur_term);
        return true;
}

bool screen_begin(const struct cli *cli, const char **ret_why)
{
        const char *term = getenv("TERM");

        *ret_why = !isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) ? "standard input or output is none"
                   : !term || !*term || !strcmp(term, "dumb")      ? "TERM says that it cannot be painted"
                                                                   : NULL;
        if (*ret_why)
                return false;
        if (is_known())
                terminal = newterm(NULL, stdout, stdin);
        if (!terminal) {
                *ret_why = "TERM names none that is known here";
                return false;
        }
        (void)cbreak();
        (void)noecho();
        (void)nodelay(stdscr, TRUE);
        (void)keypad(stdscr, TRUE);
        (void)curs_set(0);
        begin_colors(cli);
        return true;
}

void screen_end(void)
{
        if (!terminal)
                return;
        (void)endwin();
        delscreen(terminal);
        terminal = NULL;
}

void screen_size(int *ret_width, int *ret_height)
{
        getmaxyx(stdscr, *ret_height, *ret_width);
}

void screen_paint(const struct top_screen *screen)
{
        (void)erase();
        for (int i = 0; i < screen->n; i++) {
                const struct top_line *line = &screen->lines[i];
                attr_t attributes = line->is_heading ? A_REVERSE : looks[line->color].attributes;

                if (has_painted_colors && !line->is_heading)
                        attributes |= (attr_t)COLOR_PAIR(line->color + 1);
                (void)attrset((int)attributes);
                (void)mvaddstr(i, 0, line->text);
        }
        (void)attrset(A_NORMAL);
        (void)refresh();
}

int screen_key(void)
{
        static const struct {
                int curses, ours;
        } keys[] = {
                {ERR, SCREEN_NOTHING},
                {KEY_RESIZE, SCREEN_RESIZED},
                {KEY_UP, SCREEN_UP},
                {KEY_DOWN, SCREEN_DOWN},
                {KEY_PPAGE, SCREEN_PAGE_UP},
                {KEY_NPAGE, SCREEN_PAGE_DOWN},
                {KEY_HOME, SCREEN_HOME},
                {KEY_F(1), SCREEN_CHARACTERS + '1'},
                {KEY_F(2), SCREEN_CHARACTERS + '2'},
                {KEY_F(3), SCREEN_CHARACTERS + '3'},
        };
        int key = getch();

        for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
                if (keys[i].curses == key)
                        return keys[i].ours;
        return key >= 0 && key < 256 ? SCREEN_CHARACTERS + key : SCREEN_OTHER;
}
