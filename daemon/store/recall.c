/* SPDX-License-Identifier: MIT */
#include "store/recall.h"

#include "store/item.h"
#include "store/load.h"
#include "util/alloc.h"

struct recall {
        char *namespace;
        struct item_list rows;
};

/* A table without an index by namespace is asked through "event", which has one. */
#define LEASES                                                                                               \
        "FROM lease l WHERE l.namespace = ?1"                                                                \
        " AND l.id IN (SELECT lease FROM event WHERE namespace = ?1 AND lease IS NOT NULL"                   \
        " ORDER BY time_usec DESC, id DESC LIMIT 5000)"
#define SCHEMA_OF_IT "schema >= 'test_' || ?1 || '_' AND schema < 'test_' || ?1 || '`'"
#define NEWEST(n, key, rest)                                                                                 \
        "SELECT * FROM (SELECT " rest " ORDER BY " key " DESC LIMIT " #n ") ORDER BY " key

/* clang-format off */

static const struct {
        enum ledger_change_kind kind;
        const char *sql;
} queries[] = {
        { LEDGER_LEASE_GRANTED,
          NEWEST(20, "lease", "l.id AS lease, l.namespace, l.label, l.uid, l.forced, l.granted_usec AS time_usec "
                 LEASES " AND l.ended_usec IS NULL") },
        { LEDGER_LEASE_ENDED,
          NEWEST(20, "lease", "l.id AS lease, l.namespace, l.label, l.uid, l.forced, l.granted_usec AS since_usec,"
                 " l.outcome AS detail, l.reason, l.exit_status, l.ended_usec AS time_usec "
                 LEASES " AND l.ended_usec IS NOT NULL") },
        { LEDGER_MEMBER_JOINED,
          NEWEST(1000, "time_usec", "lease, worker, time_usec FROM event"
                 " WHERE namespace = ?1 AND event = 'member_joined'") },
        { LEDGER_SIGHTED,
          "SELECT database, schema, oid, seen_usec AS time_usec FROM sighting WHERE " SCHEMA_OF_IT
          " ORDER BY seen_usec" },
        { LEDGER_CLAIMED,
          "SELECT database, schema, oid, sweep, claimed_usec AS time_usec FROM claim WHERE " SCHEMA_OF_IT
          " ORDER BY claimed_usec" },
        { LEDGER_VERDICT,
          NEWEST(1000, "time_usec", "sweep, database, schema, oid, verdict AS detail, reason, sqlstate, message,"
                 " time_usec FROM verdict WHERE namespace = ?1") },
        { LEDGER_PUBLIC_WRITTEN,
          NEWEST(200, "time_usec", "lease, database, detail, time_usec FROM event"
                 " WHERE namespace = ?1 AND event = 'public_written'") },
        { LEDGER_SWEPT,
          "SELECT id AS sweep, dry_run, complete, finished_usec AS time_usec, result AS detail FROM sweep"
          " ORDER BY id DESC LIMIT 1" },
};

/* clang-format on */

struct recall *recall_new(const char *namespace)
{
        struct recall *recall = NEW(struct recall);

        recall->namespace = alloc_string(namespace);
        TAILQ_INIT(&recall->rows);
        return recall;
}

struct recall *recall_free(struct recall *recall)
{
        if (!recall)
                return NULL;
        item_list_clear(&recall->rows);
        free(recall->namespace);
        free(recall);
        return NULL;
}

static void keep_row(void *owner, const struct ledger_change *row)
{
        struct recall *recall = owner;
        struct item *item = item_new(row);

        TAILQ_INSERT_TAIL(&recall->rows, item, link);
}

int recall_read(struct recall *recall, struct store *store)
{
        int r = 0;

        for (size_t i = 0; i < sizeof(queries) / sizeof(*queries) && !r; i++)
                r = load_rows(&store->sqlite, queries[i].kind, queries[i].sql, recall->namespace, keep_row,
                              recall);
        return r;
}

void recall_tell(const struct recall *recall, ledger_recall_fn *each, void *owner, uint64_t ticket, int error)
{
        const struct item *item;

        if (!error)
                TAILQ_FOREACH (item, &recall->rows, link)
                        each(owner, ticket, &item->change, 0);
        each(owner, ticket, NULL, error);
}
