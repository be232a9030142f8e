/* SPDX-License-Identifier: MIT */

/*
 * berth slot: a DDL slot around a command. It belongs to the run in whose environment we are, or to a lease
 * for as long as the command takes. The command does not inherit the slot's connection: a slot is freed by
 * the first sign.
 */

#include "client/cli/child.h"
#include "client/cli/command.h"
#include "client/cli/environment.h"
#include "client/cli/fail.h"

#include "proto/protocol.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *given(const char *text)
{
        return text && *text ? text : NULL;
}

/* Under xdist the worker has told us who it is. */
static const char *own_worker(const struct cli *cli)
{
        const char *worker = cli->options.worker ? cli->options.worker : given(getenv("PYTEST_XDIST_WORKER"));

        return worker ? worker : "gw0";
}

/* Whatever became of the slot: a lease of our own that merely stops would count as crashed. */
static void release_own(struct berth_lease *own, int exit_status)
{
        struct berth_release how = BERTH_RELEASE_INIT;
        struct berth_error error;

        how.exit_status = exit_status;
        if (own && berth_lease_release(own, &how, NULL, &error))
                cli_warn("lease %s is not released; %s; berthd will end it by itself",
                         berth_lease_namespace(own), error.message);
}

static int run_in(struct cli *cli, struct berth_slot *slot, struct berth_lease *own)
{
        struct held held[2] = {held_slot(slot)};
        struct child_plan plan = {.argv = cli->operands, .inherit_fd = -1, .held = held, .n_held = 1};
        struct child_end end;
        struct berth_error error;
        int r = held_wait(cli, &held[0]);

        if (r) {
                release_own(own, r);
                return r;
        }
        if (own)
                held[plan.n_held++] = held_lease(own);
        r = command_run(cli, &plan, &end);
        if (berth_slot_dispatch(slot, &error) == BERTH_ENDED || berth_slot_release(slot, &error))
                cli_warn("the slot was not held to the end; %s; %s", error.message, error.fix);
        release_own(own, child_exit_code(end.wait_status));
        return r ? r : child_repeat_end(end.wait_status);
}

static int with_slot(struct cli *cli, const char *namespace, const char *secret, struct berth_lease *own)
{
        struct berth_slot_request request = BERTH_SLOT_REQUEST_INIT;
        struct berth_slot *slot = NULL;
        struct berth_error error;
        int r;

        request.socket = own ? berth_lease_socket(own) : cli->options.socket;
        request.namespace_ = namespace;
        request.secret = secret;
        request.worker = own_worker(cli);
        request.database = cli->options.database;
        request.no_wait = cli->options.no_wait;
        request.timeout_ms = cli->options.wait_ms;
        if (berth_slot_request(&request, &slot, &error)) {
                r = held_fail(cli, &error);
                release_own(own, r);
        } else {
                r = run_in(cli, slot, own);
        }
        berth_slot_free(slot);
        return r;
}

static int with_own_lease(struct cli *cli)
{
        struct berth_lease_request request = BERTH_LEASE_REQUEST_INIT;
        char *line = environment_command_line(cli->operands);
        struct berth_lease *lease = NULL;
        struct berth_error error;
        struct held held;
        int r;

        request.socket = cli->options.socket;
        request.label = line;
        request.no_wait = cli->options.no_wait;
        request.timeout_ms = cli->options.wait_ms;
        r = berth_lease_request(&request, &lease, &error) ? held_fail(cli, &error) : CLI_OK;
        if (!r) {
                held = held_lease(lease);
                r = held_wait(cli, &held);
        }
        if (!r)
                r = environment_export(cli, lease);
        if (!r)
                r = with_slot(cli, berth_lease_namespace(lease), berth_lease_secret(lease), lease);
        berth_lease_free(lease);
        free(line);
        return r;
}

int cmd_slot(struct cli *cli)
{
        const char *namespace = given(getenv(BERTH_ENV_NAMESPACE)), *secret = given(getenv(BERTH_ENV_SECRET));
        struct berth_error error;

        command_die_as_init();
        if (berth_check_worker(own_worker(cli), &error))
                return cli_fail(cli, &error);
        if (namespace && secret)
                return with_slot(cli, namespace, secret, NULL);
        return with_own_lease(cli);
}
