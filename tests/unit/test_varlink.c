/* SPDX-License-Identifier: MIT */
#include "proto/idl.h"
#include "proto/protocol.h"
#include "proto/varlink.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void a_call_is_taken_apart(void **state)
{
        static const char frame[] =
                "{\"method\":\"io.berth.lease.Acquire\",\"parameters\":{\"label\":\"x\"},\"more\":true}";
        char message[JSON_MESSAGE_SIZE];
        struct varlink_call call;

        (void)state;
        assert_true(varlink_call_parse(frame, strlen(frame), &call, message));
        assert_string_equal(call.method, "io.berth.lease.Acquire");
        assert_string_equal(json_get_string(call.parameters, "label"), "x");
        assert_true(call.more);
        assert_false(call.oneway);
        varlink_call_done(&call);
        assert_null(call.message);
        assert_null(call.method);
}

static void missing_empty_and_null_members_are_the_same(void **state)
{
        static const char *const frames[] = {
                "{\"method\":\"a.b.C\"}",
                "{\"method\":\"a.b.C\",\"parameters\":null,\"more\":null,\"oneway\":null,\"upgrade\":null}",
                "{\"method\":\"a.b.C\",\"parameters\":{},\"more\":false,\"oneway\":false,\"upgrade\":false}",
        };

        (void)state;
        for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
                char message[JSON_MESSAGE_SIZE];
                struct varlink_call call;

                assert_true(varlink_call_parse(frames[i], strlen(frames[i]), &call, message));
                assert_null(json_first(call.parameters));
                assert_false(call.more || call.oneway);
                varlink_call_done(&call);
        }
}

static void a_malformed_call_is_refused(void **state)
{
        static const char *const frames[][2] = {
                {"", "not a value at byte 1"},
                {"garbage", "not a value at byte 1"},
                {"[]", "not an object"},
                {"\"a.b.C\"", "not an object"},
                {"{}", "member method is missing, unknown or of a wrong type"},
                {"{\"method\":null}", "member method is missing, unknown or of a wrong type"},
                {"{\"method\":1}", "member method is missing, unknown or of a wrong type"},
                {"{\"Method\":\"a.b.C\"}", "member Method is missing, unknown or of a wrong type"},
                {"{\"method\":\"a.b.C\",\"id\":1}", "member id is missing, unknown or of a wrong type"},
                {"{\"method\":\"a.b.C\",\"parameters\":[]}",
                 "member parameters is missing, unknown or of a wrong type"},
                {"{\"method\":\"a.b.C\",\"more\":1}", "member more is missing, unknown or of a wrong type"},
                {"{\"method\":\"a.b.C\",\"method\":\"a.b.D\"}", "doubled member name \"method\""},
                {"{\"method\":\"a.b.C\",\"parameters\":{\"a\":1,\"a\":1}}", "doubled member name \"a\""},
                {"{\"method\":\"a.b.C\",\"more\":true,\"oneway\":true}", "both more and oneway"},
                {"{\"method\":\"a.b.C\",\"upgrade\":true}", "upgrade"},
                {"{\"method\":\"a.b.C\",\"more\":true,\"upgrade\":true}", "upgrade"},
        };

        (void)state;
        for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
                char message[JSON_MESSAGE_SIZE] = "taken";
                struct varlink_call call = {.more = false};

                assert_false(varlink_call_parse(frames[i][0], strlen(frames[i][0]), &call, message));
                assert_string_equal(message, frames[i][1]);
                assert_null(call.message);
        }
}

/* A call whose text is exactly so long, by a method name of x. */
static char *long_call(size_t length)
{
        char *frame = malloc(length + 1);

        memset(frame, 'x', length);
        memcpy(frame, "{\"method\":\"", 11);
        memcpy(frame + length - 2, "\"}", 3);
        return frame;
}

static void a_call_of_64_kib_is_the_longest(void **state)
{
        char *fits = long_call(VARLINK_FRAME_MAX), *over = long_call(VARLINK_FRAME_MAX + 1);
        char message[JSON_MESSAGE_SIZE];
        struct varlink_call call;

        (void)state;
        assert_true(varlink_call_parse(fits, VARLINK_FRAME_MAX, &call, message));
        varlink_call_done(&call);
        assert_false(varlink_call_parse(over, VARLINK_FRAME_MAX + 1, &call, message));
        assert_string_equal(message, "longer than 65536 bytes");
        free(fits);
        free(over);
}

static void a_reply_is_taken_apart(void **state)
{
        static const char progress[] = "{\"parameters\":{\"position\":2},\"continues\":true}";
        static const char failure[] =
                "{\"error\":\"" BERTH_ERROR_BUSY "\",\"parameters\":{\"waitedUSec\":0}}";
        char message[JSON_MESSAGE_SIZE];
        struct varlink_reply reply;

        (void)state;
        assert_true(varlink_reply_parse(progress, strlen(progress), &reply, message));
        assert_int_equal(json_get_integer(reply.parameters, "position", 0), 2);
        assert_true(reply.continues);
        assert_null(reply.error);
        varlink_reply_done(&reply);
        assert_null(reply.message);

        assert_true(varlink_reply_parse(failure, strlen(failure), &reply, message));
        assert_string_equal(reply.error, BERTH_ERROR_BUSY);
        assert_false(reply.continues);
        varlink_reply_done(&reply);

        assert_true(varlink_reply_parse("{}", 2, &reply, message));
        assert_null(reply.parameters);
        varlink_reply_done(&reply);
}

static void a_malformed_reply_is_refused(void **state)
{
        static const char *const frames[] = {
                "[]",
                "{\"result\":{}}",
                "{\"error\":1}",
                "{\"error\":\"a.b.C\",\"continues\":true}",
                "{\"error\":\"a\"",
        };

        (void)state;
        for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
                char message[JSON_MESSAGE_SIZE];
                struct varlink_reply reply;

                assert_false(varlink_reply_parse(frames[i], strlen(frames[i]), &reply, message));
        }
}

static struct cJSON *parameters(void)
{
        struct cJSON *object = json_object();

        assert_true(json_add_integer(object, "a", 1));
        return object;
}

static void expect_frame(char *text, size_t length, const char *wanted)
{
        assert_string_equal(text, wanted);
        assert_int_equal(length, strlen(wanted) + 1); /* the NUL is part of it */
        free(text);
}

static void messages_are_printed_without_what_they_have_not(void **state)
{
        size_t n;
        char *text;

        (void)state;
        text = varlink_print_call("a.b.C", NULL, false, false, &n);
        expect_frame(text, n, "{\"method\":\"a.b.C\"}");
        text = varlink_print_call("a.b.C", parameters(), true, false, &n);
        expect_frame(text, n, "{\"method\":\"a.b.C\",\"parameters\":{\"a\":1},\"more\":true}");
        text = varlink_print_call("a.b.C", NULL, false, true, &n);
        expect_frame(text, n, "{\"method\":\"a.b.C\",\"oneway\":true}");
        text = varlink_print_reply(NULL, NULL, false, &n);
        expect_frame(text, n, "{}");
        text = varlink_print_reply(parameters(), NULL, true, &n);
        expect_frame(text, n, "{\"parameters\":{\"a\":1},\"continues\":true}");
        text = varlink_print_reply(parameters(), "a.b.D", false, &n);
        expect_frame(text, n, "{\"error\":\"a.b.D\",\"parameters\":{\"a\":1}}");
}

static long n_left; /* allocations until one fails */
static bool fails_for_ever;

static void *allocate_some(size_t size)
{
        if (n_left == 0 && fails_for_ever)
                return NULL;
        return n_left-- == 0 ? NULL : malloc(size);
}

static void print_with_little_memory(void)
{
        char *call = NULL, *reply = NULL;

        for (long n = 0; !call || !reply; n++) {
                struct cJSON *first = parameters(), *second = parameters();
                size_t length = 4711;

                free(call);
                free(reply);
                json_use_allocator(allocate_some, free);
                n_left = n;
                call = varlink_print_call("a.b.C", first, true, true, &length);
                n_left = n;
                reply = varlink_print_reply(second, "a.b.D", true, &length);
                json_use_allocator(malloc, free);
                assert_true(call || reply || length == 4711);
                /* All of it or nothing. */
                if (call)
                        assert_string_equal(call, "{\"method\":\"a.b.C\",\"parameters\":{\"a\":1},\"more\":"
                                                  "true,\"oneway\":true}");
                if (reply)
                        assert_string_equal(
                                reply, "{\"error\":\"a.b.D\",\"parameters\":{\"a\":1},\"continues\":true}");
        }
        free(call);
        free(reply);
}

static void without_memory_a_message_is_nothing_and_its_parameters_are_freed(void **state)
{
        (void)state;
        fails_for_ever = true;
        print_with_little_memory();
        fails_for_ever = false;
        print_with_little_memory();
}

static void a_frame_ends_at_its_nul(void **state)
{
        (void)state;
        assert_int_equal(varlink_frame_length("{}\0{}", 5), 2);
        assert_int_equal(varlink_frame_length("{}", 2), -1);
        assert_int_equal(varlink_frame_length("\0", 1), 0);
        assert_int_equal(varlink_frame_length(NULL, 0), -1);
}

static void every_interface_has_its_text(void **state)
{
        static const char *const wanted[] = {BERTH_INTERFACE_SERVICE, BERTH_INTERFACE_LEASE,
                                             BERTH_INTERFACE_MANAGE};
        size_t n = 0;

        (void)state;
        for (; idl_interfaces[n]; n++) {
                const char *text = idl_text(idl_interfaces[n]);
                const char *line = strstr(text, "\ninterface ");

                assert_string_equal(idl_interfaces[n], wanted[n]);
                assert_non_null(line);
                assert_memory_equal(line + 11, wanted[n], strlen(wanted[n]));
                assert_int_equal(line[11 + strlen(wanted[n])], '\n');
                assert_int_equal(text[0], '#');
                assert_int_equal(text[strlen(text) - 1], '\n');
                for (const char *c = text; *c; c++)
                        assert_true(*c == '\n' || (*c >= ' ' && *c <= '~'));
        }
        assert_int_equal(n, sizeof(wanted) / sizeof(wanted[0]));
        assert_null(idl_text("io.berth.Lease"));
        assert_non_null(strstr(idl_text(BERTH_INTERFACE_LEASE), "method Acquire("));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_call_is_taken_apart),
                cmocka_unit_test(missing_empty_and_null_members_are_the_same),
                cmocka_unit_test(a_malformed_call_is_refused),
                cmocka_unit_test(a_call_of_64_kib_is_the_longest),
                cmocka_unit_test(a_reply_is_taken_apart),
                cmocka_unit_test(a_malformed_reply_is_refused),
                cmocka_unit_test(messages_are_printed_without_what_they_have_not),
                cmocka_unit_test(without_memory_a_message_is_nothing_and_its_parameters_are_freed),
                cmocka_unit_test(a_frame_ends_at_its_nul),
                cmocka_unit_test(every_interface_has_its_text),
        };

        return cmocka_run_group_tests_name("varlink", tests, NULL, NULL);
}
