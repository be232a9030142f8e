/* SPDX-License-Identifier: MIT */

/*
 *      starter_start ─▶ waiting ─▶ on a thread ─▶ finished ─▶ started()
 *                          └ starter_cancel: freed    └──┴ starter_cancel: freed when it is finished
 *
 * Everything under the lock; `started` is cleared by cancelling and is only looked at by the loop's thread.
 * The lists outlive the starter as long as a thread is at work, which may be longer than the daemon wants to
 * wait.
 */
#include "pg/starter.h"

#include "pg/conninfo.h"
#include "util/alloc.h"

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

struct start_job {
        TAILQ_ENTRY(start_job) link; /* in waiting or finished */
        struct board *board;
        enum job_place place;
        char *conninfo, *application_name;
        unsigned attempt;
        started_fn *started; /* NULL: nobody waits */
        void *owner;
        PGconn *connection;
        unsigned n_hosts;
};

TAILQ_HEAD(job_list, start_job);

/* Shared with the threads. */
struct board {
        pthread_mutex_t lock;
        struct job_list waiting, finished;
        unsigned n_threads;
        bool closed; /* the starter is gone: the last thread frees this */
        int wake;    /* eventfd */
};

struct starter {
        struct board *board;
        struct event *event;
};

static void job_free(struct start_job *job)
{
        if (job->connection)
                PQfinish(job->connection);
        free(job->conninfo);
        free(job->application_name);
        free(job);
}

static void list_free(struct job_list *list)
{
        struct start_job *job;

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

static void work(struct board *board, struct start_job *job)
{
        const uint64_t one = 1;

        TAILQ_REMOVE(&board->waiting, job, link);
        job->place = JOB_ON_THREAD;
        (void)pthread_mutex_unlock(&board->lock);
        job->connection = conninfo_start(job->conninfo, job->application_name, job->attempt, &job->n_hosts);
        (void)pthread_mutex_lock(&board->lock);
        job->place = JOB_FINISHED;
        TAILQ_INSERT_TAIL(&board->finished, job, link);
        /* Fails only when the counter is full, and then the loop is awake anyway. */
        if (write(board->wake, &one, sizeof(one)) < 0)
                return;
}

static void *thread_main(void *argument)
{
        struct board *board = argument;
        struct start_job *job;
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

/* Signals are the loop's. */
static int spawn(struct board *board)
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
        return r;
}

/* ---- on the loop ---- */

/* Takes one at a time, because the owner may start or cancel others from within. */
static struct start_job *take_finished(struct board *board)
{
        struct start_job *job;

        (void)pthread_mutex_lock(&board->lock);
        job = TAILQ_FIRST(&board->finished);
        if (job)
                TAILQ_REMOVE(&board->finished, job, link);
        (void)pthread_mutex_unlock(&board->lock);
        return job;
}

static void on_wake(evutil_socket_t fd, short what, void *argument)
{
        struct starter *starter = argument;
        struct start_job *job;
        uint64_t count;

        (void)what;
        if (read(fd, &count, sizeof(count)) < 0)
                return;
        while ((job = take_finished(starter->board))) {
                if (job->started) {
                        PGconn *connection = job->connection;

                        job->connection = NULL;
                        job->started(job->owner, connection, job->n_hosts);
                }
                job_free(job);
        }
}

int starter_new(struct event_base *base, struct starter **ret)
{
        struct starter *starter = NEW(struct starter);
        struct board *board = NEW(struct board);

        board->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (board->wake < 0) {
                int r = -errno;

                free(board);
                free(starter);
                return r;
        }
        (void)pthread_mutex_init(&board->lock, NULL);
        TAILQ_INIT(&board->waiting);
        TAILQ_INIT(&board->finished);
        starter->board = board;
        starter->event = event_new(base, board->wake, EV_READ | EV_PERSIST, on_wake, starter);
        if (!starter->event || event_add(starter->event, NULL))
                alloc_failed();
        *ret = starter;
        return 0;
}

struct starter *starter_free(struct starter *starter)
{
        struct board *board;
        bool last;

        if (!starter)
                return NULL;
        board = starter->board;
        event_free(starter->event);
        free(starter);
        (void)pthread_mutex_lock(&board->lock);
        list_free(&board->waiting);
        board->closed = true;
        last = board->n_threads == 0;
        (void)pthread_mutex_unlock(&board->lock);
        if (last)
                board_free(board);
        return NULL;
}

struct start_job *starter_start(struct starter *starter, const char *conninfo, const char *application_name,
                                unsigned attempt, started_fn *started, void *owner)
{
        struct board *board = starter->board;
        struct start_job *job = NEW(struct start_job);

        job->board = board;
        job->conninfo = alloc_string(conninfo);
        job->application_name = alloc_string(application_name);
        job->attempt = attempt;
        job->started = started;
        job->owner = owner;
        (void)pthread_mutex_lock(&board->lock);
        TAILQ_INSERT_TAIL(&board->waiting, job, link);
        /* Without a thread it waits for one that is at work, or for its owner's deadline. */
        if (board->n_threads < THREADS_MAX && spawn(board) == 0)
                board->n_threads++;
        (void)pthread_mutex_unlock(&board->lock);
        return job;
}

void starter_cancel(struct start_job *job)
{
        struct board *board = job ? job->board : NULL;
        bool waiting;

        if (!job)
                return;
        (void)pthread_mutex_lock(&board->lock);
        job->started = NULL;
        waiting = job->place == JOB_WAITING;
        if (waiting)
                TAILQ_REMOVE(&board->waiting, job, link);
        (void)pthread_mutex_unlock(&board->lock);
        if (waiting)
                job_free(job);
}
