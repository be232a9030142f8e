-- SPDX-License-Identifier: MIT
--
-- Who is connected, in the whole cluster: application_name, pid, datname.
--
-- The view is frozen inside a transaction, so it is cleared first. There is no WHERE, on purpose: whoever lacks
-- pg_read_all_stats sees NULL in state and backend_type, and would take everybody for dead.
SET LOCAL search_path = '';
SELECT pg_stat_clear_snapshot();
SELECT application_name, pid, datname
  FROM pg_stat_activity
