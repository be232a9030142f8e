/* SPDX-License-Identifier: MIT */

/* What berthd has counted, as Prometheus reads it, or taken apart into JSON. */

#include "client/cli/fail.h"
#include "client/cli/print.h"
#include "client/cli/query.h"

#include "proto/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MS 5000

/* ---- the text, line by line. It is berthd's own (daemon/core/metrics.c): at most one label a sample. ---- */

struct reading {
        struct cJSON *metrics;
        struct cJSON *metric, *samples; /* the last one; borrowed */
};

/* "NAME WORDS..." */
static void read_help(struct reading *reading, char *line)
{
        char *words = line + strcspn(line, " ");

        if (*words)
                *words++ = '\0';
        reading->metric = json_object();
        reading->samples = json_array();
        (void)json_add_string(reading->metric, "name", line);
        (void)json_add_string(reading->metric, "help", words);
        (void)json_append(reading->metrics, reading->metric);
}

/* "NAME TYPE"; the samples follow. */
static void read_type(struct reading *reading, char *line)
{
        (void)json_add_string(reading->metric, "type", line + strcspn(line, " ") + 1);
        (void)json_add(reading->metric, "samples", reading->samples);
}

/* In place, up to the closing quote. Returns what is behind it. */
static char *unescape(char *text)
{
        char *to = text;

        for (; *text && *text != '"'; text++) {
                if (*text == '\\' && text[1])
                        *to++ = *++text == 'n' ? '\n' : *text;
                else
                        *to++ = *text;
        }
        if (*text)
                text++;
        *to = '\0';
        return text;
}

/* 'LABEL="VALUE"} NUMBER'. Returns the number. */
static char *read_label(struct cJSON *labels, char *at)
{
        char *equals = strchr(at, '=');
        char *end;

        if (!equals || equals[1] != '"')
                return at;
        *equals = '\0';
        end = unescape(equals + 2);
        (void)json_add_string(labels, at, equals + 2);
        return end + strspn(end, "} ");
}

static void read_sample(struct reading *reading, char *line)
{
        struct cJSON *sample = json_object(), *labels = json_object();
        char *end = line + strcspn(line, "{ "), why[JSON_MESSAGE_SIZE];
        char *number = *end == '{' ? read_label(labels, end + 1) : end + strspn(end, " ");

        *end = '\0';
        (void)json_add_string(sample, "name", line);
        (void)json_add(sample, "labels", labels);
        (void)json_add(sample, "value", json_parse(number, strlen(number), why));
        (void)json_append(reading->samples, sample);
}

static void read_line(struct reading *reading, char *line)
{
        static const struct {
                const char *start;
                void (*read)(struct reading *reading, char *line);
        } kinds[] = {{"# HELP ", read_help}, {"# TYPE ", read_type}, {"berth_", read_sample}};

        for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
                size_t length = strlen(kinds[i].start);

                if (strncmp(line, kinds[i].start, length))
                        continue;
                /* A sample's name is part of it. */
                if (i == 0 || reading->samples)
                        kinds[i].read(reading, kinds[i].read == read_sample ? line : line + length);
                return;
        }
}

static void print_as_json(char *text)
{
        struct cJSON *object = json_object();
        struct reading reading = {.metrics = json_array()};

        for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
                read_line(&reading, line);
        (void)json_add(object, "metrics", reading.metrics);
        print_json(object);
        json_free(object);
}

static int take(void *userdata, const struct cJSON *reply)
{
        const struct cli *cli = userdata;
        const char *text = json_get_string(reply, "text");
        char *copy = cli->options.json && text ? strdup(text) : NULL;

        if (copy)
                print_as_json(copy);
        else
                (void)fputs(text ? text : "", stdout);
        free(copy);
        return CLI_OK;
}

int cmd_metrics(struct cli *cli)
{
        struct query query = {
                .method = "io.berth.manage.GetMetrics",
                .timeout_ms = ANSWER_MS,
                .waiting = "waiting for berthd",
                .has_lines = true,
                .take = take,
                .userdata = cli,
        };

        return query_run(cli, &query);
}
