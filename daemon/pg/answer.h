/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * An answer, read to its end. Anything that is not exactly what the question promises is a lost connection,
 * never an empty or a shorter answer: too few statements answered, other columns, no row where one must be,
 * NULL where none may be, an error without an SQLSTATE, a transaction that began or ended by itself, a connection
 * that broke after the last row.
 */

#include "pg/questions.h"
#include "seam/pg.h"

#include <libpq-fe.h>

#define ANSWER_MESSAGE_SIZE 1024

/* Being read. Zeroed: nothing yet. */
struct answer_reader {
        PGresult *last;  /* of the statements that went well */
        PGresult *error; /* the first one */
        unsigned n_results;
        PGTransactionStatusType before; /* the question was asked */
        bool garbled;                   /* a kind of result that no question has */
};

/* Valid until it is done; what the callback sees points into it. */
struct answer {
        struct pg_answer seen;
        PGresult *rows;
        const char **cells;
        char message[ANSWER_MESSAGE_SIZE];
};

/* Takes the result. False: there is no use in reading on. */
bool answer_reader_add(struct answer_reader *reader, PGresult *result);
void answer_reader_done(struct answer_reader *reader);

/* What the whole means. Empties the reader. */
void answer_make(struct answer *answer, enum pg_question question, struct answer_reader *reader,
                 PGconn *connection);
void answer_done(struct answer *answer);
