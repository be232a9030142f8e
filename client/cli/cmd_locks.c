/* SPDX-License-Identifier: MIT */

/* Both sides of every lock wait, each with the run it belongs to. */

#include "client/cli/print.h"
#include "client/cli/query.h"

#include "proto/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MS 30000 /* it asks every database */

struct listing {
        const struct cli *cli;
        struct cJSON *locks; /* with --json */
};

static void print_who(const struct cJSON *side)
{
        const char *namespace = json_get_string(side, "namespace"), *worker = json_get_string(side, "worker");
        const char *application = json_get_string(side, "applicationName");
        int64_t pid = json_get_integer(side, "pid", 0);

        if (namespace)
                (void)printf("%s%s%s", worker ? worker : "", worker ? " of " : "", namespace);
        else
                (void)printf("%s", application && *application ? application : "an unlabelled session");
        if (pid)
                (void)printf(" (pid %" PRId64 ")", pid);
        else
                (void)printf(" (a prepared transaction)");
}

static void print_query(const char *what, const struct cJSON *side)
{
        const char *query = json_get_string(side, "query");
        char *line, *cut;

        line = query ? strdup(query) : NULL;
        if (!line)
                return;
        for (char *at = line; *at; at++)
                if ((unsigned char)*at < 0x20)
                        *at = ' ';
        cut = print_cut(line, print_width() - 13);
        (void)printf("  %-8s %s\n", what, cut ? cut : line);
        free(cut);
        free(line);
}

static void print_lock(const struct cli *cli, const struct cJSON *lock)
{
        const struct cJSON *blocked = json_get(lock, "blocked"), *blocker = json_get(lock, "blocker");
        const char *event = json_get_string(lock, "waitEvent"), *database = json_get_string(lock, "database");
        int64_t open_usec = json_get_integer(blocker, "transactionUSec", 0);
        char waited[BERTH_DURATION_SIZE], open[BERTH_DURATION_SIZE];

        (void)printf("%s%s%s: ", print_start(cli, PRINT_WARNING), database ? database : "?", print_stop(cli));
        print_who(blocked);
        (void)printf("\n  waits    %s%s%s\n",
                     berth_format_duration(json_get_integer(lock, "waitUSec", 0), waited),
                     event ? " for " : "", event ? event : "");
        print_query("with", blocked);
        (void)printf("  behind   ");
        print_who(blocker);
        if (open_usec)
                (void)printf(", in transaction for %s", berth_format_duration(open_usec, open));
        (void)putchar('\n');
        print_query("that did", blocker);
}

static int take(void *userdata, const struct cJSON *reply)
{
        struct listing *listing = userdata;

        if (!json_get(reply, "blocked"))
                return CLI_OK;
        if (listing->locks)
                (void)json_append(listing->locks, json_copy(reply));
        else
                print_lock(listing->cli, reply);
        return CLI_OK;
}

int cmd_locks(struct cli *cli)
{
        struct listing listing = {.cli = cli, .locks = cli->options.json ? json_array() : NULL};
        struct cJSON *parameters = json_object(), *object;
        struct query query = {
                .method = "io.berth.manage.ListLocks",
                .parameters = parameters,
                .more = true,
                .timeout_ms = ANSWER_MS,
                .waiting = "asking the databases who blocks whom",
                .take = take,
                .userdata = &listing,
        };
        int r;

        (void)json_add_string(parameters, "database", cli->operands[0]);
        r = query_run(cli, &query);
        if (!listing.locks)
                return r;
        object = json_object();
        (void)json_add(object, "locks", listing.locks);
        if (!r)
                print_json(object);
        json_free(object);
        return r;
}
