/* SPDX-License-Identifier: MIT */

#include "client/cli/fail.h"
#include "client/cli/print.h"
#include "client/cli/query.h"
#include "client/cli/sweep_result.h"

#include "proto/json.h"

static int take(void *userdata, const struct cJSON *reply)
{
        struct cJSON **result = userdata;
        const struct cJSON *found = json_get(reply, "result");

        if (found && !*result)
                *result = json_copy(found);
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
        struct cJSON *parameters = json_object(), *result = NULL;
        struct query query = {
                .method = "io.berth.manage.Sweep",
                .parameters = parameters,
                .more = true,
                .timeout_ms = -1, /* a drop may wait for a slot behind builds */
                .waiting = cli->options.dry_run ? "asking every database who is alive" : "sweeping",
                .take = take,
                .userdata = &result,
        };
        int r;

        if (cli->options.dry_run)
                (void)json_add_bool(parameters, "dryRun", true);
        (void)json_add_string(parameters, "database", cli->operands[0]);
        r = query_run(cli, &query);
        if (!r && !result)
                r = cli_fail_as(cli, "BadAnswer", CLI_BERTH_FAILED,
                                "see that berthd and berth are of one version",
                                "no result of the sweep; berthd ended the call without it");
        else if (!r)
                r = show(cli, result);
        json_free(result);
        return r;
}
