/* SPDX-License-Identifier: MIT */

/* How long the loop is away while a hundred connections connect and ask. */
#include "pg_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { CONNECTIONS = 100 };

/* Microseconds; invariant I14. A sanitizer's allocator has all threads wait for each other. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LOOP_STALL_MAX 100000
#else
#define LOOP_STALL_MAX 10000
#endif

struct run {
        struct fixture *f;
        struct pg_connection *connection;
        unsigned *n_left;
        bool failed;
};

/* Connects, asks three questions, and is done. */
static void on_run(void *owner, const struct pg_answer *answer)
{
        static const enum pg_question next[] = {
                [PG_CONNECT] = PG_IDENTIFY,
                [PG_IDENTIFY] = PG_SCHEMAS,
                [PG_SCHEMAS] = PG_SESSIONS,
        };
        struct run *run = owner;

        if (answer->outcome == PG_OK && answer->question < PG_SESSIONS) {
                run->f->pg->ops->ask(run->connection, next[answer->question],
                                     (const char *const[PG_PARAMETERS_MAX]){}, 30 * SECOND);
                return;
        }
        run->failed = answer->outcome != PG_OK;
        --*run->n_left;
}

/* Of one turn of the loop, and the most of many. */
struct turn {
        unsigned long long wall_usec;
        unsigned long long own_usec; /* without the time in which others had the processor */
};

/*
 * How long this thread was ready to run, and was not let (/proc/PID/schedstat, the second number): others use
 * this machine, too. What is left of the time is what the loop computed, and what it waited for but its
 * events.
 */
static unsigned long long read_kept_waiting(void)
{
        unsigned long long kept = 0;
        FILE *file = fopen("/proc/thread-self/schedstat", "r");

        if (file && fscanf(file, "%*u %llu", &kept) != 1)
                kept = 0;
        if (file)
                fclose(file);
        return kept / 1000;
}

static void keep_most(struct turn *most, const struct turn *turn)
{
        if (turn->wall_usec > most->wall_usec)
                most->wall_usec = turn->wall_usec;
        if (turn->own_usec > most->own_usec)
                most->own_usec = turn->own_usec;
}

/* Without ever waiting in it, so that whatever time it takes the loop was away. */
static void turn_once(struct fixture *f, struct turn *most)
{
        unsigned long long kept = read_kept_waiting(), start = now_usec();
        struct turn turn;

        event_base_loop(f->base, EVLOOP_ONCE | EVLOOP_NONBLOCK); /* NONBLOCK alone goes on and on */
        turn.wall_usec = now_usec() - start;
        kept = read_kept_waiting() - kept;
        turn.own_usec = turn.wall_usec > kept ? turn.wall_usec - kept : 0;
        keep_most(most, &turn);
}

static struct turn longest_turn(struct fixture *f, const char *conninfo)
{
        struct run runs[CONNECTIONS];
        struct turn most = {};
        unsigned n_left = CONNECTIONS;
        unsigned long long start = now_usec();

        for (unsigned i = 0; i < CONNECTIONS; i++) {
                runs[i] = (struct run){.f = f, .n_left = &n_left};
                runs[i].connection = f->pg->ops->open(f->pg, conninfo, 60 * SECOND, on_run, &runs[i]);
        }
        while (n_left > 0)
                turn_once(f, &most);
        print_message("%d connections, 4 answers each, in %llu ms; longest turn of the loop %llu us, of its "
                      "own %llu us\n",
                      CONNECTIONS, (now_usec() - start) / 1000, most.wall_usec, most.own_usec);
        for (unsigned i = 0; i < CONNECTIONS; i++) {
                assert_false(runs[i].failed);
                pg_close(f, runs[i].connection);
        }
        return most;
}

/* The best of three, for what the meter does not see. What blocks blocks every time. */
static void assert_no_stall(struct fixture *f, const char *conninfo)
{
        unsigned long long best = UINT64_MAX;

        for (unsigned i = 0; i < 3; i++) {
                struct turn most = longest_turn(f, conninfo);

                best = most.own_usec < best ? most.own_usec : best;
        }
        assert_in_range(best, 0, LOOP_STALL_MAX);
}

static void the_loop_is_never_away_for_long(void **state)
{
        struct fixture *f = *state;

        assert_no_stall(f, f->conninfo);
}

/* A password costs 4096 rounds of SHA-256 on our side, and a name must be looked up. */
static void passwords_and_names_do_not_keep_the_loop_away(void **state)
{
        struct fixture *f = *state;
        char text[160];

        sql(f->admin, "CREATE ROLE scram_user LOGIN PASSWORD 'opensesame'");
        (void)snprintf(text, sizeof(text),
                       "host=localhost port=%s user=scram_user password=opensesame dbname=postgres", f->port);
        assert_no_stall(f, text);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_loop_is_never_away_for_long),
                cmocka_unit_test(passwords_and_names_do_not_keep_the_loop_away),
        };

        return cmocka_run_group_tests(tests, fixture_set_up, fixture_tear_down);
}
