/* SPDX-License-Identifier: MIT */
#include "proto/json.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/* A text with its length, so that it may hold a NUL byte. */
#define TEXT(literal) literal, sizeof(literal) - 1

static void each_bad_text_is_refused_with_a_reason(void **state)
{
        static const struct {
                const char *text;
                size_t length;
                const char *message; /* how it begins */
        } cases[] = {
                {TEXT(""), "not a value"},
                {TEXT("  "), "not a value"},
                {TEXT("{\"a\":\"x\0y\"}"), "control character in a string at byte 8"},
                {TEXT("{}\0"), "something behind the value at byte 3"},
                {TEXT("\0{}"), "not a value at byte 1"},
                {TEXT("{\"a\":\"x\\u0000y\"}"), "\\u0000"},
                {TEXT("{\"\\u0000\":1}"), "\\u0000"},
                {TEXT("\"\xff\xfe\""), "not UTF-8 at byte 2"},
                {TEXT("\"\xc0\x80\""), "not UTF-8"},         /* overlong NUL */
                {TEXT("\"\xc1\xbf\""), "not UTF-8"},         /* overlong */
                {TEXT("\"\xe0\x9f\xbf\""), "not UTF-8"},     /* overlong */
                {TEXT("\"\xf0\x8f\xbf\xbf\""), "not UTF-8"}, /* overlong */
                {TEXT("\"\xed\xa0\x80\""), "not UTF-8"},     /* a surrogate as bytes */
                {TEXT("\"\xf4\x90\x80\x80\""), "not UTF-8"}, /* beyond U+10FFFF */
                {TEXT("\"\xf5\x80\x80\x80\""), "not UTF-8"},
                {TEXT("\"\x80\""), "not UTF-8"},
                {TEXT("\"\xc3\""), "not UTF-8"},
                {TEXT("\"\xe2\x82"), "not UTF-8"}, /* the text ends inside a character */
                {TEXT("\"\xe2\x82\x41\""), "not UTF-8"},
                {TEXT("\"\xf0\x9f\x98\x41\""), "not UTF-8"},
                {TEXT("{\"\xff\":1}"), "not UTF-8"},
                {TEXT("\"\\ud800\""), "lone surrogate"},
                {TEXT("\"\\udc00\""), "lone surrogate"},
                {TEXT("\"\\udfff\""), "lone surrogate"},
                {TEXT("\"\\udbff\""), "lone surrogate"},
                {TEXT("\"\\ud800\\n\""), "lone surrogate"},
                {TEXT("\"\\ud800\\ud800\""), "lone surrogate"},
                {TEXT("\"\\ud800\\u0041\""), "lone surrogate"},
                {TEXT("\"\\ud800\\ue000\""), "lone surrogate"},
                {TEXT("\"\\ud800\\u12\""), "bad \\u escape"},
                {TEXT("\"\\u12g4\""), "bad \\u escape"},
                {TEXT("\"\\u123"), "bad \\u escape"},
                {TEXT("\"\\u/234\""), "bad \\u escape"},
                {TEXT("\"\\x41\""), "bad escape"},
                {TEXT("\"\\"), "bad escape"},
                {TEXT("\"\\\0\""), "bad escape"},
                {TEXT("\"a\nb\""), "control character in a string"},
                {TEXT("\"a\x1f\""), "control character in a string"},
                {TEXT("\"a\tb\""), "control character in a string"},
                {TEXT("\"abc"), "unfinished string"},
                {TEXT("\xef\xbb\xbf{}"), "not a value at byte 1"}, /* BOM */
                {TEXT("{} {}"), "something behind the value at byte 4"},
                {TEXT("{}x"), "something behind the value"},
                {TEXT("1 2"), "something behind the value"},
                {TEXT("{\"a\":1,\"a\":2}"), "doubled member name \"a\""},
                {TEXT("{\"a\":1,\"\\u0061\":2}"), "doubled member name \"a\""},
                {TEXT("[{\"b\":{\"c\":1,\"d\":2,\"c\":1}}]"), "doubled member name \"c\""},
                {TEXT("{\"a\\n\xc3\xa4\":1,\"a\\n\xc3\xa4\":2}"), "doubled member name \"a\""},
                {TEXT("{\"a\x7f\":1,\"a\x7f\":2}"), "doubled member name \"a\""},
                {TEXT("[[[[[[[[[]]]]]]]]]"), "nested too deeply at byte 10"},
                {TEXT("{\"a\":[[[[[[[{}]]]]]]]}"), "nested too deeply"},
                {TEXT("01"), "leading zero"},
                {TEXT("-01"), "leading zero"},
                {TEXT("00"), "leading zero"},
                {TEXT("1."), "no digit behind the point"},
                {TEXT("1.e3"), "no digit behind the point"},
                {TEXT(".5"), "not a value"},
                {TEXT("+1"), "not a value"},
                {TEXT("-"), "not a value"},
                {TEXT("-a"), "not a value"},
                {TEXT("0x10"), "something behind the value"},
                {TEXT("1e"), "bad exponent"},
                {TEXT("1e+"), "bad exponent"},
                {TEXT("1e999"), "number too large or too small"},
                {TEXT("1e-999"), "number too large or too small"},
                {TEXT("1e1000"), "bad exponent"},
                {TEXT("1e100"), "number too large or too small"},
                {TEXT("10e99"), "number too large or too small"},
                {TEXT("0.1e-99"), "number too large or too small"},
                {TEXT("0.00e999x"), "something behind the value"},
                {TEXT("9007199254740992"), "integer beyond 2^53 - 1"},
                {TEXT("-9007199254740992"), "integer beyond 2^53 - 1"},
                {TEXT("9007199254740993"), "integer beyond 2^53 - 1"},
                {TEXT("10000000000000000"), "integer beyond 2^53 - 1"},
                {TEXT("99999999999999999999"), "integer beyond 2^53 - 1"},
                {TEXT("0.9999999999999999999"), "number with too many digits"},
                {TEXT("9007199254740990.5"), "number with too many digits"},
                {TEXT("0.0000000000000000000000000000000000000001"), "number with too many digits"},
                {TEXT("NaN"), "not a value"},
                {TEXT("Infinity"), "not a value"},
                {TEXT("True"), "not a value"},
                {TEXT("tru"), "not a value"},
                {TEXT("nul"), "not a value"},
                {TEXT("'a'"), "not a value"},
                {TEXT("{a:1}"), "no member name"},
                {TEXT("{1:1}"), "no member name"},
                {TEXT("{\"a\":1,}"), "no member name"},
                {TEXT("{\"a\" 1}"), "no colon behind a member name"},
                {TEXT("{\"a"), "unfinished string"},
                {TEXT("{\"a\":}"), "not a value"},
                {TEXT("{\"a\":1"), "no comma or closing bracket"},
                {TEXT("{\"a\":1]"), "no comma or closing bracket"},
                {TEXT("[1,]"), "not a value"},
                {TEXT("[1 2]"), "no comma or closing bracket"},
                {TEXT("[1}"), "no comma or closing bracket"},
                {TEXT("["), "not a value"},
                {TEXT("{"), "no member name"},
                {TEXT("/* */{}"), "not a value"},
                {TEXT("{}//"), "something behind the value"},
                {TEXT("\v{}"), "not a value"},
                {TEXT("\xc2\xa0{}"), "not a value"},
        };

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                /* On the heap at its exact length, so that a read behind it is seen. */
                char *text = malloc(cases[i].length ? cases[i].length : 1);
                char message[JSON_MESSAGE_SIZE] = "";
                struct cJSON *value;

                memcpy(text, cases[i].text, cases[i].length);
                value = json_parse(text, cases[i].length, message);
                if (value || strncmp(message, cases[i].message, strlen(cases[i].message)) != 0)
                        fail_msg("%s: \"%s\", not \"%s\"", cases[i].text, value ? "taken" : message,
                                 cases[i].message);
                free(text);
        }
}

/* {"k00000":0,"k00001":0,...}, and the last name once more if so wanted */
static char *many_members(size_t n, bool doubled)
{
        char *text = malloc(n * 12 + 32), *at = text;

        *at++ = '{';
        for (size_t i = 0; i < n; i++)
                at += sprintf(at, "\"k%05zu\":0,", (i * 7919) % n);
        at += sprintf(at, "\"%s\":0}", doubled ? "k00003" : "last");
        return text;
}

static char *again(const char *text, char *(*print)(const struct cJSON *value))
{
        char message[JSON_MESSAGE_SIZE];
        struct cJSON *value = json_parse(text, strlen(text), message);
        char *printed;

        if (!value)
                fail_msg("%s: %s", text, message);
        printed = print(value);
        (void)json_free(value);
        return printed;
}

static void good_texts_come_out_as_they_went_in(void **state)
{
        static const char *const cases[][2] = {
                {"{}", NULL},
                {"[]", NULL},
                {"null", NULL},
                {"true", NULL},
                {"false", NULL},
                {"\"\"", NULL},
                {"0", NULL},
                {"-1", NULL},
                {"9007199254740991", NULL},
                {"-9007199254740991", NULL},
                {"1745178234000000", NULL}, /* cJSON prints 1.745178234e+15 */
                {"1000000000000000", NULL},
                {"0.5", NULL},
                {"123456789.012345", NULL},
                {"1e3", "1000"},
                {"1E+2", "100"},
                {"1.0", "1"},
                {"2.5e-1", "0.25"},
                {"1e99", "1e+99"},
                {"929192991e91", "9.29192991e+99"},
                {"0.01e101", "1e+99"},
                {"10.5e-100", "1.05e-99"},
                {"0.00e999", "0"},
                {"-0", "0"},
                {"-0.5e1", "-5"},
                {"0.00000000000000000000000000000000001", "1e-35"},
                {" \t\r\n{ \"a\" : [ 1 , 2 ] } \n", "{\"a\":[1,2]}"},
                {"[[[[[[[[]]]]]]]]", NULL},
                {"{\"a\":{\"a\":1},\"b\":{\"a\":1},\"A\":1}", NULL},
                {"\"\\\"\\\\\\b\\f\\n\\r\\t\\u001f\"", NULL},
                {"\"\\/\\u0041\\u00e4\\u20ac\\ud83d\\ude00\\uFFFF\"",
                 "\"/A\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\xef\xbf\xbf\""},
                {"\"\\ud800\\udc00\\udbff\\udfff\\u9999\\uafAF\"",
                 "\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\xe9\xa6\x99\xea\xbe\xaf\""},
                {"\"\x7f \xc2\x80 \xdf\xbf \xe0\xa0\x80 \xec\x80\x80 \xed\x9f\xbf \xee\x80\x80 "
                 "\xf0\x90\x80\x80 "
                 "\xf1\x80\x80\x80 \xf4\x8f\xbf\xbf\"",
                 NULL},
        };

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                char *printed = again(cases[i][0], json_print);

                assert_string_equal(printed, cases[i][1] ? cases[i][1] : cases[i][0]);
                free(printed);
        }
}

static void people_get_a_line_a_member(void **state)
{
        char *printed = again("{\"a\":[1,{\"b\":\"x\"}],\"c\":{},\"d\":[]}", json_print_pretty);

        (void)state;
        assert_string_equal(printed, "{\n  \"a\": [\n    1,\n    {\n      \"b\": \"x\"\n    }\n  ],\n"
                                     "  \"c\": {},\n  \"d\": []\n}");
        free(printed);
}

static void a_long_text_is_printed_whole(void **state)
{
        char *text = many_members(1000, false), *printed = again(text, json_print);

        (void)state;
        assert_string_equal(printed, text);
        free(printed);
        free(text);
}

static void bytes_that_are_not_utf8_are_printed_as_replacement(void **state)
{
        struct cJSON *object = json_object();
        char *printed;

        (void)state;
        assert_true(json_add_string(object, "m", "a\xff\xc3\xa4\xe2\x82 z\xc3"));
        printed = json_print(object);
        assert_string_equal(printed,
                            "{\"m\":\"a\xef\xbf\xbd\xc3\xa4\xef\xbf\xbd\xef\xbf\xbd z\xef\xbf\xbd\"}");
        free(printed);
        (void)json_free(object);
}

static void a_doubled_name_is_found_among_many_and_in_time(void **state)
{
        static const size_t sizes[] = {4, 15, 16, 17, 18, 5000};
        char message[JSON_MESSAGE_SIZE];
        struct timespec before, after;

        (void)state;
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
                char *text = many_members(sizes[i], false);
                struct cJSON *value;

                (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
                value = json_parse(text, strlen(text), message);
                (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
                assert_non_null(value);
                /* A quadratic search takes seconds here, under the sanitizers. */
                assert_true((after.tv_sec - before.tv_sec) * 1000 +
                                    (after.tv_nsec - before.tv_nsec) / 1000000 <
                            500);
                (void)json_free(value);
                free(text);

                text = many_members(sizes[i], true);
                assert_null(json_parse(text, strlen(text), message));
                assert_string_equal(message, "doubled member name \"k00003\"");
                free(text);
        }
}

static void reading_is_exact_in_case_and_type(void **state)
{
        static const char text[] =
                "{\"s\":\"x\",\"S\":\"X\",\"i\":7,\"h\":0.5,\"big\":1e30,\"neg\":-1e30,\"t\":true,"
                "\"f\":false,\"n\":null,\"o\":{},\"a\":[1,null]}";
        char message[JSON_MESSAGE_SIZE];
        struct cJSON *v = json_parse(text, strlen(text), message);
        const struct cJSON *first = json_first(v);
        int64_t integer = 4711;

        (void)state;
        assert_string_equal(json_get_string(v, "s"), "x");
        assert_string_equal(json_get_string(v, "S"), "X");
        assert_null(json_get_string(v, "i"));
        assert_null(json_get_string(v, "I"));
        assert_null(json_get(v, "n"));
        assert_null(json_get(v, "missing"));
        assert_null(json_get(NULL, "s"));
        assert_null(json_get(json_get(v, "a"), "s"));
        assert_int_equal(json_get_integer(v, "i", -1), 7);
        assert_int_equal(json_get_integer(v, "h", -1), -1);
        assert_int_equal(json_get_integer(v, "s", -1), -1);
        assert_int_equal(json_get_integer(v, "n", -1), -1);
        assert_false(json_integer(json_get(v, "big"), &integer));
        assert_false(json_integer(json_get(v, "neg"), &integer));
        assert_false(json_integer(NULL, &integer));
        assert_int_equal(integer, 4711);
        assert_true(json_get_bool(v, "t", false));
        assert_false(json_get_bool(v, "f", true));
        assert_true(json_get_bool(v, "n", true));
        assert_false(json_get_bool(v, "i", false));
        assert_true(json_is_object(v) && json_is_object(json_get(v, "o")));
        assert_false(json_is_object(json_get(v, "a")) || json_is_object(NULL) || json_is_array(v));
        assert_true(json_is_array(json_get(v, "a")));
        assert_string_equal(json_name(first), "s");
        assert_string_equal(json_name(json_next(first)), "S");
        assert_null(json_next(json_next(json_first(json_get(v, "a")))));
        assert_null(json_name(json_first(json_get(v, "a"))));
        assert_null(json_first(NULL));
        assert_null(json_first(json_get(v, "o")));
        (void)json_free(v);
        assert_null(json_free(NULL));
}

struct target {
        const char *string;
        bool truth, has_integer;
        int64_t integer;
        const struct cJSON *object, *array;
};

static const struct json_field fields[] = {
        {"string", JSON_STRING, offsetof(struct target, string), true, 0},
        {"truth", JSON_BOOL, offsetof(struct target, truth), false, 0},
        {"integer", JSON_INTEGER, offsetof(struct target, integer), false,
         offsetof(struct target, has_integer)},
        {"object", JSON_OBJECT, offsetof(struct target, object), false, 0},
        {"array", JSON_ARRAY, offsetof(struct target, array), false, 0},
        {.name = NULL},
};

static void an_object_is_taken_apart_by_a_table(void **state)
{
        static const char text[] =
                "{\"array\":[],\"integer\":5,\"string\":\"x\",\"truth\":true,\"object\":{}}";
        char message[JSON_MESSAGE_SIZE];
        struct cJSON *v = json_parse(text, strlen(text), message);
        struct target target = {.integer = -1};
        const char *field;

        (void)state;
        assert_true(json_read(v, fields, &target, &field));
        assert_string_equal(target.string, "x");
        assert_true(target.truth && target.has_integer);
        assert_int_equal(target.integer, 5);
        assert_true(json_is_object(target.object) && json_is_array(target.array));
        (void)json_free(v);
}

static void null_is_the_same_as_not_there(void **state)
{
        static const char text[] = "{\"string\":\"x\",\"integer\":null,\"truth\":null}";
        static const struct json_field none[] = {{.name = NULL}};
        char message[JSON_MESSAGE_SIZE];
        struct cJSON *v = json_parse(text, strlen(text), message);
        struct target target = {.integer = -1, .truth = true};
        const char *field;

        (void)state;
        assert_true(json_read(v, fields, &target, &field));
        assert_int_equal(target.integer, -1);
        assert_true(target.truth && !target.has_integer);
        assert_true(json_read(NULL, none, &target, &field));
        assert_false(json_read(NULL, fields, &target, &field));
        assert_string_equal(field, "string");
        (void)json_free(v);
}

static void the_offending_member_is_named(void **state)
{
        static const char *const cases[][2] = {
                {"{}", "string"},
                {"{\"string\":null}", "string"},
                {"{\"String\":\"x\"}", "String"},
                {"{\"string\":1}", "string"},
                {"{\"string\":\"x\",\"bogus\":null}", "bogus"},
                {"{\"string\":\"x\",\"truth\":1}", "truth"},
                {"{\"string\":\"x\",\"integer\":1.5}", "integer"},
                {"{\"string\":\"x\",\"integer\":\"1\"}", "integer"},
                {"{\"string\":\"x\",\"object\":[]}", "object"},
                {"{\"string\":\"x\",\"array\":{}}", "array"},
        };

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                char message[JSON_MESSAGE_SIZE];
                struct cJSON *v = json_parse(cases[i][0], strlen(cases[i][0]), message);
                struct target target;
                const char *field = NULL;

                assert_non_null(v);
                assert_false(json_read(v, fields, &target, &field));
                assert_string_equal(field, cases[i][1]);
                (void)json_free(v);
        }
}

static struct cJSON *build(void)
{
        struct cJSON *object = json_object(), *array = json_array();
        bool complete = json_append_string(array, "x") && json_append_string(array, NULL);

        complete = json_append(array, json_object()) && complete;
        complete = json_add(object, "array", array) && complete;
        complete = complete && json_add_string(object, "s", "t") && json_add_string(object, "no", NULL) &&
                   json_add_integer(object, "i", -JSON_INTEGER_MAX) && json_add_bool(object, "b", false) &&
                   json_add_null(object, "n");
        return complete ? object : json_free(object);
}

static void values_are_built_and_copied(void **state)
{
        static const char wanted[] =
                "{\"array\":[\"x\",{}],\"s\":\"t\",\"i\":-9007199254740991,\"b\":false,\"n\":null}";
        struct cJSON *built = build(), *copy = json_copy(built);
        char *text;

        (void)state;
        (void)json_free(built);
        text = json_print(copy);
        assert_string_equal(text, wanted);
        assert_true(json_add_integer(copy, "max", JSON_INTEGER_MAX));
        assert_true(json_add_number(copy, "fraction", 0.25));
        assert_float_equal(json_get_number(copy, "fraction", -1), 0.25, 0);
        assert_float_equal(json_get_number(copy, "max", -1), (double)JSON_INTEGER_MAX, 0);
        assert_float_equal(json_get_number(copy, "over", -1), -1, 0);
        assert_false(json_add_number(copy, "over", HUGE_VAL));
        assert_false(json_add_number(copy, "over", NAN));
        assert_false(json_add_integer(copy, "over", JSON_INTEGER_MAX + 1));
        assert_false(json_add_integer(copy, "over", -JSON_INTEGER_MAX - 1));
        free(text);
        (void)json_free(copy);
}

static void nothing_is_added_to_nothing(void **state)
{
        struct cJSON *object = json_object();

        (void)state;
        assert_false(json_add(NULL, "x", json_object()));
        assert_false(json_add(object, "x", NULL));
        assert_false(json_append(NULL, json_object()));
        assert_false(json_append(object, NULL));
        assert_false(json_add_string(NULL, "x", "y"));
        assert_false(json_add_string(NULL, "x", NULL));
        assert_false(json_append_string(NULL, NULL));
        assert_false(json_append_string(NULL, "x"));
        assert_false(json_add_bool(NULL, "x", true));
        assert_null(json_first(object));
        (void)json_free(object);
}

static long n_left; /* allocations until one fails */
static bool fails_for_ever;
static size_t n_held;

static void *allocate_some(size_t size)
{
        if (n_left == 0 && fails_for_ever)
                return NULL;
        if (n_left-- == 0)
                return NULL;
        n_held++;
        return malloc(size);
}

static void release(void *memory)
{
        n_held -= memory != NULL;
        free(memory);
}

/* True: nothing failed any more. */
static bool work_with_little_memory(const char *text)
{
        char message[JSON_MESSAGE_SIZE] = "";
        struct cJSON *parsed = json_parse(text, strlen(text), message);
        struct cJSON *built = build();
        struct cJSON *copy = built ? json_copy(built) : NULL;
        char *printed = parsed ? json_print(parsed) : NULL;
        bool is_complete = built && copy && printed;

        assert_string_equal(message, parsed ? "" : "no memory");
        if (printed)
                assert_string_equal(printed, text);
        release(printed);
        (void)json_free(parsed);
        (void)json_free(built);
        (void)json_free(copy);
        assert_int_equal(n_held, 0);
        return is_complete;
}

static void lack_of_memory_anywhere_is_an_error_and_leaks_nothing(void **state)
{
        char *text = many_members(40, false); /* longer than the first buffer of the printer */

        (void)state;
        json_use_allocator(allocate_some, release);
        for (int i = 0; i < 2; i++) {
                long n = 0;

                fails_for_ever = i == 0;
                do {
                        n_left = n++;
                } while (!work_with_little_memory(text));
                assert_true(n > 100);
        }
        json_use_allocator(malloc, free);
        free(text);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_bad_text_is_refused_with_a_reason),
                cmocka_unit_test(good_texts_come_out_as_they_went_in),
                cmocka_unit_test(people_get_a_line_a_member),
                cmocka_unit_test(a_long_text_is_printed_whole),
                cmocka_unit_test(bytes_that_are_not_utf8_are_printed_as_replacement),
                cmocka_unit_test(a_doubled_name_is_found_among_many_and_in_time),
                cmocka_unit_test(reading_is_exact_in_case_and_type),
                cmocka_unit_test(an_object_is_taken_apart_by_a_table),
                cmocka_unit_test(null_is_the_same_as_not_there),
                cmocka_unit_test(the_offending_member_is_named),
                cmocka_unit_test(values_are_built_and_copied),
                cmocka_unit_test(nothing_is_added_to_nothing),
                cmocka_unit_test(lack_of_memory_anywhere_is_an_error_and_leaks_nothing),
        };

        return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
