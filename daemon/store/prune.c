/* SPDX-License-Identifier: MIT */
#include "store/prune.h"

#define STEP "500"

/* "test_<namespace>_...": a namespace has no underscore, so it ends at the second one (product section 3). */
#define NAMESPACE_OF_SCHEMA "substr(schema, 6, instr(substr(schema, 6), '_') - 1)"

/* clang-format off */

/* In this order: members go after their leases, verdicts after their sweeps. ?1 is the time. */
static const char *const statements[] = {
        "DELETE FROM event WHERE id IN (SELECT id FROM event WHERE time_usec < ?1 LIMIT " STEP ")",
        "DELETE FROM keep WHERE until_usec < ?1",
        "DELETE FROM lease WHERE id IN (SELECT id FROM lease WHERE ended_usec < ?1"
        " AND namespace NOT IN (SELECT namespace FROM keep)"
        " AND id NOT IN (SELECT max(id) FROM lease WHERE ended_usec IS NOT NULL AND namespace IN"
        "  (SELECT namespace FROM claim UNION SELECT " NAMESPACE_OF_SCHEMA " FROM claim"
        "   UNION SELECT " NAMESPACE_OF_SCHEMA " FROM sighting) GROUP BY namespace) LIMIT " STEP ")",
        "DELETE FROM member WHERE id IN (SELECT id FROM member WHERE joined_usec < ?1"
        " AND (left_usec < ?1 OR lease NOT IN (SELECT id FROM lease))"
        " AND id NOT IN (SELECT first_member FROM lease WHERE first_member IS NOT NULL) LIMIT " STEP ")",
        "DELETE FROM sweep WHERE id IN (SELECT id FROM sweep WHERE finished_usec < ?1"
        " AND id < (SELECT max(id) FROM sweep) LIMIT " STEP ")",
        "DELETE FROM verdict WHERE (sweep, database, schema, oid) IN ("
        "  SELECT sweep, database, schema, oid FROM verdict"
        "  WHERE time_usec < ?1 AND sweep NOT IN (SELECT id FROM sweep) LIMIT " STEP ")",
};

/* clang-format on */

#define N_STATEMENTS (sizeof(statements) / sizeof(*statements))

static int run(struct sqlite *sqlite, const char *sql, uint64_t older_than_usec)
{
        _cleanup_statement_ sqlite3_stmt *statement = NULL;
        int r = sqlite_prepare(sqlite, sql, &statement);

        if (r)
                return r;
        if (sqlite3_bind_int64(statement, 1, (int64_t)older_than_usec))
                return sqlite_failed(sqlite);
        return sqlite_finish(sqlite, statement);
}

int prune_step(struct store *store, uint64_t older_than_usec, bool *ret_more)
{
        const int before = sqlite3_total_changes(store->sqlite.db);
        bool more = false;
        int r = store_begin(store);

        for (size_t i = 0; i < N_STATEMENTS && !r; i++)
                if (run(&store->sqlite, statements[i], older_than_usec))
                        r = store_outcome(store);
        if (!r) {
                more = sqlite3_total_changes(store->sqlite.db) != before;
                r = store_commit(store);
        }
        if (r) {
                store_rollback(store);
                return r;
        }
        *ret_more = more;
        return 0;
}
