/* SPDX-License-Identifier: MIT */
#pragma once

/* Questions to the daemon. What goes wrong is told here; a verb only passes the exit code on. */

#include "client/cli/cli.h"

struct cJSON;

struct query {
        const char *method;
        struct cJSON *parameters; /* taken; NULL: none */
        bool more;
        int timeout_ms;      /* until an answer, and between two; < 0: for ever */
        bool has_lines;      /* its strings may have several lines, and are berthd's own */
        const char *waiting; /* shown on a terminal when it takes longer than a second */
        /* Called with each reply. Not 0: an exit code that ends the query. */
        int (*take)(void *userdata, const struct cJSON *reply);
        void *userdata;
};

/* 0, or an exit code */
int query_run(struct cli *cli, const struct query *query);
/* For one reply, which the caller gives to json_free(). */
int query_one(struct cli *cli, const char *method, struct cJSON *parameters, int timeout_ms,
              struct cJSON **ret_reply);
/* The path the last query went to. */
const char *query_socket(void);
