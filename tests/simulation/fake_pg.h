/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The seam to PostgreSQL (seam/pg.h), on servers made of memory. Each question arrives after a while, is
 * carried out, and its answer arrives after another while; anything may happen to the connection in between.
 * What a server has begun it finishes, also when nobody listens any more: a backend outlives its client.
 */

#include "seam/pg.h"
#include "server.h"

struct fake_pg {
        struct pg pg; /* what the daemon gets */
        struct sim *sim;
        TAILQ_HEAD(, pg_connection) connections; /* also those closed by the daemon whose backend lives on */
        unsigned n_open;                         /* by the daemon */
};

void fake_pg_init(struct fake_pg *pg, struct sim *sim);
void fake_pg_done(struct fake_pg *pg);

/* How many drops of the daemon are between BEGIN and their end in this cluster. */
unsigned fake_pg_n_drops(const struct fake_pg *pg, const struct server_cluster *cluster);
/* Is a DROP of this namespace on its way, or its COMMIT? */
bool fake_pg_is_dropping(const struct fake_pg *pg, const char *namespace);
