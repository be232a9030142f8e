/* SPDX-License-Identifier: MIT */

/* Runs proto/vectors/names.json, which the Python tests run too, then what vectors cannot say. */

#include "proto/json.h"
#include "proto/names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct cJSON *vectors;
static char *vectors_text;

static int load_vectors(void **state)
{
        FILE *file = fopen(BERTH_SOURCE_DIR "/proto/vectors/names.json", "r");
        char message[JSON_MESSAGE_SIZE];
        size_t size = 0;
        ssize_t length;

        (void)state;
        assert_non_null(file);
        length = getdelim(&vectors_text, &size, '\0', file);
        (void)fclose(file);
        vectors = json_parse(vectors_text, (size_t)length, message);
        if (!vectors)
                fail_msg("names.json: %s", message);
        return 0;
}

static int drop_vectors(void **state)
{
        (void)state;
        vectors = json_free(vectors);
        free(vectors_text);
        return 0;
}

/* The case that is running, for the message of a failure; and that a list is not empty by mistake. */
static const struct cJSON *first_case(const char *list)
{
        const struct cJSON *first = json_first(json_get(vectors, list));

        if (!first)
                fail_msg("names.json has no %s", list);
        return first;
}

static void expect(bool holds, const struct cJSON *item, const char *got)
{
        char *text;

        if (holds)
                return;
        text = json_print(item);
        print_error("case %s: got %s\n", text, got ? got : "null");
        free(text);
        fail();
}

static void expect_text(const struct cJSON *item, const char *got)
{
        const char *wanted = json_get_string(item, "result");

        expect(wanted && got ? strcmp(wanted, got) == 0 : wanted == got, item, got);
}

static void expect_message(const struct cJSON *item, const char *message)
{
        const char *wanted = json_get_string(item, "message");

        expect(wanted && strcmp(wanted, message) == 0, item, message);
        expect(strlen(message) < NAMES_MESSAGE_SIZE && !strchr(message, '\n'), item, message);
}

static void run_checks(const char *list, bool (*check)(const char *text, char *message))
{
        for (const struct cJSON *item = first_case(list); item; item = json_next(item)) {
                const char *text = json_get_string(item, "text");
                char message[NAMES_MESSAGE_SIZE] = "untouched";
                bool valid = check(text, message);

                expect(valid == json_get_bool(item, "valid", !valid), item, valid ? "valid" : message);
                if (valid)
                        assert_string_equal(message, "untouched");
                else
                        expect_message(item, message);
                assert_int_equal(check(text, NULL), valid);
        }
}

typedef bool make_fn(const char *namespace, const char *worker, const char *suffix, char *ret, char *message);

static void run_makes(const char *list, make_fn *make,
                      bool (*parse)(const char *text, struct berth_name *ret))
{
        for (const struct cJSON *item = first_case(list); item; item = json_next(item)) {
                const char *namespace = json_get_string(item, "namespace");
                const char *worker = json_get_string(item, "worker");
                const char *suffix = json_get_string(item, "suffix");
                char name[NAMES_MAX + 1] = "untouched", message[NAMES_MESSAGE_SIZE];
                struct berth_name parsed;

                if (!make(namespace, worker, suffix, name, message)) {
                        expect_text(item, NULL);
                        expect_message(item, message);
                        assert_string_equal(name, "untouched");
                        assert_false(make(namespace, worker, suffix, name, NULL));
                        continue;
                }
                expect_text(item, name);
                /* What was made comes apart into what it was made of. */
                expect(parse(name, &parsed), item, "no parse");
                assert_string_equal(parsed.namespace, namespace);
                assert_string_equal(parsed.worker, worker);
                assert_string_equal(parsed.suffix, suffix ? suffix : "");
        }
}

static void run_parses(const char *list, make_fn *make,
                       bool (*parse)(const char *text, struct berth_name *ret))
{
        for (const struct cJSON *item = first_case(list); item; item = json_next(item)) {
                const char *text = json_get_string(item, "text");
                const struct cJSON *result = json_get(item, "result");
                const char *suffix = json_get_string(result, "suffix");
                struct berth_name name = {.namespace = "untouched"};
                char made[NAMES_MAX + 1];

                expect(parse(text, &name) == (result != NULL), item, name.namespace);
                if (!result) {
                        assert_string_equal(name.namespace, "untouched");
                        continue;
                }
                expect(strcmp(name.namespace, json_get_string(result, "namespace")) == 0, item,
                       name.namespace);
                expect(strcmp(name.worker, json_get_string(result, "worker")) == 0, item, name.worker);
                expect(strcmp(name.suffix, suffix ? suffix : "") == 0, item, name.suffix);
                assert_true(make(name.namespace, name.worker, suffix, made, NULL));
                assert_string_equal(made, text);
        }
}

static void parts_are_checked_as_the_vectors_say(void **state)
{
        (void)state;
        run_checks("namespace_check", names_check_namespace);
        run_checks("worker_check", names_check_worker);
        run_checks("suffix_check", names_check_suffix);
}

static void schemas_are_made_as_the_vectors_say(void **state)
{
        (void)state;
        run_makes("schema_make", names_make_schema, names_parse_schema);
}

static void schemas_are_parsed_as_the_vectors_say(void **state)
{
        (void)state;
        run_parses("schema_parse", names_make_schema, names_parse_schema);
}

static void application_names_are_made_as_the_vectors_say(void **state)
{
        (void)state;
        run_makes("application_name_make", names_make_application_name, names_parse_application_name);
}

static void application_names_are_parsed_as_the_vectors_say(void **state)
{
        (void)state;
        run_parses("application_name_parse", names_make_application_name, names_parse_application_name);
}

static void tokens_are_made_as_the_vectors_say(void **state)
{
        (void)state;
        for (const struct cJSON *item = first_case("token_make"); item; item = json_next(item)) {
                struct berth_token token = {
                        .pid = (uint32_t)json_get_integer(item, "pid", -1),
                        .epoch_sec = (uint64_t)json_get_integer(item, "epoch_sec", -1),
                        .random = (uint32_t)json_get_integer(item, "random", -1),
                };
                char text[NAMES_NAMESPACE_MAX + 1];

                names_make_token(&token, text);
                expect_text(item, text);
                assert_true(names_check_namespace(text, NULL));
        }
}

static void tokens_are_parsed_as_the_vectors_say(void **state)
{
        (void)state;
        for (const struct cJSON *item = first_case("token_parse"); item; item = json_next(item)) {
                const char *text = json_get_string(item, "text");
                const struct cJSON *result = json_get(item, "result");
                struct berth_token token = {.pid = 4711};
                char made[NAMES_NAMESPACE_MAX + 1];

                expect(names_parse_token(text, &token) == (result != NULL), item, "the contrary");
                if (!result) {
                        assert_int_equal(token.pid, 4711);
                        continue;
                }
                assert_int_equal(token.pid, json_get_integer(result, "pid", -1));
                assert_int_equal(token.epoch_sec, json_get_integer(result, "epoch_sec", -1));
                assert_int_equal(token.random, json_get_integer(result, "random", -1));
                names_make_token(&token, made);
                assert_string_equal(made, text);
        }
}

static void a_refused_namespace_gets_a_suggestion(void **state)
{
        (void)state;
        for (const struct cJSON *item = first_case("namespace_suggest"); item; item = json_next(item)) {
                char suggestion[NAMES_NAMESPACE_MAX + 1] = "untouched";
                bool found = names_suggest_namespace(json_get_string(item, "text"), suggestion);

                expect_text(item, found ? suggestion : NULL);
                if (found)
                        assert_true(names_check_namespace(suggestion, NULL));
                else
                        assert_string_equal(suggestion, "untouched");
        }
}

static void a_suggestion_has_nothing_of_the_one_before(void **state)
{
        char suggestion[NAMES_NAMESPACE_MAX + 1];

        (void)state;
        assert_true(names_suggest_namespace("a_rather_long_one", suggestion));
        assert_string_equal(suggestion, "aratherlongone");
        assert_true(names_suggest_namespace("b_c", suggestion));
        assert_string_equal(suggestion, "bc");
}

static void worker_numbers_are_read_as_the_vectors_say(void **state)
{
        (void)state;
        for (const struct cJSON *item = first_case("worker_number"); item; item = json_next(item)) {
                int number = names_worker_number(json_get_string(item, "text"));

                expect(number == json_get_integer(item, "result", -1), item, "another");
        }
}

static void aliases_are_told_as_the_vectors_say(void **state)
{
        (void)state;
        for (const struct cJSON *item = first_case("is_alias"); item; item = json_next(item)) {
                bool is_alias = names_is_alias(json_get_string(item, "text"));

                expect(is_alias == json_get_bool(item, "result", !is_alias), item, is_alias ? "one" : "none");
        }
}

static void a_slot_comes_from_the_worker_and_not_from_the_pid(void **state)
{
        (void)state;
        for (const struct cJSON *item = first_case("ddl_slot"); item; item = json_next(item)) {
                unsigned n = (unsigned)json_get_integer(item, "slot_count", 0);
                unsigned slot = names_ddl_slot(json_get_string(item, "schema"), n);
                char got[16];

                (void)snprintf(got, sizeof(got), "%u", slot);
                expect(slot == json_get_integer(item, "result", -1), item, got);
        }
        assert_int_equal(names_ddl_slot("test_a_gw1", 0), 0);
}

/* Every string over a small alphabet that reaches all rules: it parses exactly if its parts make it again. */
static void each_short_string_is_a_name_in_one_way_or_in_none(void **state)
{
        static const char alphabet[] = "a0_A";
        unsigned n_schemas = 0;

        (void)state;
        for (unsigned code = 0; code < 1u << 18; code++) {
                unsigned length = code >> 16, rest = code & 0xffff, n_ways = 0;
                char text[NAMES_MAX + 1] = "test_", made[NAMES_MAX + 1];
                struct berth_name name;
                char *tail = text + 5;

                for (unsigned i = 0; i < length + 5; i++, rest >>= 2)
                        tail[i] = alphabet[rest & 3];
                /* All ways to cut it: namespace, worker, suffix. */
                for (char *one = strchr(tail, '_'); one; one = strchr(one + 1, '_')) {
                        char parts[NAMES_MAX + 1], *namespace = parts, *worker, *end;

                        memcpy(parts, tail, strlen(tail) + 1);
                        worker = parts + (one - tail);
                        *worker++ = '\0';
                        n_ways += names_make_schema(namespace, worker, NULL, made, NULL);
                        for (end = strchr(worker, '_'); end; end = strchr(end + 1, '_')) {
                                *end = '\0';
                                n_ways += names_make_schema(namespace, worker, end + 1, made, NULL);
                                *end = '_';
                        }
                }
                assert_true(n_ways <= 1);
                assert_int_equal(names_parse_schema(text, &name), n_ways);
                n_schemas += n_ways;
        }
        assert_true(n_schemas > 1000);
}

/* Of what lay there before, nothing is left in a part; and 63 bytes are a name, 64 are none. */
static void a_name_is_as_long_as_it_may_be_and_its_parts_end_where_they_end(void **state)
{
        char text[80] = "test_dead_gw0_", made[NAMES_MAX + 1];
        struct berth_name name;
        char suffix[80];

        (void)state;
        memset(&name, 'x', sizeof(name));
        assert_true(names_parse_schema("test_dead_gw0_two", &name));
        assert_string_equal(name.namespace, "dead");
        assert_string_equal(name.worker, "gw0");
        assert_string_equal(name.suffix, "two");
        memset(text + strlen(text), 's', NAMES_MAX - strlen(text));
        text[NAMES_MAX] = '\0';
        assert_true(names_parse_schema(text, &name));
        assert_true(names_make_schema(name.namespace, name.worker, name.suffix, made, NULL));
        assert_string_equal(made, text);
        (void)snprintf(suffix, sizeof(suffix), "%ss", name.suffix);
        assert_false(names_make_schema("dead", "gw0", suffix, made, NULL));
        text[NAMES_MAX] = 's';
        assert_false(names_parse_schema(text, &name));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(parts_are_checked_as_the_vectors_say),
                cmocka_unit_test(schemas_are_made_as_the_vectors_say),
                cmocka_unit_test(schemas_are_parsed_as_the_vectors_say),
                cmocka_unit_test(application_names_are_made_as_the_vectors_say),
                cmocka_unit_test(application_names_are_parsed_as_the_vectors_say),
                cmocka_unit_test(tokens_are_made_as_the_vectors_say),
                cmocka_unit_test(tokens_are_parsed_as_the_vectors_say),
                cmocka_unit_test(a_refused_namespace_gets_a_suggestion),
                cmocka_unit_test(a_suggestion_has_nothing_of_the_one_before),
                cmocka_unit_test(worker_numbers_are_read_as_the_vectors_say),
                cmocka_unit_test(aliases_are_told_as_the_vectors_say),
                cmocka_unit_test(a_slot_comes_from_the_worker_and_not_from_the_pid),
                cmocka_unit_test(a_name_is_as_long_as_it_may_be_and_its_parts_end_where_they_end),
                cmocka_unit_test(each_short_string_is_a_name_in_one_way_or_in_none),
        };

        return cmocka_run_group_tests_name("names", tests, load_vectors, drop_vectors);
}
