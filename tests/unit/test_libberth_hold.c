/* SPDX-License-Identifier: MIT */

/* The lifeline, with the test as the daemon: everything in one thread, by the calls an event loop would make.
 */

#include "client/lib/berth.h"
#include "client/lib/hold.h"

#include "proto/json.h"
#include "proto/varlink.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#define GRANTED                                                                                              \
        "{\"parameters\":{\"state\":\"granted\",\"secret\":\"0123456789abcdef0123456789abcdef\","            \
        "\"context\":{\"namespace\":\"pa\",\"databases\":[],"                                                \
        "\"aliases\":[\"HONEY_NS\",\"PATH\",\"LD_PRELOAD\",\"A=B\",\"OTHER_NS\"]}},\"continues\":true}"

#define QUEUED "{\"parameters\":{\"state\":\"queued\",\"position\":2,\"holders\":[]},\"continues\":true}"

struct server {
        char directory[64];
        char path[96];
        int listener, peer;
        char call[4096]; /* the last one */
};

static void start_listening(struct server *server)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        (void)unlink(server->path);
        (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", server->path);
        server->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(server->listener, (struct sockaddr *)&address, sizeof(address)), 0);
        assert_int_equal(listen(server->listener, 8), 0);
}

static int set_up(void **state)
{
        struct server *server = calloc(1, sizeof(*server));

        strcpy(server->directory, "/tmp/berth-hold-XXXXXX");
        assert_non_null(mkdtemp(server->directory));
        (void)snprintf(server->path, sizeof(server->path), "%s/s", server->directory);
        server->peer = -1;
        start_listening(server);
        *state = server;
        return 0;
}

static void hang_up(struct server *server)
{
        if (server->peer >= 0)
                (void)close(server->peer);
        server->peer = -1;
}

static int tear_down(void **state)
{
        struct server *server = *state;

        hang_up(server);
        (void)close(server->listener);
        (void)unlink(server->path);
        (void)rmdir(server->directory);
        free(server);
        return 0;
}

/* Takes a new connection and the call that comes with it. */
static const char *take_call(struct server *server)
{
        ssize_t n;

        hang_up(server);
        server->peer = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
        assert_true(server->peer >= 0);
        n = read(server->peer, server->call, sizeof(server->call) - 1);
        assert_true(n > 0 && server->call[n - 1] == '\0');
        return server->call;
}

static void say(struct server *server, const char *reply)
{
        assert_int_equal(write(server->peer, reply, strlen(reply) + 1), strlen(reply) + 1);
}

static struct berth_lease *ask(struct server *server)
{
        struct berth_lease_request request = BERTH_LEASE_REQUEST_INIT;
        struct berth_lease *lease = NULL;

        request.socket = server->path;
        assert_int_equal(berth_lease_request(&request, &lease, NULL), 0);
        (void)take_call(server);
        return lease;
}

static struct berth_lease *hold(struct server *server)
{
        struct berth_lease *lease = ask(server);

        say(server, GRANTED);
        assert_int_equal(berth_lease_wait(lease, -1, NULL), BERTH_HELD);
        return lease;
}

static void a_lease_goes_through_the_queue(void **state)
{
        struct server *server = *state;
        struct berth_lease *lease = ask(server);

        assert_int_equal(berth_lease_dispatch(lease, NULL), BERTH_WAITING);
        assert_string_equal(berth_lease_namespace(lease), "");
        say(server, QUEUED);
        assert_int_equal(berth_lease_wait(lease, -1, NULL), BERTH_WAITING);
        assert_int_equal(berth_lease_position(lease), 2);
        say(server, GRANTED);
        assert_int_equal(berth_lease_wait(lease, -1, NULL), BERTH_HELD);
        assert_int_equal(berth_lease_position(lease), 0);
        assert_string_equal(berth_lease_namespace(lease), "pa");
        assert_string_equal(berth_lease_socket(lease), server->path);
        berth_lease_free(lease);
}

static void of_the_aliases_it_is_told_only_harmless_ones_count(void **state)
{
        struct berth_lease *lease = ask(*state);

        assert_string_equal(berth_lease_aliases(lease), "");
        say(*state, GRANTED);
        assert_int_equal(berth_lease_wait(lease, -1, NULL), BERTH_HELD);
        assert_string_equal(berth_lease_aliases(lease), "HONEY_NS OTHER_NS");
        berth_lease_free(lease);
}

static void nothing_to_do_is_no_busy_loop(void **state)
{
        struct server *server = *state;
        struct berth_lease *lease = hold(server);

        assert_int_equal(berth_lease_timeout(lease), -1);
        assert_true(berth_lease_fd(lease) >= 0);
        assert_int_equal(berth_lease_wait(lease, 1, NULL), BERTH_HELD);
        berth_lease_free(lease);
}

static void a_daemon_that_says_nothing_is_given_up_and_one_that_has_queued_us_is_not(void **state)
{
        struct server *server = *state;
        struct berth_lease *lease = ask(server);

        assert_in_range(berth_lease_timeout(lease), 20000, 30000);
        say(server, QUEUED);
        assert_int_equal(berth_lease_wait(lease, -1, NULL), BERTH_WAITING);
        assert_int_equal(berth_lease_timeout(lease), -1);
        berth_lease_free(lease);
}

static void a_wait_that_has_outlasted_one_restart_outlasts_the_next(void **state)
{
        struct server *server = *state;
        struct berth_lease *lease = ask(server);
        struct hold *hold = (struct hold *)lease; /* its first member */

        hang_up(server);
        while (!hold->lost_at_ms || berth_lease_fd(lease) < 0)
                (void)berth_lease_wait(lease, 10, NULL);
        (void)take_call(server);
        say(server, QUEUED);
        assert_int_equal(berth_lease_wait(lease, -1, NULL), BERTH_WAITING);
        assert_int_equal(hold->lost_at_ms, 0);
        assert_int_equal(hold->failures, 0);
        berth_lease_free(lease);
}

static void a_lost_daemon_is_come_back_to_with_the_secret(void **state)
{
        struct server *server = *state;
        struct berth_lease *lease = hold(server);

        hang_up(server);
        assert_int_equal(berth_lease_wait(lease, -1, NULL), BERTH_LOST);
        assert_int_equal(berth_lease_fd(lease), -1);
        assert_in_range(berth_lease_timeout(lease), 0, 100);
        while (berth_lease_fd(lease) < 0) {
                (void)poll(NULL, 0, berth_lease_timeout(lease));
                (void)berth_lease_dispatch(lease, NULL);
        }
        assert_non_null(strstr(take_call(server), "io.berth.lease.Attach"));
        assert_non_null(strstr(server->call, "0123456789abcdef0123456789abcdef"));
        say(server, "{\"parameters\":{\"state\":\"granted\"},\"continues\":true}");
        assert_int_equal(berth_lease_wait(lease, -1, NULL), BERTH_HELD);
        assert_string_equal(berth_lease_namespace(lease), "pa");
        berth_lease_free(lease);
}

static void pauses_grow_while_nobody_is_there(void **state)
{
        struct server *server = *state;
        struct berth_lease *lease = hold(server);
        int last_ms = 0;

        (void)close(server->listener);
        server->listener = -1;
        hang_up(server);
        assert_int_equal(berth_lease_wait(lease, -1, NULL), BERTH_LOST);
        for (int i = 0; i < 5; i++) {
                (void)poll(NULL, 0, berth_lease_timeout(lease));
                assert_int_equal(berth_lease_dispatch(lease, NULL), BERTH_LOST);
                assert_true(berth_lease_timeout(lease) >= last_ms);
                last_ms = berth_lease_timeout(lease);
        }
        assert_in_range(last_ms, 400, 640); /* 20 doubled five times */
        start_listening(server);
        berth_lease_free(lease);
}

static void a_lease_that_is_no_more_is_not_asked_for_again(void **state)
{
        struct server *server = *state;
        struct berth_lease *lease = hold(server);
        struct berth_error error;

        hang_up(server);
        while (berth_lease_fd(lease) < 0 || berth_lease_state(lease) == BERTH_HELD)
                (void)berth_lease_wait(lease, 10, NULL);
        (void)take_call(server);
        say(server, "{\"error\":\"io.berth.lease.NoSuchLease\",\"parameters\":{\"namespace\":\"pa\"}}");
        assert_int_equal(berth_lease_wait(lease, -1, &error), BERTH_ENDED);
        assert_string_equal(error.code, "NoSuchLease");
        assert_int_equal(berth_lease_wait(lease, -1, &error), BERTH_ENDED);
        assert_int_equal(berth_lease_release(lease, NULL, NULL, &error), -1);
        berth_lease_free(lease);
}

static void a_ledger_in_trouble_is_waited_for_by_who_holds(void **state)
{
        struct server *server = *state;
        struct berth_lease *lease = hold(server);

        hang_up(server);
        while (berth_lease_fd(lease) < 0 || berth_lease_state(lease) == BERTH_HELD)
                (void)berth_lease_wait(lease, 10, NULL);
        (void)take_call(server);
        say(server,
            "{\"error\":\"io.berth.lease.LedgerUnavailable\",\"parameters\":{\"message\":\"disk full\"}}");
        while (berth_lease_fd(lease) >= 0)
                assert_int_equal(berth_lease_wait(lease, 10, NULL), BERTH_LOST);
        berth_lease_free(lease);
}

static void a_refusal_is_the_end_of_a_wait(void **state)
{
        struct server *server = *state;
        struct berth_lease *lease = ask(server);
        struct berth_error error;

        say(server, "{\"error\":\"io.berth.lease.Busy\",\"parameters\":{\"waitedUSec\":0,\"holders\":[]}}");
        assert_int_equal(berth_lease_wait(lease, -1, &error), BERTH_ENDED);
        assert_string_equal(error.code, "Busy");
        assert_int_equal(error.exit_code, 75);
        berth_lease_free(lease);
}

static void a_grant_without_a_namespace_is_no_grant(void **state)
{
        struct server *server = *state;
        struct berth_lease *lease = ask(server);
        struct berth_error error;

        say(server,
            "{\"parameters\":{\"state\":\"granted\",\"context\":{\"namespace\":\"../x\"},\"secret\":\"y\"}}");
        assert_int_equal(berth_lease_wait(lease, -1, &error), BERTH_ENDED);
        assert_string_equal(error.code, "BadAnswer");
        berth_lease_free(lease);
}

static void replies_come_in_pieces_and_together(void **state)
{
        struct server *server = *state;
        struct berth_connection *connection = NULL;
        static const char two[] = "{\"parameters\":{\"n\":1},\"continues\":true}\0{\"parameters\":{\"n\":2}}";
        char *reply = NULL;
        int continues;

        assert_int_equal(berth_connect(server->path, &connection, NULL), 0);
        assert_int_equal(berth_call_start(connection, "a.b.C", "{\"x\":1}", BERTH_CALL_MORE, NULL), 0);
        assert_string_equal(take_call(server),
                            "{\"method\":\"a.b.C\",\"parameters\":{\"x\":1},\"more\":true}");
        assert_int_equal(write(server->peer, two, 10), 10);
        assert_int_equal(berth_call_next(connection, 0, &reply, &continues, NULL), 0);
        assert_int_equal(write(server->peer, two + 10, sizeof(two) - 10), sizeof(two) - 10);
        assert_int_equal(berth_call_next(connection, -1, &reply, &continues, NULL), 1);
        assert_string_equal(reply, "{\"n\":1}");
        assert_int_equal(continues, 1);
        free(reply);
        assert_int_equal(berth_call_next(connection, -1, &reply, &continues, NULL), 1);
        assert_string_equal(reply, "{\"n\":2}");
        assert_int_equal(continues, 0);
        free(reply);
        berth_disconnect(connection);
}

static void a_full_daemons_reason_is_read_although_it_has_hung_up(void **state)
{
        struct server *server = *state;
        struct berth_connection *connection = NULL;
        struct berth_error error;

        assert_int_equal(berth_connect(server->path, &connection, NULL), 0);
        server->peer = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
        say(server,
            "{\"error\":\"io.berth.lease.LimitReached\",\"parameters\":{\"limit\":\"max_connections\","
            "\"value\":4}}");
        hang_up(server);
        assert_int_equal(berth_call(connection, "a.b.C", NULL, 1000, NULL, &error), -1);
        assert_string_equal(error.code, "LimitReached");
        berth_disconnect(connection);
}

static void an_answer_that_does_not_come_is_an_error_of_its_own(void **state)
{
        struct server *server = *state;
        struct berth_connection *connection = NULL;
        struct berth_error error;

        assert_int_equal(berth_connect(server->path, &connection, NULL), 0);
        assert_int_equal(berth_call(connection, "a.b.C", NULL, 1, NULL, &error), -1);
        assert_string_equal(error.code, "Unanswered");
        berth_disconnect(connection);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        const struct CMUnitTest tests[] = {
                TEST(a_lease_goes_through_the_queue),
                TEST(of_the_aliases_it_is_told_only_harmless_ones_count),
                TEST(nothing_to_do_is_no_busy_loop),
                TEST(a_daemon_that_says_nothing_is_given_up_and_one_that_has_queued_us_is_not),
                TEST(a_wait_that_has_outlasted_one_restart_outlasts_the_next),
                TEST(a_lost_daemon_is_come_back_to_with_the_secret),
                TEST(pauses_grow_while_nobody_is_there),
                TEST(a_lease_that_is_no_more_is_not_asked_for_again),
                TEST(a_ledger_in_trouble_is_waited_for_by_who_holds),
                TEST(a_refusal_is_the_end_of_a_wait),
                TEST(a_grant_without_a_namespace_is_no_grant),
                TEST(replies_come_in_pieces_and_together),
                TEST(a_full_daemons_reason_is_read_although_it_has_hung_up),
                TEST(an_answer_that_does_not_come_is_an_error_of_its_own),
        };
#undef TEST

        return cmocka_run_group_tests(tests, NULL, NULL);
}
