/* SPDX-License-Identifier: MIT */

/*
 * What a durable grant costs at least on this disk: the rows that berthd has just written, once more, by a
 * bare loop over SQLite that commits them in groups of the same size.
 *
 *      bench_commit LEDGER COPY EVENTS
 *
 * Reads the events of LEDGER, with the rows of leases and members that belong to them, into memory; makes
 * COPY with the same tables and indexes, WAL and synchronous=FULL; and writes all of it, EVENTS (may have a
 * fraction) to a commit. Prints "name value" lines: grants, commits, seconds.
 */

#include "wire.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As berthd does when it is busy. */
#define CHECKPOINT "PRAGMA wal_autocheckpoint = 8000"

#define COLUMNS_MAX 16

/* A row of the ledger, and what writes it again. */
static const struct source {
        const char *select, *write;
} sources[] = {
        {"SELECT time_usec, event, lease, namespace, worker, database, schema, detail FROM event WHERE id = "
         "?1",
         "INSERT INTO event (time_usec, event, lease, namespace, worker, database, schema, detail)"
         " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"},
        {"SELECT id, namespace, label, uid, forced, request, secret_hash, first_member, granted_usec FROM "
         "lease"
         " WHERE id = (SELECT lease FROM event WHERE id = ?1 AND event = 'lease_granted')",
         "INSERT OR REPLACE INTO lease (id, namespace, label, uid, forced, request, secret_hash, "
         "first_member,"
         " granted_usec) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"},
        {"SELECT id, lease, role, worker, uid, pid, start_ticks, pidfd_inode, boot_id, joined_usec FROM "
         "member"
         " WHERE id = (SELECT first_member FROM lease WHERE id ="
         " (SELECT lease FROM event WHERE id = ?1 AND event = 'lease_granted'))",
         "INSERT OR REPLACE INTO member (id, lease, role, worker, uid, pid, start_ticks, pidfd_inode, "
         "boot_id,"
         " joined_usec) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"},
        {"SELECT ended_usec, outcome, reason, exit_status, id FROM lease"
         " WHERE id = (SELECT lease FROM event WHERE id = ?1 AND event = 'lease_ended')",
         "UPDATE lease SET ended_usec = ?1, outcome = ?2, reason = ?3, exit_status = ?4 WHERE id = ?5"},
};

#define N_SOURCES (sizeof(sources) / sizeof(*sources))

struct row {
        int n_columns; /* 0: this event has none */
        sqlite3_value *columns[COLUMNS_MAX];
};

static sqlite3 *ledger, *copy;
static sqlite3_stmt *selects[N_SOURCES], *writes[N_SOURCES];
static struct row (*events)[N_SOURCES];
static size_t n_events;

static void check(sqlite3 *db, int r)
{
        if (r == SQLITE_OK || r == SQLITE_ROW || r == SQLITE_DONE)
                return;
        (void)fprintf(stderr, "benchmark: SQLite: %s\n", sqlite3_errmsg(db));
        exit(1);
}

static void run(sqlite3 *db, const char *sql)
{
        check(db, sqlite3_exec(db, sql, NULL, NULL, NULL));
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
        sqlite3_stmt *statement;

        check(db, sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL));
        return statement;
}

static void read_row(sqlite3_stmt *select, sqlite3_int64 id, struct row *row)
{
        check(ledger, sqlite3_bind_int64(select, 1, id));
        if (sqlite3_step(select) == SQLITE_ROW) {
                row->n_columns = sqlite3_column_count(select);
                for (int i = 0; i < row->n_columns; i++)
                        row->columns[i] = sqlite3_value_dup(sqlite3_column_value(select, i));
        }
        check(ledger, sqlite3_reset(select));
}

static void read_ledger(const char *path)
{
        sqlite3_stmt *ids;
        size_t n;

        check(ledger, sqlite3_open_v2(path, &ledger, SQLITE_OPEN_READONLY, NULL));
        for (size_t i = 0; i < N_SOURCES; i++)
                selects[i] = prepare(ledger, sources[i].select);
        ids = prepare(ledger, "SELECT count(*) FROM event");
        check(ledger, sqlite3_step(ids));
        n = (size_t)sqlite3_column_int64(ids, 0);
        (void)sqlite3_finalize(ids);
        events = calloc(n ? n : 1, sizeof(*events));
        if (!events)
                wire_die("memory");
        ids = prepare(ledger, "SELECT id FROM event ORDER BY id");
        while (n_events < n && sqlite3_step(ids) == SQLITE_ROW) {
                for (size_t i = 0; i < N_SOURCES; i++)
                        read_row(selects[i], sqlite3_column_int64(ids, 0), &events[n_events][i]);
                n_events++;
        }
        (void)sqlite3_finalize(ids);
}

static void make_copy(const char *path)
{
        sqlite3_stmt *schema =
                prepare(ledger, "SELECT sql FROM sqlite_schema WHERE type IN ('table', 'index')"
                                " AND sql IS NOT NULL ORDER BY type DESC");

        check(copy, sqlite3_open(path, &copy));
        run(copy, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; " CHECKPOINT);
        while (sqlite3_step(schema) == SQLITE_ROW)
                run(copy, (const char *)sqlite3_column_text(schema, 0));
        (void)sqlite3_finalize(schema);
        for (size_t i = 0; i < N_SOURCES; i++)
                writes[i] = prepare(copy, sources[i].write);
}

static void write_row(sqlite3_stmt *write, const struct row *row)
{
        for (int i = 0; i < row->n_columns; i++)
                check(copy, sqlite3_bind_value(write, i + 1, row->columns[i]));
        check(copy, sqlite3_step(write));
        check(copy, sqlite3_reset(write));
}

int main(int argc, char **argv)
{
        sqlite3_stmt *begin, *commit;
        size_t n_commits = 0, n_grants = 0, done = 0;
        double events_a_commit;
        uint64_t start;

        if (argc != 4 || (events_a_commit = strtod(argv[3], NULL)) < 1) {
                (void)fprintf(stderr, "usage: bench_commit LEDGER COPY EVENTS\n");
                return 64;
        }
        read_ledger(argv[1]);
        make_copy(argv[2]);
        begin = prepare(copy, "BEGIN IMMEDIATE");
        commit = prepare(copy, "COMMIT");
        start = wire_now_nsec();
        while (done < n_events) {
                const double until = (double)++n_commits * events_a_commit;

                check(copy, (sqlite3_step(begin), sqlite3_reset(begin)));
                for (; done < n_events && (double)done < until; done++) {
                        n_grants += events[done][1].n_columns > 0;
                        for (size_t i = 0; i < N_SOURCES; i++)
                                if (events[done][i].n_columns)
                                        write_row(writes[i], &events[done][i]);
                }
                check(copy, (sqlite3_step(commit), sqlite3_reset(commit)));
        }
        (void)printf("grants %zu\ncommits %zu\nseconds %.6f\n", n_grants, n_commits,
                     (double)(wire_now_nsec() - start) / 1e9);
        return 0;
}
