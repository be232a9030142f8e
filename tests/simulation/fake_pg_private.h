/* SPDX-License-Identifier: MIT */
#pragma once

/* What fake_pg.c (the wire) and fake_pg_answer.c (the words) share. */

#include "fake_pg.h"

struct rows {
        struct pg_answer answer;
        char message[96];
        const char **cells;
        unsigned n_cells, n_allocated;
};

struct pg_connection {
        struct fake_pg *pg;
        struct endpoint *endpoint;
        struct server_backend *backend; /* NULL: not connected, or cut */
        int told_pid;                   /* as libpq was told; behind a pooler another's */
        enum fault fault;               /* what the way was like when it connected */
        pg_answered_fn *answered;       /* NULL: closed by the daemon */
        void *owner;

        bool is_asked; /* a question is under way */
        enum pg_question question;
        char parameters[PG_PARAMETERS_MAX][NAMES_MAX + 1];
        bool is_mute; /* the answer will not arrive */
        bool is_lost;
        uint64_t lock_timeout, lock_deadline, statement_timeout, statement_deadline;
        uint64_t looked_in_transaction_at; /* 0: not since BEGIN */
        uint64_t looked_at;                /* of the sessions in the answer under way */
        struct rows *rows;                 /* of the reply under way */
        struct clock_event *arrival; /* at the server: the question, another try for a lock, or the hang-up */
        struct clock_event *reply, *timeout;
        bool is_dropping;                /* between BEGIN and its end */
        TAILQ_ENTRY(pg_connection) link; /* fake_pg::connections */
};

/* Carries the question out on the server; rows is filled. False: it waits for a lock, try again. */
bool fake_pg_carry_out(struct pg_connection *connection, struct rows *rows);
void fake_pg_refuse(struct pg_connection *connection, struct rows *rows, const char *sqlstate,
                    const char *message);

bool fake_pg_takes(enum pg_question question); /* away from a schema */

struct rows *rows_new(void);
struct rows *rows_free(struct rows *rows);
void rows_add(struct rows *rows, const char *cell); /* copied; NULL: SQL NULL */
