/* SPDX-License-Identifier: MIT */
#include "store/history.h"

#include "util/alloc.h"

#include <errno.h>
#include <string.h>

#define COLUMNS                                                                                              \
        "time_usec, event, lease, namespace, worker, database, schema, detail, since_usec, slot, cluster"
/* Both orders are those of an index: neither sorts more rows than it answers. */
#define NEWEST(condition)                                                                                    \
        "SELECT " COLUMNS " FROM (SELECT id, " COLUMNS " FROM event WHERE " condition                        \
        " AND time_usec >= ?2 AND time_usec < ?4 ORDER BY time_usec DESC, id DESC LIMIT ?3) ORDER BY "       \
        "time_usec, id"

static const char sql_of_all[] = NEWEST("?1 IS NULL");
static const char sql_of_one[] = NEWEST("namespace = ?1");

struct history *history_new(const char *namespace, uint64_t since_usec, uint64_t until_usec, unsigned limit)
{
        struct history *history = NEW(struct history);

        history->namespace = alloc_string(namespace);
        history->since_usec = since_usec < INT64_MAX ? since_usec : INT64_MAX;
        history->until_usec = until_usec && until_usec < INT64_MAX ? until_usec : INT64_MAX;
        history->limit = limit && limit < HISTORY_MAX ? limit : HISTORY_MAX;
        STAILQ_INIT(&history->rows);
        return history;
}

struct history *history_free(struct history *history)
{
        struct history_row *row;

        if (!history)
                return NULL;
        while ((row = STAILQ_FIRST(&history->rows))) {
                STAILQ_REMOVE_HEAD(&history->rows, link);
                free(row);
        }
        free(history->namespace);
        free(history);
        return NULL;
}

static const char *put_text(char **at, sqlite3_stmt *statement, int column)
{
        const char *text = (const char *)sqlite3_column_text(statement, column);
        const char *copy = *at;

        if (!text)
                return NULL;
        *at = stpcpy(*at, text) + 1;
        return copy;
}

static struct history_row *row_new(sqlite3_stmt *statement)
{
        size_t size = sizeof(struct history_row);
        struct history_row *row;
        char *at;

        for (int i = 0; i < sqlite3_column_count(statement); i++)
                size += (size_t)sqlite3_column_bytes(statement, i) + 1;
        row = alloc_zero(size);
        at = row->texts;
        row->event = (struct ledger_event){
                .time_usec = (uint64_t)sqlite3_column_int64(statement, 0),
                .lease = sqlite3_column_int64(statement, 2),
                .since_usec = (uint64_t)sqlite3_column_int64(statement, 8),
                .slot = sqlite3_column_type(statement, 9) == SQLITE_NULL ? -1
                                                                         : sqlite3_column_int(statement, 9),
        };
        row->event.event = put_text(&at, statement, 1);
        row->event.namespace = put_text(&at, statement, 3);
        row->event.worker = put_text(&at, statement, 4);
        row->event.database = put_text(&at, statement, 5);
        row->event.schema = put_text(&at, statement, 6);
        row->event.detail = put_text(&at, statement, 7);
        row->event.cluster = put_text(&at, statement, 10);
        return row;
}

int history_read(struct history *history, struct store *store)
{
        _cleanup_statement_ sqlite3_stmt *statement = NULL;
        struct history_row *row;
        int r;

        r = sqlite_prepare(&store->sqlite, history->namespace ? sql_of_one : sql_of_all, &statement);
        if (r)
                return r;
        if (sqlite3_bind_text(statement, 1, history->namespace, -1, SQLITE_STATIC) ||
            sqlite3_bind_int64(statement, 2, (int64_t)history->since_usec) ||
            sqlite3_bind_int64(statement, 3, history->limit) ||
            sqlite3_bind_int64(statement, 4, (int64_t)history->until_usec))
                return sqlite_failed(&store->sqlite);
        while ((r = sqlite_step(&store->sqlite, statement)) > 0) {
                row = row_new(statement);
                STAILQ_INSERT_TAIL(&history->rows, row, link);
        }
        return r;
}

void history_tell(const struct history *history, ledger_history_fn *each, void *owner, uint64_t ticket,
                  int error)
{
        const struct history_row *row;

        if (!error)
                STAILQ_FOREACH (row, &history->rows, link)
                        each(owner, ticket, &row->event, 0);
        each(owner, ticket, NULL, error);
}
