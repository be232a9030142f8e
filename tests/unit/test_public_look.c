/* SPDX-License-Identifier: MIT */

/* What was written into public between two looks. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/public_look.h"

#include <stdio.h>
#include <string.h>

struct row {
        uint32_t oid;
        const char *name;
        bool is_partition;
        uint64_t writes;
};

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))

static struct public_look *look_at(const char *place, const char *since, const struct row *rows, size_t n)
{
        struct public_look *look = public_look_new(place, since);

        for (size_t i = 0; i < n; i++)
                assert_true(public_look_add(look, rows[i].oid, rows[i].name, rows[i].is_partition,
                                            rows[i].writes));
        return look;
}

static struct public_look *before, *after;
static struct public_writes writes;

/* What was found, as "kind table rows, ...". */
static const char *compare(void)
{
        static char text[512];
        size_t n = 0;

        public_look_compare(before, after, &writes);
        text[0] = '\0';
        for (unsigned i = 0; i < writes.n && n < sizeof(text); i++)
                n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s %s %llu", n ? ", " : "",
                                      public_write_kind_name(writes.all[i].kind), writes.all[i].table,
                                      (unsigned long long)writes.all[i].rows);
        return text;
}

static int tear_down(void **state)
{
        (void)state;
        before = public_look_free(before);
        after = public_look_free(after);
        return 0;
}

static const struct row two[] = {{10, "public.a", false, 5}, {20, "public.b", false, 7}};

static void what_has_not_changed_is_no_write(void **state)
{
        (void)state;
        before = look_at("db", "start", two, N(two));
        after = look_at("db", "start", two, N(two));
        assert_string_equal(compare(), "");
}

static void a_count_that_has_grown_is_rows_written(void **state)
{
        const struct row now[] = {{10, "public.a", false, 5}, {20, "public.b", false, 10}};

        (void)state;
        before = look_at("db", "start", two, N(two));
        after = look_at("db", "start", now, N(now));
        assert_string_equal(compare(), "rows public.b 3");
}

static void a_table_that_was_not_there_has_appeared_with_its_rows(void **state)
{
        const struct row now[] = {{5, "public.first", false, 0},
                                  {10, "public.a", false, 5},
                                  {15, "public.mid", false, 2},
                                  {20, "public.b", false, 7},
                                  {30, "public.last", false, 0}};

        (void)state;
        before = look_at("db", "start", two, N(two));
        after = look_at("db", "start", now, N(now));
        assert_string_equal(compare(), "table public.first 0, table public.mid 2, table public.last 0");
}

static void a_table_that_goes_or_is_renamed_is_no_write(void **state)
{
        const struct row now[] = {{20, "public.c", false, 7}};

        (void)state;
        before = look_at("db", "start", two, N(two));
        after = look_at("db", "start", now, N(now));
        assert_string_equal(compare(), "");
}

static void one_that_was_dropped_and_made_again_has_appeared(void **state)
{
        const struct row now[] = {{10, "public.a", false, 5}, {21, "public.b", false, 0}};

        (void)state;
        before = look_at("db", "start", two, N(two));
        after = look_at("db", "start", now, N(now));
        assert_string_equal(compare(), "table public.b 0");
}

static void a_lower_count_begins_anew(void **state)
{
        const struct row now[] = {{10, "public.a", false, 0}, {20, "public.b", false, 1}};

        (void)state;
        before = look_at("db", "start", two, N(two));
        after = look_at("db", "start", now, N(now));
        assert_string_equal(compare(), "");
}

static void of_counts_that_have_begun_anew_only_tables_are_told(void **state)
{
        const struct row now[] = {
                {10, "public.a", false, 500}, {20, "public.b", false, 1}, {30, "public.c", false, 4}};

        (void)state;
        before = look_at("db", "start", two, N(two));
        after = look_at("db", "reset", now, N(now));
        assert_string_equal(compare(), "table public.c 4");
}

static void another_place_is_compared_with_nothing(void **state)
{
        const struct row now[] = {{11, "public.a", false, 500}};

        (void)state;
        before = look_at("db", "start", two, N(two));
        after = look_at("clone", "start", now, N(now));
        assert_string_equal(compare(), "");
}

static void partitions_are_rows_of_their_table(void **state)
{
        const struct row then[] = {{10, "public.parts", false, 0}, {11, "public.parts", true, 5}},
                         now[] = {{10, "public.parts", false, 0},
                                  {11, "public.parts", true, 6},
                                  {12, "public.parts", true, 0},
                                  {13, "public.parts", true, 2}};

        (void)state;
        before = look_at("db", "start", then, N(then));
        after = look_at("db", "start", now, N(now));
        assert_string_equal(compare(), "rows public.parts 3");
}

static void a_new_partition_with_rows_is_rows_of_its_table(void **state)
{
        const struct row then[] = {{10, "public.a", false, 0}, {11, "public.b", false, 0}},
                         now[] = {{10, "public.a", false, 0},
                                  {11, "public.b", false, 0},
                                  {12, "public.a", true, 1},
                                  {13, "public.b", true, 2},
                                  {14, "public.b", true, 3}};

        (void)state;
        before = look_at("db", "start", then, N(then));
        after = look_at("db", "start", now, N(now));
        assert_string_equal(compare(), "rows public.a 1, rows public.b 5");
}

static void a_new_partitioned_table_appears_once(void **state)
{
        const struct row now[] = {{30, "public.parts", false, 0}, {31, "public.parts", true, 2}};

        (void)state;
        before = look_at("db", "start", NULL, 0);
        after = look_at("db", "start", now, N(now));
        assert_string_equal(compare(), "table public.parts 2");
}

static void more_tables_than_there_is_room_for_are_counted(void **state)
{
        char name[32];

        (void)state;
        before = look_at("db", "start", NULL, 0);
        after = look_at("db", "start", NULL, 0);
        for (uint32_t i = 1; i <= PUBLIC_WRITES_MAX + 10; i++) {
                (void)snprintf(name, sizeof(name), "public.t%u", i);
                assert_true(public_look_add(after, i, name, false, 0));
        }
        (void)compare();
        assert_int_equal(writes.n, PUBLIC_WRITES_MAX);
        assert_int_equal(writes.n_more, 10);
        assert_string_equal(writes.all[PUBLIC_WRITES_MAX - 1].table, "public.t64");
}

static void what_is_not_in_order_is_refused(void **state)
{
        (void)state;
        before = look_at("db", "start", two, N(two));
        assert_false(public_look_add(before, 20, "public.again", false, 0));
        assert_false(public_look_add(before, 3, "public.late", false, 0));
        assert_int_equal(before->n_tables, 2);
}

int main(void)
{
#define LOOK(name) cmocka_unit_test_teardown(name, tear_down)
        const struct CMUnitTest tests[] = {
                LOOK(what_has_not_changed_is_no_write),
                LOOK(a_count_that_has_grown_is_rows_written),
                LOOK(a_table_that_was_not_there_has_appeared_with_its_rows),
                LOOK(a_table_that_goes_or_is_renamed_is_no_write),
                LOOK(one_that_was_dropped_and_made_again_has_appeared),
                LOOK(a_lower_count_begins_anew),
                LOOK(of_counts_that_have_begun_anew_only_tables_are_told),
                LOOK(another_place_is_compared_with_nothing),
                LOOK(partitions_are_rows_of_their_table),
                LOOK(a_new_partition_with_rows_is_rows_of_its_table),
                LOOK(a_new_partitioned_table_appears_once),
                LOOK(more_tables_than_there_is_room_for_are_counted),
                LOOK(what_is_not_in_order_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
