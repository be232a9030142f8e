/* SPDX-License-Identifier: MIT */
#pragma once

/* Text for people: colours, widths, times, and fields that wrap. */

#include "client/cli/cli.h"

struct cJSON;

enum print_color { PRINT_PLAIN, PRINT_GOOD, PRINT_BAD, PRINT_WARNING, PRINT_FAINT };

/* A line, cut to the width of the terminal; whole where there is none. */
void print_fitted(const char *line);
void print_fitted_at(int column, const char *rest); /* what stands before it has been printed */
int print_width(void); /* of the terminal; 80 elsewhere */
/* Escape sequences, or "" where colours are not wanted. */
const char *print_start(const struct cli *cli, enum print_color color);
const char *print_stop(const struct cli *cli);
const char *print_bullet(void);      /* "●" or "*" */
const char *print_ellipsis(void);    /* "…" or "~" */
int print_columns(const char *text); /* on a terminal */
/* How many bytes of text take no more than that many columns. */
size_t print_fit(const char *text, int columns);
/* As much of text as fits into that many columns, with an ellipsis if something is left out. Caller frees. */
char *print_cut(const char *text, int columns);
/* The same with both ends left: names and paths differ there. */
char *print_cut_middle(const char *text, int columns);
/* Text of other people stays one line and moves nothing on the terminal: control characters become ' ' or '?'. */
void print_make_plain(char *text);

int64_t print_now_usec(void); /* CLOCK_REALTIME */
/* "3min", since a CLOCK_REALTIME; returns ret_text */
const char *print_age(int64_t since_usec, char ret_text[BERTH_DURATION_SIZE]);
#define PRINT_TIME_SIZE 40
/* "Fri 2026-11-20 23:17:34 UTC" */
const char *print_time(int64_t usec, char ret_text[PRINT_TIME_SIZE]);
#define PRINT_COUNT_SIZE 32
/* "12,784" */
const char *print_count(int64_t number, char ret_text[PRINT_COUNT_SIZE]);
/* The user's name, or the number. */
#define PRINT_USER_SIZE 33
const char *print_user(int64_t uid, char ret_text[PRINT_USER_SIZE]);

#define PRINT_REASON_SIZE 120
/* What libpq says of a failed connection, without what the reader knows: "Connection refused". Returns
 * ret_text. */
const char *print_reason(const char *message, char ret_text[PRINT_REASON_SIZE]);

/* "     Socket: a, b,\n             c": items that go to the next line where they do not fit. */
struct print_field {
        const struct cli *cli;
        int column;
        bool is_first;
};
void print_field_begin(struct print_field *field, const struct cli *cli, const char *label);
__attribute__((format(printf, 4, 5))) void print_field_item(struct print_field *field, enum print_color color,
                                                            const char *separator, const char *format, ...);
void print_field_end(struct print_field *field);

/* A JSON value as one line on stdout. */
void print_json(const struct cJSON *value);
