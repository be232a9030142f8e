# SPDX-License-Identifier: MIT
"""CASCADE reaches whatever depends on a schema, wherever that lives and whoever owns it, and says so at most in a
NOTICE. Every kind of dependent outside keeps the schema, and is named."""

import glob
import re
import signal
import subprocess

import pytest

from sweeps import OLD, daemon_over, details, verdicts

# In a dead schema D: table t, enum e, domain d, composite c, range r, functions f, g, h, sequence s, collation k.
BEFORE = """
CREATE SCHEMA D;
CREATE TABLE D.t (id int PRIMARY KEY, a int);
CREATE TYPE D.e AS ENUM ('x');
CREATE DOMAIN D.d AS int;
CREATE TYPE D.c AS (n int);
CREATE TYPE D.r AS RANGE (subtype = int);
CREATE FUNCTION D.f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION D.g(int, int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 - $2';
CREATE FUNCTION D.h() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE SEQUENCE D.s;
CREATE COLLATION D.k FROM "C";
CREATE SCHEMA L;
"""
# kind: what somebody makes in the living schema L with things of D, and how the dependent is called
KINDS = {
    "view": ("CREATE VIEW L.v AS SELECT id FROM D.t", "view L.v"),
    "view of a view": ("CREATE VIEW L.v AS SELECT id FROM D.t; CREATE VIEW L.vv AS SELECT id FROM L.v", "view L.vv"),
    "view of a function": ("CREATE VIEW L.v AS SELECT D.f(1) AS n", "view L.v"),
    "materialised view": ("CREATE MATERIALIZED VIEW L.m AS SELECT id FROM D.t", "materialized view L.m"),
    "foreign key": ("CREATE TABLE L.x (i int REFERENCES D.t)", "constraint x_i_fkey on table L.x"),
    "column of an enum": ("CREATE TABLE L.x (i D.e)", "column i of table L.x"),
    "column of an array": ("CREATE TABLE L.x (i D.e[])", "column i of table L.x"),
    "column of a domain": ("CREATE TABLE L.x (i D.d)", "column i of table L.x"),
    "column of a composite": ("CREATE TABLE L.x (i D.c)", "column i of table L.x"),
    "column of a range": ("CREATE TABLE L.x (i D.r)", "column i of table L.x"),
    "column of a row": ("CREATE TABLE L.x (i D.t)", "column i of table L.x"),
    "column with a collation": ("CREATE TABLE L.x (i text COLLATE D.k)", "column i of table L.x"),
    "generated column": ("CREATE TABLE L.x (i int, j int GENERATED ALWAYS AS (D.f(i)) STORED)", "column j of table L.x"),
    "typed table": ("CREATE TABLE L.x OF D.c", "table L.x"),
    "inheritance child": ("CREATE TABLE L.x () INHERITS (D.t)", "table L.x"),
    "partition": ("CREATE TABLE D.p (i int) PARTITION BY LIST (i);"
                  "CREATE TABLE L.x PARTITION OF D.p FOR VALUES IN (1)", "table L.x"),
    "default of a sequence": ("CREATE TABLE L.x (i int DEFAULT nextval('D.s'))", "default value for column i of table L.x"),
    "default of a function": ("CREATE TABLE L.x (i int DEFAULT D.f(1))", "default value for column i of table L.x"),
    "check constraint": ("CREATE TABLE L.x (i int CONSTRAINT y CHECK (D.f(i) > 0))", "constraint y on table L.x"),
    "domain's constraint": ("CREATE DOMAIN L.x AS int CONSTRAINT y CHECK (D.f(VALUE) > 0)", "constraint y"),
    "expression index": ("CREATE TABLE L.x (i int); CREATE INDEX y ON L.x (D.f(i))", "index L.y"),
    "partial index": ("CREATE TABLE L.x (i int); CREATE INDEX y ON L.x (i) WHERE D.f(i) > 0", "index L.y"),
    "index with a collation": ("CREATE TABLE L.x (i text); CREATE INDEX y ON L.x (i COLLATE D.k)", "index L.y"),
    "function by its argument": ("CREATE FUNCTION L.x(D.e) RETURNS int LANGUAGE sql AS 'SELECT 1'", "function L.x(D.e)"),
    "function by its result": ("CREATE FUNCTION L.x() RETURNS D.e LANGUAGE sql AS 'SELECT NULL::D.e'", "function L.x()"),
    "function by its default": ("CREATE FUNCTION L.x(i int DEFAULT D.f(1)) RETURNS int LANGUAGE sql AS 'SELECT 1'",
                                "function L.x(integer)"),
    "function by its body": ("CREATE FUNCTION L.x() RETURNS int BEGIN ATOMIC SELECT id FROM D.t; END", "function L.x()"),
    "procedure": ("CREATE PROCEDURE L.x(D.d) LANGUAGE sql AS 'SELECT 1'", "L.x(D.d)"),
    "aggregate": ("CREATE AGGREGATE L.x(int) (sfunc = D.g, stype = int)", "L.x(integer)"),
    "trigger": ("CREATE TABLE L.x (); CREATE TRIGGER y BEFORE INSERT ON L.x FOR EACH ROW EXECUTE FUNCTION D.h()",
                "trigger y on table L.x"),
    "policy": ("CREATE TABLE L.x (i int); CREATE POLICY y ON L.x USING (D.f(i) > 0)", "policy y on table L.x"),
    "rule": ("CREATE TABLE L.x (i int); CREATE RULE y AS ON INSERT TO L.x DO ALSO INSERT INTO D.t VALUES (1)",
             "rule y on table L.x"),
    "domain over a domain": ("CREATE DOMAIN L.x AS D.d", "type L.x"),
    "composite type": ("CREATE TYPE L.x AS (i D.e)", "column i of composite type L.x"),
    "range type": ("CREATE TYPE L.x AS RANGE (subtype = D.d)", "type L.x"),
    "operator": ("CREATE OPERATOR L.### (LEFTARG = int, RIGHTARG = int, FUNCTION = D.g)", "operator L.###"),
    "operator class": ("CREATE OPERATOR CLASS L.x FOR TYPE int USING btree AS FUNCTION 1 D.g(int, int)",
                       "operator class L.x"),
    "member of an operator family": ("CREATE OPERATOR FAMILY L.x USING btree;"
                                     "ALTER OPERATOR FAMILY L.x USING btree ADD FUNCTION 1 (int, int) D.g(int, int)",
                                     "operator family L.x"),
    "cast": ("CREATE TYPE L.x AS ENUM ('q'); CREATE FUNCTION D.to_int(L.x) RETURNS int LANGUAGE sql AS 'SELECT 1';"
             "CREATE CAST (L.x AS int) WITH FUNCTION D.to_int(L.x)", "cast from L.x to integer"),
    "text search configuration": ("CREATE TEXT SEARCH DICTIONARY D.y (TEMPLATE = pg_catalog.simple);"
                                  "CREATE TEXT SEARCH CONFIGURATION L.x (PARSER = pg_catalog.default);"
                                  "ALTER TEXT SEARCH CONFIGURATION L.x ADD MAPPING FOR asciiword WITH D.y",
                                  "text search configuration L.x"),
    "statistics": ("CREATE STATISTICS L.x ON id, a FROM D.t", "statistics object L.x"),
    "extension in use": ("CREATE EXTENSION citext SCHEMA D; CREATE TABLE L.x (i D.citext)", "extension citext"),
    "extension nobody uses": ("CREATE EXTENSION pg_trgm SCHEMA D", "extension pg_trgm"),
    "publication of a table": ("CREATE PUBLICATION pub_of_table FOR TABLE D.t", "in publication pub_of_table"),
    "publication of the schema": ("CREATE PUBLICATION pub_of_schema FOR TABLES IN SCHEMA D",
                                  "in publication pub_of_schema"),
    "event trigger": ("CREATE FUNCTION D.ev() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';"
                      "CREATE EVENT TRIGGER seen ON ddl_command_end EXECUTE FUNCTION D.ev()", "event trigger seen"),
    "foreign-data wrapper": ("CREATE FUNCTION D.val(text[], oid) RETURNS void LANGUAGE plpgsql AS 'BEGIN END';"
                             "CREATE FOREIGN DATA WRAPPER wrap VALIDATOR D.val", "foreign-data wrapper wrap"),
    "foreign server and table": ("CREATE FUNCTION D.val(text[], oid) RETURNS void LANGUAGE plpgsql AS 'BEGIN END';"
                                 "CREATE FOREIGN DATA WRAPPER wrap2 VALIDATOR D.val;"
                                 "CREATE SERVER far FOREIGN DATA WRAPPER wrap2;"
                                 "CREATE FOREIGN TABLE L.x (i int) SERVER far", "foreign table L.x"),
    "access method": ("CREATE FUNCTION D.handler(internal) RETURNS index_am_handler LANGUAGE internal AS 'bthandler';"
                      "CREATE ACCESS METHOD another TYPE INDEX HANDLER D.handler", "access method another"),
    "constraint trigger": ("CREATE TABLE L.x (); CREATE CONSTRAINT TRIGGER y AFTER INSERT ON L.x FOR EACH ROW"
                           " EXECUTE FUNCTION D.h()", "trigger y on table L.x"),
    "operator in use": ("CREATE OPERATOR D.<<< (LEFTARG = int, RIGHTARG = int, FUNCTION = D.g);"
                        "CREATE VIEW L.v AS SELECT 1 OPERATOR(D.<<<) 2 AS n", "view L.v"),
    "operator class in use": ("CREATE OPERATOR CLASS D.ops FOR TYPE int USING btree AS OPERATOR 1 pg_catalog.<,"
                              " FUNCTION 1 D.g(int, int); CREATE TABLE L.x (i int); CREATE INDEX y ON L.x (i D.ops)",
                              "index L.y"),
    "member of an extension": ("CREATE EXTENSION fuzzystrmatch SCHEMA L; ALTER EXTENSION fuzzystrmatch ADD TABLE D.t",
                               "extension fuzzystrmatch"),
}  # fmt: skip
# What looks like a dependent and is none: D goes.
HARMLESS = {
    "nothing": "SELECT 1",
    "foreign key to a shared table": "CREATE TABLE L.x (i int PRIMARY KEY); CREATE TABLE D.y (i int REFERENCES L.x)",
    "default privileges": "ALTER DEFAULT PRIVILEGES IN SCHEMA D GRANT SELECT ON TABLES TO PUBLIC",
    "cast inside": "CREATE FUNCTION D.to_int(D.e) RETURNS int LANGUAGE sql AS 'SELECT 1';"
                   "CREATE CAST (D.e AS int) WITH FUNCTION D.to_int(D.e)",
    "operator class inside": "CREATE OPERATOR CLASS D.x FOR TYPE int USING btree AS FUNCTION 1 D.g(int, int)",
    "family member inside": "CREATE OPERATOR FAMILY D.x USING btree;"
                            "ALTER OPERATOR FAMILY D.x USING btree ADD FUNCTION 1 (int, int) D.g(int, int)",
    "identity and large values": "CREATE TABLE D.y (i int GENERATED ALWAYS AS IDENTITY, b text, j serial)",
    "partitions inside": "CREATE TABLE D.p (i int) PARTITION BY LIST (i);"
                         "CREATE TABLE D.q PARTITION OF D.p FOR VALUES IN (1)",
    "member of a family of others": "CREATE OPERATOR FAMILY L.x USING btree;"
                                    "CREATE FUNCTION D.cmp(D.c, D.c) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 0';"
                                    "ALTER OPERATOR FAMILY L.x USING btree ADD FUNCTION 1 (D.c, D.c) D.cmp(D.c, D.c)",
    "partition of a shared table": "CREATE TABLE L.x (i int) PARTITION BY LIST (i);"
                                   "CREATE TABLE D.q PARTITION OF L.x FOR VALUES IN (1)",
    "child of a shared table": "CREATE TABLE L.x (i int); CREATE TABLE D.q () INHERITS (L.x)",
    "things of others that it uses": "CREATE TYPE L.x AS ENUM ('q'); CREATE TABLE D.y (i L.x);"
                                     "CREATE VIEW D.v AS SELECT i FROM D.y",
}  # fmt: skip


def dead(number, worker="gw0"):
    return f"test_{OLD}{number:08x}_{worker}"


def write_out(text, number):
    return text.replace("D.", f"{dead(number)}.").replace("L.", f"live{number}.").replace(
        "SCHEMA D", f"SCHEMA {dead(number)}").replace("SCHEMA L", f"SCHEMA live{number}")


def dump(server, *without):
    """Every definition and every row of the database, but for the schemas that may go."""
    [*_, program] = sorted(glob.glob("/usr/lib/postgresql/*/bin/pg_dump"))
    words = [f"--exclude-schema={name}" for name in without]
    text = subprocess.run([program, "--no-comments", *words, server.conninfo("platform")], check=True, text=True,
                          capture_output=True).stdout
    text = re.sub(r"^\\(un)?restrict .*$", "", text, flags=re.MULTILINE)  # another word each time
    # A cast is of no schema, so it was not left out with its types.
    return [block for block in text.split("\n--\n-- Name: ") if not any(name in block for name in without)]


@pytest.fixture(scope="module")
def swept(clusters):
    """All of it in one database, and the results of a dry run and of a sweep; what was there before and after."""
    main, _ = clusters
    bystanders = len(KINDS) + len(HARMLESS)
    cases = [sql for sql, _ in KINDS.values()] + list(HARMLESS.values())
    main.sql(f"CREATE TABLE public.bystander AS SELECT generate_series(1, 100) AS i; CREATE SCHEMA live{bystanders};"
             f"CREATE TABLE live{bystanders}.rows AS SELECT generate_series(1, 100) AS i")
    for number, sql in enumerate(cases):
        main.sql(write_out(BEFORE + sql, number))
    may_go = [dead(number) for number in range(len(KINDS), bystanders)]
    # This family loses a member that compares a type of the dead schema, and that nobody else could use.
    may_go.append(f"live{len(KINDS) + list(HARMLESS).index('member of a family of others')}")
    # a family: gw1 and gw2_tenant use gw0, and all of them are dead
    family = [dead(bystanders, worker) for worker in ("gw0", "gw1", "gw2_tenant")]
    main.sql(f"CREATE SCHEMA {family[0]}; CREATE TABLE {family[0]}.t (id int PRIMARY KEY)")
    for name in family[1:]:
        main.sql(f"CREATE SCHEMA {name}; CREATE TABLE {name}.x (i int REFERENCES {family[0]}.t);"
                 f"CREATE VIEW {name}.v AS SELECT id FROM {family[0]}.t")
    before = dump(main, *may_go, *family)
    # The daemon's own first sweep must find nothing old enough: what is dropped, is dropped by ours.
    with daemon_over({"platform": main.conninfo("platform")}, unleased_grace="1h") as daemon:
        daemon.options["unleased_grace"] = "0s"
        daemon.write_config()
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_for_log("configuration read again")
        dry = daemon.sweep("--dry-run")
        result = daemon.sweep()
    after = dump(main, *may_go, *family)
    yield {"dry": dry, "result": result, "before": before, "after": after, "family": family}
    main.sql("DROP EVENT TRIGGER seen; DROP PUBLICATION pub_of_table; DROP PUBLICATION pub_of_schema;"
             "DROP TABLE public.bystander")
    main.sql("DROP ACCESS METHOD another; DROP FOREIGN DATA WRAPPER wrap; DROP FOREIGN DATA WRAPPER wrap2 CASCADE")
    for name in main.schemas("platform"):
        main.sql(f'DROP SCHEMA "{name}" CASCADE')
    for number in range(bystanders + 1):
        main.sql(f"DROP SCHEMA live{number} CASCADE")


@pytest.mark.parametrize("kind", KINDS)
def test_what_depends_on_it_from_outside_keeps_the_schema_and_is_named(swept, kind):
    number = list(KINDS).index(kind)
    expected = write_out(KINDS[kind][1], number)
    for how in ("dry", "result"):
        assert verdicts(swept[how])[("platform", dead(number))] == "external_dependents"
        assert expected in details(swept[how])[("platform", dead(number))]


@pytest.mark.parametrize("kind", HARMLESS)
def test_what_only_looks_like_a_dependent_lets_the_schema_go(swept, kind):
    schema = ("platform", dead(len(KINDS) + list(HARMLESS).index(kind)))
    assert verdicts(swept["dry"])[schema] == "would_drop"
    assert verdicts(swept["result"])[schema] == "dropped"


def test_schemas_of_one_dead_namespace_do_not_keep_each_other(swept):
    for name in swept["family"]:
        assert verdicts(swept["result"])[("platform", name)] == "dropped"


def test_everything_else_is_as_it_was_to_the_last_row(swept):
    before = "".join(swept["before"])
    assert "COPY public.bystander" in before and "CREATE VIEW live0.v" in before and "CREATE CAST (live" in before
    assert swept["before"] == swept["after"]


def test_dead_schemas_that_use_one_another_are_gone_after_two_sweeps(clusters):
    main, _ = clusters
    used, uses = dead(0x1000), dead(0x1001)
    with daemon_over({"platform": main.conninfo("platform")}) as daemon:
        main.sql(f"CREATE SCHEMA {used}; CREATE TABLE {used}.t (id int); CREATE SCHEMA {uses};"
                 f"CREATE VIEW {uses}.v AS SELECT id FROM {used}.t")
        first = verdicts(daemon.sweep())
        assert (first["platform", used], first["platform", uses]) == ("external_dependents", "dropped")
        assert verdicts(daemon.sweep())["platform", used] == "dropped"


@pytest.mark.parametrize("other", ["{}_settings", "{}a_gw1"])
def test_a_name_that_only_looks_related_is_somebody_else(clusters, other):
    main, _ = clusters
    used = dead(0x1002)
    uses = other.format(used.removesuffix("_gw0"))
    with daemon_over({"platform": main.conninfo("platform")}) as daemon:
        main.sql(f"CREATE SCHEMA {used}; CREATE TABLE {used}.t (id int); CREATE SCHEMA {uses};"
                 f"CREATE VIEW {uses}.v AS SELECT id FROM {used}.t")
        result = daemon.sweep("--dry-run")
        assert verdicts(result)["platform", used] == "external_dependents"
        assert f"view {uses}.v" in details(result)["platform", used]
        main.sql(f"DROP SCHEMA {used} CASCADE; DROP SCHEMA {uses} CASCADE")
