-- SPDX-License-Identifier: MIT
--
-- What berth doctor wants to know of a database: fact, value, more. See seam/pg.h for the facts.
--
-- Test roles are those that own schemas which look like a test's, and those whose sessions carry a test's label here.
-- A role that is not asked for by name may have CREATE through a group, or as PUBLIC: whoever was granted it is named,
-- because that is whom it must be revoked from.
SET LOCAL search_path = '';
WITH own AS (
        SELECT oid, rolname, rolsuper FROM pg_roles WHERE rolname = current_user
), tester AS (
        SELECT r.oid, r.rolname, r.rolsuper
          FROM pg_roles r
         WHERE r.oid IN (SELECT nspowner FROM pg_namespace WHERE nspname ~ '^test_[a-z0-9]{1,32}_[a-z]')
            OR r.oid IN (SELECT usesysid FROM pg_stat_activity
                          WHERE datname = current_database() AND application_name ~ '^pytest_')
), granted AS (
        SELECT n.oid, a.grantee
          FROM pg_namespace n
         CROSS JOIN LATERAL aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a
         WHERE n.nspname = 'public' AND a.privilege_type = 'CREATE'
)
SELECT 'role' AS fact, (SELECT quote_ident(rolname) FROM own) AS value, (SELECT rolsuper::text FROM own) AS more
UNION ALL SELECT 'server', current_setting('server_version'), current_setting('server_version_num')
UNION ALL SELECT 'in_recovery', pg_is_in_recovery()::text, NULL
UNION ALL SELECT 'read_only', current_setting('default_transaction_read_only')::boolean::text, NULL
UNION ALL SELECT 'backend_pid', pg_backend_pid()::text, NULL
UNION ALL SELECT 'sees_all', pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')::text, NULL
UNION ALL SELECT 'now_usec', (extract(epoch FROM clock_timestamp()) * 1000000)::bigint::text, NULL
UNION ALL SELECT 'lock_table', (current_setting('max_locks_per_transaction')::bigint
                               * (current_setting('max_connections')::bigint
                                  + current_setting('max_prepared_transactions')::bigint))::text, NULL
UNION ALL SELECT 'writer', 'PUBLIC', 'PUBLIC' WHERE EXISTS (SELECT FROM granted WHERE grantee = 0)
UNION ALL SELECT 'super_writer', quote_ident(rolname), NULL FROM tester WHERE rolsuper
UNION ALL SELECT DISTINCT 'writer', quote_ident(t.rolname), quote_ident(g.rolname)
            FROM tester t
            JOIN granted ON grantee <> 0
            JOIN pg_roles g ON g.oid = grantee
           WHERE NOT t.rolsuper AND pg_has_role(t.oid, grantee, 'USAGE')
UNION ALL SELECT 'schema', quote_ident(nspname),
                 CASE WHEN NOT pg_has_role(current_user, nspowner, 'USAGE')
                      THEN quote_ident(pg_get_userbyid(nspowner)) END
            FROM pg_namespace
           WHERE left(nspname, 5) = 'test_'
