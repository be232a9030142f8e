/* SPDX-License-Identifier: MIT */

/* A connection through a pair of sockets: frames in, replies out, in order, and what a bad client gets. */

#include "proto/json.h"
#include "proto/varlink.h"
#include "server/call.h"
#include "server/connection.h"
#include "server/server.h"

#include <errno.h>
#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- a table of methods, and what they saw ---- */

static uint64_t waiting;  /* the connection whose Wait is in work */
static uint64_t n_closed; /* connections of which the services were told that they are gone */

static struct outcome *echo(struct call *call, struct services *services)
{
        struct {
                const char *text;
        } in = {.text = NULL};
        static const struct json_field fields[] = {
                {"text", JSON_STRING, 0, true, 0},
                {NULL},
        };
        struct cJSON *parameters;

        (void)services;
        if (!call_read(call, fields, &in))
                return call_fail_parameter(call, NULL);
        parameters = json_object();
        json_add_string(parameters, "text", in.text);
        return call_reply(call, parameters);
}

static struct outcome *wait_for_it(struct call *call, struct services *services)
{
        (void)services;
        waiting = call_connection(call);
        return call_later(call);
}

static struct outcome *list(struct call *call, struct services *services)
{
        (void)services;
        for (int i = 0; i < 3; i++) {
                struct cJSON *item = json_object();

                json_add_integer(item, "i", i);
                call_list_add(call, item);
        }
        return call_list_end(call);
}

static struct outcome *list_nothing(struct call *call, struct services *services)
{
        (void)services;
        return call_list_end(call);
}

/* Longer than what a client may leave lying. */
static struct outcome *tell_much(struct call *call, struct services *services)
{
        struct cJSON *parameters = json_object();
        char *text = calloc(1, 2 * CONNECTION_OUTPUT_MAX + 1);

        (void)services;
        (void)memset(text, 'x', 2 * CONNECTION_OUTPUT_MAX);
        json_add_string(parameters, "text", text);
        free(text);
        return call_reply(call, parameters);
}

static const struct method methods[] = {
        {"x.y.Echo", echo, 0},
        {"x.y.Wait", wait_for_it, METHOD_HOLDS},
        {"x.y.List", list, METHOD_NEEDS_MORE},
        {"x.y.Much", tell_much, 0},
        {"x.y.Nothing", list_nothing, METHOD_NEEDS_MORE},
        {NULL, NULL, 0},
};

static void on_closed(struct services *services, uint64_t connection)
{
        (void)services;
        (void)connection;
        n_closed++;
}

/* ---- one server and its clients ---- */

static struct event_base *base;
static struct server *server;

static int setup(void **state)
{
        const struct server_limits limits = {
                .max_connections = 3, .max_connections_per_uid = 2, .operator_gid = -1};

        (void)state;
        (void)alarm(60); /* a test that waits for what never comes ends all the same */
        waiting = n_closed = 0;
        base = event_base_new();
        server = server_new(base, methods, NULL, &limits, on_closed);
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        server = server_free(server);
        event_base_free(base);
        return 0;
}

static int join(void)
{
        int pair[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
        server_accept(server, pair[0]);
        return pair[1];
}

static void turn(void)
{
        (void)event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static void say_bytes(int fd, const char *bytes, size_t n)
{
        while (n > 0) {
                ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);

                if (sent < 0) {
                        assert_true(errno == EAGAIN || errno == EPIPE || errno == ECONNRESET);
                        if (errno != EAGAIN)
                                return;
                        sent = 0;
                }
                bytes += sent;
                n -= (size_t)sent;
                turn();
        }
}

static void say(int fd, const char *text)
{
        say_bytes(fd, text, strlen(text) + 1);
}

/* The next reply; "" when the connection has been closed. The caller frees it. */
static char *hear(int fd)
{
        size_t n = 0, size = 128 * 1024;
        char *text = calloc(1, size);

        for (;;) {
                ssize_t got = recv(fd, text + n, 1, 0);

                if (got == 0 || (got < 0 && errno == ECONNRESET))
                        return text;
                if (got == 1 && text[n++] == '\0')
                        return text;
                assert_true(n < size);
                if (got < 0)
                        turn();
        }
}

static void assert_heard(int fd, const char *expected)
{
        char *text = hear(fd);

        assert_string_equal(text, expected);
        free(text);
}

static void assert_closed(int fd)
{
        assert_heard(fd, "");
        (void)close(fd);
}

static void turn_until_closed(uint64_t n)
{
        while (n_closed < n)
                (void)event_base_loop(base, EVLOOP_ONCE);
}

/* ---- stories ---- */

static void a_call_is_answered(void **state)
{
        int fd = join();

        (void)state;
        say(fd, "{\"method\":\"x.y.Echo\",\"parameters\":{\"text\":\"a\"}}");
        assert_heard(fd, "{\"parameters\":{\"text\":\"a\"}}");
        (void)close(fd);
}

static void calls_of_one_write_are_answered_in_order(void **state)
{
        static const char calls[] = "{\"method\":\"x.y.Echo\",\"parameters\":{\"text\":\"a\"}}\0"
                                    "{\"method\":\"x.y.Echo\",\"parameters\":{\"text\":\"b\"}}\0"
                                    "{\"method\":\"x.y.Echo\",\"parameters\":{\"text\":\"c\"}}";
        int fd = join();

        (void)state;
        say_bytes(fd, calls, sizeof(calls));
        assert_heard(fd, "{\"parameters\":{\"text\":\"a\"}}");
        assert_heard(fd, "{\"parameters\":{\"text\":\"b\"}}");
        assert_heard(fd, "{\"parameters\":{\"text\":\"c\"}}");
        (void)close(fd);
}

static void a_frame_may_come_byte_by_byte(void **state)
{
        static const char call[] = "{\"method\":\"x.y.Echo\",\"parameters\":{\"text\":\"a\"}}";
        int fd = join();

        (void)state;
        for (size_t i = 0; i < sizeof(call); i++)
                say_bytes(fd, call + i, 1);
        assert_heard(fd, "{\"parameters\":{\"text\":\"a\"}}");
        (void)close(fd);
}

static void a_frame_may_begin_in_the_write_that_ends_another(void **state)
{
        static const char calls[] = "{\"method\":\"x.y.Echo\",\"parameters\":{\"text\":\"a longer one\"}}\0"
                                    "{\"method\":\"x.y.Echo\",\"parameters\":{\"text\":\"b\"}}";
        const size_t first = strlen(calls) - 5, second = strlen(calls) + 5;
        int fd = join();

        (void)state;
        say_bytes(fd, calls, first);
        turn();
        say_bytes(fd, calls + first, second - first);
        assert_heard(fd, "{\"parameters\":{\"text\":\"a longer one\"}}");
        say_bytes(fd, calls + second, sizeof(calls) - second);
        assert_heard(fd, "{\"parameters\":{\"text\":\"b\"}}");
        (void)close(fd);
}

/* {"method":"x.y.Echo","parameters":{"text":"aaaa..."}} of exactly length bytes, without its NUL */
static char *long_call(size_t length)
{
        static const char head[] = "{\"method\":\"x.y.Echo\",\"parameters\":{\"text\":\"", tail[] = "\"}}";
        char *text = malloc(length + 1);

        memset(text, 'a', length);
        memcpy(text, head, strlen(head));
        memcpy(text + length - strlen(tail), tail, sizeof(tail));
        return text;
}

static void a_frame_of_the_full_length_is_taken_and_one_byte_more_is_not(void **state)
{
        char *call = long_call(VARLINK_FRAME_MAX), *reply, *too_long = long_call(VARLINK_FRAME_MAX + 1);
        int fd = join();

        (void)state;
        say(fd, call);
        reply = hear(fd);
        assert_true(strlen(reply) > VARLINK_FRAME_MAX - 64);
        say(fd, too_long);
        assert_closed(fd);
        free(reply);
        free(call);
        free(too_long);
}

static void an_endless_frame_is_cut_off(void **state)
{
        char *bytes = malloc(4096);
        int fd = join();

        (void)state;
        memset(bytes, ' ', 4096);
        for (int i = 0; i < 32; i++)
                say_bytes(fd, bytes, 4096);
        assert_closed(fd);
        free(bytes);
}

static void the_next_call_waits_until_the_first_is_answered(void **state)
{
        struct call *call;
        char byte;
        int fd = join();

        (void)state;
        say(fd, "{\"method\":\"x.y.Wait\"}");
        say(fd, "{\"method\":\"x.y.Echo\",\"parameters\":{\"text\":\"b\"}}");
        assert_true(waiting > 0);
        assert_int_equal(recv(fd, &byte, 1, 0), -1);
        call = call_find(server, waiting, wait_for_it);
        assert_non_null(call);
        call_reply(call, NULL);
        assert_heard(fd, "{}");
        assert_heard(fd, "{\"parameters\":{\"text\":\"b\"}}");
        assert_null(call_find(server, waiting, wait_for_it));
        (void)close(fd);
}

static void progress_is_for_those_who_asked_for_more(void **state)
{
        int fd = join();

        (void)state;
        say(fd, "{\"method\":\"x.y.Wait\",\"more\":true}");
        call_progress(call_find(server, waiting, wait_for_it), json_object());
        call_reply(call_find(server, waiting, wait_for_it), json_object());
        assert_heard(fd, "{\"parameters\":{},\"continues\":true}");
        assert_heard(fd, "{\"parameters\":{}}");
        say(fd, "{\"method\":\"x.y.Wait\"}");
        call_progress(call_find(server, waiting, wait_for_it), json_object());
        call_reply(call_find(server, waiting, wait_for_it), NULL);
        assert_heard(fd, "{}");
        (void)close(fd);
}

static void a_hang_up_is_noticed_while_a_call_waits(void **state)
{
        int fd = join();

        (void)state;
        say(fd, "{\"method\":\"x.y.Wait\"}");
        say(fd, "{\"method\":\"x.y.Echo\",\"parameters\":{\"text\":\"b\"}}");
        assert_non_null(call_find(server, waiting, wait_for_it));
        (void)close(fd);
        turn_until_closed(1);
        assert_null(call_find(server, waiting, wait_for_it));
        assert_int_equal(server_n_connections(server), 0);
}

static void who_sends_on_and_on_while_it_waits_is_closed(void **state)
{
        char *bytes = calloc(1, 4096);
        int fd = join();

        (void)state;
        say(fd, "{\"method\":\"x.y.Wait\"}");
        for (int i = 0; i < 32; i++)
                say_bytes(fd, bytes, 4096);
        assert_closed(fd);
        free(bytes);
}

static void garbage_harms_its_sender_only(void **state)
{
        static const char *const garbage[] = {"",
                                              "x",
                                              "[]",
                                              "{}",
                                              "{\"method\":1}",
                                              "{\"method\":\"x.y.Echo\"} {}",
                                              "{\"method\":\"x.y.Echo\",\"method\":\"x.y.Echo\"}",
                                              "{\"method\":\"x.y.Echo\",\"id\":1}",
                                              "\xff\xfe"};
        int good = join();

        (void)state;
        for (size_t i = 0; i < sizeof(garbage) / sizeof(*garbage); i++) {
                int bad = join();

                say(bad, garbage[i]);
                assert_closed(bad);
                turn_until_closed(i + 1);
        }
        say(good, "{\"method\":\"x.y.Echo\",\"parameters\":{\"text\":\"a\"}}");
        assert_heard(good, "{\"parameters\":{\"text\":\"a\"}}");
        (void)close(good);
}

static void what_is_wrong_with_a_call_is_said(void **state)
{
        static const struct {
                const char *call, *reply;
        } cases[] = {
                {"{\"method\":\"x.y.Echo\"}", "{\"error\":\"org.varlink.service.InvalidParameter\","
                                              "\"parameters\":{\"parameter\":\"text\"}}"},
                {"{\"method\":\"x.y.Echo\",\"parameters\":{\"text\":\"a\",\"bogus\":1}}",
                 "{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":{\"parameter\":"
                 "\"bogus\"}}"},
                {"{\"method\":\"x.y.Bogus\"}", "{\"error\":\"org.varlink.service.MethodNotFound\","
                                               "\"parameters\":{\"method\":\"x.y.Bogus\"}}"},
                {"{\"method\":\"x.Echo\"}", "{\"error\":\"org.varlink.service.InterfaceNotFound\","
                                            "\"parameters\":{\"interface\":\"x\"}}"},
                {"{\"method\":\"Echo\"}", "{\"error\":\"org.varlink.service.InterfaceNotFound\","
                                          "\"parameters\":{\"interface\":\"Echo\"}}"},
                {"{\"method\":\"x.y.List\"}", "{\"error\":\"org.varlink.service.ExpectedMore\"}"},
        };
        int fd = join();

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
                say(fd, cases[i].call);
                assert_heard(fd, cases[i].reply);
        }
        (void)close(fd);
}

static void oneway_is_silent_and_refused_on_what_holds(void **state)
{
        int fd = join();

        (void)state;
        say(fd, "{\"method\":\"x.y.Echo\",\"parameters\":{\"text\":\"a\"},\"oneway\":true}");
        say(fd, "{\"method\":\"x.y.Bogus\",\"oneway\":true}");
        say(fd, "{\"method\":\"x.y.Echo\",\"parameters\":{\"text\":\"b\"}}");
        assert_heard(fd, "{\"parameters\":{\"text\":\"b\"}}");
        say(fd, "{\"method\":\"x.y.Wait\",\"oneway\":true}");
        assert_closed(fd);
        assert_int_equal(waiting, 0);
}

static void the_last_item_of_a_list_does_not_continue(void **state)
{
        int fd = join();

        (void)state;
        say(fd, "{\"method\":\"x.y.List\",\"more\":true}");
        assert_heard(fd, "{\"parameters\":{\"i\":0},\"continues\":true}");
        assert_heard(fd, "{\"parameters\":{\"i\":1},\"continues\":true}");
        assert_heard(fd, "{\"parameters\":{\"i\":2}}");
        say(fd, "{\"method\":\"x.y.Nothing\",\"more\":true}");
        assert_heard(fd, "{}");
        (void)close(fd);
}

static void who_takes_no_replies_is_closed(void **state)
{
        char *call = long_call(60000);
        int fd = join();

        (void)state;
        for (int i = 0; i < 64 && n_closed == 0; i++)
                say(fd, call);
        turn_until_closed(1);
        (void)close(fd);
        free(call);
}

static void a_slow_reader_gets_everything(void **state)
{
        char *call = long_call(60000);
        int fd = join();

        (void)state;
        for (int i = 0; i < 10; i++)
                say(fd, call);
        for (int i = 0; i < 10; i++) {
                char *reply = hear(fd);

                assert_true(strlen(reply) > 59000);
                free(reply);
        }
        assert_int_equal(n_closed, 0);
        (void)close(fd);
        free(call);
}

static void one_long_reply_is_no_debt(void **state)
{
        int fd = join();
        char part[65536] = "";
        size_t n = 0;
        bool is_whole = false;

        (void)state;
        say(fd, "{\"method\":\"x.y.Much\"}");
        while (!is_whole) {
                ssize_t got = recv(fd, part, sizeof(part), 0);

                assert_true(got > 0 || (got < 0 && errno == EAGAIN));
                if (got < 0) {
                        turn();
                        continue;
                }
                n += (size_t)got;
                is_whole = part[got - 1] == '\0';
        }
        assert_true(n > 2 * CONNECTION_OUTPUT_MAX);
        say(fd, "{\"method\":\"x.y.Echo\",\"parameters\":{\"text\":\"a\"}}");
        assert_heard(fd, "{\"parameters\":{\"text\":\"a\"}}");
        (void)close(fd);
}

static void a_full_house_says_so_at_the_first_call(void **state)
{
        int first = join(), second = join(), third = join();

        (void)state;
        say(third, "{\"method\":\"x.y.Echo\",\"parameters\":{\"text\":\"a\"}}");
        assert_heard(third, "{\"error\":\"io.berth.lease.LimitReached\",\"parameters\":"
                            "{\"limit\":\"max_connections_per_uid\",\"value\":2}}");
        assert_closed(third);
        (void)close(first);
        turn_until_closed(2);
        third = join();
        say(third, "{\"method\":\"x.y.Echo\",\"parameters\":{\"text\":\"a\"}}");
        assert_heard(third, "{\"parameters\":{\"text\":\"a\"}}");
        (void)close(second);
        (void)close(third);
}

static void a_stop_closes_who_waits_and_leaves_who_holds(void **state)
{
        int waits = join(), holds = join();
        char byte;

        (void)state;
        say(holds, "{\"method\":\"x.y.Wait\",\"more\":true}");
        call_find(server, waiting, wait_for_it)->is_granted = true;
        say(waits, "{\"method\":\"x.y.Wait\"}");
        server_stop(server);
        assert_closed(waits);
        assert_int_equal(recv(holds, &byte, 1, 0), -1);
        assert_int_equal(errno, EAGAIN);
        (void)close(holds);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                STORY(a_call_is_answered),
                STORY(calls_of_one_write_are_answered_in_order),
                STORY(a_frame_may_come_byte_by_byte),
                STORY(a_frame_may_begin_in_the_write_that_ends_another),
                STORY(a_frame_of_the_full_length_is_taken_and_one_byte_more_is_not),
                STORY(an_endless_frame_is_cut_off),
                STORY(the_next_call_waits_until_the_first_is_answered),
                STORY(progress_is_for_those_who_asked_for_more),
                STORY(a_hang_up_is_noticed_while_a_call_waits),
                STORY(who_sends_on_and_on_while_it_waits_is_closed),
                STORY(garbage_harms_its_sender_only),
                STORY(what_is_wrong_with_a_call_is_said),
                STORY(oneway_is_silent_and_refused_on_what_holds),
                STORY(the_last_item_of_a_list_does_not_continue),
                STORY(who_takes_no_replies_is_closed),
                STORY(a_slow_reader_gets_everything),
                STORY(one_long_reply_is_no_debt),
                STORY(a_full_house_says_so_at_the_first_call),
                STORY(a_stop_closes_who_waits_and_leaves_who_holds),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
