-- SPDX-License-Identifier: MIT
--
-- What is in schema public, and how often it was written to. Columns: enum pg_public_column; one row at least, which
-- names no table where there is none.
--
-- The counts are those of the statistics: of every attempt, rolled back or not. They lag behind by up to a second, and
-- by ten where a session stays idle, and begin anew at a reset and after a crash: counted_since says so. Tables of an
-- extension are not a run's. A partition goes by the name of its table, where that is in public.
SET LOCAL search_path = '';
SELECT pg_stat_clear_snapshot();
SELECT (SELECT system_identifier FROM pg_control_system()) || '/' || d.oid,
       concat_ws('/', extract(epoch FROM pg_postmaster_start_time()), extract(epoch FROM s.stats_reset),
                 (SELECT extract(epoch FROM stats_reset) FROM pg_stat_archiver)),
       t.oid, t.name, t.relispartition, t.writes
  FROM pg_database d
  JOIN pg_stat_database s ON s.datid = d.oid
  LEFT JOIN (SELECT c.oid, c.relispartition,
                    format('public.%I', coalesce((SELECT r.relname FROM pg_class r
                                                   WHERE c.relispartition AND r.oid = pg_partition_root(c.oid)
                                                     AND r.relnamespace = c.relnamespace), c.relname)) AS name,
                    pg_stat_get_tuples_inserted(c.oid) + pg_stat_get_tuples_updated(c.oid)
                        + pg_stat_get_tuples_deleted(c.oid) AS writes
               FROM pg_class c
               JOIN pg_namespace n ON n.oid = c.relnamespace
              WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p', 'm', 'f')
                AND NOT EXISTS (SELECT 1 FROM pg_depend e
                                 WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.objsubid = 0
                                   AND e.deptype = 'e')) t ON true
 WHERE d.datname = current_database()
 ORDER BY t.oid
