/* SPDX-License-Identifier: MIT */

#include "client/cli/fail.h"
#include "client/cli/print.h"
#include "client/cli/query.h"
#include "client/cli/sweep_result.h"

#include "proto/json.h"

#include <stdio.h>

struct sweeping {
        struct cJSON *result;
        const char *doing;
        char waiting[80]; /* what the terminal shows */
};

static int take(void *userdata, const struct cJSON *reply)
{
        struct sweeping *sweeping = userdata;
        const struct cJSON *found = json_get(reply, "result");
        int64_t since_usec = json_get_integer(reply, "waitsForUSec", 0);
        char age[BERTH_DURATION_SIZE];

        if (since_usec)
                (void)snprintf(sweeping->waiting, sizeof(sweeping->waiting),
                               "waiting for a sweep that has been running for %s",
                               print_age(since_usec, age));
        else
                (void)snprintf(sweeping->waiting, sizeof(sweeping->waiting), "%s", sweeping->doing);
        if (found && !sweeping->result)
                sweeping->result = json_copy(found);
        return CLI_OK;
}

static int show(struct cli *cli, const struct cJSON *result)
{
        struct sweep_counts counts = sweep_count(result);

        if (cli->options.json)
                print_json(result);
        else
                sweep_print(cli, result);
        return sweep_exit_code(&counts);
}

int cmd_sweep(struct cli *cli)
{
        struct sweeping sweeping = {.doing = cli->options.dry_run ? "asking every database who is alive"
                                                                  : "sweeping"};
        struct cJSON *parameters = json_object();
        struct query query = {
                .method = "io.berth.manage.Sweep",
                .parameters = parameters,
                .more = true,
                .timeout_ms = -1, /* a drop may wait for a slot behind builds */
                .waiting = sweeping.waiting,
                .take = take,
                .userdata = &sweeping,
        };
        int r;

        (void)snprintf(sweeping.waiting, sizeof(sweeping.waiting), "%s", sweeping.doing);
        if (cli->options.dry_run)
                (void)json_add_bool(parameters, "dryRun", true);
        if (cli->options.no_wait)
                (void)json_add_bool(parameters, "noWait", true);
        (void)json_add_string(parameters, "database", cli->operands[0]);
        r = query_run(cli, &query);
        if (!r && !sweeping.result)
                r = cli_fail_as(cli, "BadAnswer", CLI_BERTH_FAILED,
                                "see that berthd and berth are of one version",
                                "no result of the sweep; berthd ended the call without it");
        else if (!r)
                r = show(cli, sweeping.result);
        json_free(sweeping.result);
        return r;
}
