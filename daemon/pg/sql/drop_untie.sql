-- SPDX-License-Identifier: MIT
--
-- Takes away what would make a drop lock a table outside, for one such table: how many ties were cut.
--
-- A foreign key to public.countries is a trigger there, and a partition of public.events is a part of it: whoever takes
-- them away locks that table against every reader. In the drop of a whole schema it would stay locked for all of it.
-- Here it is locked for a moment:
--
--      first   the tables inside, with the lock_timeout of the transaction: autovacuum gives way only to whoever
--              waits longer than deadlock_timeout
--      then    the table outside, by the first tie that is cut, and with 200 ms at most for it and its partitions
--              together: readers queue behind us so long
--      then    the other ties, for 100 ms; the rest is for the next transaction
--
-- A partition that goes may take a foreign key to its parent along, hence IF EXISTS.
--
-- Who owns the schema may drop a table of another role in it, but neither alter nor lock it: such a table goes whole.
SET LOCAL search_path = '';
SELECT set_config('berth.schema', :'schema', true), set_config('berth.namespace', :'namespace', true);
DO $berth$
DECLARE
        ties text[];
        inner_tables text;
        tie text;
        shared oid;
        locked_since timestamptz;
        n int := 0;
BEGIN
        WITH kin(prefix, worker) AS (
                SELECT prefix,
                       CASE WHEN substr(current_setting('berth.schema'), length(prefix) + 1) ~ '^gw[0-9]+(_|$)'
                            THEN '^gw[0-9]+(_[a-z0-9_]+)?$'
                            ELSE '^[a-z][a-z0-9]{0,15}(_[a-z0-9_]+)?$'
                       END
                  FROM (SELECT 'test_' || current_setting('berth.namespace') || '_' AS prefix) p
        ), tied(inside, outside, cut) AS (
                SELECT conrelid, confrelid, format('ALTER TABLE IF EXISTS %s DROP CONSTRAINT IF EXISTS %I', conrelid::regclass,
                                                 conname)
                  FROM pg_constraint
                 WHERE contype = 'f' AND conparentid = 0
            UNION ALL
                SELECT inhrelid, inhparent, NULL
                  FROM pg_inherits
                  JOIN pg_class p ON p.oid = inhparent AND p.relkind = 'p'
        ), ours AS (
                SELECT t.inside, t.outside,
                       pg_has_role(current_user, c.relowner, 'USAGE') AS may_alter,
                       t.cut
                  FROM tied t
                  JOIN pg_class c ON c.oid = t.inside
                  JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = current_setting('berth.schema')
                  JOIN pg_class o ON o.oid = t.outside
                  JOIN pg_namespace home ON home.oid = o.relnamespace
                 CROSS JOIN kin
                 WHERE home.nspname <> current_setting('berth.schema')
                   AND NOT (left(home.nspname, length(prefix)) = prefix
                            AND substr(home.nspname, length(prefix) + 1) ~ worker)
        ), next AS (
                SELECT * FROM ours WHERE outside = (SELECT min(outside) FROM ours) ORDER BY inside DESC LIMIT 400
        )
        SELECT array_agg(CASE WHEN may_alter AND cut IS NOT NULL THEN cut
                              ELSE format('DROP TABLE IF EXISTS %s CASCADE', inside::regclass) END),
               string_agg(DISTINCT inside::regclass::text, ', ') FILTER (WHERE may_alter),
               min(outside)
          INTO ties, inner_tables, shared
          FROM next;
        IF inner_tables IS NOT NULL THEN
                EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', inner_tables);
        END IF;
        PERFORM set_config('lock_timeout',
                           (200 / (SELECT greatest(1, count(*)) FROM pg_partition_tree(shared)))::text, true);
        FOREACH tie IN ARRAY coalesce(ties, '{}') LOOP
                EXECUTE tie;
                n := n + 1;
                locked_since := coalesce(locked_since, clock_timestamp());
                EXIT WHEN clock_timestamp() > locked_since + interval '100 ms';
        END LOOP;
        PERFORM set_config('berth.n', n::text, true);
END $berth$;
SELECT current_setting('berth.n')
