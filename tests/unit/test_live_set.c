/* SPDX-License-Identifier: MIT */
#include "core/live_set.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void nothing_is_sealed_before_every_database_has_reported(void **state)
{
        struct live_report *report = live_report_new(3);

        (void)state;
        for (int i = 0; i < 3; i++) {
                assert_null(live_set_seal(report));
                assert_string_equal(live_report_incomplete(report), "not every database has reported");
                live_report_heard(report);
        }
        assert_non_null(live_set_seal(report));
        assert_null(live_report_incomplete(report));
        live_report_free(report);
}

static void a_failure_is_never_outvoted(void **state)
{
        struct live_report *report = live_report_new(2);

        (void)state;
        live_report_heard(report);
        live_report_failed(report, "tenant2: connection refused");
        live_report_failed(report, "tenant3: time-out");
        live_report_heard(report);
        assert_null(live_set_seal(report));
        assert_string_equal(live_report_incomplete(report), "tenant2: connection refused");
        live_report_free(report);
}

static void a_late_failure_unseals(void **state)
{
        struct live_report *report = live_report_new(1);

        (void)state;
        live_report_heard(report);
        assert_non_null(live_set_seal(report));
        live_report_failed(report, "suspended");
        assert_null(live_set_seal(report));
        live_report_free(report);
}

static void one_heard_twice_does_not_stand_for_two(void **state)
{
        struct live_report *report = live_report_new(2);

        (void)state;
        for (int i = 0; i < 3; i++)
                live_report_heard(report);
        assert_null(live_set_seal(report));
        live_report_free(report);
}

static void no_database_at_all_is_complete_and_empty(void **state)
{
        struct live_report *report = live_report_new(0);

        (void)state;
        assert_non_null(live_set_seal(report));
        assert_false(live_set_has(live_set_seal(report), "a"));
        live_report_free(report);
}

static void whole_names_only(void **state)
{
        struct live_report *report = live_report_new(0);

        (void)state;
        live_report_add(report, "p12");
        assert_true(live_report_has(report, "p12"));
        assert_false(live_report_has(report, "p1"));
        assert_false(live_report_has(report, "p123"));
        assert_false(live_report_has(report, ""));
        live_report_free(report);
}

struct seen {
        unsigned n;
        char last[8];
};

static void see(void *owner, const char *namespace)
{
        struct seen *seen = owner;

        assert_true(strcmp(seen->last, namespace) < 0); /* sorted, and each once */
        snprintf(seen->last, sizeof(seen->last), "%s", namespace);
        seen->n++;
}

static void the_union_has_each_name_once_and_in_order(void **state)
{
        struct live_report *report = live_report_new(1);
        struct seen seen = {0};
        char name[8];

        (void)state;
        for (unsigned i = 0; i < 2000; i++) {
                snprintf(name, sizeof(name), "n%03u", i * 7919 % 500);
                live_report_add(report, name);
                memset(name, 'x', sizeof(name)); /* it was copied */
        }
        live_report_heard(report);
        live_report_each(report, see, &seen);
        assert_int_equal(seen.n, 500);
        for (unsigned i = 0; i < 1000; i++) {
                snprintf(name, sizeof(name), "n%03u", i);
                assert_int_equal(live_set_has(live_set_seal(report), name), i < 500);
        }
        live_report_free(report);
}

static void freeing_nothing_is_allowed(void **state)
{
        (void)state;
        assert_null(live_report_free(NULL));
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(nothing_is_sealed_before_every_database_has_reported),
                cmocka_unit_test(a_failure_is_never_outvoted),
                cmocka_unit_test(a_late_failure_unseals),
                cmocka_unit_test(one_heard_twice_does_not_stand_for_two),
                cmocka_unit_test(no_database_at_all_is_complete_and_empty),
                cmocka_unit_test(whole_names_only),
                cmocka_unit_test(the_union_has_each_name_once_and_in_order),
                cmocka_unit_test(freeing_nothing_is_allowed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
