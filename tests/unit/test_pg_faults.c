/* SPDX-License-Identifier: MIT */

/* Whatever goes wrong on the way: one answer, in time, and never one that looks like a good one. */
#include "pg_fixture.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- a name server that takes its time: libpq calls this one ---- */

static pthread_mutex_t lookup_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t lookup_changed = PTHREAD_COND_INITIALIZER;
static bool lookup_open;
static unsigned lookups_begun;

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result)
        __attribute__((visibility("default")));

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
        int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

        *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
        if (!node || strcmp(node, "slow.test") != 0)
                return real(node, service, hints, result);
        pthread_mutex_lock(&lookup_lock);
        lookups_begun++;
        pthread_cond_broadcast(&lookup_changed);
        while (!lookup_open)
                pthread_cond_wait(&lookup_changed, &lookup_lock);
        pthread_mutex_unlock(&lookup_lock);
        return real("127.0.0.1", service, hints, result);
}

static void lookup_set_open(bool is_open)
{
        pthread_mutex_lock(&lookup_lock);
        lookup_open = is_open;
        pthread_cond_broadcast(&lookup_changed);
        pthread_mutex_unlock(&lookup_lock);
}

static void lookup_await(unsigned n)
{
        pthread_mutex_lock(&lookup_lock);
        while (lookups_begun < n)
                pthread_cond_wait(&lookup_changed, &lookup_lock);
        pthread_mutex_unlock(&lookup_lock);
}

/* ---- a server that misbehaves ---- */

enum manner { SILENT, HANG_UP, GARBAGE, PROXY_THEN_CUT, PROXY_THEN_STALL };

struct villain {
        struct fixture *f;
        struct evconnlistener *listener;
        enum manner manner;
        size_t budget, passed; /* bytes of the real server's that get through */
        struct bufferevent *client, *server;
        int port;
};

static void drop_pair(struct villain *v)
{
        if (v->client)
                bufferevent_free(v->client);
        if (v->server)
                bufferevent_free(v->server);
        v->client = v->server = NULL;
}

static void on_client_data(struct bufferevent *from, void *argument)
{
        struct villain *v = argument;

        if (v->manner == GARBAGE)
                bufferevent_write(from, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
        else if (v->server)
                bufferevent_read_buffer(from, bufferevent_get_output(v->server));
}

static void on_server_data(struct bufferevent *from, void *argument)
{
        struct villain *v = argument;
        struct evbuffer *input = bufferevent_get_input(from);
        size_t n = evbuffer_get_length(input);
        bool spent = v->passed + n > v->budget;

        if (spent)
                n = v->budget - v->passed;
        v->passed += n;
        evbuffer_remove_buffer(input, bufferevent_get_output(v->client), n);
        if (!spent)
                return;
        evbuffer_drain(input, evbuffer_get_length(input));
        if (v->manner == PROXY_THEN_CUT) {
                struct evbuffer *output = bufferevent_get_output(v->client);

                /* What was let through must arrive before the end does. */
                assert_int_equal(evbuffer_unfreeze(output, 1), 0);
                while (evbuffer_get_length(output) > 0)
                        assert_true(evbuffer_write(output, bufferevent_getfd(v->client)) > 0);
                drop_pair(v);
        }
}

static void on_pair_event(struct bufferevent *which, short what, void *argument)
{
        (void)which;
        if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
                drop_pair(argument);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int size,
                      void *argument)
{
        struct villain *v = argument;
        struct event_base *base = evconnlistener_get_base(listener);
        struct sockaddr_in real = {.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)atoi(v->f->port)),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

        (void)address;
        (void)size;
        if (v->manner == HANG_UP) {
                close(fd);
                return;
        }
        drop_pair(v);
        v->client = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
        bufferevent_setcb(v->client, on_client_data, NULL, on_pair_event, v);
        bufferevent_enable(v->client, EV_READ | EV_WRITE);
        if (v->manner != PROXY_THEN_CUT && v->manner != PROXY_THEN_STALL)
                return;
        v->passed = 0;
        v->server = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
        bufferevent_setcb(v->server, on_server_data, NULL, on_pair_event, v);
        bufferevent_enable(v->server, EV_READ | EV_WRITE);
        assert_int_equal(bufferevent_socket_connect(v->server, (struct sockaddr *)&real, sizeof(real)), 0);
}

static void villain_open(struct villain *v, struct fixture *f, enum manner manner)
{
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof(address);

        *v = (struct villain){.f = f, .manner = manner};
        v->listener = evconnlistener_new_bind(f->base, on_accept, v, LEV_OPT_CLOSE_ON_FREE, 16,
                                              (struct sockaddr *)&address, sizeof(address));
        assert_non_null(v->listener);
        assert_int_equal(getsockname(evconnlistener_get_fd(v->listener), (struct sockaddr *)&address, &size),
                         0);
        v->port = ntohs(address.sin_port);
}

static const char *villain_conninfo(const struct villain *v)
{
        static char text[128];

        (void)snprintf(text, sizeof(text),
                       "host=127.0.0.1 port=%d user=postgres dbname=postgres sslmode=disable", v->port);
        return text;
}

static void villain_close(struct villain *v)
{
        drop_pair(v);
        evconnlistener_free(v->listener);
}

static void assert_lost(struct fixture *f, const char *part_of_message)
{
        assert_int_equal(f->heard.outcome, PG_LOST);
        assert_string_equal(f->heard.sqlstate, "");
        if (!strstr(f->heard.message, part_of_message))
                fail_msg("\"%s\" is not in \"%s\"", part_of_message, f->heard.message);
}

/* ---- connecting ---- */

static void a_server_that_is_not_there_is_lost(void **state)
{
        struct fixture *f = *state;

        pg_close(f, try_open(f, "host=127.0.0.1 port=1 user=x", 5 * SECOND));
        assert_lost(f, "onnection refused");
        pg_close(f, try_open(f, "host=/nonexistent user=x", 5 * SECOND));
        assert_lost(f, "No such file");
        pg_close(f, try_open(f, by_socket(f, "user=postgres dbname=none"), 5 * SECOND));
        assert_lost(f, "database \"none\" does not exist");
}

static void a_black_hole_ends_by_its_deadline(void **state)
{
        struct fixture *f = *state;
        unsigned long long start = now_usec();
        struct villain v;

        villain_open(&v, f, SILENT);
        pg_close(f, try_open(f, villain_conninfo(&v), SECOND / 5));
        assert_lost(f, "no answer within 0.2 s");
        assert_in_range(now_usec() - start, SECOND / 5 - 20000, 2 * SECOND);
        pg_close(f, try_open(f, villain_conninfo(&v), 0));
        assert_lost(f, "no answer");
        villain_close(&v);
}

static void who_accepts_and_hangs_up_or_babbles_is_lost(void **state)
{
        struct fixture *f = *state;
        struct villain v;

        villain_open(&v, f, HANG_UP);
        pg_close(f, try_open(f, villain_conninfo(&v), 5 * SECOND));
        assert_lost(f, "server closed the connection");
        v.manner = GARBAGE;
        pg_close(f, try_open(f, villain_conninfo(&v), 5 * SECOND));
        assert_lost(f, "expected authentication request");
        villain_close(&v);
}

static void a_password_is_never_shown(void **state)
{
        struct fixture *f = *state;
        struct pg_connection *c;

        sql(f->admin, "CREATE ROLE scram_user LOGIN PASSWORD 'opensesame'");
        c = open_ok(f, by_tcp(f, "user=scram_user password=opensesame dbname=postgres"));
        assert_int_equal(ask(f, c, PG_SESSIONS, NULL, NULL), PG_OK);
        pg_close(f, c);
        pg_close(f, try_open(f, by_tcp(f, "user=scram_user password=hunter2hunter2 dbname=postgres"),
                             5 * SECOND));
        assert_lost(f, "password authentication failed");
        assert_null(strstr(f->heard.message, "hunter2"));
        pg_close(f,
                 try_open(f, by_tcp(f, "user=scram_user password=scram_user dbname=postgres"), 5 * SECOND));
        assert_lost(f, "password authentication failed for user \"**********\"");
        pg_close(f, try_open(f, by_tcp(f, "user=scram_user dbname=postgres"), 5 * SECOND));
        assert_lost(f, "no password supplied");
}

static void what_is_no_connection_string_is_not_quoted(void **state)
{
        static const char *const wrong[] = {
                "host=127.0.0.1 password=hunter2 hunter3",
                "password=a hunter2=b",
                "postgresql://user:hunter1@hunter2@127.0.0.1/db",
                "postgresql://user:hunter2@[127.0.0.1/db",
                "hunter2",
                "password='hunter2",
                "host=a,,hunter2 password=x",
        };
        struct fixture *f = *state;

        for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
                pg_close(f, try_open(f, wrong[i], 5 * SECOND));
                assert_lost(f, "no connection string");
                assert_null(strstr(f->heard.message, "hunter"));
        }
}

static void the_second_host_is_tried_when_the_first_is_a_black_hole(void **state)
{
        struct fixture *f = *state;
        struct pg_connection *c;
        struct villain v;
        char text[256];

        villain_open(&v, f, SILENT);
        (void)snprintf(text, sizeof(text), "host=127.0.0.1,127.0.0.1,%s/socket port=1,%d,%s user=postgres",
                       f->dir, v.port, f->port);
        c = try_open(f, text, 2 * SECOND);
        assert_int_equal(f->heard.outcome, PG_OK);
        assert_int_equal(ask(f, c, PG_SESSIONS, NULL, NULL), PG_OK);
        pg_close(f, c);
        (void)snprintf(text, sizeof(text), "host=127.0.0.1,127.0.0.1 port=1,%d user=postgres", v.port);
        pg_close(f, try_open(f, text, SECOND / 5));
        assert_lost(f, "onnection refused");
        assert_lost(f, "no answer within");
        villain_close(&v);
}

static void a_service_is_read_and_its_hosts_are_tried_in_turn(void **state)
{
        struct fixture *f = *state;
        struct pg_connection *c;
        char path[96], text[256];
        struct villain v;
        FILE *file;

        villain_open(&v, f, SILENT);
        (void)snprintf(path, sizeof(path), "%s/services", f->dir);
        file = fopen(path, "w");
        fprintf(file, "[tests]\nhost=127.0.0.1,%s/socket\nport=%d,%s\nuser=postgres\n", f->dir, v.port,
                f->port);
        fclose(file);
        setenv("PGSERVICEFILE", path, 1);
        c = try_open(f, "service=tests dbname=template1", 2 * SECOND);
        assert_int_equal(f->heard.outcome, PG_OK);
        assert_int_equal(ask(f, c, PG_SESSIONS, NULL, NULL), PG_OK);
        (void)snprintf(text, sizeof(text), "%d", f->heard.backend_pid);
        assert_string_equal(cell(f, (unsigned)row_of(f, 1, text), 2), "template1");
        pg_close(f, c);
        pg_close(f, try_open(f, "service=none", 2 * SECOND));
        assert_lost(f, "\"none\" not found");
        unsetenv("PGSERVICEFILE");
        villain_close(&v);
}

/* ---- names ---- */

static void a_slow_name_server_stops_nobody_else(void **state)
{
        struct fixture *f = *state;
        struct heard slow = {};
        struct pg_connection *c, *other;
        char text[128];

        (void)snprintf(text, sizeof(text), "host=slow.test port=%s user=postgres", f->port);
        lookup_set_open(false);
        c = f->pg->ops->open(f->pg, text, 30 * SECOND, on_heard, &slow);
        lookup_await(1);
        other = open_ok(f, f->conninfo); /* would hang if the look-up held the loop */
        assert_int_equal(ask(f, other, PG_SCHEMAS, NULL, NULL), PG_OK);
        pg_close(f, other);
        assert_int_equal(slow.n_answers, 0);

        lookup_set_open(true);
        await(f, &slow, 1);
        assert_int_equal(slow.outcome, PG_OK);
        pg_close(f, c);
        heard_clear(&slow);
}

static void a_look_up_ends_by_its_deadline_and_may_be_forgotten(void **state)
{
        enum { MANY = 40 }; /* more than there are threads */
        struct fixture *f = *state;
        struct heard heard[MANY] = {};
        struct pg_connection *c[MANY];
        char text[128];

        (void)snprintf(text, sizeof(text), "host=slow.test port=%s user=postgres", f->port);
        lookup_set_open(false);
        pg_close(f, try_open(f, text, SECOND / 5));
        assert_lost(f, "no answer within 0.2 s");
        for (unsigned i = 0; i < MANY; i++)
                c[i] = f->pg->ops->open(f->pg, text, 30 * SECOND, on_heard, &heard[i]);
        for (unsigned i = 0; i < MANY; i += 2)
                pg_close(f, c[i]);
        lookup_set_open(true);
        for (unsigned i = 1; i < MANY; i += 2) {
                await(f, &heard[i], 1);
                assert_int_equal(heard[i].outcome, PG_OK);
                pg_close(f, c[i]);
                heard_clear(&heard[i]);
        }
        for (unsigned i = 0; i < MANY; i += 2)
                assert_int_equal(heard[i].n_answers, 0);
}

static void who_leaves_in_the_middle_of_a_look_up_waits_for_nobody(void **state)
{
        struct fixture *f = *state;
        struct heard heard = {};
        struct pg *pg;
        char text[128];

        (void)snprintf(text, sizeof(text), "host=slow.test port=%s user=postgres", f->port);
        lookup_set_open(false);
        assert_int_equal(pg_new(f->base, "other", &pg), 0);
        pg->ops->close(pg->ops->open(pg, text, 30 * SECOND, on_heard, &heard));
        pg->ops->close(pg->ops->open(pg, text, 30 * SECOND, on_heard, &heard));
        pg_free(pg);
        assert_int_equal(heard.n_answers, 0);
        lookup_set_open(true);
}

/* ---- asking ---- */

/* At every byte of what the server says, from the greeting to the end of the answer. */
static void an_answer_that_is_cut_anywhere_is_no_answer(void **state)
{
        struct fixture *f = *state;
        struct pg_connection *c;
        struct villain v;
        size_t connected, whole;

        sql(f->admin, "CREATE SCHEMA test_cut_gw0");
        villain_open(&v, f, PROXY_THEN_CUT);
        v.budget = SIZE_MAX / 2;
        c = open_ok(f, villain_conninfo(&v));
        connected = v.passed;
        assert_int_equal(ask(f, c, PG_SCHEMAS, NULL, NULL), PG_OK);
        whole = v.passed;
        pg_close(f, c);
        print_message("cut at each of %zu bytes, %zu of them before the first question\n", whole, connected);

        for (size_t n = 0; n < whole; n += n + 5 < connected ? 5 : 1) {
                v.budget = n;
                c = try_open(f, villain_conninfo(&v), 5 * SECOND);
                if (n + 1 < connected - 20)
                        assert_int_equal(f->heard.outcome, PG_LOST);
                if (f->heard.outcome == PG_OK && ask(f, c, PG_SCHEMAS, NULL, NULL) != PG_LOST)
                        fail_msg("taken for an answer after %zu of %zu bytes", n, whole);
                pg_close(f, c);
        }
        villain_close(&v);
        sql(f->admin, "DROP SCHEMA test_cut_gw0");
}

static void an_answer_that_stops_half_way_ends_by_its_deadline(void **state)
{
        struct fixture *f = *state;
        struct pg_connection *c;
        struct villain v;

        villain_open(&v, f, PROXY_THEN_STALL);
        v.budget = SIZE_MAX / 2;
        c = open_ok(f, villain_conninfo(&v));
        v.budget = v.passed + 40;
        heard_clear(&f->heard);
        f->pg->ops->ask(c, PG_SCHEMAS, (const char *const[PG_PARAMETERS_MAX]){}, SECOND / 5);
        await(f, &f->heard, 1);
        assert_lost(f, "no answer within 0.2 s");
        pg_close(f, c);
        villain_close(&v);
}

static void a_backend_that_is_terminated_says_why(void **state)
{
        struct fixture *f = *state;
        struct pg_connection *c = open_ok(f, f->conninfo);
        PGconn *holder = session(f, "user=postgres dbname=postgres");

        /* In the middle of a question ... */
        sql(f->admin, "CREATE SCHEMA test_held_gw0; CREATE TABLE test_held_gw0.t()");
        sql(holder, "BEGIN; LOCK TABLE test_held_gw0.t");
        assert_int_equal(ask(f, c, PG_DROP_BEGIN, "30000", "30000"), PG_OK);
        heard_clear(&f->heard);
        f->pg->ops->ask(c, PG_DROP, (const char *const[PG_PARAMETERS_MAX]){"test_held_gw0"}, 30 * SECOND);
        while (!*sql(f->admin, "SELECT pid FROM pg_locks WHERE NOT granted"))
                event_base_loop(f->base, EVLOOP_NONBLOCK);
        sql(f->admin, "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted");
        await(f, &f->heard, 1);
        assert_lost(f, "terminating connection due to administrator command");
        pg_close(f, c);
        PQfinish(holder);
        sql(f->admin, "DROP SCHEMA test_held_gw0 CASCADE");

        /* ... and between two. */
        c = open_ok(f, f->conninfo);
        sql(f->admin, "SELECT pg_terminate_backend(%d, 5000)", f->heard.backend_pid);
        assert_int_equal(ask(f, c, PG_SESSIONS, NULL, NULL), PG_LOST);
        assert_lost(f, "terminating connection due to administrator command");
        pg_close(f, c);
}

/* ---- owners ---- */

struct owner {
        struct fixture *f;
        struct pg_connection *connection;
        enum pg_question next; /* asked in the callback; PG_QUESTION_MAX_: closed there */
        unsigned n_answers;
};

static void on_owner(void *owner, const struct pg_answer *answer)
{
        struct owner *o = owner;
        char *message = strdup(answer->message);

        o->n_answers++;
        if (o->next != PG_QUESTION_MAX_ && answer->question == PG_CONNECT && answer->outcome == PG_OK) {
                o->f->pg->ops->ask(o->connection, o->next, (const char *const[PG_PARAMETERS_MAX]){},
                                   5 * SECOND);
                o->next = PG_QUESTION_MAX_;
                assert_int_equal(o->n_answers, 1);
        } else {
                pg_close(o->f, o->connection);
                o->connection = NULL;
                /* What was said is still there. */
                assert_string_equal(answer->message, message);
                for (unsigned i = 0; i < answer->n_rows * answer->n_columns; i++)
                        assert_true(!answer->cells[i] || strlen(answer->cells[i]) < 1000);
        }
        free(message);
}

static void an_owner_may_ask_and_close_in_the_callback(void **state)
{
        struct fixture *f = *state;
        struct owner asks = {.f = f, .next = PG_SCHEMAS}, closes = {.f = f, .next = PG_QUESTION_MAX_};
        struct owner fails = {.f = f, .next = PG_SCHEMAS}, garbled = {.f = f, .next = PG_COMMIT};

        asks.connection = f->pg->ops->open(f->pg, f->conninfo, 5 * SECOND, on_owner, &asks);
        closes.connection = f->pg->ops->open(f->pg, f->conninfo, 5 * SECOND, on_owner, &closes);
        fails.connection = f->pg->ops->open(f->pg, "host=127.0.0.1 port=1", 5 * SECOND, on_owner, &fails);
        garbled.connection = f->pg->ops->open(f->pg, f->conninfo, 5 * SECOND, on_owner, &garbled);
        while (asks.connection || closes.connection || fails.connection || garbled.connection)
                event_base_loop(f->base, EVLOOP_ONCE);
        event_base_loop(f->base, EVLOOP_NONBLOCK);
        assert_int_equal(asks.n_answers, 2);
        assert_int_equal(closes.n_answers, 1);
        assert_int_equal(fails.n_answers, 1);
        assert_int_equal(garbled.n_answers, 2);
}

static void a_question_that_is_forgotten_is_not_answered(void **state)
{
        struct fixture *f = *state;
        struct pg_connection *c = open_ok(f, f->conninfo), *other = open_ok(f, f->conninfo);

        heard_clear(&f->heard);
        f->pg->ops->ask(c, PG_SCHEMAS, (const char *const[PG_PARAMETERS_MAX]){}, 5 * SECOND);
        pg_close(f, c);
        pg_close(f, f->pg->ops->open(f->pg, f->conninfo, 5 * SECOND, on_heard, &f->heard));
        pg_close(f, f->pg->ops->open(f->pg, "", 5 * SECOND, on_heard, &f->heard));
        pg_close(f, NULL);
        assert_int_equal(ask(f, other, PG_SCHEMAS, NULL, NULL), PG_OK); /* exactly one answer: this one */
        pg_close(f, other);
}

/* A DROP of many objects has much to say about it, none of it for our stderr. */
static void notices_are_swallowed(void **state)
{
        struct fixture *f = *state;
        struct pg_connection *c = open_ok(f, f->conninfo);
        int old = dup(STDERR_FILENO), file = open(f->dir, O_TMPFILE | O_RDWR, 0600);

        assert_true(file >= 0);
        sql(f->admin,
            "CREATE SCHEMA test_loud_gw0; CREATE TABLE test_loud_gw0.a(); CREATE TABLE test_loud_gw0.b()");
        fflush(stderr);
        dup2(file, STDERR_FILENO);
        assert_int_equal(ask(f, c, PG_DROP_BEGIN, "5000", "5000"), PG_OK);
        assert_int_equal(ask(f, c, PG_DROP, "test_loud_gw0", NULL), PG_OK);
        assert_int_equal(ask(f, c, PG_COMMIT, NULL, NULL), PG_OK);
        dup2(old, STDERR_FILENO);
        assert_int_equal(lseek(file, 0, SEEK_END), 0);
        close(file);
        close(old);
        pg_close(f, c);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_server_that_is_not_there_is_lost),
                cmocka_unit_test(a_black_hole_ends_by_its_deadline),
                cmocka_unit_test(who_accepts_and_hangs_up_or_babbles_is_lost),
                cmocka_unit_test(a_password_is_never_shown),
                cmocka_unit_test(what_is_no_connection_string_is_not_quoted),
                cmocka_unit_test(the_second_host_is_tried_when_the_first_is_a_black_hole),
                cmocka_unit_test(a_service_is_read_and_its_hosts_are_tried_in_turn),
                cmocka_unit_test(a_slow_name_server_stops_nobody_else),
                cmocka_unit_test(a_look_up_ends_by_its_deadline_and_may_be_forgotten),
                cmocka_unit_test(who_leaves_in_the_middle_of_a_look_up_waits_for_nobody),
                cmocka_unit_test(an_answer_that_is_cut_anywhere_is_no_answer),
                cmocka_unit_test(an_answer_that_stops_half_way_ends_by_its_deadline),
                cmocka_unit_test(a_backend_that_is_terminated_says_why),
                cmocka_unit_test(an_owner_may_ask_and_close_in_the_callback),
                cmocka_unit_test(a_question_that_is_forgotten_is_not_answered),
                cmocka_unit_test(notices_are_swallowed),
        };

        return cmocka_run_group_tests(tests, fixture_set_up, fixture_tear_down);
}
