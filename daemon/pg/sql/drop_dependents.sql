-- SPDX-License-Identifier: MIT
--
-- What would DROP SCHEMA ... CASCADE touch outside the namespace, and how much inside? effect, class, object,
-- home.
--
-- Walks pg_depend from the schema as the server would, and gives each object it reaches the schema it lives in, its
-- home: triggers, rules, defaults and policies live where their table lives. This sees what neither RESTRICT nor the
-- NOTICE shows: a partition that lives in another schema goes silently.
--
--      dependent   CASCADE would destroy it
--      locked      the other end of a foreign key of ours, or what a table of ours is a partition of: the drop does
--                  not harm it, but takes AccessExclusive on that table; drop_untie.sql takes care of those
--      size        how many objects go: so many locks the drop needs, to within a few (one row)
--
-- Inside is what lives in the schema itself, in TOAST, or in another schema of the same namespace; that is a matter of
-- the whole name, not of LIKE. Beside a gw<N> only other gw<N> count: of namespaces that no ledger knows
-- test_user_settings may be anybody's. Casts and members of operator families are at home where one of their types or
-- their family is inside: nobody else can use them. Default privileges go with the schema, else it would be kept for
-- ever. Extensions, publications and event triggers have no home, and count.
--
-- It is asked before every drop, hence: nobody asks for the description of an object inside, and the walk ends at
-- triggers, of which each foreign key has four, and on which nothing depends that is not reached by another way. So 220
-- tables with three indexes and two foreign keys each take 15 ms, and not 25, of a drop of 160 (processor time).
SET LOCAL search_path = '';
SET LOCAL jit = off;
WITH RECURSIVE kin(prefix, worker) AS (
        SELECT 'test_' || :'namespace' || '_',
               CASE WHEN substr(:'schema', length('test_' || :'namespace' || '_') + 1) ~ '^gw[0-9]+(_|$)'
                    THEN '^gw[0-9]+(_[a-z0-9_]+)?$'
                    ELSE '^[a-z][a-z0-9]{0,15}(_[a-z0-9_]+)?$'
               END
), inside(oid) AS MATERIALIZED (
        SELECT oid
          FROM pg_namespace, kin
         WHERE nspname = :'schema' OR nspname = 'pg_toast'
            OR left(nspname, length(prefix)) = prefix AND substr(nspname, length(prefix) + 1) ~ worker
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
         WHERE r.classid <> 'pg_trigger'::regclass
), placed(classid, objid, objsubid, home) AS MATERIALIZED (
        SELECT classid, objid, objsubid,
               CASE classid
               WHEN 'pg_class'::regclass THEN (SELECT relnamespace FROM pg_class WHERE oid = objid)
               WHEN 'pg_type'::regclass THEN (SELECT typnamespace FROM pg_type WHERE oid = objid)
               WHEN 'pg_constraint'::regclass THEN (SELECT connamespace FROM pg_constraint WHERE oid = objid)
               WHEN 'pg_trigger'::regclass THEN
                        (SELECT relnamespace FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid WHERE t.oid = objid)
               WHEN 'pg_attrdef'::regclass THEN
                        (SELECT relnamespace FROM pg_attrdef a JOIN pg_class c ON c.oid = adrelid WHERE a.oid = objid)
               WHEN 'pg_rewrite'::regclass THEN
                        (SELECT relnamespace FROM pg_rewrite r JOIN pg_class c ON c.oid = ev_class WHERE r.oid = objid)
               WHEN 'pg_policy'::regclass THEN
                        (SELECT relnamespace FROM pg_policy p JOIN pg_class c ON c.oid = polrelid WHERE p.oid = objid)
               WHEN 'pg_cast'::regclass THEN
                        (SELECT min(typnamespace)
                           FROM pg_cast c
                           JOIN pg_type t ON t.oid IN (castsource, casttarget)
                           JOIN inside i ON i.oid = typnamespace
                          WHERE c.oid = objid)
               WHEN 'pg_amop'::regclass THEN
                        (SELECT min(i.oid)
                           FROM pg_amop m
                           JOIN pg_opfamily f ON f.oid = amopfamily
                           JOIN pg_type t ON t.oid IN (amoplefttype, amoprighttype)
                           JOIN inside i ON i.oid IN (opfnamespace, typnamespace)
                          WHERE m.oid = objid)
               WHEN 'pg_amproc'::regclass THEN
                        (SELECT min(i.oid)
                           FROM pg_amproc m
                           JOIN pg_opfamily f ON f.oid = amprocfamily
                           JOIN pg_type t ON t.oid IN (amproclefttype, amprocrighttype)
                           JOIN inside i ON i.oid IN (opfnamespace, typnamespace)
                          WHERE m.oid = objid)
               WHEN 'pg_namespace'::regclass THEN objid
               ELSE to_regnamespace((pg_identify_object(classid, objid, objsubid)).schema)
               END
          FROM reach
         WHERE classid <> 'pg_default_acl'::regclass
), outside AS MATERIALIZED (
        SELECT * FROM placed WHERE home IS NULL OR home NOT IN (SELECT oid FROM inside)
)
SELECT 'dependent' AS effect, classid::regclass AS class, pg_describe_object(classid, objid, objsubid) AS object,
       home::regnamespace AS home
  FROM outside
 -- a foreign key speaks for its triggers
 WHERE NOT EXISTS (SELECT FROM pg_trigger t
                    WHERE t.oid = objid AND classid = 'pg_trigger'::regclass AND t.tgisinternal)
UNION
SELECT 'locked', 'pg_class'::regclass, 'table ' || tgrelid::regclass, home::regnamespace
  FROM outside
  JOIN pg_trigger t ON t.oid = objid AND classid = 'pg_trigger'::regclass AND tgisinternal
  JOIN pg_constraint f ON f.oid = tgconstraint
 WHERE connamespace IN (SELECT oid FROM inside)
UNION
SELECT 'locked', 'pg_class'::regclass, 'table ' || inhparent::regclass, p.relnamespace::regnamespace
  FROM pg_inherits
  JOIN pg_class c ON c.oid = inhrelid AND c.relispartition
  JOIN pg_class p ON p.oid = inhparent AND p.relkind = 'p'
  JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = :'schema'
 WHERE p.relnamespace NOT IN (SELECT oid FROM inside)
UNION ALL
SELECT 'size', 'pg_namespace'::regclass, count(*)::text, NULL FROM reach
 -- an extension before its members
 ORDER BY effect, home NULLS FIRST, class, object
