/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Stands in for PostgreSQL where only a holder's sessions matter: one server behind every conninfo. A test says
 * whether it answers, who is busy on it, and what it has locked. Every answer comes from the loop, and the question
 * of a closed connection is forgotten.
 */

#include "fake_env.h"
#include "seam/pg.h"

struct fake_server;

struct fake_server *fake_server_new(struct fake_env *fake);
struct fake_server *fake_server_free(struct fake_server *server); /* complains of connections left open */
struct pg *fake_server_pg(struct fake_server *server);

enum fake_mood {
        FAKE_ANSWERS,
        FAKE_REFUSES, /* at once */
        FAKE_SILENT,  /* until the deadline */
        FAKE_STANDBY,
};

void fake_server_set_mood(struct fake_server *server, enum fake_mood mood);
/* How many sessions are busy, whoever asks. */
void fake_server_set_busy(struct fake_server *server, unsigned n);
/* One session, and how much it has locked; others are forgotten. NULL: none. */
void fake_server_set_locks(struct fake_server *server, const char *application_name, unsigned objects);

/* One table in public, by oid and name, and how often it was written to since when. */
struct fake_table {
        const char *counted_since, *oid, *name, *writes;
};
void fake_server_set_public(struct fake_server *server, const struct fake_table *tables, unsigned n);

unsigned fake_server_n_asked(const struct fake_server *server, enum pg_question question);
unsigned fake_server_n_open(const struct fake_server *server);
/* worker and namespace of the last PG_HOLDER_BUSY, as "worker namespace" */
const char *fake_server_last_holder(const struct fake_server *server);
