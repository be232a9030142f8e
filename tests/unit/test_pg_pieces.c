/* SPDX-License-Identifier: MIT */

/* A schema taken apart: batches of whatever can be in it, and ties to tables outside. */
#include "pg_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DEAD "test_dead_gw0"

static long piece(struct fixture *f, struct pg_connection *c, enum pg_question question, const char *second)
{
        long n;

        assert_int_equal(ask(f, c, PG_DROP_BEGIN, "2000", "30000"), PG_OK);
        if (ask(f, c, question, DEAD, second) != PG_OK)
                fail_msg("%s %s", f->heard.sqlstate, f->heard.message);
        n = atol(cell(f, 0, 0));
        assert_int_equal(ask(f, c, PG_COMMIT, NULL, NULL), PG_OK);
        return n;
}

/* What is left that is a part of it by itself. */
static const char *left(struct fixture *f)
{
        return sql(f->admin, "SELECT string_agg(pg_describe_object(classid, objid, 0), '; ') FROM pg_depend WHERE "
                             "refclassid = 'pg_namespace'::regclass AND refobjid = '" DEAD
                             "'::regnamespace AND deptype = 'n'");
}

static int empty_in(struct fixture *f, struct pg_connection *c, const char *locks)
{
        int n_batches = 0;

        while (piece(f, c, PG_DROP_BATCH, locks) > 0)
                assert_true(++n_batches < 1000);
        return n_batches;
}

static void make_every_kind(struct fixture *f)
{
        sql(f->admin,
            "CREATE SCHEMA " DEAD "; SET search_path = " DEAD ";"
            "CREATE TYPE mood AS ENUM ('sad'); CREATE TYPE pair AS (a int, b int); CREATE DOMAIN small AS int;"
            "CREATE TYPE span AS RANGE (subtype = float8);"
            "CREATE FUNCTION f(mood) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1';"
            "CREATE FUNCTION g(int, OUT a int, OUT b int) LANGUAGE sql AS 'SELECT 1, 2';"
            "CREATE PROCEDURE p(int) LANGUAGE sql AS 'SELECT 1';"
            "CREATE AGGREGATE total(int) (sfunc = int4pl, stype = int, initcond = '0');"
            "CREATE AGGREGATE nth(float8 ORDER BY anyelement) (sfunc = ordered_set_transition, stype = internal, "
            "finalfunc = percentile_disc_final, finalfunc_extra);"
            "CREATE OPERATOR === (leftarg = int, rightarg = int, function = int4eq);"
            "CREATE OPERATOR FAMILY fam USING btree;"
            "CREATE OPERATOR CLASS cls FOR TYPE int USING btree AS OPERATOR 1 <, FUNCTION 1 btint4cmp(int, int);"
            "CREATE COLLATION coll FROM \"C\"; CREATE CONVERSION conv FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;"
            "CREATE TEXT SEARCH DICTIONARY dict (TEMPLATE = simple);"
            "CREATE TEXT SEARCH CONFIGURATION conf (PARSER = pg_catalog.\"default\");"
            "CREATE SEQUENCE alone;"
            "CREATE TABLE t(id serial PRIMARY KEY, m mood DEFAULT 'sad', s small, p pair, r span, x text COLLATE coll);"
            "CREATE TABLE later(id int); ALTER TABLE later ALTER id SET NOT NULL;"
            "ALTER TABLE later ALTER id ADD GENERATED ALWAYS AS IDENTITY;"
            "CREATE STATISTICS stats ON id, m FROM t;"
            "CREATE TABLE \"odd \"\"name\"\";\"(id int REFERENCES t);"
            "CREATE TABLE parted(id int) PARTITION BY LIST (id); CREATE TABLE part PARTITION OF parted FOR VALUES IN (1);"
            "CREATE TABLE heir() INHERITS (t); ALTER TABLE t ADD q int REFERENCES t;"
            "CREATE VIEW v AS SELECT f(m) FROM t; CREATE VIEW w AS SELECT * FROM v;"
            "CREATE MATERIALIZED VIEW mv AS SELECT * FROM t;"
            "CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing;"
            "CREATE FOREIGN TABLE ft(id int) SERVER nowhere;"
            "CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';"
            "CREATE TRIGGER tg BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION fire();"
            "CREATE RULE ru AS ON DELETE TO t DO INSTEAD NOTHING;"
            "ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY po ON t USING (f(m) > 0);"
            "ALTER DEFAULT PRIVILEGES IN SCHEMA " DEAD " GRANT SELECT ON TABLES TO public;"
            "RESET search_path");
}

static void every_kind_goes_one_by_one_and_all_at_once(void **state)
{
        struct fixture *f = *state;
        struct pg_connection *c = open_ok(f, f->conninfo);

        for (int i = 0; i < 2; i++) {
                make_every_kind(f);
                if (i)
                        assert_int_equal(empty_in(f, c, "100000"), 1);
                else
                        assert_true(empty_in(f, c, "1") > 20);
                assert_string_equal(left(f), "");
                sql(f->admin, "DROP SCHEMA " DEAD " CASCADE; DROP FOREIGN DATA WRAPPER nothing CASCADE");
        }
        pg_close(f, c);
}

static long n_locks(struct fixture *f, struct pg_connection *c, const char *room)
{
        long n;

        assert_int_equal(ask(f, c, PG_DROP_BEGIN, "2000", "30000"), PG_OK);
        assert_int_equal(ask(f, c, PG_DROP_BATCH, DEAD, room), PG_OK);
        assert_true(atol(cell(f, 0, 0)) > 1);
        n = atol(sql(f->admin, "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
                               "WHERE a.application_name = 'berthd-test'"));
        assert_int_equal(ask(f, c, PG_ROLLBACK, NULL, NULL), PG_OK);
        return n;
}

static void a_batch_takes_about_as_many_locks_as_it_may(void **state)
{
        struct fixture *f = *state;
        struct pg_connection *c = open_ok(f, f->conninfo);
        long few, many;

        sql(f->admin, "CREATE SCHEMA " DEAD "; DO $$ BEGIN FOR i IN 1..150 LOOP EXECUTE format("
                      "'CREATE TABLE " DEAD ".t%%s(id serial PRIMARY KEY, a text, p int REFERENCES " DEAD ".t%%s)',"
                      " i, greatest(i - 1, 1)); END LOOP; END $$");
        few = n_locks(f, c, "200");
        many = n_locks(f, c, "1000");
        print_message("room 200: %ld locks; room 1000: %ld\n", few, many);
        assert_in_range(few, 100, 220);
        assert_in_range(many, 500, 1100);
        sql(f->admin, "DROP SCHEMA " DEAD " CASCADE");
        pg_close(f, c);
}

static int n_locked_outside(struct fixture *f, struct pg_connection *c)
{
        int n = 0;

        assert_int_equal(ask(f, c, PG_DROP_DEPENDENTS, DEAD, "dead"), PG_OK);
        for (unsigned i = 0; i < f->heard.n_rows; i++)
                n += !strcmp(cell(f, i, 0), "locked");
        return n;
}

static void ties_are_cut_table_by_table_and_nothing_else_is(void **state)
{
        struct fixture *f = *state;
        struct pg_connection *c = open_ok(f, f->conninfo);

        sql(f->admin,
            "CREATE ROLE other_owner; CREATE SCHEMA test_dead_gw1; CREATE TABLE test_dead_gw1.sister(id int PRIMARY KEY);"
            "CREATE TABLE public.one(id int PRIMARY KEY); CREATE TABLE public.two(id int PRIMARY KEY);"
            "CREATE TABLE public.many(id int PRIMARY KEY) PARTITION BY RANGE (id);"
            "CREATE TABLE public.many1 PARTITION OF public.many FOR VALUES FROM (1) TO (2);"
            "CREATE SCHEMA " DEAD ";"
            "CREATE TABLE " DEAD ".a(x int REFERENCES public.one, y int REFERENCES public.two);"
            "CREATE TABLE " DEAD ".b(x int REFERENCES public.many, z int REFERENCES test_dead_gw1.sister);"
            "CREATE TABLE " DEAD ".p(x int REFERENCES public.one) PARTITION BY LIST (x);"
            "CREATE TABLE " DEAD ".p1 PARTITION OF " DEAD ".p FOR VALUES IN (1);"
            "CREATE TABLE " DEAD ".many2 PARTITION OF public.many FOR VALUES FROM (2) TO (3);"
            "CREATE TABLE " DEAD ".theirs(x int REFERENCES public.two); ALTER TABLE " DEAD
            ".theirs OWNER TO other_owner");
        assert_int_equal(n_locked_outside(f, c), 4); /* one, two, many, many1 */
        assert_int_equal(piece(f, c, PG_DROP_UNTIE, "dead"), 2); /* one: a, p with p1 */
        assert_int_equal(piece(f, c, PG_DROP_UNTIE, "dead"), 2); /* two: a, theirs */
        assert_int_equal(piece(f, c, PG_DROP_UNTIE, "dead"), 2); /* many: b, many2 */
        assert_int_equal(n_locked_outside(f, c), 0);
        assert_int_equal(piece(f, c, PG_DROP_UNTIE, "dead"), 0);
        assert_string_equal(sql(f->admin, "SELECT count(*) FROM pg_constraint WHERE contype = 'f'"), "1");
        assert_string_equal(sql(f->admin, "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE "
                                          "relnamespace = '" DEAD "'::regnamespace"),
                            "a b p p1 theirs");
        sql(f->admin, "DROP SCHEMA " DEAD ", test_dead_gw1 CASCADE; DROP TABLE public.one, public.two, public.many");
        pg_close(f, c);
}

/* Who owns the schema may drop what is another's in it, and no more. */
static void a_table_of_another_role_is_dropped_to_cut_its_tie(void **state)
{
        struct fixture *f = *state;
        struct pg_connection *c;

        sql(f->admin, "CREATE ROLE sweeper LOGIN; CREATE ROLE tenant; CREATE TABLE public.one(id int PRIMARY KEY);"
                      "CREATE SCHEMA " DEAD "; CREATE TABLE " DEAD ".a(x int REFERENCES public.one);"
                      "CREATE TABLE " DEAD ".b(x int REFERENCES public.one); ALTER TABLE " DEAD ".b OWNER TO tenant;"
                      "ALTER TABLE " DEAD ".a OWNER TO sweeper; ALTER SCHEMA " DEAD " OWNER TO sweeper");
        c = open_ok(f, by_socket(f, "user=sweeper dbname=postgres"));
        assert_int_equal(piece(f, c, PG_DROP_UNTIE, "dead"), 2);
        assert_int_equal(n_locked_outside(f, c), 0);
        assert_string_equal(
                sql(f->admin, "SELECT string_agg(relname, ' ') FROM pg_class WHERE relnamespace = '" DEAD
                              "'::regnamespace"),
                "a");
        pg_close(f, c);
        sql(f->admin, "DROP SCHEMA " DEAD " CASCADE; DROP TABLE public.one");
}

static void a_busy_table_outside_is_waited_for_briefly(void **state)
{
        struct fixture *f = *state;
        struct pg_connection *c = open_ok(f, f->conninfo);
        PGconn *reader = session(f, "user=postgres dbname=postgres application_name=reader");
        unsigned long long start;

        sql(f->admin, "CREATE TABLE public.one(id int PRIMARY KEY); CREATE SCHEMA " DEAD ";"
                      "CREATE TABLE " DEAD ".a(x int REFERENCES public.one)");
        sql(reader, "BEGIN; SELECT * FROM public.one");
        assert_int_equal(ask(f, c, PG_DROP_BEGIN, "2000", "30000"), PG_OK);
        start = now_usec();
        assert_int_equal(ask(f, c, PG_DROP_UNTIE, DEAD, "dead"), PG_SQL_ERROR);
        assert_string_equal(f->heard.sqlstate, "55P03");
        assert_in_range(now_usec() - start, SECOND / 6, SECOND);
        assert_int_equal(ask(f, c, PG_ROLLBACK, NULL, NULL), PG_OK);
        assert_int_equal(ask(f, c, PG_LOCK_HOLDERS, DEAD, "outside"), PG_OK);
        assert_true(row_of(f, 1, "reader") >= 0);
        assert_int_equal(ask(f, c, PG_LOCK_HOLDERS, DEAD, "inside"), PG_OK);
        assert_int_equal(f->heard.n_rows, 0);
        PQfinish(reader);
        assert_int_equal(piece(f, c, PG_DROP_UNTIE, "dead"), 1);
        sql(f->admin, "DROP SCHEMA " DEAD " CASCADE; DROP TABLE public.one");
        pg_close(f, c);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_kind_goes_one_by_one_and_all_at_once),
                cmocka_unit_test(a_batch_takes_about_as_many_locks_as_it_may),
                cmocka_unit_test(ties_are_cut_table_by_table_and_nothing_else_is),
                cmocka_unit_test(a_table_of_another_role_is_dropped_to_cut_its_tie),
                cmocka_unit_test(a_busy_table_outside_is_waited_for_briefly),
        };

        return cmocka_run_group_tests(tests, fixture_set_up, fixture_tear_down);
}
