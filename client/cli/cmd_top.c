/* SPDX-License-Identifier: MIT */

/*
 * The live screen: one subscription, painted again when something comes, when a key is pressed, and once a second for
 * the times. It only looks. A daemon that goes away is waited for.
 */

#include "client/cli/fail.h"
#include "client/cli/print.h"
#include "client/cli/screen.h"

#include "proto/json.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MONITOR   "io.berth.manage.Monitor"
#define ANSWER_MS 5000
#define TICK_MS   1000
#define PAGE      10

struct top {
        const struct cli *cli;
        struct berth_connection *connection; /* NULL: the daemon is away */
        struct cJSON *told, *frozen;         /* frozen: what is shown while it is paused, or NULL */
        int64_t frozen_usec;
        struct top_choice choice;
        char trouble[700]; /* "": none */
        int scroll_max;
        bool is_over;
};

static volatile sig_atomic_t is_interrupted;

static void on_signal(int number)
{
        (void)number;
        is_interrupted = 1;
}

static void catch_signals(void)
{
        const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
        const struct sigaction action = {.sa_handler = on_signal}; /* without SA_RESTART: it ends the wait */

        for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
                (void)sigaction(numbers[i], &action, NULL);
}

/* ---- the daemon ---- */

static void take(struct top *top, const char *text)
{
        char why[JSON_MESSAGE_SIZE];
        struct cJSON *told = json_parse(text, strlen(text), why);

        if (!told)
                return;
        json_edit_strings(told, print_make_plain);
        json_free(top->told);
        top->told = told;
        top->trouble[0] = '\0';
}

/* 1: told, 0: not in time, -1: error, and the connection is closed. */
static int next(struct top *top, int timeout_ms, struct berth_error *error)
{
        int continues, r;
        char *text = NULL;

        r = berth_call_next(top->connection, timeout_ms, &text, &continues, error);
        if (r > 0)
                take(top, text);
        free(text);
        if (r < 0)
                top->connection = berth_disconnect(top->connection);
        return r;
}

static int subscribe(struct top *top, struct berth_error *error)
{
        if (berth_connect(top->cli->options.socket, &top->connection, error))
                return -1;
        if (!berth_call_start(top->connection, MONITOR, NULL, BERTH_CALL_MORE, error))
                return 0;
        top->connection = berth_disconnect(top->connection);
        return -1;
}

static void say_away(struct top *top, const struct berth_error *error)
{
        (void)snprintf(top->trouble, sizeof(top->trouble), "berthd is away, trying again; %s",
                       error->message);
        print_make_plain(top->trouble);
}

static void listen_to_daemon(struct top *top)
{
        struct berth_error error;
        int r;

        if (!top->connection) {
                if (subscribe(top, &error))
                        say_away(top, &error);
                return;
        }
        do
                r = next(top, 0, &error);
        while (r > 0);
        if (r < 0)
                say_away(top, &error);
}

/* ---- keys ---- */

static void pause_or_go_on(struct top *top)
{
        top->choice.is_paused = !top->choice.is_paused;
        json_free(top->frozen);
        top->frozen = top->choice.is_paused ? json_copy(top->told) : NULL;
        top->frozen_usec = print_now_usec();
}

static void scroll_to(struct top *top, int line)
{
        top->choice.scroll = line < 0 ? 0 : line > top->scroll_max ? top->scroll_max : line;
}

static void press_character(struct top *top, int character)
{
        static const struct {
                char key;
                unsigned sections;
        } sections[] = {{'0', TOP_ALL}, {'1', TOP_RUNS}, {'2', TOP_WAITING}, {'3', TOP_BLOCKING}};

        for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
                if (sections[i].key == character)
                        top->choice.sections = sections[i].sections;
        if (character == 'q' || character == 'Q')
                top->is_over = true;
        else if (character == 's')
                top->choice.sort = (top->choice.sort + 1) % TOP_SORTS_N;
        else if (character == 'r')
                top->choice.is_reversed = !top->choice.is_reversed;
        else if (character == 'p' || character == ' ')
                pause_or_go_on(top);
}

static void press(struct top *top, int key)
{
        static const struct {
                int key, lines;
        } moves[] = {{SCREEN_UP, -1}, {SCREEN_DOWN, 1}, {SCREEN_PAGE_UP, -PAGE}, {SCREEN_PAGE_DOWN, PAGE}};

        for (size_t i = 0; i < sizeof(moves) / sizeof(moves[0]); i++)
                if (moves[i].key == key)
                        scroll_to(top, top->choice.scroll + moves[i].lines);
        if (key == SCREEN_HOME)
                scroll_to(top, 0);
        if (key >= SCREEN_CHARACTERS)
                press_character(top, key - SCREEN_CHARACTERS);
}

/* ---- the loop ---- */

static void paint(struct top *top)
{
        bool is_frozen = top->choice.is_paused;
        struct top_screen *screen;
        int width, height;

        screen_size(&width, &height);
        screen = top_layout(is_frozen ? top->frozen : top->told, &top->choice,
                            *top->trouble ? top->trouble : NULL,
                            is_frozen ? top->frozen_usec : print_now_usec(), width, height);
        if (!screen)
                return;
        top->scroll_max = screen->scroll_max;
        screen_paint(screen);
        top_screen_free(screen);
}

static void wait_for_something(struct top *top)
{
        struct pollfd waits[] = {
                {.fd = STDIN_FILENO, .events = POLLIN},
                {.fd = top->connection ? berth_connection_fd(top->connection) : -1, .events = POLLIN},
        };
        int n = poll(waits, 2, TICK_MS), key;

        if (n < 0 && errno != EINTR)
                top->is_over = true;
        if (n > 0 && (waits[0].revents & (POLLHUP | POLLERR | POLLNVAL)))
                top->is_over = true; /* the terminal has gone */
        while ((key = screen_key()) != SCREEN_NOTHING)
                press(top, key);
        /* Whoever is away is called once a second. */
        if (top->connection ? n > 0 && waits[1].revents : n == 0)
                listen_to_daemon(top);
}

static int show(struct top *top)
{
        const char *why;

        catch_signals();
        if (!screen_begin(top->cli, &why))
                return cli_fail_usage(top->cli, "use 'berth status', or 'berth list --watch'",
                                      "top needs a terminal; %s", why);
        while (!top->is_over && !is_interrupted) {
                paint(top);
                wait_for_something(top);
        }
        screen_end();
        return CLI_OK;
}

int cmd_top(struct cli *cli)
{
        struct top top = {.cli = cli, .choice = {.sections = TOP_ALL}};
        struct berth_error error;
        int r;

        if (cli->options.json)
                return cli_fail_usage(cli, "use 'berth status --json', or 'berth list --watch --json'",
                                      "top has no --json; it paints a screen");
        r = subscribe(&top, &error);
        if (!r)
                r = next(&top, ANSWER_MS, &error);
        if (r < 0)
                return cli_fail(cli, &error);
        r = show(&top);
        (void)berth_disconnect(top.connection);
        json_free(top.told);
        json_free(top.frozen);
        return r;
}
