/* SPDX-License-Identifier: MIT */

#include "client/cli/command.h"

#include "client/cli/fail.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static int fail_exec(struct cli *cli, const char *command, int number)
{
        if (number == ENOENT)
                return cli_fail_as(cli, "CommandNotFound", CLI_NOT_FOUND, "check its name and $PATH",
                                   "cannot run %s; command not found", command);
        return cli_fail_as(cli, "CannotExecute", CLI_CANNOT_EXECUTE, "check its mode and its first line",
                           "cannot run %s; %s", command, strerror(number));
}

int command_run(struct cli *cli, const struct child_plan *plan, struct child_end *ret_end)
{
        int r = child_run(plan, ret_end);

        if (r) {
                *ret_end = (struct child_end){.wait_status = CLI_BERTH_FAILED << 8};
                return cli_fail_as(cli, "CannotStart", CLI_BERTH_FAILED,
                                   "see the limits of processes and files", "cannot start a process; %s",
                                   strerror(r));
        }
        if (!ret_end->exec_errno)
                return CLI_OK;
        r = fail_exec(cli, plan->argv[0], ret_end->exec_errno);
        ret_end->wait_status = r << 8;
        return r;
}

static void on_end(int number)
{
        _exit(128 + number);
}

void command_die_as_init(void)
{
        if (getpid() != 1)
                return;
        (void)signal(SIGINT, on_end);
        (void)signal(SIGTERM, on_end);
}
