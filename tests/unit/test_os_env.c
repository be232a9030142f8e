/* SPDX-License-Identifier: MIT */
#include "os/env_linux.h"
#include "os/process.h"

#include <event2/event.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define USEC_A_DAY (24 * 3600 * 1000000ULL)

struct fixture {
        struct event_base *base;
        struct env *env;
        struct timer *timer;
        struct process_watch *watch;
        unsigned fired, gone;
        uint64_t gone_id;
};

static int set_up(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        f->base = event_base_new();
        assert_int_equal(env_linux_new(f->base, &f->env), 0);
        *state = f;
        return 0;
}

static int tear_down(void **state)
{
        struct fixture *f = *state;

        f->env->ops->timer_free(f->timer);
        f->env->ops->process_unwatch(f->watch);
        env_linux_free(f->env);
        event_base_free(f->base);
        free(f);
        return 0;
}

static void on_fire(void *owner)
{
        struct fixture *f = owner;

        f->fired++;
}

static void on_gone(void *owner, uint64_t id)
{
        struct fixture *f = owner;

        f->gone++;
        f->gone_id = id;
}

static void on_gone_unwatch(void *owner, uint64_t id)
{
        struct fixture *f = owner;

        on_gone(owner, id);
        f->env->ops->process_unwatch(f->watch);
        f->watch = NULL;
}

/* A child that lives until its pipe is closed. */
static pid_t spawn(int *ret_go)
{
        int go[2];
        pid_t child;
        char byte;

        assert_int_equal(pipe2(go, O_CLOEXEC), 0);
        child = fork();
        if (child == 0) {
                close(go[1]);
                _exit(read(go[0], &byte, 1) < 0);
        }
        close(go[0]);
        *ret_go = go[1];
        return child;
}

static void a_timer_fires_once_and_not_from_inside_the_call(void **state)
{
        struct fixture *f = *state;
        uint64_t start = env_boottime(f->env);

        f->timer = f->env->ops->timer_new(f->env, on_fire, f);
        f->env->ops->timer_arm(f->timer, 0);
        assert_int_equal(f->fired, 0);
        event_base_dispatch(f->base);
        assert_int_equal(f->fired, 1);

        f->env->ops->timer_arm(f->timer, 20000);
        event_base_dispatch(f->base); /* returns when nothing is armed any more */
        assert_int_equal(f->fired, 2);
        assert_true(env_boottime(f->env) - start >= 15000); /* libevent may be a clock tick early */
}

static void a_timer_armed_again_is_armed_anew(void **state)
{
        struct fixture *f = *state;

        f->timer = f->env->ops->timer_new(f->env, on_fire, f);
        f->env->ops->timer_arm(f->timer, UINT64_MAX);
        f->env->ops->timer_arm(f->timer, 1000);
        event_base_dispatch(f->base);
        assert_int_equal(f->fired, 1);

        f->env->ops->timer_arm(f->timer, 1000);
        f->env->ops->timer_disarm(f->timer);
        event_base_dispatch(f->base);
        assert_int_equal(f->fired, 1);
}

/* The clocks move between two looks at them: what is read first must be the smaller one. */
static void a_machine_that_did_not_sleep_was_never_suspended(void **state)
{
        struct fixture *f = *state;
        uint64_t before = env_suspended(f->env);

        for (int i = 0; i < 100000; i++)
                assert_true(env_suspended(f->env) < before + USEC_A_DAY);
}

static void chance_and_clocks_answer(void **state)
{
        struct fixture *f = *state;
        unsigned char one[32] = {}, other[32] = {};
        uint64_t monotonic = f->env->ops->monotonic(f->env);

        f->env->ops->random(f->env, one, sizeof(one));
        f->env->ops->random(f->env, other, sizeof(other));
        assert_memory_not_equal(one, other, sizeof(one));
        assert_true(env_boottime(f->env) >= monotonic);
        assert_true(env_realtime(f->env) > 1700000000000000ULL);
        assert_int_equal(strlen(f->env->ops->boot_id(f->env)), 36);
}

static void the_end_of_a_process_is_told_once(void **state)
{
        struct fixture *f = *state;
        struct process_id process;
        int go;
        pid_t child = spawn(&go);

        assert_int_equal(process_of_pid(child, &process), 0);
        f->watch = f->env->ops->process_watch(f->env, &process, on_gone, f, 42);
        event_base_loop(f->base, EVLOOP_NONBLOCK);
        assert_int_equal(f->gone, 0);
        assert_int_equal(f->env->ops->process_state(f->env, &process), PROCESS_ALIVE);

        close(go);
        event_base_dispatch(f->base); /* nothing is watched after the end, so this returns */
        assert_int_equal(f->gone, 1);
        assert_int_equal(f->gone_id, 42);
        /* A zombie has ended, though its pid is still taken. */
        assert_int_equal(f->env->ops->process_state(f->env, &process), PROCESS_GONE);
        assert_int_equal(waitpid(child, NULL, 0), child);
        assert_int_equal(f->env->ops->process_state(f->env, &process), PROCESS_GONE);
}

static void a_stopped_process_is_alive(void **state)
{
        struct fixture *f = *state;
        struct process_id process;
        int go, status;
        pid_t child = spawn(&go);

        assert_int_equal(process_of_pid(child, &process), 0);
        f->watch = f->env->ops->process_watch(f->env, &process, on_gone, f, 1);
        assert_int_equal(kill(child, SIGSTOP), 0);
        assert_int_equal(waitpid(child, &status, WUNTRACED), child);
        event_base_loop(f->base, EVLOOP_NONBLOCK);
        assert_int_equal(f->gone, 0);
        assert_int_equal(f->env->ops->process_state(f->env, &process), PROCESS_ALIVE);
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        close(go);
}

static void what_is_gone_already_is_told_by_the_loop(void **state)
{
        struct fixture *f = *state;
        struct process_id process;
        int go;
        pid_t child = spawn(&go);

        assert_int_equal(process_of_pid(child, &process), 0);
        close(go);
        assert_int_equal(waitpid(child, NULL, 0), child);
        f->watch = f->env->ops->process_watch(f->env, &process, on_gone_unwatch, f, 7);
        assert_non_null(f->watch);
        assert_int_equal(f->gone, 0);
        event_base_dispatch(f->base);
        assert_int_equal(f->gone, 1);
        assert_int_equal(f->gone_id, 7);
}

static void a_reused_pid_is_another_process(void **state)
{
        struct fixture *f = *state;
        struct process_id process;

        assert_int_equal(process_of_pid(getpid(), &process), 0);
        process.start_ticks--;
        process.pidfd_inode = 0; /* as where there is none; else it tells all alone */
        assert_int_equal(f->env->ops->process_state(f->env, &process), PROCESS_GONE);
        f->watch = f->env->ops->process_watch(f->env, &process, on_gone, f, 1);
        event_base_dispatch(f->base);
        assert_int_equal(f->gone, 1);
}

/* Within one tick of the clock a pid could be reused; the inode of the pidfd still tells. */
static void another_pidfd_inode_is_another_process(void **state)
{
        struct fixture *f = *state;
        struct process_id process;

        assert_int_equal(process_of_pid(getpid(), &process), 0);
        if (!process.pidfd_inode)
                skip();
        process.pidfd_inode++;
        assert_int_equal(f->env->ops->process_state(f->env, &process), PROCESS_GONE);
}

static void another_boot_is_the_end_of_all_processes(void **state)
{
        struct fixture *f = *state;
        struct process_id process;

        assert_int_equal(process_of_pid(getpid(), &process), 0);
        process.boot_id[0] = process.boot_id[0] == '0' ? '1' : '0';
        assert_int_equal(f->env->ops->process_state(f->env, &process), PROCESS_GONE);
}

static void without_a_pid_there_is_no_end(void **state)
{
        struct fixture *f = *state;
        struct process_id process = {};

        assert_null(f->env->ops->process_watch(f->env, &process, on_gone, f, 1));
        assert_int_equal(f->env->ops->process_state(f->env, &process), PROCESS_UNKNOWN);
        f->env->ops->process_unwatch(NULL);
}

static void without_descriptors_nobody_is_taken_for_dead(void **state)
{
        struct fixture *f = *state;
        struct rlimit old, none;
        struct process_id process;
        int go;
        pid_t child = spawn(&go);

        assert_int_equal(process_of_pid(child, &process), 0);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
        none = old;
        none.rlim_cur = 0;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        f->watch = f->env->ops->process_watch(f->env, &process, on_gone, f, 9);
        event_base_loop(f->base, EVLOOP_NONBLOCK);
        assert_int_equal(f->gone, 0);
        assert_int_equal(f->env->ops->process_state(f->env, &process), PROCESS_UNKNOWN);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);

        /* It is looked at again, and its end is told as any other's. */
        close(go);
        assert_int_equal(waitpid(child, NULL, 0), child);
        event_base_dispatch(f->base);
        assert_int_equal(f->gone, 1);
}

static void a_process_started_by_now_but_not_an_hour_ago(void **state)
{
        struct fixture *f = *state;
        uint64_t now = env_realtime(f->env);
        int go;
        pid_t child = spawn(&go);
        siginfo_t end;

        assert_true(f->env->ops->process_started_by(f->env, child, now));
        assert_false(f->env->ops->process_started_by(f->env, child, now - 3600000000ULL));
        assert_false(f->env->ops->process_started_by(f->env, child, now - 2500000));
        assert_false(f->env->ops->process_started_by(f->env, 0, now));
        close(go);
        /* Ended, but nobody has asked how. */
        assert_int_equal(waitid(P_PID, (id_t)child, &end, WEXITED | WNOWAIT), 0);
        assert_false(f->env->ops->process_started_by(f->env, child, now));
        assert_int_equal(waitpid(child, NULL, 0), child);
        assert_false(f->env->ops->process_started_by(f->env, child, now));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(a_machine_that_did_not_sleep_was_never_suspended),
                TEST(a_timer_fires_once_and_not_from_inside_the_call),
                TEST(a_timer_armed_again_is_armed_anew),
                TEST(chance_and_clocks_answer),
                TEST(the_end_of_a_process_is_told_once),
                TEST(a_stopped_process_is_alive),
                TEST(what_is_gone_already_is_told_by_the_loop),
                TEST(a_reused_pid_is_another_process),
                TEST(another_pidfd_inode_is_another_process),
                TEST(another_boot_is_the_end_of_all_processes),
                TEST(without_a_pid_there_is_no_end),
                TEST(without_descriptors_nobody_is_taken_for_dead),
                TEST(a_process_started_by_now_but_not_an_hour_ago),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
