/* SPDX-License-Identifier: MIT */

/* berth report: what runs have left behind. From files alone, no daemon is asked. */

#include "client/cli/fail.h"
#include "client/cli/print.h"
#include "client/cli/report_load.h"
#include "client/cli/report_print.h"

#include "proto/json.h"

/* Failures hold what the tests and other people's sessions said; JSON and XML have escapes of their own. */
static void make_plain(const struct cli *cli, struct cJSON *value)
{
        if (!cli->options.json && !cli->options.junit && !cli->options.github)
                json_edit_strings(value, print_make_plain);
}

static int diff(struct cli *cli)
{
        struct cJSON *reports[2] = {NULL, NULL};
        int r = CLI_OK;

        if (cli->n_operands != 2)
                return cli_fail_usage(cli, "write berth report --diff BEFORE AFTER",
                                      "--diff compares two runs; %d %s named", cli->n_operands,
                                      cli->n_operands == 1 ? "is" : "are");
        for (int i = 0; !r && i < 2; i++) {
                reports[i] = report_load_one(cli, cli->operands[i], &r);
                if (!r)
                        make_plain(cli, reports[i]);
        }
        if (!r)
                report_print_diff(cli, reports[0], reports[1]);
        json_free(reports[0]);
        json_free(reports[1]);
        return r;
}

static void show(const struct cli *cli, struct cJSON *reports)
{
        struct cJSON *object;

        make_plain(cli, reports);
        if (cli->options.junit) {
                report_print_junit(reports);
        } else if (cli->options.github) {
                report_print_github(reports);
        } else if (cli->options.json) {
                object = json_object();
                (void)json_add(object, "reports", json_copy(reports));
                print_json(object);
                json_free(object);
        } else if (cli->options.last) {
                report_print_table(cli, reports);
        } else {
                report_print_one(cli, json_first(reports));
        }
}

static int load(struct cli *cli, const char *word, struct cJSON *reports)
{
        struct report_choice choice = {
                .namespace = word,
                .only_failed = cli->options.failed,
                .n_max = cli->options.last ? (int)cli->options.last : 1,
        };
        struct berth_error error;
        struct cJSON *one;
        int r = CLI_OK;

        if (word && report_is_path(word)) {
                one = report_load_one(cli, word, &r);
                (void)json_append(reports, one);
                return r;
        }
        if (word && berth_check_namespace(word, &error))
                return cli_fail(cli, &error);
        return report_load(cli, &choice, reports);
}

int cmd_report(struct cli *cli)
{
        const char *word = cli->n_operands ? cli->operands[0] : NULL;
        struct cJSON *reports;
        int r;

        if (cli->options.json + cli->options.junit + cli->options.github > 1)
                return cli_fail_usage(
                        cli, "choose one of them",
                        "--json, --junit and --github are three forms; there is one standard output");
        if (cli->options.diff)
                return diff(cli);
        if (cli->n_operands > 1)
                return cli_fail_usage(cli, "name one, or use --diff",
                                      "unexpected argument %s; one run is shown", cli->operands[1]);
        reports = json_array();
        r = load(cli, word, reports);
        if (!r && !json_first(reports))
                r = report_fail_none(cli, word, cli->options.failed);
        if (!r)
                show(cli, reports);
        json_free(reports);
        return r;
}
