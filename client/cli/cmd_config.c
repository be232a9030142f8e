/* SPDX-License-Identifier: MIT */

/* berth config: what is in force, its default, and which line of which file says so. */

#include "client/cli/fail.h"
#include "client/cli/oneshot.h"
#include "client/cli/print.h"
#include "client/cli/query.h"
#include "client/cli/table.h"

#include "proto/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MS   5000
#define ORIGIN_SIZE 300

/* "/etc/berth/berth.conf:3" */
static const char *describe_origin(const struct cJSON *row, char text[ORIGIN_SIZE])
{
        const char *file = json_get_string(row, "file"), *origin = json_get_string(row, "origin");

        if (file)
                (void)snprintf(text, ORIGIN_SIZE, "%s:%" PRId64, file, json_get_integer(row, "line", 0));
        else
                (void)snprintf(text, ORIGIN_SIZE, "%s",
                               origin && !strcmp(origin, "command_line") ? "command line" : "default");
        return text;
}

static void print_options(const struct cli *cli, const struct cJSON *configuration)
{
        static const char *const headings[] = {"OPTION", "VALUE", "DEFAULT", "SET BY", NULL};
        struct table *table = table_new(headings, -1);
        const struct cJSON *list = json_get(configuration, "options");
        char origin[ORIGIN_SIZE];

        for (const struct cJSON *row = json_first(list); table && row; row = json_next(row)) {
                const char *value = json_get_string(row, "value"),
                           *standard = json_get_string(row, "standard");
                bool is_standard = value && standard && !strcmp(value, standard);

                (void)table_add(table,
                                (const char *[]){json_get_string(row, "name"), value && *value ? value : "-",
                                                 is_standard             ? ""
                                                 : standard && *standard ? standard
                                                                         : "-",
                                                 describe_origin(row, origin)});
        }
        table_print(table, cli);
        table_free(table);
}

static void print_databases(const struct cli *cli, const struct cJSON *configuration)
{
        static const char *const headings[] = {"DATABASE", "CONNECTION", "SET BY", NULL};
        struct table *table = table_new(headings, -1);
        const struct cJSON *list = json_get(configuration, "databases");
        char origin[ORIGIN_SIZE];

        if (!json_first(list))
                (void)printf("\nno database is configured; write lines 'name = host=... dbname=...' below "
                             "[databases]\n");
        else
                (void)putchar('\n');
        for (const struct cJSON *row = json_first(list); table && row; row = json_next(row))
                (void)table_add(table, (const char *[]){json_get_string(row, "name"),
                                                        json_get_string(row, "conninfo"),
                                                        describe_origin(row, origin)});
        table_print(table, cli);
        table_free(table);
}

static void show(const struct cli *cli, const struct cJSON *configuration)
{
        if (cli->options.json) {
                print_json(configuration);
                return;
        }
        print_options(cli, configuration);
        print_databases(cli, configuration);
}

static void take_line(void *userdata, const char *line)
{
        struct cJSON **configuration = userdata;
        char why[JSON_MESSAGE_SIZE];

        if (!*configuration)
                *configuration = json_parse(line, strlen(line), why);
}

static int ask_program(struct cli *cli, struct cJSON **ret)
{
        struct berth_error error;
        char *said = NULL;
        int status, r = CLI_OK;

        *ret = NULL;
        if (oneshot_run(cli, "--show-config", take_line, ret, &status, &said, &error))
                return cli_fail(cli, &error);
        if (!*ret)
                r = cli_fail_as(cli, "BadConfiguration", CLI_CONFIGURATION,
                                "mend it; 'berthd --check-config' says all that is wrong",
                                "the configuration is wrong; %s", said ? said : "berthd does not say why");
        else if (!cli->options.json)
                json_edit_strings(*ret, print_make_plain);
        free(said);
        return r;
}

/* Is there a daemon to ask? Any other failure of a connect is told. */
static int find_daemon(struct cli *cli, bool *ret_is_there)
{
        struct berth_connection *connection;
        struct berth_error error;

        *ret_is_there = berth_connect(cli->options.socket, &connection, &error) == 0;
        if (*ret_is_there)
                (void)berth_disconnect(connection);
        else if (strcmp(error.code, "NoDaemon") != 0 && strcmp(error.code, "DeadSocket") != 0)
                return cli_fail(cli, &error);
        return CLI_OK;
}

int cmd_config(struct cli *cli)
{
        struct cJSON *configuration = NULL;
        bool is_there = false;
        int r = cli->options.config ? CLI_OK : find_daemon(cli, &is_there);

        if (r)
                return r;
        if (is_there)
                r = query_one(cli, "io.berth.manage.GetConfiguration", NULL, ANSWER_MS, &configuration);
        else
                r = ask_program(cli, &configuration);
        if (!r)
                show(cli, configuration);
        json_free(configuration);
        return r;
}
