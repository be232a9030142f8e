/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A command run under our care, for berth run and berth slot.
 *
 * With a terminal the command shares our process group, so that job control, /dev/tty and debuggers work, and
 * the terminal's ^C reaches it without us: only signals that a process sent to us are passed on. Without one
 * the command has a group of its own, and gets all. It has our standard descriptors, our ignored signals and
 * our signal mask. It is not killed when we are: the run goes on, and its lease with it.
 */

#include "client/cli/held.h"

struct child_plan {
        char **argv;             /* run with our environment */
        int inherit_fd;          /* kept open in the command; -1: none */
        bool adopt;              /* what the command leaves running is ended before we are done */
        const struct held *held; /* looked after meanwhile */
        size_t n_held;
};

struct child_end {
        int wait_status;
        int exec_errno; /* not 0: the command did not start */
        bool strays;    /* something is left that could not be ended */
};

/* 0, or an errno: there was no child. Signals stay blocked behind it: what is held is to be given back in
 * peace. */
int child_run(const struct child_plan *plan, struct child_end *ret_end);

/* 0-255, 128+n for a signal */
int child_exit_code(int wait_status);
/* If the command died of a signal, so do we (as PID 1, which cannot, the caller gets 128+n). Else its exit
 * code. */
int child_repeat_end(int wait_status);
