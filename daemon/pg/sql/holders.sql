-- SPDX-License-Identifier: MIT
--
-- Who holds locks on the relations of which schema of this database, waited for or not. Columns: enum
-- pg_holder_column.
--
-- Prepared transactions as in lock_holders.sql. What is locked is cut: a build locks hundreds of tables.
SET LOCAL search_path = '';
WITH prepared AS (
        SELECT t.virtualtransaction, x.gid, x.prepared
          FROM pg_locks t
          JOIN pg_prepared_xacts x ON x.transaction = t.transactionid
         WHERE t.pid IS NULL AND t.granted AND t.locktype = 'transactionid'
), held AS (
        SELECT n.nspname, l.pid, CASE WHEN l.pid IS NULL THEN l.virtualtransaction END AS virtualtransaction,
               left(string_agg(DISTINCT c.relname || ' ' || l.mode, ', '), 200) AS locks
          FROM pg_locks l
          JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()
          JOIN pg_class c ON c.oid = l.relation AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
          JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE l.granted AND l.locktype = 'relation' AND l.pid IS DISTINCT FROM pg_backend_pid()
           AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
         GROUP BY n.nspname, l.pid, 3
)
SELECT h.nspname, h.pid, a.application_name, coalesce(a.query, x.gid),
       (extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, x.prepared)) * 1000000)::bigint,
       h.locks
  FROM held h
  LEFT JOIN pg_stat_activity a ON a.pid = h.pid
  LEFT JOIN prepared x ON x.virtualtransaction = h.virtualtransaction
 ORDER BY h.nspname, h.pid, x.gid
