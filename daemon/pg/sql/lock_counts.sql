-- SPDX-License-Identifier: MIT
--
-- How much of the lock table each session fills: application_name, objects.
--
-- The table has an entry for an object, not for each mode it is locked in; fast-path locks are not in it. Sessions
-- without any are left out.
SET LOCAL search_path = '';
SELECT a.application_name, l.objects
  FROM (SELECT pid, count(*) AS objects
          FROM (SELECT DISTINCT pid, locktype, database, relation, page, tuple, virtualxid, transactionid, classid,
                       objid, objsubid
                  FROM pg_locks
                 WHERE NOT fastpath AND pid <> pg_backend_pid()) object
         GROUP BY pid) l
  JOIN pg_stat_activity a ON a.pid = l.pid
