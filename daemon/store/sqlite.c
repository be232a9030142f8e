/* SPDX-License-Identifier: MIT */
#include "store/sqlite.h"

#include "util/alloc.h"

#include <errno.h>
#include <stdio.h>

int sqlite_failed(struct sqlite *sqlite)
{
        sqlite->code = sqlite3_extended_errcode(sqlite->db);
        sqlite->system_errno = sqlite3_system_errno(sqlite->db);
        if ((sqlite->code & 0xff) == SQLITE_NOMEM)
                alloc_failed();
        (void)snprintf(sqlite->message, sizeof(sqlite->message), "%s (SQLite %d)", sqlite3_errmsg(sqlite->db),
                       sqlite->code);
        return -EIO;
}

int sqlite_open(struct sqlite *sqlite, const char *path, int flags)
{
        /* Its statistics of memory, which nobody reads, take a lock for each allocation. Too late is no harm. */
        (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
        /* NOMUTEX: one thread at a time uses a connection; the writer sees to that. */
        if (sqlite3_open_v2(path, &sqlite->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL))
                return sqlite_failed(sqlite);
        return 0;
}

void sqlite_close(struct sqlite *sqlite)
{
        (void)sqlite3_close_v2(sqlite->db);
        sqlite->db = NULL;
}

int sqlite_run(struct sqlite *sqlite, const char *sql)
{
        if (sqlite3_exec(sqlite->db, sql, NULL, NULL, NULL))
                return sqlite_failed(sqlite);
        return 0;
}

int sqlite_prepare(struct sqlite *sqlite, const char *sql, sqlite3_stmt **ret)
{
        if (sqlite3_prepare_v3(sqlite->db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL))
                return sqlite_failed(sqlite);
        return 0;
}

int sqlite_step(struct sqlite *sqlite, sqlite3_stmt *statement)
{
        int r = sqlite3_step(statement);

        if (r == SQLITE_ROW)
                return 1;
        if (r != SQLITE_DONE)
                (void)sqlite_failed(sqlite);
        (void)sqlite3_reset(statement);
        return r == SQLITE_DONE ? 0 : -EIO;
}

int sqlite_finish(struct sqlite *sqlite, sqlite3_stmt *statement)
{
        int r = sqlite_step(sqlite, statement);

        if (r > 0)
                (void)sqlite3_reset(statement);
        return r < 0 ? r : 0;
}

int sqlite_integer(struct sqlite *sqlite, const char *sql, int64_t *ret)
{
        _cleanup_statement_ sqlite3_stmt *statement = NULL;

        if (sqlite_prepare(sqlite, sql, &statement) || sqlite_step(sqlite, statement) < 0)
                return -EIO;
        *ret = sqlite3_column_int64(statement, 0);
        return 0;
}

int sqlite_text(struct sqlite *sqlite, const char *sql, char *ret, size_t size)
{
        _cleanup_statement_ sqlite3_stmt *statement = NULL;
        const char *text;

        if (sqlite_prepare(sqlite, sql, &statement) || sqlite_step(sqlite, statement) < 0)
                return -EIO;
        text = (const char *)sqlite3_column_text(statement, 0);
        (void)snprintf(ret, size, "%s", text ? text : "");
        return 0;
}
