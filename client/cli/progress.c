/* SPDX-License-Identifier: MIT */

#include "client/cli/progress.h"

#include "client/cli/print.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define QUIET_MS 1000

/* The terminal has one last line, whoever wrote it. */
static bool line_is_shown;

static int64_t now_ms(void)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool can_rewrite(void)
{
        const char *term = getenv("TERM");

        return isatty(STDERR_FILENO) && term && strcmp(term, "dumb");
}

void progress_begin(struct progress *progress, bool plain)
{
        *progress = (struct progress){.since_ms = now_ms(), .plain = plain};
}

int progress_delay(const struct progress *progress)
{
        int64_t left_ms = progress->since_ms + QUIET_MS - now_ms();

        return left_ms > 0 ? (int)left_ms : 0;
}

void progress_show(struct progress *progress, const char *text)
{
        char plain[sizeof(progress->shown)];
        bool rewrite = can_rewrite();

        if (progress_delay(progress) || !strcmp(progress->shown, text) || (!rewrite && !progress->plain))
                return;
        (void)snprintf(progress->shown, sizeof(progress->shown), "%s", text);
        (void)snprintf(plain, sizeof(plain), "%s", text);
        print_make_plain(plain); /* who holds what is waited for has a label of his own */
        if (rewrite)
                (void)fprintf(stderr, "\r\033[Kberth: %s", plain);
        else
                (void)fprintf(stderr, "berth: %s\n", plain);
        (void)fflush(stderr);
        line_is_shown = rewrite;
}

void progress_clear(void)
{
        if (line_is_shown)
                (void)fputs("\r\033[K", stderr);
        line_is_shown = false;
}
