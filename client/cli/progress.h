/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One line on stderr about what we wait for. On a terminal it is rewritten in place and goes away; elsewhere,
 * if plain is asked for, there is a line at each change. Nothing in the first second.
 */

#include <stdbool.h>
#include <stdint.h>

struct progress {
        int64_t since_ms; /* 0: not begun */
        bool plain;       /* also where stderr is no terminal */
        char shown[256];
};

void progress_begin(struct progress *progress, bool plain);
/* Milliseconds until a line may be shown, 0: now. */
int progress_delay(const struct progress *progress);
/* Shows the text if its time has come and it is not what is shown. */
void progress_show(struct progress *progress, const char *text);
/* Takes the line off the terminal; for everything that writes to it. */
void progress_clear(void);
