/* SPDX-License-Identifier: MIT */
#include "pg/questions.h"

#include "pg/questions_sql.h"
#include "util/alloc.h"
#include "util/cleanup.h"

#include <assert.h>
#include <string.h>

/* clang-format off */
static const struct question questions[PG_QUESTION_MAX_] = {
        [PG_CONNECT]           = {.sql = ""}, /* never asked */
        [PG_IDENTIFY]          = {.sql = sql_identify,
                                  .n_statements = 2, .n_columns = PG_IDENTIFY_COLUMNS_, .one_row = true},
        [PG_SCHEMAS]           = {.sql = sql_schemas,
                                  .n_statements = 2, .n_columns = 5},
        [PG_SESSIONS]          = {.sql = sql_sessions,
                                  .n_statements = 3, .n_columns = 3, .may_be_null = COLUMN(2)},
        [PG_DROP_BEGIN]        = {.sql = sql_drop_begin, .parameters = {"lock_timeout", "statement_timeout"},
                                  .n_statements = 6, .transaction = TRANSACTION_BEGINS},
        [PG_DROP_PIN]          = {.sql = sql_drop_pin, .parameters = {"schema"},
                                  .n_statements = 2, .n_columns = 1, .one_row = true, .in_transaction = true},
        [PG_DROP_DEPENDENTS]   = {.sql = sql_drop_dependents, .parameters = {"schema", "namespace"},
                                  .n_statements = 3, .n_columns = 4, .may_be_null = COLUMN(2) | COLUMN(3)},
        [PG_DROP_UNTIE]        = {.sql = sql_drop_untie, .parameters = {"schema", "namespace"},
                                  .n_statements = 4, .n_columns = 1, .one_row = true, .in_transaction = true},
        [PG_DROP_BATCH]        = {.sql = sql_drop_batch, .parameters = {"schema", "locks"},
                                  .n_statements = 4, .n_columns = 1, .one_row = true, .in_transaction = true},
        [PG_DROP]              = {.sql = "DROP SCHEMA :\"schema\" CASCADE", .parameters = {"schema"},
                                  .n_statements = 1, .in_transaction = true},
        [PG_LOOKUP]            = {.sql = "SET LOCAL search_path = ''; SELECT 1 FROM pg_namespace WHERE oid = :'oid'",
                                  .parameters = {"oid"},
                                  .n_statements = 2, .n_columns = 1},
        [PG_COMMIT]            = {.sql = "COMMIT",
                                  .n_statements = 1, .in_transaction = true, .transaction = TRANSACTION_ENDS},
        [PG_ROLLBACK]          = {.sql = "ROLLBACK",
                                  .n_statements = 1, .transaction = TRANSACTION_ENDS},
        [PG_LOCK_HOLDERS]      = {.sql = sql_lock_holders, .parameters = {"schema", "where"},
                                  .n_statements = 2, .n_columns = 3,
                                  .may_be_null = COLUMN(0) | COLUMN(1) | COLUMN(2)},
        [PG_END_SWEEP]         = {.sql = sql_end_sweep, .parameters = {"label", "msec"},
                                  .n_statements = 2, .n_columns = 2},
        [PG_BLOCKERS]          = {.sql = sql_blockers,
                                  .n_statements = 2, .n_columns = PG_BLOCKER_COLUMNS_,
                                  .may_be_null = COLUMN(PG_BLOCKER_COLUMNS_) - 1},
        [PG_HOLDERS]           = {.sql = sql_holders,
                                  .n_statements = 2, .n_columns = PG_HOLDER_COLUMNS_,
                                  .may_be_null = (COLUMN(PG_HOLDER_COLUMNS_) - 1) & ~COLUMN(PG_HOLDER_SCHEMA)},
        [PG_HOLDER_BUSY]       = {.sql = sql_holder_busy, .parameters = {"worker", "namespace"},
                                  .n_statements = 2, .n_columns = 1},
        [PG_LOCK_COUNTS]       = {.sql = sql_lock_counts,
                                  .n_statements = 2, .n_columns = 2},
        [PG_DIAGNOSE]          = {.sql = sql_diagnose,
                                  .n_statements = 2, .n_columns = 3, .may_be_null = COLUMN(2)},
        [PG_PUBLIC]            = {.sql = sql_public,
                                  .n_statements = 3, .n_columns = PG_PUBLIC_COLUMNS_,
                                  .may_be_null = COLUMN(PG_PUBLIC_OID) | COLUMN(PG_PUBLIC_TABLE) |
                                                 COLUMN(PG_PUBLIC_IS_PARTITION) | COLUMN(PG_PUBLIC_WRITES)},
};
/* clang-format on */

const struct question *question_of(enum pg_question question)
{
        assert(question < PG_QUESTION_MAX_);
        return &questions[question];
}

/* Which parameter is named here, from the quote on; -1: none. */
static int parameter_at(const struct question *question, const char *at)
{
        for (int i = 0; i < PG_PARAMETERS_MAX; i++) {
                const char *name = question->parameters[i];
                size_t n = name ? strlen(name) : 0;

                if (name && !strncmp(at + 1, name, n) && at[1 + n] == *at)
                        return i;
        }
        return -1;
}

static char *quote(PGconn *connection, char how, const char *parameter)
{
        if (!parameter)
                return NULL;
        return how == '"' ? PQescapeIdentifier(connection, parameter, strlen(parameter))
                          : PQescapeLiteral(connection, parameter, strlen(parameter));
}

static void append(char **text, const char *more, size_t n)
{
        char *longer = alloc_printf("%s%.*s", *text, (int)n, more);

        free(*text);
        *text = longer;
}

char *question_compose(PGconn *connection, enum pg_question question,
                       const char *const parameters[PG_PARAMETERS_MAX])
{
        const struct question *asked = question_of(question);
        _cleanup_free_ char *message = alloc_string("");
        const char *done = asked->sql;

        for (const char *at = strchr(done, ':'); at; at = strchr(at + 1, ':')) {
                int parameter = at[1] == '\'' || at[1] == '"' ? parameter_at(asked, at + 1) : -1;
                char *quoted;

                if (parameter < 0)
                        continue; /* a cast */
                quoted = quote(connection, at[1], parameters[parameter]);
                if (!quoted)
                        return NULL;
                append(&message, done, (size_t)(at - done));
                append(&message, quoted, strlen(quoted));
                PQfreemem(quoted);
                done = at + strlen(":''") + strlen(asked->parameters[parameter]);
        }
        append(&message, done, strlen(done));
        return TAKE(message);
}
