/* SPDX-License-Identifier: MIT */

/* The text that Prometheus reads; tests/integration/test_metrics.py has its own parser read it. */

#include "core/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct metrics *metrics;
static char *text;

static int set_up(void **state)
{
        (void)state;
        metrics = metrics_new();
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        metrics = metrics_free(metrics);
        free(text);
        text = NULL;
        return 0;
}

static void assert_has(const char *line)
{
        free(text);
        text = metrics_print(metrics);
        if (!strstr(text, line))
                fail_msg("no line %s in\n%s", line, text);
}

static void assert_has_not(const char *line)
{
        free(text);
        text = metrics_print(metrics);
        if (strstr(text, line))
                fail_msg("a line %s in\n%s", line, text);
}

static void every_value_of_a_label_is_there_from_the_start(void **state)
{
        (void)state;
        assert_has("# TYPE berth_leases_total counter\nberth_leases_total{origin=\"runner\"} 0\n"
                   "berth_leases_total{origin=\"plugin\"} 0\nberth_leases_total{origin=\"unleased\"} 0\n");
        assert_has("\nberth_stale_exports_total 0\n");
}

static void what_is_counted_grows(void **state)
{
        (void)state;
        metrics_count(metrics, METRIC_LEASES, "plugin");
        metrics_count(metrics, METRIC_LEASES, "plugin");
        metrics_count(metrics, METRIC_STALE_EXPORTS, NULL);
        assert_has("\nberth_leases_total{origin=\"plugin\"} 2\n");
        assert_has("\nberth_leases_total{origin=\"runner\"} 0\n");
        assert_has("\nberth_stale_exports_total 1\n");
}

static void a_bucket_has_all_that_is_not_above_it(void **state)
{
        (void)state;
        metrics_observe(metrics, METRIC_SLOT_WAIT, 1000);
        metrics_observe(metrics, METRIC_SLOT_WAIT, 1001);
        metrics_observe(metrics, METRIC_SLOT_WAIT, 3600000000);
        assert_has("berth_ddl_slot_wait_seconds_bucket{le=\"0.001\"} 1\n");
        assert_has("berth_ddl_slot_wait_seconds_bucket{le=\"0.01\"} 2\n");
        assert_has("berth_ddl_slot_wait_seconds_bucket{le=\"300\"} 2\n");
        assert_has("berth_ddl_slot_wait_seconds_bucket{le=\"+Inf\"} 3\nberth_ddl_slot_wait_seconds_sum "
                   "3600.002001\n"
                   "berth_ddl_slot_wait_seconds_count 3\n");
}

static void a_gauge_is_what_was_set_last_and_nothing_when_forgotten(void **state)
{
        (void)state;
        metrics_set(metrics, METRIC_DATABASE_UP, "platform", 1);
        metrics_set(metrics, METRIC_DATABASE_UP, "platform", 0);
        metrics_set(metrics, METRIC_DETECTION_AGE, NULL, 1.5);
        assert_has("\nberth_database_up{database=\"platform\"} 0\n");
        assert_has("\nberth_detection_age_seconds 1.5\n");
        metrics_forget_gauges(metrics);
        assert_has_not("platform");
        assert_has_not("\nberth_detection_age_seconds ");
        metrics_raise(metrics, METRIC_SLOTS, "held");
        metrics_raise(metrics, METRIC_SLOTS, "held");
        assert_has("berth_ddl_slots{state=\"held\"} 2\n");
}

static void a_label_cannot_break_out_of_its_quotes(void **state)
{
        (void)state;
        metrics_set(metrics, METRIC_DATABASE_UP, "a\"} 1\n\\", 1);
        assert_has("berth_database_up{database=\"a\\\"} 1\\n\\\\\"} 1\n");
}

static void nobody_has_to_count(void **state)
{
        (void)state;
        metrics_count(NULL, METRIC_LEASES, "runner");
        metrics_observe(NULL, METRIC_SLOT_HOLD, 1);
        assert_has("berth_ddl_slot_hold_seconds_count 0\n");
}

static void names_follow_the_rules_of_prometheus(void **state)
{
        (void)state;
        for (enum metric i = 0; i < METRICS_N; i++) {
                const struct metric_row *row = &metrics_rows[i];
                size_t length = strlen(row->name), end = strlen("_total");

                assert_int_equal(row->type == METRIC_COUNTER,
                                 length > end && strcmp(row->name + length - end, "_total") == 0);
                assert_int_equal(row->type == METRIC_HISTOGRAM, row->bounds != NULL);
                for (const uint64_t *bound = row->bounds; bound && bound[0] && bound[1]; bound++)
                        assert_true(bound[0] < bound[1]);
                assert_true(strspn(row->name, "abcdefghijklmnopqrstuvwxyz_") == length);
                assert_null(strpbrk(row->help, "\\\"\n"));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(every_value_of_a_label_is_there_from_the_start, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(what_is_counted_grows, set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_bucket_has_all_that_is_not_above_it, set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_gauge_is_what_was_set_last_and_nothing_when_forgotten,
                                                set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_label_cannot_break_out_of_its_quotes, set_up, tear_down),
                cmocka_unit_test_setup_teardown(nobody_has_to_count, set_up, tear_down),
                cmocka_unit_test_setup_teardown(names_follow_the_rules_of_prometheus, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
