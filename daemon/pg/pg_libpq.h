/* SPDX-License-Identifier: MIT */
#pragma once

/* What the two files that implement connection.h share. */

#include "pg/starter.h"
#include "seam/pg.h"

struct pg_libpq {
        struct pg pg; /* first: the seam's handle is this */
        struct event_base *base;
        struct starter *starter;
        char *application_name;
        unsigned n_connections;
};

extern const struct pg_ops pg_libpq_ops; /* in connection.c */
