/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * PostgreSQL, as the services see it: connections that do one thing at a time, and a closed list of questions.
 * pg/ implements it on asynchronous libpq; tests/simulation on databases made of memory.
 *
 * A connection is opened with a deadline and then asked question after question. Each pg_open and each pg_ask is
 * answered by exactly one callback, never before the call has returned, and always by its deadline (libpq ignores
 * connect_timeout when polled, so the deadline is ours). The owner may ask the next question or close the
 * connection inside the callback. After PG_LOST only pg_close may follow. pg_close forgets a question under way:
 * no callback comes any more.
 */

#include <stdbool.h>
#include <stdint.h>

/*
 * The questions. Parameters are text; "schema" is quoted as an identifier by the implementation wherever it cannot
 * be a parameter. Rows hold text, NULL for SQL NULL, booleans as "t" and "f".
 */
enum pg_question {
        PG_CONNECT, /* the answer to pg_open; no rows */
        /* -                 -> enum pg_identify_column */
        PG_IDENTIFY,
        /* -                 -> name, oid, owner, may_drop ("t": our role may drop it), begun ("t": an earlier drop has
         *                      committed a pin): every schema but pg_* and information_schema; the caller parses
         *                      the names */
        PG_SCHEMAS,
        /* -                 -> application_name, pid, datname, of every row of pg_stat_activity, whole cluster, filtered on
         *                      nothing: state and backend_type are NULL for whoever lacks pg_read_all_stats. Taken after
         *                      pg_stat_clear_snapshot(). Prepared transactions are not sessions. */
        PG_SESSIONS,
        /* lock_timeout ms, statement_timeout ms -> -   BEGIN and SET LOCAL of both, client_connection_check_interval,
         *                      and search_path = '' */
        PG_DROP_BEGIN,
        /* schema            -> oid   COMMENT ON SCHEMA as a pin (ShareUpdateExclusive), then its oid; committed, the
         *                      comment says that a drop has begun */
        PG_DROP_PIN,
        /* schema, namespace -> effect ('dependent' | 'locked'), class, object, home; none: the drop stays inside. And
         *                      one row 'size', whose object is the number of locks that the drop will need */
        PG_DROP_DEPENDENTS,
        /* schema, namespace -> n     cuts what would make a drop lock one table outside: foreign keys, partitions */
        PG_DROP_UNTIE,
        /* schema, locks     -> n     drops so much of what is in it as needs about so many locks */
        PG_DROP_BATCH,
        /* schema            -> -     DROP SCHEMA ... CASCADE */
        PG_DROP,
        /* oid               -> one row if a schema of that oid exists */
        PG_LOOKUP,
        PG_COMMIT, /* a message of its own */
        PG_ROLLBACK,
        /* schema, 'inside' | 'outside' -> pid, application_name, gid, of whoever holds a lock in the schema, or on what
         *                      its drop would lock outside; pid NULL and gid set: a prepared transaction */
        PG_LOCK_HOLDERS,
        /* application_name, milliseconds -> pid, gone; ends the backends of that name, waiting for each so long at most */
        PG_END_SWEEP,
        /* -                 -> enum pg_blocker_column, one row per (blocked, blocker) of this database */
        PG_BLOCKERS,
        /* -                 -> enum pg_holder_column, one row per schema of this database and whoever holds locks on its
         *                      relations */
        PG_HOLDERS,
        /* worker, namespace -> pid, of each session with that label, in the whole cluster, that has a transaction which
         *                      builds; no row: all of them have finished */
        PG_HOLDER_BUSY,
        /* -                 -> application_name, objects that it fills the lock table with; of every session that does */
        PG_LOCK_COUNTS,
        /* -                 -> enum pg_public_column, one row per table of schema public, by oid; one without a table where
         *                      there is none */
        PG_PUBLIC,
        /*
         * -                 -> fact, value, more; for berth doctor. Once each: role (ours, quoted; superuser "true"),
         *                      server (its version; as a number), in_recovery, read_only, backend_pid, sees_all,
         *                      now_usec, lock_table. Any number of: writer (a role of tests, or PUBLIC, that may create
         *                      in public; whom that was granted to), super_writer (a test role that is superuser),
         *                      schema (its name begins with test_; its owner, if we may not drop it)
         */
        PG_DIAGNOSE,
        PG_QUESTION_MAX_,
};

enum pg_identify_column {
        PG_IDENTIFY_SYSTEM_IDENTIFIER, /* pg_control_system() */
        PG_IDENTIFY_STARTED_USEC,      /* postmaster start, server's clock, microseconds since 1970 */
        PG_IDENTIFY_UPTIME_USEC, /* how old a session can be: since the start, or since a crash ended them all */
        PG_IDENTIFY_ADDRESS,     /* port, what it listens on, timeline; the same by socket and by TCP */
        PG_IDENTIFY_DATABASE_OID,
        PG_IDENTIFY_IN_RECOVERY, /* t: hot standby */
        PG_IDENTIFY_READ_ONLY,   /* default_transaction_read_only */
        PG_IDENTIFY_BACKEND_PID, /* pg_backend_pid(): differs from ours behind a pooler */
        PG_IDENTIFY_SEES_ALL,    /* member of pg_read_all_stats, or superuser */
        PG_IDENTIFY_LOCK_TABLE, /* max_locks_per_transaction * (max_connections + max_prepared_transactions) */
        PG_IDENTIFY_DEADLOCK_TIMEOUT_MSEC,
        PG_IDENTIFY_VERSION, /* server_version_num */
        PG_IDENTIFY_COLUMNS_,
};

enum pg_blocker_column {
        PG_BLOCKED_PID,
        PG_BLOCKED_APPLICATION_NAME,
        PG_BLOCKED_QUERY,
        PG_BLOCKED_TRANSACTION_USEC,
        PG_BLOCKED_WAIT_EVENT,
        PG_BLOCKED_WAIT_USEC,
        PG_BLOCKER_PID, /* 0: a prepared transaction, its gid in the query */
        PG_BLOCKER_APPLICATION_NAME,
        PG_BLOCKER_QUERY,
        PG_BLOCKER_TRANSACTION_USEC,
        PG_BLOCKER_GID, /* only of a prepared transaction: its name, and a test's schema that it has locked */
        PG_BLOCKER_SCHEMA, /* something in */
        PG_BLOCKER_COLUMNS_,
};

enum pg_holder_column {
        PG_HOLDER_SCHEMA,
        PG_HOLDER_PID, /* NULL: a prepared transaction, its gid in the query */
        PG_HOLDER_APPLICATION_NAME,
        PG_HOLDER_QUERY,
        PG_HOLDER_TRANSACTION_USEC,
        PG_HOLDER_LOCKS, /* "users AccessExclusiveLock, ...", cut */
        PG_HOLDER_COLUMNS_,
};

enum pg_public_column {
        PG_PUBLIC_PLACE,         /* system_identifier and oid of the database */
        PG_PUBLIC_COUNTED_SINCE, /* another one: the counts have begun anew */
        PG_PUBLIC_OID,           /* this and below NULL: there is no table */
        PG_PUBLIC_TABLE,         /* as SQL would write it, with its schema; of a partition, its table's */
        PG_PUBLIC_IS_PARTITION,
        PG_PUBLIC_WRITES, /* rows inserted, changed and deleted so far, rolled back or not */
        PG_PUBLIC_COLUMNS_,
};

enum pg_outcome {
        PG_OK,
        PG_SQL_ERROR, /* the server said no; the connection lives (its transaction, if any, is aborted) */
        PG_LOST,      /* refused, timed out, cut, garbled: nothing is known; sqlstate is empty */
};

/* Valid during the callback only. */
struct pg_answer {
        enum pg_question question;
        enum pg_outcome outcome;
        char sqlstate[6];
        const char *message; /* one line, never a password; "" when all is well */
        int backend_pid;     /* as libpq was told when it connected */
        unsigned n_rows, n_columns;
        const char *const *cells; /* n_rows * n_columns */
};

static inline const char *pg_cell(const struct pg_answer *answer, unsigned row, unsigned column)
{
        return answer->cells[row * answer->n_columns + column];
}

struct pg;
struct pg_connection;

typedef void pg_answered_fn(void *owner, const struct pg_answer *answer);

#define PG_PARAMETERS_MAX 2

struct pg_ops {
        struct pg_connection *(*open)(struct pg *pg, const char *conninfo, uint64_t timeout_usec,
                                      pg_answered_fn *answered, void *owner);
        void (*ask)(struct pg_connection *connection, enum pg_question question,
                    const char *const parameters[PG_PARAMETERS_MAX], uint64_t timeout_usec);
        void (*close)(struct pg_connection *connection); /* NULL is allowed */
};

/* Implementations embed this as their first member. */
struct pg {
        const struct pg_ops *ops;
};
