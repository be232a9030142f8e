/* SPDX-License-Identifier: MIT */
#pragma once

/* What top_view.c and top_runs.c share. */

#include "client/cli/top_lines.h"

#include "proto/json.h"

struct layout {
        const struct cJSON *told, *status;
        const struct top_choice *choice;
        int64_t now_usec;
        int width;
};

static inline const char *text_of(const struct cJSON *object, const char *name)
{
        const char *text = json_get_string(object, name);

        return text ? text : "";
}

static inline const char *age(const struct layout *layout, int64_t since_usec,
                              char ret_text[BERTH_DURATION_SIZE])
{
        int64_t usec = layout->now_usec - since_usec;

        return berth_format_duration(usec > 0 ? usec : 0, ret_text);
}

/* top_runs.c: the heading, and behind it a line for each run. */
void top_add_runs(struct lines *lines, const struct layout *layout);
const char *top_sort_name(enum top_sort sort);
