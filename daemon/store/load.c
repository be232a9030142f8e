/* SPDX-License-Identifier: MIT */
#include "store/load.h"

#include "store/fields.h"

#include <assert.h>
#include <errno.h>

#define COLUMNS_MAX 20

/* clang-format off */

/* The names of the columns are those of the fields of struct ledger_change. */
static const struct query {
        enum ledger_change_kind kind;
        const char *sql;
} queries[] = {
        { LEDGER_LEASE_GRANTED,
          "SELECT l.id AS lease, l.namespace, l.label, l.uid, l.forced, l.request, l.secret_hash,"
          " l.granted_usec AS time_usec, l.first_member AS member, k.until_usec,"
          " m.role, m.worker, m.pid, m.start_ticks, m.pidfd_inode, m.boot_id"
          " FROM lease l LEFT JOIN member m ON m.id = l.first_member LEFT JOIN keep k ON k.namespace = l.namespace"
          " WHERE l.ended_usec IS NULL ORDER BY l.id" },
        { LEDGER_LEASE_ENDED,
          "SELECT l.id AS lease, l.namespace, l.label, l.uid, l.forced, l.outcome AS detail, l.reason,"
          " l.exit_status, l.granted_usec AS since_usec, l.ended_usec AS time_usec, k.until_usec"
          " FROM lease l LEFT JOIN keep k ON k.namespace = l.namespace"
          " WHERE l.id IN (SELECT max(id) FROM lease WHERE ended_usec IS NOT NULL GROUP BY namespace) ORDER BY l.id" },
        { LEDGER_MEMBER_JOINED,
          "SELECT m.id AS member, m.lease, l.namespace, m.role, m.worker, m.uid, m.pid, m.start_ticks,"
          " m.pidfd_inode, m.boot_id, m.joined_usec AS time_usec"
          " FROM member m JOIN lease l ON l.id = m.lease"
          " WHERE l.ended_usec IS NULL AND m.left_usec IS NULL ORDER BY m.id" },
        { LEDGER_SLOT_GRANTED,
          "SELECT grant, lease, namespace, worker, cluster, slot, pid, start_ticks, pidfd_inode, boot_id,"
          " granted_usec AS time_usec FROM slot ORDER BY grant" },
        { LEDGER_CLAIMED,
          "SELECT database, schema, oid, namespace, sweep, claimed_usec AS time_usec FROM claim"
          " ORDER BY claimed_usec, database, schema" },
        { LEDGER_SIGHTED,
          "SELECT database, schema, oid, seen_usec AS time_usec FROM sighting"
          " ORDER BY seen_usec, database, schema" },
        { LEDGER_SWEPT,
          "SELECT id AS sweep, dry_run, complete, finished_usec AS time_usec, result AS detail FROM sweep"
          " ORDER BY id DESC LIMIT 1" },
};

/* clang-format on */

int load_rows(struct sqlite *sqlite, enum ledger_change_kind kind, const char *sql, const char *namespace,
              ledger_load_fn *each, void *owner)
{
        _cleanup_statement_ sqlite3_stmt *statement = NULL;
        const struct field *fields[COLUMNS_MAX];
        int n_columns, r;

        if (sqlite_prepare(sqlite, sql, &statement))
                return -EIO;
        if (namespace && sqlite3_bind_parameter_count(statement) &&
            sqlite3_bind_text(statement, 1, namespace, -1, SQLITE_STATIC))
                return sqlite_failed(sqlite);
        n_columns = sqlite3_column_count(statement);
        assert(n_columns <= COLUMNS_MAX);
        for (int i = 0; i < n_columns; i++) {
                fields[i] = field_find(sqlite3_column_name(statement, i));
                assert(fields[i]);
        }
        while ((r = sqlite_step(sqlite, statement)) > 0) {
                struct ledger_change change = {.kind = kind, .exit_status = -1};

                for (int i = 0; i < n_columns; i++)
                        field_read(statement, i, fields[i], &change);
                each(owner, &change);
        }
        return r;
}

int ledger_load_from(struct store *store, ledger_load_fn *each, void *owner, struct ledger_numbers *ret_next)
{
        int r = sqlite_run(&store->sqlite, "BEGIN");

        if (r)
                return r;
        for (size_t i = 0; i < sizeof(queries) / sizeof(*queries) && !r; i++)
                r = load_rows(&store->sqlite, queries[i].kind, queries[i].sql, NULL, each, owner);
        store_rollback(store);
        if (!r)
                *ret_next = store->next;
        return r;
}
