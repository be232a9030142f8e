-- SPDX-License-Identifier: MIT
--
-- COMMENT takes ShareUpdateExclusive: from here on nobody else can drop or rename the schema. The oid is read after
-- that, by a statement with a look of its own.
COMMENT ON SCHEMA :"schema" IS 'berth: being dropped';
SELECT oid
  FROM pg_namespace
 WHERE nspname = :'schema'
