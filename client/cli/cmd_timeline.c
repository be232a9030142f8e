/* SPDX-License-Identifier: MIT */

/* A picture of what happened, from the ledger. */

#include "client/cli/fail.h"
#include "client/cli/output.h"
#include "client/cli/print.h"
#include "client/cli/query.h"
#include "client/cli/timeline.h"

#include "proto/json.h"

#include <stdlib.h>
#include <string.h>

#define ANSWER_MS  30000
#define SINCE_USEC (INT64_C(3600) * 1000000)
#define PAGE       1000 /* of events; berthd tells no more at once */
#define PAGES_MAX  200

static int keep_reply(void *userdata, const struct cJSON *reply)
{
        if (json_first(reply))
                (void)json_append(userdata, json_copy(reply));
        return CLI_OK;
}

static int read_page(struct cli *cli, int64_t since_usec, int64_t until_usec, struct cJSON *page)
{
        struct cJSON *parameters = json_object();
        struct query query = {
                .method = "io.berth.manage.GetHistory",
                .parameters = parameters,
                .more = true,
                .timeout_ms = ANSWER_MS,
                .waiting = "reading the ledger",
                .take = keep_reply,
                .userdata = page,
        };

        (void)json_add_integer(parameters, "sinceUSec", since_usec);
        if (until_usec)
                (void)json_add_integer(parameters, "untilUSec", until_usec);
        (void)json_add_integer(parameters, "limit", PAGE);
        return query_run(cli, &query);
}

static int count(const struct cJSON *array)
{
        int n = 0;

        for (const struct cJSON *one = json_first(array); one; one = json_next(one))
                n++;
        return n;
}

/*
 * The newest come first, a page after the other. What shares the instant of a page's oldest may stand on both sides of
 * its edge: that instant is left to the next page, whole.
 */
static int read_events(struct cli *cli, int64_t since_usec, struct cJSON *pages[PAGES_MAX], int *ret_n)
{
        int64_t until_usec = 0;
        int r = CLI_OK, n_last = PAGE;

        for (*ret_n = 0; !r && *ret_n < PAGES_MAX; ++*ret_n) {
                int64_t oldest;

                pages[*ret_n] = json_array();
                r = read_page(cli, since_usec, until_usec, pages[*ret_n]);
                n_last = count(pages[*ret_n]);
                if (r || n_last < PAGE) {
                        ++*ret_n;
                        break;
                }
                oldest = json_get_integer(json_first(pages[*ret_n]), "timeUSec", 0);
                until_usec = oldest + 1 == until_usec ? oldest : oldest + 1;
        }
        if (!r && n_last == PAGE)
                cli_warn("the picture is not whole; it has the newest %d events; give a shorter --since",
                         PAGES_MAX * PAGE);
        return r;
}

/* Oldest first. An instant that two pages have is taken from the older one, which has all of it. */
static struct cJSON *join_pages(struct cJSON *pages[PAGES_MAX], int n)
{
        struct cJSON *all = json_array();

        for (int i = n - 1; i >= 0; i--) {
                int64_t oldest = i < n - 1 ? json_get_integer(json_first(pages[i]), "timeUSec", 0) : -1;

                for (const struct cJSON *one = json_first(pages[i]); one; one = json_next(one))
                        if (json_get_integer(one, "timeUSec", 0) != oldest)
                                (void)json_append(all, json_copy(one));
        }
        return all;
}

static int read_leases(struct cli *cli, struct cJSON *leases)
{
        struct cJSON *parameters = json_object();
        struct query query = {
                .method = "io.berth.manage.ListLeases",
                .parameters = parameters,
                .more = true,
                .timeout_ms = ANSWER_MS,
                .waiting = "waiting for berthd",
                .take = keep_reply,
                .userdata = leases,
        };

        (void)json_add_bool(parameters, "all", true);
        return query_run(cli, &query);
}

static void draw(FILE *out, void *userdata)
{
        timeline_svg(userdata, out);
}

static int draw_timeline(struct cli *cli, const struct cJSON *events, const struct cJSON *leases,
                         const struct cJSON *status, int64_t from, int64_t now)
{
        struct timeline *timeline = timeline_new(events, leases, status, from, now);
        int r = CLI_BERTH_FAILED;

        if (timeline && !timeline->has_failed)
                r = output_write(cli, draw, timeline);
        else
                cli_warn("out of memory");
        timeline_free(timeline);
        return r;
}

int cmd_timeline(struct cli *cli)
{
        int64_t now = print_now_usec(),
                from = now - (cli->options.since_ms ? cli->options.since_ms * 1000 : SINCE_USEC);
        struct cJSON *pages[PAGES_MAX], *events = NULL, *leases, *status = NULL;
        int n = 0, r;

        if (cli->options.json)
                return cli_fail_usage(cli, "use 'berth history --json'",
                                      "timeline has no --json; it draws a picture");
        leases = json_array();
        r = read_events(cli, from > 0 ? from : 0, pages, &n);
        if (!r)
                r = read_leases(cli, leases);
        if (!r)
                r = query_one(cli, "io.berth.manage.GetStatus", NULL, ANSWER_MS, &status);
        if (!r) {
                events = join_pages(pages, n);
                r = draw_timeline(cli, events, leases, status, from > 0 ? from : 0, now);
        }
        for (int i = 0; i < n; i++)
                json_free(pages[i]);
        json_free(events);
        json_free(leases);
        json_free(status);
        return r;
}
