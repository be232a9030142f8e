/* SPDX-License-Identifier: MIT */

#include "client/cli/print.h"
#include "client/cli/query.h"

#include "proto/json.h"

#include <stdio.h>
#include <time.h>

#define ANSWER_MS 30000

struct listing {
        struct cJSON *events; /* with --json */
};

static void print_event(const struct cJSON *event)
{
        static const char *const words[] = {"namespace", "worker", "database", "schema", "detail"};
        time_t sec = (time_t)(json_get_integer(event, "timeUSec", 0) / 1000000);
        const char *name = json_get_string(event, "event");
        char at[PRINT_TIME_SIZE] = "?", line[2048];
        struct tm local;
        size_t used;

        if (localtime_r(&sec, &local))
                (void)strftime(at, sizeof(at), "%Y-%m-%d %H:%M:%S", &local);
        used = (size_t)snprintf(line, sizeof(line), "%s  %-16s", at, name ? name : "?");
        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
                const char *text = json_get_string(event, words[i]);

                if (text && *text && used < sizeof(line))
                        used += (size_t)snprintf(line + used, sizeof(line) - used, " %s", text);
        }
        print_fitted(line);
}

static int take(void *userdata, const struct cJSON *reply)
{
        struct listing *listing = userdata;

        if (!json_get(reply, "event"))
                return CLI_OK;
        if (listing->events)
                (void)json_append(listing->events, json_copy(reply));
        else
                print_event(reply);
        return CLI_OK;
}

int cmd_history(struct cli *cli)
{
        struct listing listing = {.events = cli->options.json ? json_array() : NULL};
        struct cJSON *parameters = json_object(), *object;
        struct query query = {
                .method = "io.berth.manage.GetHistory",
                .parameters = parameters,
                .more = true,
                .timeout_ms = ANSWER_MS,
                .waiting = "reading the ledger",
                .take = take,
                .userdata = &listing,
        };
        int r;

        (void)json_add_string(parameters, "namespace", cli->operands[0]);
        if (cli->options.since_ms)
                (void)json_add_integer(parameters, "sinceUSec",
                                       print_now_usec() - cli->options.since_ms * 1000);
        if (cli->options.limit)
                (void)json_add_integer(parameters, "limit", cli->options.limit);
        r = query_run(cli, &query);
        if (!listing.events)
                return r;
        object = json_object();
        (void)json_add(object, "events", listing.events);
        if (!r)
                print_json(object);
        json_free(object);
        return r;
}
