/* SPDX-License-Identifier: MIT */
#pragma once

/* Who blocks whom as a graph for Graphviz: a box for each session and each prepared transaction, coloured by its run, an
 * arrow from whoever waits to whoever is in the way. */

#include <stddef.h>

struct cJSON;

struct locks_dot {
        char **names; /* boxes that are drawn */
        size_t n_names;
};

void locks_dot_begin(struct locks_dot *dot);
void locks_dot_add(struct locks_dot *dot, const struct cJSON *lock);
void locks_dot_end(struct locks_dot *dot); /* frees what it has */
