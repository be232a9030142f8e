/* SPDX-License-Identifier: MIT */
#pragma once

/* A lease or a slot, for the code that waits for either and keeps either while a command runs. */

#include "client/cli/cli.h"

struct held {
        const char *what; /* "a lease", "a DDL slot" */
        void *object;
        enum berth_state (*wait)(void *object, int timeout_ms, struct berth_error *error);
        enum berth_state (*dispatch)(void *object, struct berth_error *error);
        int (*fd)(const void *object);
        int (*timeout)(const void *object);
        int (*position)(const void *object);
        const char *(*holders)(const void *object);
};

struct held held_lease(struct berth_lease *lease);
struct held held_slot(struct berth_slot *slot);

/* Waits until it is held, and says on stderr what it waits for. 0, or an exit code. */
int held_wait(struct cli *cli, const struct held *held);

/* A failure before the command ran: what has no exit code of its own in the contract is 125. */
int held_fail(const struct cli *cli, const struct berth_error *error);
