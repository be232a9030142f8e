/* SPDX-License-Identifier: MIT */
#include "store/migrations.h"

#include <errno.h>
#include <stdio.h>

/*
 * Times are microseconds of real time since 1970. No foreign keys: a change is applied as the daemon has
 * decided it, and must never fail for what another row says. The views are for people with a shell.
 */
#define TIME(column) "strftime('%Y-%m-%d %H:%M:%SZ', " #column " / 1000000, 'unixepoch')"

/* clang-format off */
static const char ledger_1[] =
        "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;\n"
        "INSERT INTO meta VALUES ('next_lease', 1), ('next_member', 1), ('next_grant', 1), ('next_sweep', 1);\n"

        "CREATE TABLE lease (\n"
        "  id INTEGER PRIMARY KEY, namespace TEXT NOT NULL, label TEXT, uid INTEGER NOT NULL,\n"
        "  forced INTEGER NOT NULL, request TEXT, secret_hash BLOB NOT NULL, first_member INTEGER,\n"
        "  granted_usec INTEGER NOT NULL,\n"
        "  ended_usec INTEGER, outcome TEXT, reason TEXT, exit_status INTEGER\n"
        ") STRICT;\n"

        "CREATE TABLE member (\n"
        "  id INTEGER PRIMARY KEY, lease INTEGER NOT NULL, role TEXT NOT NULL, worker TEXT, uid INTEGER NOT NULL,\n"
        "  pid INTEGER, start_ticks INTEGER, pidfd_inode INTEGER, boot_id TEXT,\n"
        "  joined_usec INTEGER NOT NULL, left_usec INTEGER\n"
        ") STRICT;\n"

        "CREATE TABLE slot (\n"
        "  grant INTEGER PRIMARY KEY, lease INTEGER, namespace TEXT, worker TEXT, cluster TEXT,\n"
        "  slot INTEGER NOT NULL, pid INTEGER, start_ticks INTEGER, pidfd_inode INTEGER, boot_id TEXT,\n"
        "  granted_usec INTEGER NOT NULL\n"
        ") STRICT;\n"

        "CREATE TABLE claim (\n"
        "  database TEXT NOT NULL, schema TEXT NOT NULL, oid TEXT NOT NULL,\n"
        "  namespace TEXT, sweep INTEGER, claimed_usec INTEGER NOT NULL,\n"
        "  PRIMARY KEY (database, schema, oid)\n"
        ") STRICT, WITHOUT ROWID;\n"

        "CREATE TABLE sighting (\n"
        "  database TEXT NOT NULL, schema TEXT NOT NULL, oid TEXT NOT NULL, seen_usec INTEGER NOT NULL,\n"
        "  PRIMARY KEY (database, schema, oid)\n"
        ") STRICT, WITHOUT ROWID;\n"

        "CREATE TABLE keep (\n"
        "  namespace TEXT PRIMARY KEY, until_usec INTEGER NOT NULL, asked_usec INTEGER NOT NULL\n"
        ") STRICT, WITHOUT ROWID;\n"

        "CREATE TABLE sweep (\n"
        "  id INTEGER PRIMARY KEY, dry_run INTEGER NOT NULL, complete INTEGER NOT NULL,\n"
        "  finished_usec INTEGER NOT NULL, result TEXT\n"
        ") STRICT;\n"

        "CREATE TABLE verdict (\n"
        "  sweep INTEGER NOT NULL, database TEXT NOT NULL, schema TEXT NOT NULL, oid TEXT NOT NULL, namespace TEXT,\n"
        "  verdict TEXT, reason TEXT, sqlstate TEXT, message TEXT, time_usec INTEGER NOT NULL,\n"
        "  PRIMARY KEY (sweep, database, schema, oid)\n"
        ") STRICT, WITHOUT ROWID;\n"

        "CREATE TABLE event (\n"
        "  id INTEGER PRIMARY KEY, time_usec INTEGER NOT NULL, event TEXT NOT NULL,\n"
        "  lease INTEGER, namespace TEXT, worker TEXT, database TEXT, schema TEXT, detail TEXT\n"
        ") STRICT;\n"
        "CREATE INDEX event_by_time ON event (time_usec);\n"
        "CREATE INDEX event_by_namespace ON event (namespace, time_usec) WHERE namespace IS NOT NULL;\n"

        "CREATE VIEW live_leases AS\n"
        "  SELECT id AS lease, namespace, label, uid, " TIME(granted_usec) " AS since,\n"
        "    (SELECT count(*) FROM member WHERE member.lease = lease.id AND left_usec IS NULL) AS members\n"
        "  FROM lease WHERE ended_usec IS NULL ORDER BY id;\n"
        "CREATE VIEW ended_leases AS\n"
        "  SELECT id AS lease, namespace, label, uid, outcome, reason, exit_status,\n"
        "    " TIME(granted_usec) " AS since, " TIME(ended_usec) " AS ended\n"
        "  FROM lease WHERE ended_usec IS NOT NULL ORDER BY id DESC;\n"
        "CREATE VIEW held_slots AS\n"
        "  SELECT grant, cluster, slot, namespace, worker, pid, " TIME(granted_usec) " AS since\n"
        "  FROM slot ORDER BY cluster, slot;\n"
        "CREATE VIEW kept_namespaces AS SELECT namespace, " TIME(until_usec) " AS until FROM keep;\n"
        "CREATE VIEW last_sweep AS\n"
        "  SELECT id AS sweep, " TIME(finished_usec) " AS finished, dry_run, complete, result\n"
        "  FROM sweep ORDER BY id DESC LIMIT 1;\n"
        "CREATE VIEW last_verdicts AS\n"
        "  SELECT database, schema, verdict, reason, sqlstate, message\n"
        "  FROM verdict WHERE sweep = (SELECT max(id) FROM sweep) ORDER BY database, schema;\n"
        "CREATE VIEW history AS\n"
        "  SELECT " TIME(time_usec) " AS time, event, lease, namespace, worker, database, schema, detail\n"
        "  FROM event ORDER BY time_usec, id;\n";
/* What was decided about one namespace, without reading all verdicts. */
static const char ledger_2[] =
        "CREATE INDEX verdict_by_namespace ON verdict (namespace, time_usec) WHERE namespace IS NOT NULL;\n";
/* Since when what an event ends, and which slot it is about: what a picture of it needs. */
static const char ledger_3[] =
        "ALTER TABLE event ADD COLUMN since_usec INTEGER;\n"
        "ALTER TABLE event ADD COLUMN slot INTEGER;\n"
        "ALTER TABLE event ADD COLUMN cluster TEXT;\n";
/* clang-format on */

static const char *const migrations[] = {ledger_1, ledger_2, ledger_3};

int64_t migrations_latest(void)
{
        return (int64_t)(sizeof(migrations) / sizeof(*migrations));
}

static int migrate(struct sqlite *sqlite, int64_t version)
{
        char mark[96];

        (void)snprintf(mark, sizeof(mark), "PRAGMA application_id = %d; PRAGMA user_version = %lld;",
                       LEDGER_APPLICATION_ID, (long long)version + 1);
        if (sqlite_run(sqlite, "BEGIN IMMEDIATE") || sqlite_run(sqlite, migrations[version]) ||
            sqlite_run(sqlite, mark) || sqlite_run(sqlite, "COMMIT"))
                return -EIO;
        return 0;
}

int migrations_run(struct sqlite *sqlite)
{
        int64_t version;

        if (sqlite_integer(sqlite, "PRAGMA user_version", &version))
                return -EIO;
        for (; version < migrations_latest(); version++)
                if (migrate(sqlite, version))
                        return -EIO;
        return 0;
}
