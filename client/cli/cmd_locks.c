/* SPDX-License-Identifier: MIT */

/* Both sides of every lock wait, each with the run it belongs to. */

#include "client/cli/locks_dot.h"
#include "client/cli/locks_svg.h"
#include "client/cli/output.h"
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
        struct cJSON *locks;  /* with --json and --svg */
        struct locks_dot dot; /* with --dot */
};

/* "gw3 of p182… (pid 12)". What is too long is cut in the middle, so that the end stays to be typed. */
static void print_who(const struct cJSON *side, int columns)
{
        const char *namespace = json_get_string(side, "namespace"), *worker = json_get_string(side, "worker");
        const char *application = json_get_string(side, "applicationName");
        const char *gid = json_get_string(side, "gid");
        int64_t pid = json_get_integer(side, "pid", 0);
        char text[512], *cut;
        int n = 0;

        if (namespace)
                n = snprintf(text, sizeof(text), "%s%s%s", worker ? worker : "", worker ? " of " : "",
                             namespace);
        else if (pid)
                n = snprintf(text, sizeof(text), "%.100s",
                             application && *application ? application : "an unlabelled session");
        if (pid)
                (void)snprintf(text + n, sizeof(text) - (size_t)n, " (pid %" PRId64 ")", pid);
        else
                (void)snprintf(text + n, sizeof(text) - (size_t)n, "%sprepared transaction %.200s",
                               namespace ? ", " : "", gid ? gid : "?");
        cut = print_cut_middle(text, columns);
        (void)fputs(cut ? cut : text, stdout);
        free(cut);
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
        char waited[BERTH_DURATION_SIZE], open[BERTH_DURATION_SIZE], tail[64] = "";

        (void)printf("%s%s%s: ", print_start(cli, PRINT_WARNING), database ? database : "?", print_stop(cli));
        print_who(blocked, print_width() - print_columns(database ? database : "?") - 2);
        (void)printf("\n  waits    %s%s%s\n",
                     berth_format_duration(json_get_integer(lock, "waitUSec", 0), waited),
                     event ? " for " : "", event ? event : "");
        print_query("with", blocked);
        (void)printf("  behind   ");
        if (open_usec)
                (void)snprintf(tail, sizeof(tail), ", %s for %s",
                               json_get_integer(blocker, "pid", 0) ? "in transaction" : "open",
                               berth_format_duration(open_usec, open));
        print_who(blocker, print_width() - 11 - (int)strlen(tail));
        (void)printf("%s\n", tail);
        if (json_get_integer(blocker, "pid", 0))
                print_query("that did", blocker);
        else
                (void)printf("  do       ROLLBACK PREPARED '%s', if nobody is to commit it\n",
                             json_get_string(blocker, "gid") ? json_get_string(blocker, "gid") : "?");
}

static int take(void *userdata, const struct cJSON *reply)
{
        struct listing *listing = userdata;

        if (!json_get(reply, "blocked"))
                return CLI_OK;
        if (listing->locks)
                (void)json_append(listing->locks, json_copy(reply));
        else if (listing->cli->options.dot)
                locks_dot_add(&listing->dot, reply);
        else
                print_lock(listing->cli, reply);
        return CLI_OK;
}

static void draw(FILE *out, void *userdata)
{
        (void)locks_svg(userdata, out);
}

int cmd_locks(struct cli *cli)
{
        bool is_svg = cli->options.svg && !cli->options.json && !cli->options.dot;
        struct listing listing = {.cli = cli, .locks = cli->options.json || is_svg ? json_array() : NULL};
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
        if (cli->options.dot && !cli->options.json)
                locks_dot_begin(&listing.dot);
        r = query_run(cli, &query);
        if (cli->options.dot && !cli->options.json)
                locks_dot_end(&listing.dot);
        if (!listing.locks)
                return r;
        if (is_svg) {
                if (!r)
                        r = output_write(cli, draw, listing.locks);
                json_free(listing.locks);
                return r;
        }
        object = json_object();
        (void)json_add(object, "locks", listing.locks);
        if (!r)
                print_json(object);
        json_free(object);
        return r;
}
