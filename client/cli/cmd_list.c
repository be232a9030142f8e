/* SPDX-License-Identifier: MIT */

#include "client/cli/leases.h"
#include "client/cli/query.h"
#include "client/cli/table.h"

#include "proto/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define ANSWER_MS 10000
#define LIST      "io.berth.manage.ListLeases"

struct listing {
        const struct cli *cli;
        struct table *table;
        struct cJSON *leases; /* with --json */
};

static int take_row(void *userdata, const struct cJSON *reply)
{
        struct listing *listing = userdata;
        char user[PRINT_USER_SIZE], age[BERTH_DURATION_SIZE], members[32];
        struct lease_view view;

        if (!leases_read(reply, &view))
                return CLI_OK;
        if (listing->leases) {
                (void)json_append(listing->leases, json_copy(reply));
                return CLI_OK;
        }
        (void)snprintf(members, sizeof(members), "%d/%d", view.n_connected, view.n_members);
        (void)table_add(listing->table,
                        (const char *[]){view.namespace, print_user(view.uid, user), view.label,
                                         print_age(view.since_usec, age), members, view.state});
        return CLI_OK;
}

static int list_once(struct cli *cli, struct cJSON *parameters)
{
        static const char *const headings[] = {"NAMESPACE", "OWNER", "LABEL", "AGE",
                                               "MEMBERS",   "STATE", NULL};
        struct listing listing = {.cli = cli, .table = table_new(headings, 2)};
        struct query query = {
                .method = LIST,
                .parameters = parameters,
                .more = true,
                .timeout_ms = ANSWER_MS,
                .waiting = "waiting for berthd",
                .take = take_row,
                .userdata = &listing,
        };
        struct cJSON *object = cli->options.json ? json_object() : NULL;
        int r;

        listing.leases = cli->options.json ? json_array() : NULL;
        r = query_run(cli, &query);
        if (!r)
                table_print(listing.table, cli);
        table_free(listing.table);
        (void)json_add(object, "leases", listing.leases);
        if (!r && object)
                print_json(object);
        json_free(object);
        return r;
}

/* One line a change, written at once: somebody reads it in a pipe. */
static int take_change(void *userdata, const struct cJSON *reply)
{
        static const struct {
                const char *action, *sign;
        } signs[] = {{"add", "+"}, {"change", "~"}, {"remove", "-"}};
        const struct listing *listing = userdata;
        const char *action = json_get_string(reply, "action"), *sign = "+";
        time_t now = time(NULL);
        struct lease_view view;
        char clock[16] = "";
        struct tm local;

        if (listing->cli->options.json) {
                print_json(reply);
        } else if (leases_read(reply, &view)) {
                for (size_t i = 0; action && i < sizeof(signs) / sizeof(signs[0]); i++)
                        if (!strcmp(signs[i].action, action))
                                sign = signs[i].sign;
                if (localtime_r(&now, &local))
                        (void)strftime(clock, sizeof(clock), "%H:%M:%S", &local);
                (void)printf("%s %s %-28s %d/%d %s%s%s  %s\n", clock, sign, view.namespace, view.n_connected,
                             view.n_members, print_start(listing->cli, leases_color(view.state)), view.state,
                             print_stop(listing->cli), view.label ? view.label : "");
        }
        (void)fflush(stdout);
        return CLI_OK;
}

static int watch(struct cli *cli, struct cJSON *parameters)
{
        struct listing listing = {.cli = cli};
        struct query query = {
                .method = LIST,
                .parameters = parameters,
                .more = true,
                .timeout_ms = -1,
                .take = take_change,
                .userdata = &listing,
        };

        (void)json_add_bool(parameters, "subscribe", true);
        return query_run(cli, &query);
}

int cmd_list(struct cli *cli)
{
        struct cJSON *parameters = json_object();

        if (cli->options.all)
                (void)json_add_bool(parameters, "all", true);
        return cli->options.watch ? watch(cli, parameters) : list_once(cli, parameters);
}
