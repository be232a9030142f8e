-- SPDX-License-Identifier: MIT
--
-- Who holds a lock on the schema or on a relation in it (where = 'inside'), or on what its foreign keys and partitions
-- lock outside of it ('outside'): pid, application_name, gid.
--
-- A prepared transaction has no session, its pid is NULL. Its locks share a virtual transaction with the one on its
-- own number, which pg_prepared_xacts has a name for. (The manual's -1/<xid> holds only after a restart.)
-- Relations that are not committed yet are not seen, but whoever makes one has locked the schema.
SET LOCAL search_path = '';
WITH prepared AS (
        SELECT t.virtualtransaction, x.gid
          FROM pg_locks t
          JOIN pg_prepared_xacts x ON x.transaction = t.transactionid
         WHERE t.pid IS NULL AND t.granted AND t.locktype = 'transactionid'
)
SELECT DISTINCT l.pid, a.application_name, x.gid
  FROM pg_namespace n
  JOIN pg_database d ON d.datname = current_database()
  JOIN pg_locks l ON l.granted AND l.database = d.oid AND l.pid IS DISTINCT FROM pg_backend_pid()
  LEFT JOIN pg_class c ON l.locktype = 'relation' AND c.oid = l.relation
  LEFT JOIN pg_stat_activity a ON a.pid = l.pid
  LEFT JOIN prepared x ON l.pid IS NULL AND x.virtualtransaction = l.virtualtransaction
 WHERE n.nspname = :'schema'
   AND CASE WHEN :'where' = 'inside'
            THEN c.relnamespace = n.oid
                 OR (l.locktype = 'object' AND l.classid = 'pg_namespace'::regclass AND l.objid = n.oid)
            ELSE c.relnamespace <> n.oid
                 AND (EXISTS (SELECT FROM pg_constraint f JOIN pg_class i ON i.oid = f.conrelid
                               WHERE f.contype = 'f' AND f.confrelid = c.oid AND i.relnamespace = n.oid)
                      OR EXISTS (SELECT FROM pg_inherits h JOIN pg_class i ON i.oid = h.inhrelid
                                  WHERE h.inhparent = c.oid AND i.relnamespace = n.oid))
       END
 ORDER BY l.pid, x.gid
