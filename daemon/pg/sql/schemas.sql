-- SPDX-License-Identifier: MIT
--
-- Every schema that could be anybody's: name, oid, owner, may_drop, begun.
--
-- Owning the database is not enough to drop a schema: the privileges of its owner are.
-- begun: an earlier drop has committed a part of its work (drop_pin.sql's comment stayed).
SET LOCAL search_path = '';
SELECT nspname, oid, pg_get_userbyid(nspowner), pg_has_role(current_user, nspowner, 'USAGE'),
       obj_description(oid, 'pg_namespace') IS NOT DISTINCT FROM 'berth: being dropped'
  FROM pg_namespace
 WHERE left(nspname, 3) <> 'pg_' AND nspname <> 'information_schema'
 ORDER BY nspname
