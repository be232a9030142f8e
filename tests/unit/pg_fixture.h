/* SPDX-License-Identifier: MIT */
#pragma once

/* A throwaway PostgreSQL cluster, the seam on it, and answers one can wait for. */

#include "pg/connection.h"

#include <event2/event.h>
#include <libpq-fe.h>
#include <stddef.h>

#define SECOND 1000000ULL

/* A copy of the last answer. */
struct heard {
        unsigned n_answers;
        enum pg_question question;
        enum pg_outcome outcome;
        char sqlstate[6];
        char message[1100];
        int backend_pid;
        unsigned n_rows, n_columns;
        char **cells;
};

struct fixture {
        char dir[64], port[16];
        PGconn *admin; /* superuser, database postgres; for the test's own doings */
        struct event_base *base;
        struct pg *pg;
        struct heard heard;
        char conninfo[160]; /* of the superuser, by socket */
};

/* cmocka group fixtures. The cluster has room for 150 connections; "scram_user" needs his password over TCP.
 */
int fixture_set_up(void **state);
int fixture_tear_down(void **state);

/* Of another database, user or way: a format with the fixture's host and port in front. Static buffer. */
const char *by_socket(const struct fixture *f, const char *more);
const char *by_tcp(const struct fixture *f, const char *more);

/* As the admin. The first cell as text (static), "" if there is none; a failure ends the test. */
const char *sql(PGconn *connection, const char *format, ...) __attribute__((format(printf, 2, 3)));
PGconn *session(const struct fixture *f, const char *more);

void heard_clear(struct heard *heard);
void on_heard(void *owner, const struct pg_answer *answer); /* owner: a struct heard */
/* Turns the loop until there are that many answers. */
void await(struct fixture *f, const struct heard *heard, unsigned n_answers);

/* Open and ask, waiting for the answer, which is in f->heard. */
struct pg_connection *try_open(struct fixture *f, const char *conninfo, unsigned long long timeout_usec);
struct pg_connection *open_ok(struct fixture *f, const char *conninfo);
enum pg_outcome ask(struct fixture *f, struct pg_connection *connection, enum pg_question question,
                    const char *first, const char *second);
const char *cell(const struct fixture *f, unsigned row, unsigned column);
/* The row whose first cell is that text; -1: none. */
int row_of(const struct fixture *f, unsigned column, const char *text);
void pg_close(struct fixture *f, struct pg_connection *connection);

unsigned long long now_usec(void);
