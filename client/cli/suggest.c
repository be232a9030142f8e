/* SPDX-License-Identifier: MIT */

#include "client/cli/suggest.h"

#include <string.h>

#define LENGTH_MAX 32

static size_t min3(size_t a, size_t b, size_t c)
{
        size_t ab = a < b ? a : b;

        return ab < c ? ab : c;
}

/* Letters to add, leave out, change or swap with their neighbour (optimal string alignment). */
static size_t distance(const char *a, const char *b)
{
        size_t rows[LENGTH_MAX + 1][LENGTH_MAX + 1];
        size_t n = strlen(a), m = strlen(b);

        if (n > LENGTH_MAX || m > LENGTH_MAX)
                return LENGTH_MAX;
        for (size_t i = 0; i <= n; i++)
                rows[i][0] = i;
        for (size_t j = 0; j <= m; j++)
                rows[0][j] = j;
        for (size_t i = 1; i <= n; i++) {
                for (size_t j = 1; j <= m; j++) {
                        rows[i][j] = min3(rows[i - 1][j] + 1, rows[i][j - 1] + 1,
                                          rows[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
                        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                            rows[i - 2][j - 2] + 1 < rows[i][j])
                                rows[i][j] = rows[i - 2][j - 2] + 1;
                }
        }
        return rows[n][m];
}

const char *suggest_nearest(const char *typed, const char *const *words, size_t n)
{
        /* One slip in a short word, two in a longer one; and never nearly everything. */
        size_t near = strlen(typed) <= 4 ? 2 : 3;
        const char *nearest = NULL;

        for (size_t i = 0; i < n; i++) {
                size_t d = distance(typed, words[i]);

                if (*typed && strlen(typed) >= 3 && !strncmp(words[i], typed, strlen(typed)))
                        d = 1;
                if (d < near) {
                        near = d;
                        nearest = words[i];
                }
        }
        return nearest;
}
