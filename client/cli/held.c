/* SPDX-License-Identifier: MIT */

#include "client/cli/held.h"

#include "client/cli/fail.h"
#include "client/cli/progress.h"

#include <stdio.h>
#include <string.h>

static enum berth_state lease_wait(void *object, int timeout_ms, struct berth_error *error)
{
        return berth_lease_wait(object, timeout_ms, error);
}

static enum berth_state lease_dispatch(void *object, struct berth_error *error)
{
        return berth_lease_dispatch(object, error);
}

static int lease_fd(const void *object)
{
        return berth_lease_fd(object);
}

static int lease_timeout(const void *object)
{
        return berth_lease_timeout(object);
}

static int lease_position(const void *object)
{
        return berth_lease_position(object);
}

static const char *lease_holders(const void *object)
{
        return berth_lease_holders(object);
}

struct held held_lease(struct berth_lease *lease)
{
        return (struct held){"a lease", lease,         lease_wait,     lease_dispatch,
                             lease_fd,  lease_timeout, lease_position, lease_holders};
}

static enum berth_state slot_wait(void *object, int timeout_ms, struct berth_error *error)
{
        return berth_slot_wait(object, timeout_ms, error);
}

static enum berth_state slot_dispatch(void *object, struct berth_error *error)
{
        return berth_slot_dispatch(object, error);
}

static int slot_fd(const void *object)
{
        return berth_slot_fd(object);
}

static int slot_timeout(const void *object)
{
        return berth_slot_timeout(object);
}

static int slot_position(const void *object)
{
        return berth_slot_position(object);
}

static const char *slot_holders(const void *object)
{
        return berth_slot_holders(object);
}

struct held held_slot(struct berth_slot *slot)
{
        return (struct held){"a DDL slot", slot,         slot_wait,     slot_dispatch,
                             slot_fd,      slot_timeout, slot_position, slot_holders};
}

static const char *ordinal_ending(int n)
{
        if (n % 100 / 10 == 1)
                return "th";
        switch (n % 10) {
        case 1:
                return "st";
        case 2:
                return "nd";
        case 3:
                return "rd";
        default:
                return "th";
        }
}

static void describe(const struct held *held, char *text, size_t size)
{
        int position = held->position(held->object);
        const char *holders = held->holders(held->object);

        if (!position)
                (void)snprintf(text, size, "waiting for %s, berthd has not answered yet", held->what);
        else
                (void)snprintf(text, size, "waiting for %s, %d%s in queue%s%.150s", held->what, position,
                               ordinal_ending(position), *holders ? "; held by " : "", holders);
}

int held_fail(const struct cli *cli, const struct berth_error *error)
{
        struct berth_error told = *error;

        if (told.exit_code == CLI_FAILED)
                told.exit_code = CLI_BERTH_FAILED;
        if (!strcmp(told.code, "NoSuchLease")) /* a pane or script that outlived its run */
                (void)snprintf(told.fix, sizeof(told.fix),
                               "unset BERTH_NAMESPACE and BERTH_LEASE, they are stale");
        return cli_fail(cli, &told);
}

int held_wait(struct cli *cli, const struct held *held)
{
        enum berth_state state = BERTH_WAITING;
        struct progress progress;
        struct berth_error error;
        char text[256];
        int delay_ms;

        progress_begin(&progress, true);
        while (state == BERTH_WAITING) {
                delay_ms = progress_delay(&progress);
                state = held->wait(held->object, delay_ms ? delay_ms : -1, &error);
                if (state != BERTH_WAITING)
                        break;
                describe(held, text, sizeof(text));
                progress_show(&progress, text);
        }
        progress_clear();
        return state == BERTH_ENDED ? held_fail(cli, &error) : CLI_OK;
}
