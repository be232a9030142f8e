/* SPDX-License-Identifier: MIT */

/*
 *      helper_start ─▶ waiting ─▶ on a thread ─▶ finished ─▶ done()
 *                         └ helper_cancel: freed     └──┴ helper_cancel: freed when it is finished
 *
 * Everything under the lock; `done` is cleared by cancelling and is only looked at by the loop's thread.
 * The lists outlive the helper as long as a thread is at work, which may be longer than the daemon wants to
 * wait.
 */
#include "pg/helper.h"

#include "pg/conninfo.h"
#include "pg/receive.h"
#include "util/alloc.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

#define THREADS_MAX 16

enum job_place { JOB_WAITING, JOB_ON_THREAD, JOB_FINISHED };

struct helper_job {
        TAILQ_ENTRY(helper_job) link; /* in waiting or finished */
        struct board *board;
        enum job_place place;
        char *conninfo, *application_name;
        unsigned attempt;
        helped_fn *done; /* NULL: nobody waits */
        void *owner;
        struct helped helped;
};

TAILQ_HEAD(job_list, helper_job);

/* Shared with the threads. */
struct board {
        pthread_mutex_t lock;
        struct job_list waiting, finished;
        unsigned n_threads;
        bool closed; /* the helper is gone: the last thread frees this */
        int wake;    /* eventfd */
};

struct helper {
        struct board *board;
        struct event *event;
};

static void job_free(struct helper_job *job)
{
        if (job->helped.connection)
                PQfinish(job->helped.connection);
        free(job->conninfo);
        free(job->application_name);
        free(job);
}

static void list_free(struct job_list *list)
{
        struct helper_job *job;

        while ((job = TAILQ_FIRST(list))) {
                TAILQ_REMOVE(list, job, link);
                job_free(job);
        }
}

static void board_free(struct board *board)
{
        list_free(&board->waiting);
        list_free(&board->finished);
        (void)pthread_mutex_destroy(&board->lock);
        (void)close(board->wake);
        free(board);
}

/* ---- on the threads ---- */

static void step(struct helper_job *job)
{
        struct helped *helped = &job->helped;

        if (helped->connection) {
                receive_begin(RECEIVE_MAX);
                helped->status = PQconnectPoll(helped->connection);
                helped->received = receive_end();
        } else {
                helped->connection =
                        conninfo_start(job->conninfo, job->application_name, job->attempt, &helped->n_hosts);
                helped->status = PGRES_POLLING_WRITING;
        }
}

static void work(struct board *board, struct helper_job *job)
{
        const uint64_t one = 1;

        TAILQ_REMOVE(&board->waiting, job, link);
        job->place = JOB_ON_THREAD;
        (void)pthread_mutex_unlock(&board->lock);
        step(job);
        (void)pthread_mutex_lock(&board->lock);
        job->place = JOB_FINISHED;
        TAILQ_INSERT_TAIL(&board->finished, job, link);
        /* Not with the lock held: the loop wakes up, wants it, and waits until this thread has its turn
         * again. */
        (void)pthread_mutex_unlock(&board->lock);
        if (write(board->wake, &one, sizeof(one)) < 0)
                assert(errno == EAGAIN); /* the counter is full: the loop is awake anyway */
        (void)pthread_mutex_lock(&board->lock);
}

static void *thread_main(void *argument)
{
        struct board *board = argument;
        struct helper_job *job;
        bool last;

        (void)pthread_mutex_lock(&board->lock);
        while ((job = TAILQ_FIRST(&board->waiting)))
                work(board, job);
        last = --board->n_threads == 0 && board->closed;
        (void)pthread_mutex_unlock(&board->lock);
        if (last)
                board_free(board);
        return NULL;
}

/*
 * Signals are the loop's. Where no thread can be had, the job waits for one that is at work, or for its
 * owner's deadline.
 */
static void spawn(struct board *board)
{
        pthread_attr_t attributes;
        sigset_t all, old;
        pthread_t thread;
        int r;

        (void)pthread_attr_init(&attributes);
        (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        (void)sigfillset(&all);
        (void)pthread_sigmask(SIG_BLOCK, &all, &old);
        r = pthread_create(&thread, &attributes, thread_main, board);
        (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
        (void)pthread_attr_destroy(&attributes);
        if (r == 0)
                return;
        (void)pthread_mutex_lock(&board->lock);
        board->n_threads--;
        (void)pthread_mutex_unlock(&board->lock);
}

/* ---- on the loop ---- */

/* Takes one at a time, because the owner may start or cancel others from within. */
static struct helper_job *take_finished(struct board *board)
{
        struct helper_job *job;

        (void)pthread_mutex_lock(&board->lock);
        job = TAILQ_FIRST(&board->finished);
        if (job)
                TAILQ_REMOVE(&board->finished, job, link);
        (void)pthread_mutex_unlock(&board->lock);
        return job;
}

static void on_wake(evutil_socket_t fd, short what, void *argument)
{
        struct helper *helper = argument;
        struct helper_job *job;
        uint64_t count;

        (void)what;
        if (read(fd, &count, sizeof(count)) < 0)
                return;
        while ((job = take_finished(helper->board))) {
                if (job->done) {
                        struct helped helped = job->helped;

                        job->helped.connection = NULL;
                        job->done(job->owner, &helped);
                }
                job_free(job);
        }
}

int helper_new(struct event_base *base, struct helper **ret)
{
        struct helper *helper = NEW(struct helper);
        struct board *board = NEW(struct board);

        board->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (board->wake < 0) {
                int r = -errno;

                free(board);
                free(helper);
                return r;
        }
        (void)pthread_mutex_init(&board->lock, NULL);
        TAILQ_INIT(&board->waiting);
        TAILQ_INIT(&board->finished);
        helper->board = board;
        helper->event = event_new(base, board->wake, EV_READ | EV_PERSIST, on_wake, helper);
        if (!helper->event || event_add(helper->event, NULL))
                alloc_failed();
        *ret = helper;
        return 0;
}

struct helper *helper_free(struct helper *helper)
{
        struct board *board;
        bool last;

        if (!helper)
                return NULL;
        board = helper->board;
        event_free(helper->event);
        free(helper);
        (void)pthread_mutex_lock(&board->lock);
        list_free(&board->waiting);
        board->closed = true;
        last = board->n_threads == 0;
        (void)pthread_mutex_unlock(&board->lock);
        if (last)
                board_free(board);
        return NULL;
}

static struct helper_job *submit(struct helper *helper, struct helper_job *job, helped_fn *done, void *owner)
{
        struct board *board = helper->board;
        bool wants_thread;

        job->board = board;
        job->done = done;
        job->owner = owner;
        (void)pthread_mutex_lock(&board->lock);
        TAILQ_INSERT_TAIL(&board->waiting, job, link);
        wants_thread = board->n_threads < THREADS_MAX;
        board->n_threads += wants_thread;
        (void)pthread_mutex_unlock(&board->lock);
        if (wants_thread)
                spawn(board);
        return job;
}

struct helper_job *helper_start(struct helper *helper, const char *conninfo, const char *application_name,
                                unsigned attempt, helped_fn *done, void *owner)
{
        struct helper_job *job = NEW(struct helper_job);

        job->conninfo = alloc_string(conninfo);
        job->application_name = alloc_string(application_name);
        job->attempt = attempt;
        return submit(helper, job, done, owner);
}

struct helper_job *helper_poll(struct helper *helper, PGconn *connection, helped_fn *done, void *owner)
{
        struct helper_job *job = NEW(struct helper_job);

        job->helped.connection = connection;
        return submit(helper, job, done, owner);
}

void helper_cancel(struct helper_job *job)
{
        struct board *board = job ? job->board : NULL;
        bool waiting;

        if (!job)
                return;
        (void)pthread_mutex_lock(&board->lock);
        job->done = NULL;
        waiting = job->place == JOB_WAITING;
        if (waiting)
                TAILQ_REMOVE(&board->waiting, job, link);
        (void)pthread_mutex_unlock(&board->lock);
        if (waiting)
                job_free(job);
}
