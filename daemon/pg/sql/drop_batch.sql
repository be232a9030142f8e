-- SPDX-License-Identifier: MIT
--
-- Drops a part of the schema, so much of it as needs about that many locks: how many objects were dropped.
--
-- The server locks each object that goes, so the weight of a table is all that goes with it: its indexes, constraints,
-- their triggers, TOAST. What two of them share is counted twice; in doubt a batch is smaller than it might be. The
-- first goes in any case: there is no smaller batch than one object.
--
-- Tables come before types and functions, because the type of a thousand columns would take a thousand tables along;
-- the newest first, and what has children last, because dependents are younger than what they depend on. Sequences of
-- columns and the like go with their owner.
--
-- A DO block has neither parameters nor a result of its own: they go by settings of the transaction.
SET LOCAL search_path = '';
SELECT set_config('berth.schema', :'schema', true), set_config('berth.locks', :'locks', true);
DO $berth$
DECLARE
        commands text;
        n bigint;
BEGIN
        WITH RECURSIVE member AS (
                SELECT d.classid, d.objid,
                       row_number() OVER (ORDER BY d.classid <> 'pg_class'::regclass,
                                                   EXISTS (SELECT FROM pg_inherits i
                                                            WHERE i.inhparent = d.objid
                                                              AND d.classid = 'pg_class'::regclass),
                                                   d.objid DESC) AS rank
                  FROM pg_depend d
                  JOIN pg_namespace n ON n.oid = d.refobjid AND n.nspname = current_setting('berth.schema')
                 WHERE d.refclassid = 'pg_namespace'::regclass AND d.deptype = 'n'
                   AND d.classid NOT IN ('pg_default_acl'::regclass, 'pg_extension'::regclass)
                   AND NOT EXISTS (SELECT FROM pg_depend i
                                    WHERE i.classid = d.classid AND i.objid = d.objid AND i.objsubid = 0
                                      AND (i.deptype = 'i'
                                           OR (i.deptype = 'a' AND i.refclassid = 'pg_class'::regclass
                                               AND EXISTS (SELECT FROM pg_class s
                                                            WHERE s.oid = i.objid AND s.relkind = 'S'))))
                 ORDER BY rank
                 LIMIT 400
        ), reach(rank, classid, objid) AS (
                SELECT rank, classid, objid FROM member
            UNION
                SELECT r.rank, x.classid, x.objid
                  FROM reach r
                 CROSS JOIN LATERAL (
                        SELECT d.classid, d.objid
                          FROM pg_depend d
                         WHERE d.refclassid = r.classid AND d.refobjid = r.objid
                    UNION ALL
                        SELECT d.refclassid, d.refobjid
                          FROM pg_depend d
                         WHERE d.classid = r.classid AND d.objid = r.objid AND d.deptype = 'i') x
        ), weighed AS (
                SELECT rank, sum(count(*)) OVER (ORDER BY rank) AS locks FROM reach GROUP BY rank
        )
        SELECT string_agg(format('DROP %s IF EXISTS %s CASCADE',
                                 CASE o.type WHEN 'statistics object' THEN 'statistics'
                                             WHEN 'function' THEN 'routine'
                                             WHEN 'procedure' THEN 'routine'
                                             WHEN 'aggregate' THEN 'routine'
                                             ELSE o.type END, o.identity), ';' ORDER BY m.rank),
               count(*)
          INTO commands, n
          FROM member m
          JOIN weighed w ON w.rank = m.rank AND (w.locks <= current_setting('berth.locks')::bigint OR w.rank = 1)
         CROSS JOIN LATERAL pg_identify_object(m.classid, m.objid, 0) o;
        IF n > 0 THEN
                EXECUTE commands;
        END IF;
        PERFORM set_config('berth.n', n::text, true);
END $berth$;
SELECT current_setting('berth.n')
