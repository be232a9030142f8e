/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * SQLite with a single error path: every function returns 0 (or what it documents), or -EIO and leaves code,
 * errno and text of the failure in struct sqlite. Out of memory ends the process, as everywhere.
 */

#include "util/cleanup.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SQLITE_MESSAGE_SIZE 256

struct sqlite {
        sqlite3 *db;
        int code; /* extended result code of the last failure */
        int system_errno;
        char message[SQLITE_MESSAGE_SIZE];
};

int sqlite_open(struct sqlite *sqlite, const char *path, int flags) MUST_CHECK;
void sqlite_close(struct sqlite *sqlite); /* all statements must have been finalized */

int sqlite_run(struct sqlite *sqlite,
               const char *sql) MUST_CHECK; /* any number of statements, rows ignored */
int sqlite_prepare(struct sqlite *sqlite, const char *sql, sqlite3_stmt **ret) MUST_CHECK;
/* 1: a row. 0: the end; the statement is reset. */
int sqlite_step(struct sqlite *sqlite, sqlite3_stmt *statement) MUST_CHECK;
/* Runs a statement that gives no rows; resets it whatever comes. */
int sqlite_finish(struct sqlite *sqlite, sqlite3_stmt *statement) MUST_CHECK;
/* First column of the first row. */
int sqlite_integer(struct sqlite *sqlite, const char *sql, int64_t *ret) MUST_CHECK;
int sqlite_text(struct sqlite *sqlite, const char *sql, char *ret, size_t size) MUST_CHECK;

/* Notes the connection's last error; returns -EIO. For calls of SQLite that have no wrapper here. */
int sqlite_failed(struct sqlite *sqlite);

static inline void sqlite3_finalizep(sqlite3_stmt **statement)
{
        sqlite3_finalize(*statement);
}

#define _cleanup_statement_ _cleanup_(sqlite3_finalizep)
