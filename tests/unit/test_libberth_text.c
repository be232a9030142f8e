/* SPDX-License-Identifier: MIT */

/* What the library makes of texts: labels for the wire, times and holders for people, errors with their fix.
 */

#include "client/lib/berth.h"
#include "client/lib/describe.h"
#include "client/lib/error.h"
#include "client/lib/request.h"

#include "proto/json.h"
#include "proto/varlink.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void a_duration_has_the_largest_unit_that_tells_enough(void **state)
{
        static const struct {
                int64_t usec;
                const char *text;
        } cases[] = {
                {-5, "0s"},           {0, "0s"},
                {99999, "0s"},        {100000, "0.1s"},
                {1234567, "1.2s"},    {9990000, "9.9s"},
                {10500000, "10s"},    {119000000, "119s"},
                {120000000, "2min"},  {7199000000, "119min"},
                {7200000000, "2h"},   {172799000000, "47h"},
                {172800000000, "2d"}, {INT64_MAX, "106751991d"},
        };
        char text[BERTH_DURATION_SIZE];

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                assert_string_equal(berth_format_duration(cases[i].usec, text), cases[i].text);
}

static void a_label_is_made_fit_for_the_wire(void **state)
{
        static const struct {
                const char *given, *sent;
        } cases[] = {
                {NULL, ""},
                {"pytest -n 8", "pytest -n 8"},
                {"a\tb\n\x1b[1m\x7f", "a?b??[1m?"},
                {"n\xc3\xa9 \xe2\x80\xa6 \xf0\x9f\x98\x80", "n\xc3\xa9 \xe2\x80\xa6 \xf0\x9f\x98\x80"},
                {"\xff\xfe", "??"},
                {"\xc0\x80 \xc1\xbf", "?? ??"}, /* overlong */
                {"\xed\xa0\x80", "???"},        /* a surrogate */
                {"\xf4\x90\x80\x80", "????"},   /* above U+10FFFF */
                {"\xe2\x80", "??"},             /* cut */
        };
        char sent[64];

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                request_set_text(sent, sizeof(sent), cases[i].given);
                assert_string_equal(sent, cases[i].sent);
        }
}

static void a_long_label_is_cut_between_characters(void **state)
{
        char sent[6];

        (void)state;
        request_set_text(sent, sizeof(sent), "ab\xe2\x80\xa6z");
        assert_string_equal(sent, "ab\xe2\x80\xa6");
        request_set_text(sent, sizeof(sent), "abc\xe2\x80\xa6z");
        assert_string_equal(sent, "abc");
}

static void callers_of_another_version_give_what_both_know(void **state)
{
        struct berth_release given = BERTH_RELEASE_INIT, newer = {.exit_status = 5, .keep = 1, .keep_ms = 9};

        (void)state;
        newer.size = offsetof(struct berth_release, keep);
        request_copy(&given, sizeof(given), &newer, newer.size);
        assert_int_equal(given.exit_status, 5);
        assert_int_equal(given.keep, 0);
}

static struct cJSON *parse(const char *text)
{
        char why[JSON_MESSAGE_SIZE];
        struct cJSON *value = json_parse(text, strlen(text), why);

        assert_non_null(value);
        return value;
}

static void holders_are_told_whole_or_not_at_all(void **state)
{
        struct cJSON *holders = parse("[{\"namespace\":\"pa\",\"worker\":\"gw3\",\"heldUSec\":1200000},"
                                      "{\"namespace\":\"pb\",\"worker\":null,\"heldUSec\":3000000},"
                                      "{\"namespace\":\"\",\"worker\":null,\"heldUSec\":4000000}]");
        char text[64];

        (void)state;
        describe_holders(holders, text, sizeof(text));
        assert_string_equal(text, "gw3 of pa for 1.2s, pb for 3s, the sweep for 4s");
        describe_holders(holders, text, 28);
        assert_string_equal(text, "gw3 of pa for 1.2s");
        describe_holders(NULL, text, sizeof(text));
        assert_string_equal(text, "");
        json_free(holders);
}

static void each_errno_of_a_connect_tells_its_story(void **state)
{
        static const struct {
                int number;
                bool in_socket_call;
                const char *code;
                int exit_code;
        } cases[] = {
                {ENOENT, false, "NoDaemon", 69},
                {ENOTDIR, false, "NoDaemon", 69},
                {ECONNREFUSED, false, "DeadSocket", 69},
                {EACCES, false, "NotPermitted", 77},
                {EPERM, true, "SandboxForbidsSockets", 77},
                {EPERM, false, "SandboxForbidsSockets", 77},
                {EACCES, true, "SandboxForbidsSockets", 77},
                {EAFNOSUPPORT, true, "SandboxForbidsSockets", 77},
                {EAGAIN, false, "Busy", 75},
                {EMFILE, true, "NotConnected", 69},
        };
        struct berth_error error;

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                assert_int_equal(error_from_connect(&error, "/x", cases[i].in_socket_call, cases[i].number),
                                 -1);
                assert_string_equal(error.code, cases[i].code);
                assert_int_equal(error.exit_code, cases[i].exit_code);
                assert_non_null(strstr(error.message, "; "));
                assert_true(*error.fix);
        }
}

static void an_error_reply_without_its_parameters_is_told_all_the_same(void **state)
{
        static const char *const names[] = {
                "io.berth.lease.Busy",
                "io.berth.lease.LimitReached",
                "io.berth.lease.LedgerUnavailable",
                "io.berth.lease.NamespaceInUse",
                "io.berth.lease.BadName",
                "io.berth.lease.NoSuchLease",
                "io.berth.lease.AlreadyAttached",
                "io.berth.lease.NotHeld",
                "io.berth.lease.NoSuchDatabase",
                "io.berth.lease.DatabaseUnreachable",
                "io.berth.manage.NoSuchLease",
                "io.berth.manage.NoSuchDatabase",
                "io.berth.manage.LedgerUnavailable",
                "io.berth.manage.SweepRunning",
                "org.varlink.service.PermissionDenied",
                "org.varlink.service.InvalidParameter",
                "org.varlink.service.MethodNotFound",
        };
        struct berth_error error;

        (void)state;
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                struct varlink_reply reply = {.error = names[i]};

                assert_int_equal(error_from_reply(&error, &reply), -1);
                assert_string_equal(error.code, strrchr(names[i], '.') + 1);
                assert_non_null(strstr(error.message, "; "));
                assert_true(*error.fix && error.exit_code);
        }
}

static void an_unknown_error_keeps_its_whole_name(void **state)
{
        struct varlink_reply reply = {.error = "org.example.Odd"};
        struct berth_error error;

        (void)state;
        assert_int_equal(error_from_reply(&error, &reply), -1);
        assert_string_equal(error.code, "org.example.Odd");
        assert_int_equal(error_from_reply(NULL, &reply), -1);
}

static void a_bad_namespace_is_refused_with_the_rule_and_a_proposal(void **state)
{
        struct berth_error error;

        (void)state;
        assert_int_equal(berth_check_namespace("mydebug", &error), 0);
        assert_int_equal(berth_check_namespace("my_debug", &error), -1);
        assert_string_equal(error.code, "BadName");
        assert_non_null(strstr(error.message, "[a-z0-9]{1,32}"));
        assert_string_equal(error.fix, "try mydebug");
        assert_int_equal(berth_check_namespace(NULL, NULL), -1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_duration_has_the_largest_unit_that_tells_enough),
                cmocka_unit_test(a_label_is_made_fit_for_the_wire),
                cmocka_unit_test(a_long_label_is_cut_between_characters),
                cmocka_unit_test(callers_of_another_version_give_what_both_know),
                cmocka_unit_test(holders_are_told_whole_or_not_at_all),
                cmocka_unit_test(each_errno_of_a_connect_tells_its_story),
                cmocka_unit_test(an_error_reply_without_its_parameters_is_told_all_the_same),
                cmocka_unit_test(an_unknown_error_keeps_its_whole_name),
                cmocka_unit_test(a_bad_namespace_is_refused_with_the_rule_and_a_proposal),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
