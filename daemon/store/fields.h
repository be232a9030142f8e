/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The fields of struct ledger_change by name. A statement says ":lease" and a query "AS lease"; which member
 * of the struct that is, and how it is written, stands in one table in fields.c. So a kind of change is its
 * SQL alone.
 */

#include "seam/ledger.h"
#include "store/sqlite.h"

struct field;

/* What a change is bound with: itself, and two texts made of it for its row in "event". */
struct field_source {
        const struct ledger_change *change;
        const char *event, *summary;
};

const struct field *field_find(const char *name); /* without the colon; NULL: no such field */
/* text is not copied: it has to live until the statement has run. SQLite's result code. */
int field_bind(sqlite3_stmt *statement, int index, const struct field *field,
               const struct field_source *source);
/* The texts live until the statement's next step. */
void field_read(sqlite3_stmt *statement, int column, const struct field *field, struct ledger_change *change);

const char *field_role_name(enum role role);
