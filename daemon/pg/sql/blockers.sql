-- SPDX-License-Identifier: MIT
--
-- Who waits for whom in this database. Columns: enum pg_blocker_column.
--
-- pg_blocking_pids calls every prepared transaction 0, and none of them has a session: an inner join would lose just
-- the blockers that never go away by themselves. They are found by what they have locked, and named as in
-- lock_holders.sql. Whose they are only their locks can say: the first of the tests' schemas that they have locked
-- something in.
SET LOCAL search_path = '';
WITH waiting AS (
        SELECT pid, min(waitstart) AS since
          FROM pg_locks
         WHERE NOT granted
         GROUP BY pid
), pair AS (
        SELECT DISTINCT w.pid, w.since, b AS blocker
          FROM waiting w
         CROSS JOIN LATERAL unnest(pg_blocking_pids(w.pid)) b
), prepared AS (
        SELECT t.virtualtransaction, x.gid, x.prepared
          FROM pg_locks t
          JOIN pg_prepared_xacts x ON x.transaction = t.transactionid
         WHERE t.pid IS NULL AND t.granted AND t.locktype = 'transactionid'
), in_the_way AS (
        SELECT DISTINCT w.pid, x.gid, x.prepared,
               (SELECT min(n.nspname)
                  FROM pg_locks l
                  JOIN pg_class c ON l.locktype = 'relation' AND c.oid = l.relation
                  JOIN pg_namespace n ON n.oid = c.relnamespace AND left(n.nspname, 5) = 'test_'
                 WHERE l.pid IS NULL AND l.virtualtransaction = x.virtualtransaction
                   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())) AS schema
          FROM pg_locks w
          JOIN pg_locks h ON h.granted AND h.pid IS NULL
               AND (h.locktype, h.database, h.relation, h.page, h.tuple, h.virtualxid, h.transactionid, h.classid,
                    h.objid, h.objsubid)
                   IS NOT DISTINCT FROM
                   (w.locktype, w.database, w.relation, w.page, w.tuple, w.virtualxid, w.transactionid, w.classid,
                    w.objid, w.objsubid)
          JOIN prepared x ON x.virtualtransaction = h.virtualtransaction
         WHERE NOT w.granted
)
SELECT p.pid, a.application_name, a.query,
       (extract(epoch FROM clock_timestamp() - a.xact_start) * 1000000)::bigint,
       a.wait_event,
       (extract(epoch FROM clock_timestamp() - p.since) * 1000000)::bigint,
       p.blocker, b.application_name, coalesce(b.query, x.gid),
       (extract(epoch FROM clock_timestamp() - coalesce(b.xact_start, x.prepared)) * 1000000)::bigint,
       x.gid, x.schema
  FROM pair p
  JOIN pg_stat_activity a ON a.pid = p.pid AND a.datname = current_database()
  LEFT JOIN pg_stat_activity b ON b.pid = p.blocker
  LEFT JOIN in_the_way x ON p.blocker = 0 AND x.pid = p.pid
 ORDER BY p.since, p.pid, p.blocker
