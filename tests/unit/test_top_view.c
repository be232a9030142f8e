/* SPDX-License-Identifier: MIT */

/* The lines of 'berth top', on screens of every size. */

#include "client/cli/top_view.h"

#include "proto/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000)
#define NOW    (INT64_C(1745178300) * SECOND)

#define LEASE(name, since, more)                                                                             \
        "{\"namespace\":\"" name                                                                             \
        "\",\"label\":\"pytest -n 8\",\"state\":\"live\",\"uid\":0,\"sinceUSec\":" since                     \
        ",\"members\":9,\"connected\":9,\"workers\":8,\"workersConnected\":7," more "\"schemas\":32}"

static const char busy[] =
        "{\"status\":{\"version\":\"0.1.0\",\"startedUSec\":1745178000000000,\"leases\":3,\"queued\":1,"
        "\"clusters\":[{\"databases\":[\"platform\",\"tenant1\"],\"slots\":2,"
        "\"holders\":[{\"namespace\":\"p1t1\",\"worker\":\"gw3\",\"slot\":0,\"sinceUSec\":1745178298000000}],"
        "\"waiters\":[{\"namespace\":\"p2t2\",\"worker\":\"gw5\",\"database\":\"tenant1\",\"sinceUSec\":"
        "1745178296000000}]}],"
        "\"databases\":[{\"name\":\"platform\",\"reachable\":true},"
        "{\"name\":\"tenant1\",\"reachable\":false,\"message\":\"connection failed: Connection refused\"}],"
        "\"ledger\":{\"writable\":true}},"
        "\"leases\":[" LEASE("p1t1", "1745178200000000", "\"sessions\":9,") "," LEASE(
                "p2t2", "1745178290000000",
                "\"sessions\":31,") "," LEASE("p3t3", "1745178295000000",
                                              "\"sessions\":0,") "],"
                                                                 "\"locks\":[{\"database\":\"platform\","
                                                                 "\"blocked\":{\"pid\":7,\"namespace\":"
                                                                 "\"p3t3\",\"worker\":\"gw1\"},"
                                                                 "\"blocker\":{\"pid\":8,\"applicationName\":"
                                                                 "\"psql\",\"query\":\"LOCK TABLE "
                                                                 "t\"},\"waitUSec\":12000000}],"
                                                                 "\"unheard\":[],\"sweep\":{\"finishedUSec\":"
                                                                 "1745178290000000,\"complete\":true,"
                                                                 "\"dropped\":56,\"kept\":2,"
                                                                 "\"failed\":1,\"unknown\":0}}";

static struct cJSON *told;
static struct top_choice choice;
static struct top_screen *screen;

static int set_up(void **state)
{
        char why[JSON_MESSAGE_SIZE];

        (void)state;
        told = json_parse(busy, strlen(busy), why);
        if (!told)
                print_error("%s\n", why);
        choice = (struct top_choice){.sections = TOP_ALL};
        return told ? 0 : -1;
}

static int tear_down(void **state)
{
        (void)state;
        told = json_free(told);
        screen = top_screen_free(screen);
        return 0;
}

static void lay_out(int width, int height)
{
        top_screen_free(screen);
        screen = top_layout(told, &choice, NULL, NOW, width, height);
        assert_non_null(screen);
}

static int line_with(const char *text)
{
        for (int i = 0; i < screen->n; i++)
                if (strstr(screen->lines[i].text, text))
                        return i;
        return -1;
}

static void assert_shown(const char *text)
{
        if (line_with(text) >= 0)
                return;
        for (int i = 0; i < screen->n; i++)
                print_error("%s\n", screen->lines[i].text);
        fail_msg("no line with: %s", text);
}

static void everything_is_there_on_a_small_terminal(void **state)
{
        (void)state;
        lay_out(80, 24);
        assert_int_equal(screen->n, 24);
        assert_shown("berthd 0.1.0  up 5min  3 runs, 1 waiting  1 of 2 databases UNREACHABLE");
        assert_shown("swept 10s ago: 56 dropped, 2 kept, 1 failed");
        assert_shown("slots platform,tenant1  [0] gw3 p1t1 2s  [1] free");
        assert_shown("tenant1: Connection refused");
        assert_shown("gw5 of p2t2, tenant1");
        assert_shown("gw1 of p3t3, platform");
        assert_shown("behind  psql (pid 8): LOCK TABLE t");
        assert_shown("q quit  s sort: age");
}

static void a_run_says_what_it_does_or_what_keeps_it(void **state)
{
        (void)state;
        lay_out(100, 24);
        assert_shown(" 7/8 ");
        assert_non_null(strstr(screen->lines[line_with("p1t1  ")].text, "gw3"));
        assert_non_null(strstr(screen->lines[line_with("p1t1  ")].text, "building 2s"));
        assert_non_null(strstr(screen->lines[line_with("p2t2  ")].text, "waits 4s"));
        assert_non_null(strstr(screen->lines[line_with("p3t3  ")].text, "blocked 12s"));
        assert_int_equal(screen->lines[line_with("p3t3  ")].color, PRINT_BAD);
        assert_int_equal(screen->lines[line_with("p1t1  ")].color, PRINT_PLAIN);
}

static void no_line_is_wider_and_no_screen_higher_than_it_may_be(void **state)
{
        (void)state;
        for (int height = 1; height <= 30; height++) {
                for (int width = 1; width <= 130; width++) {
                        lay_out(width, height);
                        assert_int_equal(screen->n, height);
                        for (int i = 0; i < screen->n; i++)
                                assert_true(print_columns(screen->lines[i].text) <= width);
                }
        }
}

static void the_runs_are_sorted_as_asked(void **state)
{
        (void)state;
        lay_out(100, 24);
        assert_true(line_with("p1t1  ") < line_with("p2t2  "));
        choice.is_reversed = true;
        lay_out(100, 24);
        assert_true(line_with("p1t1  ") > line_with("p2t2  "));
        assert_shown("sort: age (reversed)");
        choice = (struct top_choice){.sections = TOP_ALL, .sort = TOP_BY_SESSIONS};
        lay_out(100, 24);
        assert_true(line_with("p2t2  ") < line_with("p1t1  ") && line_with("p1t1  ") < line_with("p3t3  "));
}

static void one_table_alone_can_be_asked_for(void **state)
{
        (void)state;
        choice.sections = TOP_BLOCKING;
        lay_out(80, 24);
        assert_int_equal(line_with("NAMESPACE"), -1);
        assert_int_equal(line_with("WAITING FOR"), -1);
        assert_shown("BLOCKED");
}

static void what_does_not_fit_is_counted_and_can_be_scrolled_to(void **state)
{
        struct cJSON *leases = (struct cJSON *)json_get(told, "leases");

        (void)state;
        for (int i = 0; i < 60; i++) {
                struct cJSON *lease = json_copy(json_first(leases));
                char name[16];

                (void)snprintf(name, sizeof(name), "many%d", i);
                (void)json_add_string(lease, "label", "x");
                (void)json_add_string(lease, "owner", name);
                (void)json_append(leases, lease);
        }
        choice.sections = TOP_RUNS;
        lay_out(80, 24);
        assert_shown("more");
        assert_true(screen->scroll_max > 0);
        choice.scroll = screen->scroll_max;
        lay_out(80, 24);
        assert_shown("NAMESPACE");
        assert_shown("p3t3  ");
        assert_int_equal(line_with("more"), -1);
        choice.scroll = 100000;
        lay_out(80, 24);
        assert_shown("p3t3  ");
}

static void a_daemon_that_is_away_is_said_above_what_was_last_heard(void **state)
{
        (void)state;
        top_screen_free(screen);
        screen = top_layout(told, &choice, "berthd is away", NOW, 80, 24);
        assert_shown("berthd is away");
        assert_shown("p1t1  ");
        top_screen_free(screen);
        screen = top_layout(NULL, &choice, NULL, NOW, 80, 24);
        assert_shown("waiting for berthd");
}

static void however_much_is_wrong_the_runs_stay_in_sight(void **state)
{
        struct cJSON *status = (struct cJSON *)json_get(told, "status"), *writes = json_array();
        struct cJSON *databases = (struct cJSON *)json_get(status, "databases");

        (void)state;
        for (int i = 0; i < 128; i++) {
                struct cJSON *write = json_object(), *database = json_object();
                char name[16];

                (void)snprintf(name, sizeof(name), "t%d", i);
                (void)json_add_string(write, "table", name);
                (void)json_add_string(write, "database", "platform");
                (void)json_append(writes, write);
                (void)json_add_string(database, "name", name);
                (void)json_append(databases, database);
        }
        (void)json_add(status, "publicWrites", writes);
        lay_out(80, 24);
        assert_shown("126 tables before; see berth status");
        assert_int_equal(line_with("t125 in platform"), -1);
        assert_shown("t126 in platform");
        assert_shown("t127 in platform");
        assert_shown("more databases; see berth status");
        assert_shown("p1t1  ");
}

static void whatever_the_daemon_leaves_out_crashes_nothing(void **state)
{
        static const char *const texts[] = {
                "{}",
                "{\"status\":{},\"leases\":[{}],\"locks\":[{}],\"unheard\":[{}],\"sweep\":{}}",
                "{\"status\":{\"clusters\":[{}],\"databases\":[{}],\"publicWrites\":[{}]},\"leases\":[{"
                "\"state\":\"queued\"}]}",
                "{\"status\":7,\"leases\":\"x\",\"locks\":null}",
        };
        char why[JSON_MESSAGE_SIZE];

        (void)state;
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
                json_free(told);
                told = json_parse(texts[i], strlen(texts[i]), why);
                assert_non_null(told);
                lay_out(80, 24);
                assert_int_equal(screen->n, 24);
        }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(everything_is_there_on_a_small_terminal),
                TEST(a_run_says_what_it_does_or_what_keeps_it),
                TEST(no_line_is_wider_and_no_screen_higher_than_it_may_be),
                TEST(the_runs_are_sorted_as_asked),
                TEST(one_table_alone_can_be_asked_for),
                TEST(what_does_not_fit_is_counted_and_can_be_scrolled_to),
                TEST(a_daemon_that_is_away_is_said_above_what_was_last_heard),
                TEST(however_much_is_wrong_the_runs_stay_in_sight),
                TEST(whatever_the_daemon_leaves_out_crashes_nothing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
