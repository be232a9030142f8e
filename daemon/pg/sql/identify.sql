-- SPDX-License-Identifier: MIT
--
-- Which server is this, and may it be believed? Columns: enum pg_identify_column.
--
-- The address must be the same however we come, by socket or by TCP, and whoever we are: unix_socket_directories,
-- data_directory and the like are shown to superusers only. The timeline tells a promoted clone, which has the port
-- and everything else of its origin, from it.
--
-- The uptime is that of the sessions: when one backend crashes, the postmaster ends all of them and stays the same.
-- The statistics begin anew then, and pg_stat_archiver says since when.
SET LOCAL search_path = '';
SELECT (SELECT system_identifier FROM pg_control_system()),
       (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint,
       (extract(epoch FROM clock_timestamp() - greatest(pg_postmaster_start_time(),
                                                        (SELECT stats_reset FROM pg_stat_archiver)))
           * 1000000)::bigint,
       format('port %s, listening on %s, timeline %s',
              current_setting('port'),
              left(current_setting('listen_addresses'), 60),
              CASE WHEN pg_is_in_recovery() THEN '(standby)'
                   ELSE ltrim(left(pg_walfile_name(pg_current_wal_lsn()), 8), '0') END),
       (SELECT oid FROM pg_database WHERE datname = current_database()),
       pg_is_in_recovery(),
       current_setting('default_transaction_read_only')::boolean,
       pg_backend_pid(),
       pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'),
       current_setting('max_locks_per_transaction')::bigint
           * (current_setting('max_connections')::bigint + current_setting('max_prepared_transactions')::bigint),
       (SELECT setting FROM pg_settings WHERE name = 'deadlock_timeout'),
       current_setting('server_version_num')
