/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A run without a lease: somebody's plain pytest. Either it made a token of its own pid and holds no session
 * for long, or it has a name of its own choice and a session throughout.
 */

#include "session.h"

struct stray {
        struct sim *sim;
        char namespace[NAMES_NAMESPACE_MAX + 1];
        struct process *process;
        bool has_token;
        bool is_excused; /* its token's time was made a lie by a step of the clock */
        struct session *session;
        struct clock_event *next, *end;
        TAILQ_ENTRY(stray) link; /* sim::strays */
};

void stray_start(struct sim *sim);
void stray_end(struct stray *stray);
void strays_done(struct sim *sim);
