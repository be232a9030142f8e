/* SPDX-License-Identifier: MIT */

#include "client/cli/query.h"

#include "client/cli/fail.h"
#include "client/cli/print.h"
#include "client/cli/progress.h"

#include "proto/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char socket_path[128];

const char *query_socket(void)
{
        return socket_path;
}

static int start(struct cli *cli, const struct query *query, struct berth_connection **ret_connection)
{
        char *parameters = query->parameters ? json_print(query->parameters) : NULL;
        struct berth_error error;
        int r;

        json_free(query->parameters);
        r = berth_connect(cli->options.socket, ret_connection, &error);
        if (!r) {
                (void)snprintf(socket_path, sizeof(socket_path), "%s",
                               berth_connection_path(*ret_connection));
                r = berth_call_start(*ret_connection, query->method, parameters,
                                     query->more ? BERTH_CALL_MORE : 0, &error);
        }
        free(parameters);
        return r ? cli_fail(cli, &error) : CLI_OK;
}

/* As berth_call_next(), with a word on the terminal once a second has gone by without a reply. */
static int next(const struct query *query, struct berth_connection *connection, struct progress *progress,
                char **ret_text, int *ret_continues, struct berth_error *error)
{
        int quiet_ms = query->waiting ? progress_delay(progress) : 0;
        int r;

        if (quiet_ms && (query->timeout_ms < 0 || quiet_ms < query->timeout_ms)) {
                r = berth_call_next(connection, quiet_ms, ret_text, ret_continues, error);
                if (r)
                        return r;
        }
        if (query->waiting)
                progress_show(progress, query->waiting);
        return berth_call_next(connection, query->timeout_ms, ret_text, ret_continues, error);
}

static int give(struct cli *cli, const struct query *query, const char *text)
{
        char why[JSON_MESSAGE_SIZE];
        struct cJSON *reply = json_parse(text, strlen(text), why);
        int r;

        if (!reply)
                return cli_fail_as(cli, "BadAnswer", CLI_BERTH_FAILED,
                                   "see that berthd and berth are of one version",
                                   "cannot read the answer from %s; %s", socket_path, why);
        /* Labels and the like are other people's words. */
        if (!cli->options.json && !query->has_lines)
                json_edit_strings(reply, print_make_plain);
        r = query->take(query->userdata, reply);
        json_free(reply);
        return r;
}

static int take_replies(struct cli *cli, const struct query *query, struct berth_connection *connection)
{
        struct progress progress;
        struct berth_error error;
        char waited[BERTH_DURATION_SIZE];
        int continues, r;

        progress_begin(&progress, false);
        do {
                char *text = NULL;

                r = next(query, connection, &progress, &text, &continues, &error);
                if (r < 0)
                        return cli_fail(cli, &error);
                if (!r)
                        return cli_fail_as(cli, "Unanswered", CLI_NOT_IN_TIME,
                                           "try again; 'systemctl status berthd' tells more",
                                           "no answer from %s within %s; berthd is stopped or overloaded",
                                           socket_path,
                                           berth_format_duration(query->timeout_ms * 1000LL, waited));
                r = give(cli, query, text);
                free(text);
        } while (!r && continues);
        progress_clear();
        return r;
}

int query_run(struct cli *cli, const struct query *query)
{
        struct berth_connection *connection = NULL;
        int r = start(cli, query, &connection);

        if (!r)
                r = take_replies(cli, query, connection);
        (void)berth_disconnect(connection);
        return r;
}

static int keep_reply(void *userdata, const struct cJSON *reply)
{
        *(struct cJSON **)userdata = json_copy(reply);
        return CLI_OK;
}

int query_one(struct cli *cli, const char *method, struct cJSON *parameters, int timeout_ms,
              struct cJSON **ret_reply)
{
        struct query query = {
                .method = method,
                .parameters = parameters,
                .timeout_ms = timeout_ms,
                .waiting = "waiting for berthd",
                .take = keep_reply,
                .userdata = ret_reply,
        };

        *ret_reply = NULL;
        return query_run(cli, &query);
}
