-- SPDX-License-Identifier: MIT
--
-- Which sessions of this worker of this namespace are still building, or undoing what they built: pid.
--
-- A dead client's backend goes on with what it was sent, and its CREATE TABLEs keep their locks until it has
-- finished. Whoever builds has a transaction number, or holds or waits for an exclusive lock; whoever only reads has
-- neither, and holds nobody up. pg_locks shows all of it to everybody, state does not.
SET LOCAL search_path = '';
WITH label(whole) AS (
        SELECT 'pytest_' || :'worker' || '_' || :'namespace'
)
SELECT DISTINCT a.pid
  FROM label b
  JOIN pg_stat_activity a
       ON a.application_name = b.whole OR starts_with(a.application_name, b.whole || '_')
  JOIN pg_locks l
       ON l.pid = a.pid
 WHERE l.locktype = 'transactionid' OR l.mode = 'AccessExclusiveLock'
 ORDER BY a.pid
