/* SPDX-License-Identifier: MIT */
#include "pg/answer.h"

#include "pg/conninfo.h"
#include "pg/text.h"
#include "util/alloc.h"
#include "util/cleanup.h"

#include <stdio.h>
#include <string.h>

bool answer_reader_add(struct answer_reader *reader, PGresult *result)
{
        ExecStatusType status = PQresultStatus(result);

        if (status == PGRES_FATAL_ERROR && !reader->error) {
                reader->error = result;
        } else if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) {
                PQclear(reader->last);
                reader->last = result;
                reader->n_results++;
        } else {
                reader->garbled = status != PGRES_FATAL_ERROR; /* COPY would go on for ever */
                PQclear(result);
        }
        return !reader->garbled;
}

void answer_reader_done(struct answer_reader *reader)
{
        PQclear(reader->last);
        PQclear(reader->error);
        *reader = (struct answer_reader){};
}

static void lost(struct answer *answer, const char *why)
{
        answer->seen.outcome = PG_LOST;
        answer->seen.sqlstate[0] = '\0';
        (void)snprintf(answer->message, sizeof(answer->message), "%s", why);
}

static void refused(struct answer *answer, const char *sqlstate, const char *primary, const char *detail)
{
        answer->seen.outcome = PG_SQL_ERROR;
        (void)snprintf(answer->seen.sqlstate, sizeof(answer->seen.sqlstate), "%s", sqlstate);
        (void)snprintf(answer->message, sizeof(answer->message), "%s%s%s", primary, detail ? ": " : "",
                       detail ? detail : "");
}

static void take_error(struct answer *answer, const PGresult *error, const PGconn *connection)
{
        const char *sqlstate = PQresultErrorField(error, PG_DIAG_SQLSTATE);
        const char *severity = PQresultErrorField(error, PG_DIAG_SEVERITY_NONLOCALIZED);
        const char *primary = PQresultErrorField(error, PG_DIAG_MESSAGE_PRIMARY);

        /* An error without a state is libpq's own: what it read made no sense, or the socket broke. */
        if (!sqlstate || strlen(sqlstate) != 5 || !severity || strcmp(severity, "ERROR") != 0 ||
            PQstatus(connection) != CONNECTION_OK)
                lost(answer, primary ? primary : PQresultErrorMessage(error));
        else
                refused(answer, sqlstate, primary ? primary : "",
                        PQresultErrorField(error, PG_DIAG_MESSAGE_DETAIL));
}

static bool has_stray_null(const struct question *question, const PGresult *rows)
{
        for (int i = 0; i < PQntuples(rows); i++)
                for (unsigned k = 0; k < question->n_columns; k++)
                        if (!(question->may_be_null & COLUMN(k)) && PQgetisnull(rows, i, (int)k))
                                return true;
        return false;
}

/* A SELECT ends in how many rows there were. */
static bool is_short(PGresult *rows)
{
        char tag[40];

        (void)snprintf(tag, sizeof(tag), "SELECT %d", PQntuples(rows));
        return strcmp(PQcmdStatus(rows), tag) != 0;
}

/* Why this is not the answer to that question; NULL: it is. */
static const char *mismatch(const struct question *question, const struct answer_reader *reader)
{
        ExecStatusType expected = question->n_columns ? PGRES_TUPLES_OK : PGRES_COMMAND_OK;

        if (reader->garbled)
                return "unexpected answer: a result of another kind";
        if (reader->n_results != question->n_statements)
                return "unexpected answer: not every statement was answered";
        if (PQresultStatus(reader->last) != expected ||
            (unsigned)PQnfields(reader->last) != question->n_columns)
                return "unexpected answer: other columns than asked for";
        if (question->n_columns && is_short(reader->last))
                return "unexpected answer: other rows than were announced";
        if (question->one_row && PQntuples(reader->last) != 1)
                return "unexpected answer: other than one row";
        if (has_stray_null(question, reader->last))
                return "unexpected answer: no value where there must be one";
        return NULL;
}

/*
 * What a transaction is for depends on it being the one we began. A server or pooler that says otherwise has not done
 * what it was asked to.
 */
static bool is_elsewhere(const struct question *question, PGTransactionStatusType before, bool failed,
                         PGTransactionStatusType after)
{
        if (failed && question->transaction == TRANSACTION_BEGINS)
                return after != PQTRANS_IDLE && after != PQTRANS_INERROR; /* BEGIN, or what comes after it */
        if (question->transaction == TRANSACTION_ENDS)
                return after != PQTRANS_IDLE;
        if (question->transaction == TRANSACTION_BEGINS)
                return after != PQTRANS_INTRANS;
        return after != (failed && before == PQTRANS_INTRANS ? PQTRANS_INERROR : before);
}

static void take_rows(struct answer *answer)
{
        unsigned n_rows = (unsigned)PQntuples(answer->rows), n_columns = (unsigned)PQnfields(answer->rows);

        answer->cells = alloc_array(NULL, (size_t)n_rows * n_columns, sizeof(*answer->cells));
        for (unsigned i = 0; i < n_rows * n_columns; i++) {
                int row = (int)(i / n_columns), column = (int)(i % n_columns);
                char *cell =
                        PQgetisnull(answer->rows, row, column) ? NULL : PQgetvalue(answer->rows, row, column);

                if (cell)
                        text_force_utf8(cell);
                answer->cells[i] = cell;
        }
        answer->seen.n_rows = n_rows;
        answer->seen.n_columns = n_columns;
        answer->seen.cells = answer->cells;
}

/* The server rolls a transaction that has failed back when it is told to commit, and calls that a success. */
static bool was_rolled_back(enum pg_question question, PGresult *result)
{
        return question == PG_COMMIT && strcmp(PQcmdStatus(result), "COMMIT") != 0;
}

void answer_make(struct answer *answer, enum pg_question question, struct answer_reader *reader,
                 PGconn *connection)
{
        const struct question *asked = question_of(question);
        const char *wrong = mismatch(asked, reader);

        *answer = (struct answer){.seen = {.question = question, .backend_pid = PQbackendPID(connection)}};
        answer->seen.message = answer->message;
        if (reader->garbled)
                lost(answer, wrong);
        else if (reader->error)
                take_error(answer, reader->error, connection);
        else if (PQstatus(connection) != CONNECTION_OK)
                lost(answer, PQerrorMessage(connection));
        else if (wrong)
                lost(answer, wrong);
        else if (was_rolled_back(question, reader->last))
                refused(answer, "25P02", "the transaction had failed before; COMMIT rolled it back", NULL);
        else
                answer->rows = TAKE(reader->last);
        if (answer->seen.outcome != PG_LOST &&
            is_elsewhere(asked, reader->before, answer->seen.outcome == PG_SQL_ERROR,
                         PQtransactionStatus(connection)))
                lost(answer, "unexpected answer: the transaction is in another state than it must be");
        if (answer->rows)
                take_rows(answer);
        text_force_line(answer->message);
        conninfo_redact(connection, answer->message);
        answer_reader_done(reader);
}

void answer_done(struct answer *answer)
{
        PQclear(answer->rows);
        free(answer->cells);
        *answer = (struct answer){};
}
