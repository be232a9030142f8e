/* SPDX-License-Identifier: MIT */
#include "store/writer.h"

#include "store/batch.h"
#include "store/item.h"
#include "util/alloc.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <time.h>

#define FOR_EVER UINT64_MAX

/* How long changes that can wait are held back for company: those of slots, and ends. */
#define HOLD_SLOT_USEC 50000
#define HOLD_END_USEC  5000

/* How long a stop goes on trying. */
#define STOP_USEC 2000000

static void sleep_until(struct writer *writer, uint64_t until)
{
        const struct timespec at = {.tv_sec = (time_t)(until / 1000000),
                                    .tv_nsec = (long)(until % 1000000) * 1000};

        writer->sleeps_until = until;
        if (until == FOR_EVER)
                (void)pthread_cond_wait(&writer->work, &writer->lock);
        else
                (void)pthread_cond_timedwait(&writer->work, &writer->lock, &at);
        writer->sleeps_until = 0;
}

/* Something is incoming, or many slots have come and gone: both can wait a little. */
static bool has_patient(const struct writer *writer)
{
        return !TAILQ_EMPTY(&writer->incoming) || store_needs_reserve(writer->store, writer->last_grant);
}

/* When the thread has something to do next. */
static uint64_t due(struct writer *writer, uint64_t now)
{
        if (atomic_load(&writer->doubtful))
                return writer->stopping ? now : FOR_EVER;
        if (writer->retry_at)
                return writer->retry_at;
        if (writer->stopping || writer->urgent || writer->prune_before)
                return now;
        if (!has_patient(writer)) {
                writer->hold_until = 0;
                return FOR_EVER;
        }
        if (!writer->hold_until)
                writer->hold_until = now + HOLD_SLOT_USEC;
        return writer->hold_until;
}

static void wait_for_work(struct writer *writer)
{
        for (;;) {
                const uint64_t now = batch_now(), at = due(writer, now);

                if (at <= now)
                        return;
                sleep_until(writer, at);
        }
}

static void take(struct writer *writer)
{
        TAILQ_CONCAT(&writer->backlog, &writer->incoming, link);
        TAILQ_INIT(&writer->grants);
        writer->urgent = false;
        writer->hold_until = 0;
}

static bool has_callers(const struct item_list *list)
{
        const struct item *item;

        TAILQ_FOREACH (item, list, link)
                if (!item->is_own)
                        return true;
        return false;
}

/* All is written, or cannot be within the time that a stop may take. */
static bool may_end(struct writer *writer)
{
        const uint64_t now = batch_now();

        if (atomic_load(&writer->doubtful))
                return true;
        if (!writer->stop_by)
                writer->stop_by = now + STOP_USEC;
        if (!has_callers(&writer->incoming) && !has_callers(&writer->backlog))
                return true;
        return now >= writer->stop_by;
}

static void *run(void *owner)
{
        struct writer *writer = owner;
        int64_t last_grant;
        bool stopping;

        pthread_mutex_lock(&writer->lock);
        do {
                wait_for_work(writer);
                take(writer);
                last_grant = writer->last_grant;
                pthread_mutex_unlock(&writer->lock);

                pthread_mutex_lock(&writer->store_lock);
                store_note_grant(writer->store, last_grant);
                if (!atomic_load(&writer->doubtful))
                        batch_write(writer);
                if (!atomic_load(&writer->doubtful) && !writer->retry_at)
                        batch_tidy(writer);
                pthread_mutex_unlock(&writer->store_lock);

                pthread_mutex_lock(&writer->lock);
                stopping = writer->stopping;
        } while (!stopping || !may_end(writer));
        pthread_mutex_unlock(&writer->lock);
        return NULL;
}

/* Signals are the loop's. */
static int start_thread(struct writer *writer)
{
        sigset_t all, before;
        int r;

        (void)sigfillset(&all);
        (void)pthread_sigmask(SIG_SETMASK, &all, &before);
        r = pthread_create(&writer->thread, NULL, run, writer);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        return -r;
}

int writer_start(struct writer *writer, struct store *store, struct place *place)
{
        pthread_condattr_t monotonic;
        int r;

        *writer = (struct writer){.store = store, .place = place, .healthy = true};
        TAILQ_INIT(&writer->incoming);
        TAILQ_INIT(&writer->grants);
        TAILQ_INIT(&writer->done);
        TAILQ_INIT(&writer->backlog);
        writer->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (writer->fd < 0)
                return -errno;
        (void)pthread_mutex_init(&writer->lock, NULL);
        (void)pthread_mutex_init(&writer->store_lock, NULL);
        (void)pthread_condattr_init(&monotonic);
        (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        (void)pthread_cond_init(&writer->work, &monotonic);
        (void)pthread_condattr_destroy(&monotonic);
        r = start_thread(writer);
        if (r)
                (void)close(writer->fd);
        return r;
}

static void wake(struct writer *writer, uint64_t unless_before)
{
        if (writer->sleeps_until > unless_before)
                (void)pthread_cond_signal(&writer->work);
}

void writer_stop(struct writer *writer)
{
        pthread_mutex_lock(&writer->lock);
        writer->stopping = true;
        wake(writer, 0);
        pthread_mutex_unlock(&writer->lock);
        (void)pthread_join(writer->thread, NULL);

        atomic_store(&writer->lost, has_callers(&writer->backlog) || has_callers(&writer->incoming));
        item_list_clear(&writer->incoming);
        item_list_clear(&writer->backlog);
        item_list_clear(&writer->done);
        (void)close(writer->fd);
        (void)pthread_cond_destroy(&writer->work);
        (void)pthread_mutex_destroy(&writer->lock);
        (void)pthread_mutex_destroy(&writer->store_lock);
}

/*
 * How long it may wait for others to share a commit with; 0: not at all. An end that is lost with the daemon
 * errs on the safe side: the lease counts as live until its processes are proven gone. A grant, a claim, a
 * member or a keep would err on the other.
 */
static uint64_t patience(const struct item *item)
{
        static const uint64_t patience_usec[LEDGER_CHANGE_MAX_] = {
                [LEDGER_SLOT_GRANTED] = HOLD_SLOT_USEC,
                [LEDGER_SLOT_FREED] = HOLD_SLOT_USEC,
                [LEDGER_LEASE_ENDED] = HOLD_END_USEC,
                [LEDGER_MEMBER_LEFT] = HOLD_END_USEC,
        };

        return item_is_question(item) || item->done ? 0 : patience_usec[item->change.kind];
}

static void hold_back(struct writer *writer, uint64_t usec)
{
        const uint64_t until = batch_now() + usec;

        if (writer->hold_until && writer->hold_until <= until)
                return;
        writer->hold_until = until;
        wake(writer, until);
}

static void put(struct writer *writer, struct item *item)
{
        const uint64_t usec = patience(item);

        pthread_mutex_lock(&writer->lock);
        TAILQ_INSERT_TAIL(&writer->incoming, item, link);
        if (usec && item->change.kind == LEDGER_SLOT_GRANTED)
                TAILQ_INSERT_TAIL(&writer->grants, item, grant_link);
        if (usec) {
                hold_back(writer, usec);
        } else if (!writer->urgent) {
                wake(writer, 0);
                writer->urgent = true;
        }
        pthread_mutex_unlock(&writer->lock);
}

/*
 * The slot's grant has not been taken yet: it and its end cancel out. Few slots are held at a time, and the
 * one that is freed is mostly among the last, so the list is short to search.
 */
static bool cancel_grant(struct writer *writer, int64_t grant)
{
        struct item *item;

        pthread_mutex_lock(&writer->lock);
        TAILQ_FOREACH_REVERSE (item, &writer->grants, item_list, grant_link)
                if (item->change.grant == grant)
                        break;
        if (item) {
                TAILQ_REMOVE(&writer->grants, item, grant_link);
                TAILQ_REMOVE(&writer->incoming, item, link);
                if (grant > writer->last_grant)
                        writer->last_grant = grant;
        }
        pthread_mutex_unlock(&writer->lock);
        item_free(item);
        return item;
}

void writer_submit(struct writer *writer, const struct ledger_change *change, ledger_done_fn *done,
                   void *owner, uint64_t ticket)
{
        struct item *item;

        assert(change->kind >= 0 && change->kind < LEDGER_CHANGE_MAX_);
        if (!done && change->kind == LEDGER_SLOT_FREED && cancel_grant(writer, change->grant))
                return;
        item = item_new(change);
        item->done = done;
        item->owner = owner;
        item->ticket = ticket;
        if (done)
                item->submitted_usec = batch_now();
        put(writer, item);
}

void writer_ask(struct writer *writer, struct history *history, ledger_history_fn *each, void *owner,
                uint64_t ticket)
{
        struct item *item = item_new_history(history);

        item->each = each;
        item->owner = owner;
        item->ticket = ticket;
        put(writer, item);
}

void writer_recall(struct writer *writer, struct recall *recall, ledger_recall_fn *each, void *owner,
                   uint64_t ticket)
{
        struct item *item = item_new_recall(recall);

        item->each_row = each;
        item->owner = owner;
        item->ticket = ticket;
        put(writer, item);
}

void writer_inspect(struct writer *writer, ledger_inspected_fn *told, void *owner, uint64_t ticket)
{
        struct item *item = NEW(struct item);

        item->inspect = inspect_new();
        item->told = told;
        item->owner = owner;
        item->ticket = ticket;
        put(writer, item);
}

void writer_prune(struct writer *writer, uint64_t older_than_usec)
{
        pthread_mutex_lock(&writer->lock);
        writer->prune_before = older_than_usec;
        wake(writer, 0);
        pthread_mutex_unlock(&writer->lock);
}

void writer_dispatch(struct writer *writer)
{
        struct item_list done = TAILQ_HEAD_INITIALIZER(done);
        eventfd_t n;

        (void)eventfd_read(writer->fd, &n);
        pthread_mutex_lock(&writer->lock);
        TAILQ_CONCAT(&done, &writer->done, link);
        pthread_mutex_unlock(&writer->lock);
        item_list_tell(&done);
}
