/* SPDX-License-Identifier: MIT */

/* berth name: the composer of names, for shell scripts. Asks no daemon. */

#include "client/cli/fail.h"
#include "client/cli/print.h"

#include "proto/json.h"
#include "proto/protocol.h"

#include <stdio.h>
#include <stdlib.h>

static void print_name(const struct cli *cli, const char *name)
{
        struct cJSON *object;

        if (!cli->options.json) {
                (void)puts(name);
                return;
        }
        object = json_object();
        (void)json_add_string(object, "name", name);
        print_json(object);
        json_free(object);
}

int cmd_name(struct cli *cli)
{
        const char *namespace = cli->options.namespace ? cli->options.namespace : getenv(BERTH_ENV_NAMESPACE);
        char name[BERTH_NAME_SIZE];
        struct berth_error error;
        int r;

        if (!namespace || !*namespace)
                return cli_fail_usage(cli, "call it under 'berth run', or give --namespace",
                                      "no namespace; BERTH_NAMESPACE is not set");
        if (berth_check_namespace(namespace, &error))
                return cli_fail(cli, &error);
        r = cli->options.application
                    ? berth_application_name(namespace, cli->operands[0], cli->operands[1], name, &error)
                    : berth_schema_name(namespace, cli->operands[0], cli->operands[1], name, &error);
        if (r)
                return cli_fail(cli, &error);
        print_name(cli, name);
        return CLI_OK;
}
