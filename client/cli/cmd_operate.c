/* SPDX-License-Identifier: MIT */

/* berth revoke and berth keep: what an operator, or the owner, does to a lease. */

#include "client/cli/fail.h"
#include "client/cli/print.h"
#include "client/cli/query.h"

#include "proto/json.h"

#include <stdio.h>

#define ANSWER_MS 30000 /* the ledger is written */

/* {"namespace":…} and what else is to be said, or nothing: silence is success. */
static void print_done(const struct cli *cli, int64_t kept_until_usec)
{
        char until[PRINT_TIME_SIZE];
        struct cJSON *object;

        if (!cli->options.json) {
                if (kept_until_usec)
                        (void)printf("%s is kept until %s\n", cli->operands[0],
                                     print_time(kept_until_usec, until));
                return;
        }
        object = json_object();
        (void)json_add_string(object, "namespace", cli->operands[0]);
        if (kept_until_usec)
                (void)json_add_integer(object, "keptUntilUSec", kept_until_usec);
        print_json(object);
        json_free(object);
}

static int operate(struct cli *cli, const char *method, struct cJSON *parameters)
{
        struct berth_error error;
        struct cJSON *reply;
        int r;

        if (berth_check_namespace(cli->operands[0], &error)) {
                json_free(parameters);
                return cli_fail(cli, &error);
        }
        (void)json_add_string(parameters, "namespace", cli->operands[0]);
        r = query_one(cli, method, parameters, ANSWER_MS, &reply);
        if (!r)
                print_done(cli, json_get_integer(reply, "keptUntilUSec", 0));
        json_free(reply);
        return r;
}

int cmd_revoke(struct cli *cli)
{
        struct cJSON *parameters = json_object();

        (void)json_add_string(parameters, "reason", cli->options.reason);
        return operate(cli, "io.berth.manage.Revoke", parameters);
}

int cmd_keep(struct cli *cli)
{
        struct cJSON *parameters = json_object();

        if (cli->options.for_ms)
                (void)json_add_integer(parameters, "keepUSec", cli->options.for_ms * 1000);
        return operate(cli, "io.berth.manage.Keep", parameters);
}
