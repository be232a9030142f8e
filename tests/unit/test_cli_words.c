/* SPDX-License-Identifier: MIT */

/* Words that people type, and text that has to fit. */

#include "client/cli/options.h"
#include "client/cli/print.h"
#include "client/cli/suggest.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void durations_are_read_with_their_units(void **state)
{
        static const struct {
                const char *text;
                int64_t ms; /* -1: refused */
        } cases[] = {
                {"500ms", 500},    {"30s", 30000},      {"5min", 300000}, {"5m", 300000},
                {"12h", 43200000}, {"30d", 2592000000}, {"2", 2000},      {"1.5", 1500},
                {"0", 0},          {"0.1ms", 1},        {"", -1},         {"-1", -1},
                {"5 min", -1},     {"5weeks", -1},      {"inf", -1},      {"nan", -1},
                {"1e300", -1},     {"+3", -1},          {" 3", -1},       {"999999d", -1},
        };
        int64_t ms;

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                ms = -1;
                assert_int_equal(options_read_duration(cases[i].text, &ms), cases[i].ms >= 0);
                assert_int_equal(ms, cases[i].ms);
        }
}

static void a_slip_of_the_finger_is_understood(void **state)
{
        static const char *const verbs_known[] = {"run", "slot", "status", "list", "locks", "sweep", "name"};
        static const struct {
                const char *typed, *meant; /* NULL: anybody's guess */
        } cases[] = {
                {"stauts", "status"},
                {"stat", "status"},
                {"lst", "list"},
                {"lcoks", "locks"},
                {"rnu", "run"},
                {"sweeep", "sweep"},
                {"nmae", "name"},
                {"xyz", NULL},
                {"pytest", NULL},
                {"", NULL},
                {"frobnicate-everything-that-there-is-now", NULL},
        };

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                const char *found = suggest_nearest(cases[i].typed, verbs_known, 7);

                if (cases[i].meant)
                        assert_string_equal(found, cases[i].meant);
                else
                        assert_null(found);
        }
}

static void text_is_cut_by_columns_and_not_by_bytes(void **state)
{
        char *cut = print_cut("n\xc3\xa9\xc3\xa9\xc3\xa9 and more", 5);

        (void)state;
        assert_string_equal(cut, "n\xc3\xa9\xc3\xa9\xc3\xa9\xe2\x80\xa6");
        assert_int_equal(print_columns(cut), 5);
        free(cut);
        cut = print_cut("short", 5);
        assert_string_equal(cut, "short");
        free(cut);
        assert_int_equal(print_columns("\xff\xfe"), 2);
}

static void large_numbers_are_grouped(void **state)
{
        char text[PRINT_COUNT_SIZE];

        (void)state;
        assert_string_equal(print_count(0, text), "0");
        assert_string_equal(print_count(999, text), "999");
        assert_string_equal(print_count(12784, text), "12,784");
        assert_string_equal(print_count(INT64_MAX, text), "9,223,372,036,854,775,807");
}

static void a_reason_leaves_out_what_the_reader_knows(void **state)
{
        static const struct {
                const char *message, *reason;
        } cases[] = {
                {"connection to server on socket \"/x\" failed: No such file or directory\n\tIs the server "
                 "running "
                 "locally and accepting connections on that socket?\n",
                 "No such file or directory"},
                {"connection to server at \"h\", port 1 failed: FATAL:  database \"x\" does not exist\n",
                 "database \"x\" does not exist"},
                {"timed out", "timed out"},
                {"", ""},
        };
        char reason[PRINT_REASON_SIZE];

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                assert_string_equal(print_reason(cases[i].message, reason), cases[i].reason);
}

static void other_peoples_text_moves_nothing_on_the_terminal(void **state)
{
        static const struct {
                const char *text, *plain;
        } cases[] = {
                {"", ""},
                {"nightly é 試験 …", "nightly é 試験 …"},
                {"two\nlines\tand\r\x1b[2J\x07", "two lines and??[2J?"},
                {"\x7f", "?"},
                {"c1 \xc2\x9b"
                 "31m \xc2\xa0",
                 "c1 ??31m \xc2\xa0"},
                {"cut \xc2", "cut \xc2"},
        };
        char text[64];

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                (void)snprintf(text, sizeof(text), "%s", cases[i].text);
                print_make_plain(text);
                assert_string_equal(text, cases[i].plain);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(durations_are_read_with_their_units),
                cmocka_unit_test(a_slip_of_the_finger_is_understood),
                cmocka_unit_test(text_is_cut_by_columns_and_not_by_bytes),
                cmocka_unit_test(large_numbers_are_grouped),
                cmocka_unit_test(a_reason_leaves_out_what_the_reader_knows),
                cmocka_unit_test(other_peoples_text_moves_nothing_on_the_terminal),
        };

        (void)setlocale(LC_CTYPE, "C.UTF-8");
        return cmocka_run_group_tests(tests, NULL, NULL);
}
