/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The table of what PostgreSQL is asked: together with sql/ all the SQL of the daemon.
 *
 * Each question is one message of the simple protocol. Those that look something up begin with SET LOCAL
 * search_path, which holds for that message alone, or for the transaction it is in: names and operators are
 * then pg_catalog's, whatever the owner of the database has put elsewhere, and a pooler's next client
 * inherits nothing.
 *
 * Parameters are written as psql writes them: :'schema' is a literal, :"schema" an identifier.
 */

#include "seam/pg.h"

#include <libpq-fe.h>

/* What a question that goes well does to the transaction. */
enum question_transaction { TRANSACTION_STAYS, TRANSACTION_BEGINS, TRANSACTION_ENDS };

/* A column that may hold NULL, as a bit of may_be_null. */
#define COLUMN(n) (1u << (n))

struct question {
        const char *sql;
        const char *parameters[PG_PARAMETERS_MAX]; /* what they are called in the text */
        unsigned n_statements;                     /* in the message; each must be answered */
        unsigned n_columns;                        /* of the last one; 0: no rows */
        bool one_row;                              /* there must be exactly one */
        unsigned may_be_null;                      /* columns; elsewhere NULL is no answer */
        enum question_transaction transaction;
        bool in_transaction; /* would do harm, or nothing, outside of one */
};

const struct question *question_of(enum pg_question question);

/* The message with its parameters in it, to be freed. NULL:
 * a parameter is missing, or is no text in UTF-8. */
char *question_compose(PGconn *connection, enum pg_question question,
                       const char *const parameters[PG_PARAMETERS_MAX]);
