/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The queue and the thread behind ledger_sqlite.h, which tells what it promises.
 *
 *      incoming ──take──▶ backlog ──COMMIT──▶ done ──dispatch──▶ callback
 *      (shared)           (the thread's)  └─ failed: what has a callback goes to done with an error, at once
 *                                            or after the deadline; the rest stays, in its order
 *
 * The thread sleeps until there is something to do; then it takes all there is.
 */

#include "store/history.h"
#include "store/inspect.h"
#include "store/place.h"
#include "store/prune.h"
#include "store/recall.h"
#include "store/store.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

/* A change or, with history, recall or inspect set, a question. */
struct item {
        TAILQ_ENTRY(item) link;       /* writer::incoming, then ::backlog, then ::done */
        TAILQ_ENTRY(item) grant_link; /* writer::grants; only a slot's grant while it is incoming */
        struct ledger_change change;  /* its texts stand behind the item */
        ledger_done_fn *done;         /* or NULL */
        struct history *history;      /* or NULL */
        ledger_history_fn *each;      /* only with history */
        struct recall *recall;        /* or NULL */
        ledger_recall_fn *each_row;   /* only with recall */
        struct inspect *inspect;      /* or NULL */
        ledger_inspected_fn *told;    /* only with inspect */
        void *owner;
        uint64_t ticket, submitted_usec; /* monotonic; only with done */
        int error;
        bool is_own; /* the writer's, not a caller's */
        char texts[];
};

TAILQ_HEAD(item_list, item);

struct writer {
        struct store *store; /* under store_lock */
        struct place *place;
        pthread_t thread;
        pthread_mutex_t store_lock;

        pthread_mutex_t lock; /* of all from here to warning */
        pthread_cond_t work;
        struct item_list incoming, grants, done;
        bool urgent; /* something that cannot wait is incoming */
        bool stopping;
        uint64_t sleeps_until;             /* monotonic; 0: works, UINT64_MAX: until it is woken */
        uint64_t hold_until;               /* what can wait is held back until then; 0: none noticed yet */
        uint64_t prune_before;             /* real time; 0: nothing to forget */
        int64_t last_grant;                /* of those that left no trace */
        bool has_news;                     /* ledger_sqlite_news has not told these yet */
        char message[LEDGER_MESSAGE_SIZE]; /* why it cannot write; "": it can */
        char warning[LEDGER_MESSAGE_SIZE]; /* what holds up its WAL; "": nothing */

        struct item_list backlog; /* the thread's own, from here to stop_by */
        uint64_t retry_at, pause_usec;
        struct prune_pass prune_pass;
        uint64_t failing_since; /* monotonic; 0: not failing */
        bool is_noted;          /* the trouble has its event in the backlog */
        bool wal_is_large;
        uint64_t stop_by;

        int fd;
        atomic_bool healthy, doubtful, lost;
        atomic_uint n_refused, n_commits;
};

static inline bool item_is_question(const struct item *item)
{
        return item->history || item->recall || item->inspect;
}

/* Both are borrowed, and the store is the thread's from now on. 0 or -errno. */
int writer_start(struct writer *writer, struct store *store, struct place *place);
/* Writes what it can and ends the thread. What is done or in vain is not called back. */
void writer_stop(struct writer *writer);

void writer_submit(struct writer *writer, const struct ledger_change *change, ledger_done_fn *done,
                   void *owner, uint64_t ticket);
void writer_ask(struct writer *writer, struct history *history, ledger_history_fn *each, void *owner,
                uint64_t ticket);
void writer_recall(struct writer *writer, struct recall *recall, ledger_recall_fn *each, void *owner,
                   uint64_t ticket);
void writer_inspect(struct writer *writer, ledger_inspected_fn *told, void *owner, uint64_t ticket);
void writer_prune(struct writer *writer, uint64_t older_than_usec);
void writer_dispatch(struct writer *writer);
