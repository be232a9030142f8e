/* SPDX-License-Identifier: MIT */

/*
 * berth run: the lease first, then the command; what the command left running is ended, then the lease.
 *
 * The command inherits the lifeline, as with flock(1): if we are killed, the lease lives until the last
 * process of the run that has the descriptor is gone. While the daemon is away the run goes on, and the
 * library finds its way back.
 */

#include "client/cli/autostart.h"
#include "client/cli/child.h"
#include "client/cli/command.h"
#include "client/cli/environment.h"
#include "client/cli/fail.h"
#include "client/cli/print.h"
#include "client/cli/run_report.h"

#include "proto/protocol.h"

#include <stdlib.h>

#define STARTS_MAX 20

/* Whatever comes of it, the exit code is the command's. */
static void release(struct cli *cli, struct berth_lease *lease, const struct child_end *end)
{
        struct berth_release how = BERTH_RELEASE_INIT;
        int64_t kept_until_usec = 0;
        char until[PRINT_TIME_SIZE];
        struct berth_error error;

        if (berth_lease_dispatch(lease, &error) == BERTH_ENDED) {
                cli_warn("lease %s ended while the command ran; %s; %s", berth_lease_namespace(lease),
                         error.message, error.fix);
                return;
        }
        if (end->strays) {
                cli_warn("processes of %s are still alive; they could not be ended; see 'berth status %s'",
                         berth_lease_namespace(lease), berth_lease_namespace(lease));
                return; /* the daemon ends the lease when it sees them gone */
        }
        how.exit_status = child_exit_code(end->wait_status);
        how.keep = cli->options.keep;
        if (berth_lease_release(lease, &how, &kept_until_usec, &error))
                cli_warn("lease %s is not released; %s; %s", berth_lease_namespace(lease), error.message,
                         cli->options.keep ? "'berth keep' it once berthd is back"
                                           : "berthd will end it by itself");
        else if (kept_until_usec)
                cli_warn("schemas of %s are kept until %s", berth_lease_namespace(lease),
                         print_time(kept_until_usec, until));
}

static void report(const struct cli *cli, const struct berth_lease *lease, const char *label,
                   int64_t started_usec, const struct child_end *end)
{
        struct run_report run = {
                .namespace = berth_lease_namespace(lease),
                .label = label,
                .argv = cli->operands,
                .started_usec = started_usec,
                .wait_status = end->wait_status,
        };

        run_report_finish(&run);
}

static int run_under(struct cli *cli, struct berth_lease *lease, const char *label)
{
        struct held held = held_lease(lease);
        struct child_plan plan = {.argv = cli->operands, .adopt = true, .held = &held, .n_held = 1};
        int64_t started_usec = print_now_usec();
        struct child_end end;
        int r = environment_export(cli, lease);

        if (r)
                return r;
        plan.inherit_fd = berth_lease_fd(lease);
        r = command_run(cli, &plan, &end);
        if (!r) /* a command that did not start is no run */
                report(cli, lease, label, started_usec, &end);
        release(cli, lease, &end);
        return r ? r : child_repeat_end(end.wait_status);
}

/* 0, or an exit code. */
static int acquire(struct cli *cli, const struct berth_lease_request *request, struct berth_lease **ret_lease)
{
        struct berth_error error;
        struct held held;
        int r = berth_lease_request(request, ret_lease, &error);

        /* One that was about to go when we found it may be gone when we come. */
        for (int i = 0;
             r && i < STARTS_MAX && autostart_is_due(cli, &error) && !autostart(AUTOSTART_TIMEOUT_MS, &error);
             i++)
                r = berth_lease_request(request, ret_lease, &error);
        if (r)
                return held_fail(cli, &error);
        held = held_lease(*ret_lease);
        return held_wait(cli, &held);
}

/* Only with a lease we know the aliases that berthd is configured to have, and so their NAME_FORCE. */
static int acquire_forced(struct cli *cli, struct berth_lease_request *request, struct berth_lease **lease)
{
        request->namespace_ = environment_forced(berth_lease_aliases(*lease));
        if (!request->namespace_)
                return CLI_OK;
        (void)berth_lease_release(*lease, NULL, NULL, NULL);
        *lease = berth_lease_free(*lease);
        return acquire(cli, request, lease);
}

int cmd_run(struct cli *cli)
{
        struct berth_lease_request request = BERTH_LEASE_REQUEST_INIT;
        char *line = environment_command_line(cli->operands);
        struct berth_lease *lease = NULL;
        int r;

        command_die_as_init();
        request.socket = cli->options.socket;
        request.namespace_ = cli->options.namespace ? cli->options.namespace : environment_forced("");
        request.label = cli->options.label ? cli->options.label : line;
        request.no_wait = cli->options.no_wait;
        request.timeout_ms = cli->options.wait_ms;
        r = acquire(cli, &request, &lease);
        if (!r && !request.namespace_)
                r = acquire_forced(cli, &request, &lease);
        if (!r)
                r = run_under(cli, lease, request.label);
        berth_lease_free(lease);
        free(line);
        return r;
}
