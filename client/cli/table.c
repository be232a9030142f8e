/* SPDX-License-Identifier: MIT */

#include "client/cli/table.h"

#include "client/cli/print.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GAP    2
#define NARROW 8

struct table {
        const char *headings[TABLE_COLUMNS_MAX];
        int n_columns, flexible;
        char **cells; /* n_rows * n_columns */
        size_t n_rows;
};

struct table *table_new(const char *const *headings, int flexible)
{
        struct table *table = calloc(1, sizeof(*table));

        if (!table)
                return NULL;
        table->flexible = flexible;
        while (headings[table->n_columns] && table->n_columns < TABLE_COLUMNS_MAX) {
                table->headings[table->n_columns] = headings[table->n_columns];
                table->n_columns++;
        }
        return table;
}

struct table *table_free(struct table *table)
{
        if (!table)
                return NULL;
        for (size_t i = 0; i < table->n_rows * (size_t)table->n_columns; i++)
                free(table->cells[i]);
        free(table->cells);
        free(table);
        return NULL;
}

bool table_add(struct table *table, const char *const *cells)
{
        size_t n = (size_t)table->n_columns, used = table->n_rows * n;
        char **grown = reallocarray(table->cells, used + n, sizeof(*grown));
        bool complete = true;

        if (!grown)
                return false;
        table->cells = grown;
        for (size_t i = 0; i < n; i++) {
                grown[used + i] = strdup(cells[i] ? cells[i] : "-");
                complete = complete && grown[used + i];
        }
        table->n_rows++;
        return complete;
}

static const char *cell(const struct table *table, size_t row, int column)
{
        const char *text = table->cells[row * (size_t)table->n_columns + (size_t)column];

        return text ? text : "";
}

/* Not to nothing: where even that does not help, the line is longer than the terminal. */
static void shrink_widest(const struct table *table, int *widths)
{
        int widest = 0;

        for (int column = 1; column < table->n_columns; column++)
                if (widths[column] > widths[widest])
                        widest = column;
        if (widths[widest] > NARROW)
                widths[widest]--;
}

static void measure(const struct table *table, int *widths)
{
        int sum = 0, spare;

        for (int column = 0; column < table->n_columns; column++) {
                widths[column] = print_columns(table->headings[column]);
                for (size_t row = 0; row < table->n_rows; row++) {
                        int columns = print_columns(cell(table, row, column));

                        if (columns > widths[column])
                                widths[column] = columns;
                }
                sum += widths[column] + (column ? GAP : 0);
        }
        spare = print_width() - 1 - sum;
        if (spare < 0 && table->flexible >= 0) {
                int least = print_columns(table->headings[table->flexible]);
                int width = widths[table->flexible] + spare;

                spare += widths[table->flexible] - (width > least ? width : least);
                widths[table->flexible] = width > least ? width : least;
        }
        for (; spare < 0; spare++)
                shrink_widest(table, widths);
}

static void print_cell(const char *text, int width, bool is_last)
{
        char *cut = print_cut_middle(text, width);

        (void)printf("%s%*s", cut ? cut : text, is_last ? 0 : width - print_columns(cut ? cut : text) + GAP,
                     "");
        free(cut);
}

void table_print(const struct table *table, const struct cli *cli)
{
        int widths[TABLE_COLUMNS_MAX];

        if (!table->n_rows)
                return;
        measure(table, widths);
        (void)fputs(print_start(cli, PRINT_FAINT), stdout);
        for (int column = 0; column < table->n_columns; column++)
                print_cell(table->headings[column], widths[column], column == table->n_columns - 1);
        (void)puts(print_stop(cli));
        for (size_t row = 0; row < table->n_rows; row++) {
                for (int column = 0; column < table->n_columns; column++)
                        print_cell(cell(table, row, column), widths[column], column == table->n_columns - 1);
                (void)putchar('\n');
        }
}
