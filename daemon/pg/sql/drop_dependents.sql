-- SPDX-License-Identifier: MIT
--
-- What would DROP SCHEMA ... CASCADE touch outside the namespace, and how much inside? effect, class, object, home.
--
-- Walks pg_depend from the schema as the server would, and gives each object it reaches the schema it lives in, its
-- home. pg_identify_object knows that of most objects; a constraint knows its own; triggers, rules, defaults and
-- policies live where their table lives. This sees what neither RESTRICT nor the NOTICE shows: a partition that lives
-- in another schema goes silently.
--
--      dependent   CASCADE would destroy it
--      locked      the other end of a foreign key of ours, or what a table of ours is a partition of: the drop does
--                  not harm it, but takes AccessExclusive on that table; drop_untie.sql takes care of those
--      size        how many objects go: so many locks the drop needs, to within a few (one row)
--
-- Inside is what lives in the schema itself, in TOAST, or in another schema of the same namespace; that is a matter of
-- the whole name, not of LIKE. Beside a gw<N> only other gw<N> count: of namespaces that no ledger knows
-- test_user_settings may be anybody's. Default privileges have no home: they go with the schema and do not count, else
-- a schema with any would be kept for ever. Extensions and publications have none either, and count.
--
-- Measured on PostgreSQL 15: 220 tables with three indexes and two foreign keys each, 80 ms.
SET LOCAL search_path = '';
WITH RECURSIVE kin(prefix, worker) AS (
        SELECT 'test_' || :'namespace' || '_',
               CASE WHEN substr(:'schema', length('test_' || :'namespace' || '_') + 1) ~ '^gw[0-9]+(_|$)'
                    THEN '^gw[0-9]+(_[a-z0-9_]+)?$'
                    ELSE '^[a-z][a-z0-9]{0,15}(_[a-z0-9_]+)?$'
               END
), reach(classid, objid, objsubid) AS (
        SELECT 'pg_namespace'::regclass::oid, oid, 0 FROM pg_namespace WHERE nspname = :'schema'
    UNION
        SELECT x.*
          FROM reach r
         CROSS JOIN LATERAL (
                -- what depends on it
                SELECT d.classid, d.objid, d.objsubid
                  FROM pg_depend d
                 WHERE d.refclassid = r.classid AND d.refobjid = r.objid
                   AND (r.objsubid = 0 OR d.refobjsubid = r.objsubid)
            UNION ALL
                -- what it is a part of: a rule goes with its view
                SELECT d.refclassid, d.refobjid, d.refobjsubid
                  FROM pg_depend d
                 WHERE d.classid = r.classid AND d.objid = r.objid AND d.deptype IN ('i', 'e')
                   AND (r.objsubid = 0 OR d.objsubid = r.objsubid)) x
), homes(classid, objid, home) AS (
        SELECT 'pg_constraint'::regclass, oid, connamespace FROM pg_constraint
    UNION ALL
        SELECT 'pg_trigger'::regclass, t.oid, relnamespace FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    UNION ALL
        SELECT 'pg_rewrite'::regclass, r.oid, relnamespace FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
    UNION ALL
        SELECT 'pg_attrdef'::regclass, a.oid, relnamespace FROM pg_attrdef a JOIN pg_class c ON c.oid = a.adrelid
    UNION ALL
        SELECT 'pg_policy'::regclass, p.oid, relnamespace FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
    UNION ALL
        SELECT 'pg_amop'::regclass, a.oid, opfnamespace FROM pg_amop a JOIN pg_opfamily f ON f.oid = a.amopfamily
    UNION ALL
        SELECT 'pg_amproc'::regclass, a.oid, opfnamespace FROM pg_amproc a JOIN pg_opfamily f ON f.oid = a.amprocfamily
    UNION ALL
        -- a cast is its types': the dead schema's if one of them is, else that of whoever made the other
        SELECT 'pg_cast'::regclass, c.oid,
               CASE WHEN s.typnamespace = 'pg_catalog'::regnamespace
                         OR t.typnamespace IN (SELECT oid FROM pg_namespace WHERE nspname = :'schema')
                    THEN t.typnamespace
                    ELSE s.typnamespace
               END
          FROM pg_cast c JOIN pg_type s ON s.oid = c.castsource JOIN pg_type t ON t.oid = c.casttarget
), found AS (
        SELECT 'dependent' AS effect, classid::regclass AS class,
               pg_describe_object(classid, objid, objsubid) AS object,
               coalesce((SELECT h.home::regnamespace::text FROM homes h
                          WHERE (h.classid, h.objid) = (reach.classid, reach.objid)),
                        (pg_identify_object(classid, objid, objsubid)).schema) AS home
          FROM reach
         -- a foreign key speaks for its triggers
         WHERE NOT EXISTS (SELECT FROM pg_trigger t
                            WHERE t.oid = objid AND classid = 'pg_trigger'::regclass AND t.tgisinternal)
    UNION
        SELECT 'locked', 'pg_class'::regclass, 'table ' || c.oid::regclass, c.relnamespace::regnamespace::text
          FROM (SELECT conrelid, confrelid FROM pg_constraint WHERE contype = 'f'
                UNION ALL
                SELECT inhrelid, inhparent FROM pg_inherits JOIN pg_class p ON p.oid = inhparent AND p.relkind = 'p'
               ) AS tie(inside, outside)
          JOIN pg_class i ON i.oid = tie.inside
          JOIN pg_namespace n ON n.oid = i.relnamespace AND n.nspname = :'schema'
          JOIN pg_class c ON c.oid = tie.outside
)
SELECT effect, class, object, home
  FROM found, kin
 WHERE home IS DISTINCT FROM :'schema'
   AND home IS DISTINCT FROM 'pg_toast'
   AND NOT (left(coalesce(home, ''), length(prefix)) = prefix
            AND substr(home, length(prefix) + 1) ~ worker)
   AND class <> 'pg_namespace'::regclass
   AND class <> 'pg_default_acl'::regclass
UNION ALL
SELECT 'size', 'pg_namespace'::regclass, count(DISTINCT (classid, objid))::text, NULL FROM reach
 ORDER BY 1, 4, 2, 3
