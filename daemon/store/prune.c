/* SPDX-License-Identifier: MIT */
#include "store/prune.h"

#define STEP "128"

/* "test_<namespace>_...": a namespace has no underscore, so it ends at the second one (product section 3). */
#define NAMESPACE_OF_SCHEMA "substr(schema, 6, instr(substr(schema, 6), '_') - 1)"

/*
 * The next so many rows in order of their ids, which is the order of time but for clocks that were set: a window without
 * an old row is the end of what there is to look at. ?1 is the time, ?2 the id that the last step came to.
 */
#define WINDOW(table, time)                                                                                  \
        "SELECT max(id) FROM (SELECT id, " time " AS time FROM " table                                       \
        " WHERE id > ?2 ORDER BY id LIMIT " STEP ") WHERE time < ?1"
#define IN_WINDOW "id > ?2 AND id <= ?3"

struct piece {
        const char *window; /* NULL: what there is to forget is found by an index, or is little */
        const char *forget; /* ?3: the end of the window */
};

/* clang-format off */

/* In this order: members go after their leases, verdicts after their sweeps. */
static const struct piece pieces[PRUNE_PIECES] = {
        {NULL, "DELETE FROM event WHERE id IN (SELECT id FROM event WHERE time_usec < ?1 LIMIT " STEP ")"},
        {NULL, "DELETE FROM keep WHERE until_usec < ?1"},
        {WINDOW("lease", "granted_usec"),
         "DELETE FROM lease WHERE " IN_WINDOW " AND ended_usec < ?1"
         " AND namespace NOT IN (SELECT namespace FROM keep)"
         " AND NOT (namespace IN (SELECT namespace FROM claim WHERE namespace IS NOT NULL"
         "   UNION SELECT " NAMESPACE_OF_SCHEMA " FROM claim UNION SELECT " NAMESPACE_OF_SCHEMA " FROM sighting)"
         "  AND NOT EXISTS (SELECT 1 FROM lease AS later WHERE later.id > lease.id"
         "   AND later.namespace = lease.namespace AND later.ended_usec IS NOT NULL))"},
        {WINDOW("member", "joined_usec"),
         "DELETE FROM member WHERE " IN_WINDOW " AND joined_usec < ?1"
         " AND (left_usec < ?1 OR NOT EXISTS (SELECT 1 FROM lease WHERE lease.id = member.lease))"
         " AND NOT EXISTS (SELECT 1 FROM lease WHERE lease.id = member.lease AND first_member = member.id)"},
        {WINDOW("sweep", "finished_usec"),
         "DELETE FROM sweep WHERE " IN_WINDOW " AND finished_usec < ?1 AND id < (SELECT max(id) FROM sweep)"},
        {NULL,
         "DELETE FROM verdict WHERE (sweep, database, schema, oid) IN ("
         "  SELECT sweep, database, schema, oid FROM verdict"
         "  WHERE sweep < (SELECT min(id) FROM sweep) AND time_usec < ?1 LIMIT " STEP ")"},
};

/* clang-format on */

static int bind(struct sqlite *sqlite, sqlite3_stmt *statement, const int64_t *values)
{
        const int n = sqlite3_bind_parameter_count(statement);

        for (int i = 1; i <= n; i++)
                if (sqlite3_bind_int64(statement, i, values[i - 1]))
                        return sqlite_failed(sqlite);
        return 0;
}

/* *ret_end 0: there is no window any more. */
static int find_window(struct sqlite *sqlite, const struct piece *piece, const int64_t *values,
                       int64_t *ret_end)
{
        _cleanup_statement_ sqlite3_stmt *statement = NULL;
        int r = sqlite_prepare(sqlite, piece->window, &statement);

        if (!r)
                r = bind(sqlite, statement, values);
        if (r)
                return r;
        r = sqlite_step(sqlite, statement);
        *ret_end = r > 0 ? sqlite3_column_int64(statement, 0) : 0;
        return r < 0 ? r : 0;
}

static int forget(struct sqlite *sqlite, const struct piece *piece, const int64_t *values)
{
        _cleanup_statement_ sqlite3_stmt *statement = NULL;
        int r = sqlite_prepare(sqlite, piece->forget, &statement);

        if (!r)
                r = bind(sqlite, statement, values);
        return r ? r : sqlite_finish(sqlite, statement);
}

static int run(struct sqlite *sqlite, const struct piece *piece, uint64_t older_than_usec, int64_t *at,
               bool *more)
{
        const int before = sqlite3_total_changes(sqlite->db);
        int64_t values[] = {(int64_t)older_than_usec, *at, 0};
        int r;

        if (piece->window) {
                r = find_window(sqlite, piece, values, &values[2]);
                if (r || !values[2])
                        return r;
                *at = values[2];
                *more = true;
        }
        r = forget(sqlite, piece, values);
        *more = *more || sqlite3_total_changes(sqlite->db) != before;
        return r;
}

int prune_step(struct store *store, struct prune_pass *pass, uint64_t older_than_usec, bool *ret_more)
{
        bool more = false;
        int r = store_begin(store);

        for (size_t i = 0; i < PRUNE_PIECES && !r; i++)
                if (run(&store->sqlite, &pieces[i], older_than_usec, &pass->at[i], &more))
                        r = store_outcome(store);
        if (!r)
                r = store_commit(store);
        if (r) {
                store_rollback(store);
                return r;
        }
        *ret_more = more;
        return 0;
}
