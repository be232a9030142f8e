/* SPDX-License-Identifier: MIT */
#pragma once

/* A table that fits the terminal: columns as wide as they need, one of them cut where the line is full. */

#include "client/cli/cli.h"

#define TABLE_COLUMNS_MAX 8

struct table;

/* headings ends with NULL; flexible: the column that is cut; -1: the widest. NULL: no memory. */
struct table *table_new(const char *const *headings, int flexible);
struct table *table_free(struct table *table);
/* As many cells as headings; they are copied. False: no memory. */
bool table_add(struct table *table, const char *const *cells);
/* Nothing, if there are no rows. */
void table_print(const struct table *table, const struct cli *cli);
