/* SPDX-License-Identifier: MIT */

/* What a drop would reach outside its namespace: every kind, and none too many. */
#include "pg_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { EFFECT, CLASS, OBJECT, HOME };

static void look(struct fixture *f, struct pg_connection *c)
{
        if (ask(f, c, PG_DROP_DEPENDENTS, "test_dead_gw0", "dead") != PG_OK)
                fail_msg("%s %s", f->heard.sqlstate, f->heard.message);
}

/* Rows but the one that every answer has. */
static unsigned n_found(const struct fixture *f)
{
        assert_true(row_of(f, EFFECT, "size") >= 0);
        return f->heard.n_rows - 1;
}

/* One object outside, made by `make` and unmade by `unmake`, is found with the right effect, class and home.
 */
static void each_kind_is_found(void **state)
{
        static const struct {
                const char *make, *unmake, *effect, *class, *home;
        } kinds[] = {
                {"CREATE VIEW public.v AS SELECT * FROM test_dead_gw0.people", "DROP VIEW public.v",
                 "dependent", "pg_class", "public"},
                {"CREATE VIEW public.v AS SELECT 'sad'::test_dead_gw0.mood AS m; "
                 "CREATE VIEW public.w AS SELECT * FROM public.v",
                 "DROP VIEW public.v CASCADE", "dependent", "pg_class", "public"},
                {"CREATE MATERIALIZED VIEW public.m AS SELECT * FROM test_dead_gw0.people",
                 "DROP MATERIALIZED VIEW public.m", "dependent", "pg_class", "public"},
                {"CREATE TABLE public.child(id int CONSTRAINT child_fk REFERENCES test_dead_gw0.people)",
                 "DROP TABLE public.child", "dependent", "pg_constraint", "public"},
                {"CREATE TABLE public.heir() INHERITS (test_dead_gw0.people)", "DROP TABLE public.heir",
                 "dependent", "pg_class", "public"},
                {"CREATE TABLE public.p1 PARTITION OF test_dead_gw0.parted FOR VALUES IN (1)",
                 "DROP TABLE public.p1", "dependent", "pg_class", "public"},
                {"CREATE TABLE public.t(id int, m test_dead_gw0.mood)", "DROP TABLE public.t", "dependent",
                 "pg_class", "public"},
                {"CREATE TABLE public.t(x int DEFAULT nextval('test_dead_gw0.counter'))",
                 "DROP TABLE public.t", "dependent", "pg_attrdef", "public"},
                {"CREATE TABLE public.t(x int CHECK (test_dead_gw0.f(x) > 0))", "DROP TABLE public.t",
                 "dependent", "pg_constraint", "public"},
                {"CREATE TABLE public.t(x int); CREATE INDEX i ON public.t(test_dead_gw0.f(x))",
                 "DROP TABLE public.t", "dependent", "pg_class", "public"},
                {"CREATE FUNCTION public.g(test_dead_gw0.mood) RETURNS int LANGUAGE sql AS 'SELECT 1'",
                 "DROP FUNCTION public.g", "dependent", "pg_proc", "public"},
                {"CREATE TABLE public.t(x int); CREATE TRIGGER tg BEFORE INSERT ON public.t FOR EACH ROW "
                 "EXECUTE "
                 "FUNCTION test_dead_gw0.fire()",
                 "DROP TABLE public.t", "dependent", "pg_trigger", "public"},
                {"CREATE TABLE public.t(x int); CREATE POLICY po ON public.t USING (test_dead_gw0.f(x) > 0)",
                 "DROP TABLE public.t", "dependent", "pg_policy", "public"},
                {"CREATE EXTENSION citext SCHEMA test_dead_gw0", "DROP EXTENSION citext", "dependent",
                 "pg_extension", NULL},
                {"CREATE TABLE public.country(id int PRIMARY KEY); CREATE TABLE test_dead_gw0.town(c int "
                 "REFERENCES "
                 "public.country)",
                 "DROP TABLE test_dead_gw0.town, public.country", "locked", "pg_class", "public"},
                {"CREATE TABLE public.events(id int) PARTITION BY LIST (id); CREATE TABLE test_dead_gw0.event PARTITION "
                 "OF public.events FOR VALUES IN (1)",
                 "DROP TABLE public.events", "locked", "pg_class", "public"},
        };
        struct fixture *f = *state;
        struct pg_connection *c = open_ok(f, f->conninfo);

        look(f, c);
        assert_int_equal(n_found(f), 0);
        for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
                int row;

                sql(f->admin, "%s", kinds[i].make);
                look(f, c);
                row = row_of(f, CLASS, kinds[i].class);
                if (row < 0)
                        fail_msg("not found: %s", kinds[i].make);
                assert_string_equal(cell(f, (unsigned)row, EFFECT), kinds[i].effect);
                if (kinds[i].home)
                        assert_string_equal(cell(f, (unsigned)row, HOME), kinds[i].home);
                else
                        assert_null(cell(f, (unsigned)row, HOME));
                sql(f->admin, "%s", kinds[i].unmake);
        }
        look(f, c);
        assert_int_equal(n_found(f), 0);
        pg_close(f, c);
}

/* A view in a schema of that name: is it inside? */
static unsigned rows_with_home(struct fixture *f, struct pg_connection *c, const char *home)
{
        unsigned n;

        sql(f->admin, "CREATE SCHEMA \"%s\"; CREATE VIEW \"%s\".v AS SELECT * FROM test_dead_gw0.people",
            home, home);
        look(f, c);
        n = n_found(f);
        sql(f->admin, "DROP SCHEMA \"%s\" CASCADE", home);
        return n;
}

static void inside_is_the_namespace_and_nothing_like_it(void **state)
{
        static const char *const inside[] = {"test_dead_gw1", "test_dead_gw0_audit", "test_dead_gw22"};
        static const char *const outside[] = {
                "test_deadgw1",     "test_deader_gw1", "test_dea_gw1",       "testXdead_gw1",
                "test_dead",        "test_dead_",      "test_dead_gw1 x",    "test_dead_GW1",
                "xtest_dead_gw1",   "test_dead_gw1_",  "test_dead__gw1",     "TEST_dead_gw1",
                "test_dead_master", "test_dead_gwx",   "test_dead_settings",
        };
        struct fixture *f = *state;
        struct pg_connection *c = open_ok(f, f->conninfo);

        for (size_t i = 0; i < sizeof(inside) / sizeof(*inside); i++)
                assert_int_equal(rows_with_home(f, c, inside[i]), 0);
        for (size_t i = 0; i < sizeof(outside) / sizeof(*outside); i++)
                if (rows_with_home(f, c, outside[i]) == 0)
                        fail_msg("taken for inside: %s", outside[i]);
        pg_close(f, c);
}

static void what_belongs_to_the_schema_does_not_count(void **state)
{
        struct fixture *f = *state;
        struct pg_connection *c = open_ok(f, f->conninfo);

        sql(f->admin,
            "CREATE ROLE somebody; ALTER DEFAULT PRIVILEGES IN SCHEMA test_dead_gw0 GRANT SELECT ON TABLES "
            "TO "
            "somebody; CREATE TABLE test_dead_gw0.wide(t text, p int REFERENCES test_dead_gw0.people);"
            "CREATE VIEW test_dead_gw0.v AS SELECT * FROM test_dead_gw0.wide;"
            "CREATE CAST (test_dead_gw0.mood AS int) WITH FUNCTION test_dead_gw0.level(test_dead_gw0.mood)");
        look(f, c);
        assert_int_equal(n_found(f), 0);
        pg_close(f, c);
}

static void two_hundred_tables_take_no_second(void **state)
{
        struct fixture *f = *state;
        struct pg_connection *c = open_ok(f, f->conninfo);
        unsigned long long start;

        sql(f->admin,
            "DO $$ BEGIN FOR i IN 1..220 LOOP EXECUTE format('CREATE TABLE test_dead_gw0.t%%s(id serial "
            "PRIMARY KEY, a text, b text, p int REFERENCES test_dead_gw0.people, q int REFERENCES "
            "test_dead_gw0.people); CREATE INDEX ON test_dead_gw0.t%%s(a); CREATE INDEX ON "
            "test_dead_gw0.t%%s(b)', i, i, i); END LOOP; END $$");
        start = now_usec();
        look(f, c);
        print_message("220 tables: %llu ms\n", (now_usec() - start) / 1000);
        assert_int_equal(n_found(f), 0);
        assert_true(now_usec() - start < SECOND);
        pg_close(f, c);
}

static int set_up(void **state)
{
        struct fixture *f;

        fixture_set_up(state);
        f = *state;
        sql(f->admin, "CREATE SCHEMA test_dead_gw0; SET search_path = test_dead_gw0;"
                      "CREATE TABLE people(id int PRIMARY KEY, name text);"
                      "CREATE TABLE parted(id int) PARTITION BY LIST (id);"
                      "CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE SEQUENCE counter;"
                      "CREATE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1';"
                      "CREATE FUNCTION level(mood) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1';"
                      "CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';"
                      "RESET search_path");
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_kind_is_found),
                cmocka_unit_test(inside_is_the_namespace_and_nothing_like_it),
                cmocka_unit_test(what_belongs_to_the_schema_does_not_count),
                cmocka_unit_test(two_hundred_tables_take_no_second),
        };

        return cmocka_run_group_tests(tests, set_up, fixture_tear_down);
}
