/* SPDX-License-Identifier: MIT */
#include "pg/conninfo.h"
#include "pg/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void what_is_no_utf8_becomes_question_marks(void **state)
{
        static const struct {
                const char *in, *out;
        } cases[] = {
                {"", ""},
                {"plain", "plain"},
                {"m\xc3\xbcnchen \xe2\x82\xac \xf0\x9f\x90\x98",
                 "m\xc3\xbcnchen \xe2\x82\xac \xf0\x9f\x90\x98"},
                {"m\xfcnchen", "m?nchen"},
                {"cut \xe2\x82", "cut ??"},
                {"overlong \xc0\xaf \xe0\x80\xaf", "overlong ?? ???"},
                {"surrogate \xed\xa0\x80", "surrogate ???"},
                {"too high \xf4\x90\x80\x80", "too high ????"},
                {"\xff\xfe", "??"},
        };

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
                char text[64];

                strcpy(text, cases[i].in);
                text_force_utf8(text);
                assert_string_equal(text, cases[i].out);
        }
}

static void a_message_is_one_line(void **state)
{
        char text[] = "ERROR:\tno\r\nDETAIL: \x1b[31mred\x7f\n\n";

        (void)state;
        text_force_line(text);
        assert_string_equal(text, "ERROR: no  DETAIL: ?[31mred?");
}

static void a_secret_is_nowhere(void **state)
{
        char text[] = "hunter2 and hunter2, not hunter";

        (void)state;
        text_redact(text, "hunter2");
        assert_string_equal(text, "******* and *******, not hunter");
        text_redact(text, "");
        text_redact(text, NULL);
        assert_string_equal(text, "******* and *******, not hunter");
}

static void only_names_are_looked_up(void **state)
{
        static const struct {
                const char *conninfo;
                unsigned attempt, n_hosts;
                bool may_block;
        } cases[] = {
                {"", 0, 1, false},
                {"dbname=x", 0, 1, false},
                {"host=/run/postgresql", 0, 1, false},
                {"host=@abstract", 0, 1, false},
                {"host=127.0.0.1", 0, 1, false},
                {"host=::1", 0, 1, false},
                {"postgresql://user@[::1]:5433/db", 0, 1, false},
                {"host=db.example.org hostaddr=10.0.0.1", 0, 1, false},
                {"host=localhost", 0, 1, true},
                {"postgresql://user:pw@db.example.org/db", 0, 1, true},
                {"service=tests", 0, 1, true},
                {"host=127.0.0.1,db.example.org port=1,2", 0, 2, false},
                {"host=127.0.0.1,db.example.org port=1,2", 1, 2, true},
                {"host=a,b,c hostaddr=10.0.0.1,,10.0.0.3", 0, 3, false},
                {"host=a,b,c hostaddr=10.0.0.1,,10.0.0.3", 1, 3, true},
                {"host=a,b port=1,2,3", 1, 1, false}, /* libpq refuses that itself */
                {"host=a hostaddr=10.0.0.1,10.0.0.2", 0, 1, false},
                {"no connection string", 0, 1, false},
        };

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
                assert_int_equal(conninfo_n_hosts(cases[i].conninfo), cases[i].n_hosts);
                assert_int_equal(conninfo_may_block(cases[i].conninfo, cases[i].attempt), cases[i].may_block);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_no_utf8_becomes_question_marks),
                cmocka_unit_test(a_message_is_one_line),
                cmocka_unit_test(a_secret_is_nowhere),
                cmocka_unit_test(only_names_are_looked_up),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
