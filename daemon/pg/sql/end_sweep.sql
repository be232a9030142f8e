-- SPDX-License-Identifier: MIT
--
-- Ends the backends that a life of the daemon has left behind and waits for each, msec at most: pid, whether it is gone.
--
-- Any role may end its own. Those of another role are left alone, because asking for that would be an error.
SET LOCAL search_path = '';
SELECT pid, pg_terminate_backend(pid, :'msec'::bigint)
  FROM pg_stat_activity
 WHERE application_name = :'label' AND usename = current_user AND pid <> pg_backend_pid()
