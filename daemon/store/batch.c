/* SPDX-License-Identifier: MIT */
#include "store/batch.h"

#include "store/apply.h"
#include "store/holders.h"
#include "store/item.h"
#include "store/prune.h"
#include "store/trouble.h"

#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

/* How long a caller waits for another program's lock. */
#define DEADLINE_USEC 2000000

#define PAUSE_FIRST_USEC 2000
#define PAUSE_MOST_USEC  250000

/* Pages in the WAL that are worth a checkpoint: when there is nothing else to do, and in any case. */
#define WAL_PAGES_IDLE 1000
#define WAL_PAGES_BUSY 8000

/* Twice what it has between two checkpoints of a busy one: somebody holds it up. */
#define WAL_SIZE_MANY ((int64_t)64 << 20)

static uint64_t now_real(void)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_REALTIME, &now);
        return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t batch_now(void)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Hands over to the loop, which may still be asleep. */
static void report(struct writer *writer, struct item_list *list)
{
        bool was_empty;

        if (TAILQ_EMPTY(list))
                return;
        pthread_mutex_lock(&writer->lock);
        was_empty = TAILQ_EMPTY(&writer->done);
        TAILQ_CONCAT(&writer->done, list, link);
        pthread_mutex_unlock(&writer->lock);
        if (was_empty)
                (void)eventfd_write(writer->fd, 1);
}

/* Nothing is left to be tried again. */
static void settle(struct writer *writer)
{
        writer->retry_at = writer->pause_usec = writer->failing_since = 0;
        atomic_store(&writer->healthy, true);
}

static bool has_changes(const struct writer *writer)
{
        const struct item *item;

        TAILQ_FOREACH (item, &writer->backlog, link)
                if (!item_is_question(item))
                        return true;
        return store_needs_reserve(writer->store, writer->store->next.grant);
}

/* All changes are on the disk: those that nobody waits for are forgotten, the others are reported. */
static void succeed(struct writer *writer)
{
        struct item_list list = TAILQ_HEAD_INITIALIZER(list);
        struct item *item, *next;

        for (item = TAILQ_FIRST(&writer->backlog); item; item = next) {
                next = TAILQ_NEXT(item, link);
                if (item_is_question(item))
                        continue;
                TAILQ_REMOVE(&writer->backlog, item, link);
                if (item->done)
                        TAILQ_INSERT_TAIL(&list, item, link);
                else
                        item_free(item);
        }
        writer->is_noted = false;
        /* Before it is healthy: a message of a healthy ledger is a warning. */
        trouble_end(writer);
        settle(writer);
        report(writer, &list);
}

/* Another program may hold the lock for a moment: that is no trouble yet. */
static bool is_trouble(const struct writer *writer, int outcome, uint64_t now)
{
        const struct item *item;

        if (outcome != STORE_E_BUSY || now - writer->failing_since >= DEADLINE_USEC)
                return true;
        TAILQ_FOREACH (item, &writer->backlog, link)
                if (item->done && item->submitted_usec <= now - DEADLINE_USEC)
                        return true;
        return false;
}

/* Tells those who wait, if they have waited long enough. What nobody waits for must still be written. */
static void give_up(struct writer *writer, uint64_t submitted_before)
{
        struct item_list list = TAILQ_HEAD_INITIALIZER(list);
        struct item *item, *next;

        for (item = TAILQ_FIRST(&writer->backlog); item; item = next) {
                next = TAILQ_NEXT(item, link);
                if (!item->done || item->submitted_usec > submitted_before)
                        continue;
                TAILQ_REMOVE(&writer->backlog, item, link);
                item->error = LEDGER_E_UNAVAILABLE;
                TAILQ_INSERT_TAIL(&list, item, link);
        }
        report(writer, &list);
}

/* One event for each trouble: it is tried again until it is on the disk, and so the end is noticed, too. */
static void begin_trouble(struct writer *writer, int outcome)
{
        char holder[HOLDER_SIZE], fix[HOLDER_SIZE + 8];
        struct ledger_change noted = {.kind = LEDGER_NOTED, .time_usec = now_real()};
        struct item *item;

        (void)snprintf(fix, sizeof(fix), "end %s", holders_name(writer->place, HOLDER_WRITES, holder));
        trouble_set(writer, store_error(writer->store),
                    outcome == STORE_E_BUSY ? fix : "make room on its disk, or mend it");
        if (writer->is_noted)
                return;
        noted.detail = writer->message;
        item = item_new(&noted);
        item->is_own = true;
        TAILQ_INSERT_TAIL(&writer->backlog, item, link);
        writer->is_noted = true;
}

static void fail(struct writer *writer, int outcome)
{
        const uint64_t now = batch_now();

        /* Before anybody is told. */
        atomic_store(&writer->healthy, false);
        if (!writer->failing_since)
                writer->failing_since = now;
        if (is_trouble(writer, outcome, now))
                begin_trouble(writer, outcome);
        give_up(writer, outcome == STORE_E_BUSY ? now - DEADLINE_USEC : now);
        if (!has_changes(writer)) {
                settle(writer);
                return;
        }
        writer->pause_usec = writer->pause_usec ? writer->pause_usec * 2 : PAUSE_FIRST_USEC;
        if (writer->pause_usec > PAUSE_MOST_USEC)
                writer->pause_usec = PAUSE_MOST_USEC;
        writer->retry_at = now + writer->pause_usec;
}

/* Leaves one change out, for good: it would hold up all others for ever. */
static void refuse(struct writer *writer, struct item *item)
{
        struct item_list list = TAILQ_HEAD_INITIALIZER(list);

        atomic_fetch_add(&writer->n_refused, 1);
        TAILQ_REMOVE(&writer->backlog, item, link);
        if (!item->done) {
                item_free(item);
                return;
        }
        item->error = LEDGER_E_UNAVAILABLE;
        TAILQ_INSERT_TAIL(&list, item, link);
        report(writer, &list);
}

/* *ret_item: the change that failed, or NULL. */
static int transact(struct writer *writer, struct item **ret_item)
{
        struct item *item;
        int r = store_begin(writer->store);

        *ret_item = NULL;
        if (r)
                return r;
        TAILQ_FOREACH (item, &writer->backlog, link) {
                if (item_is_question(item))
                        continue;
                r = ledger_apply(writer->store, &item->change);
                if (r) {
                        *ret_item = item;
                        return r;
                }
        }
        r = store_commit(writer->store);
        if (!r)
                atomic_fetch_add(&writer->n_commits, 1);
        return r;
}

static int read_answer(struct item *item, struct store *store)
{
        if (item->inspect)
                return inspect_read(item->inspect, store);
        return item->history ? history_read(item->history, store) : recall_read(item->recall, store);
}

static void answer_questions(struct writer *writer)
{
        struct item_list list = TAILQ_HEAD_INITIALIZER(list);
        struct item *item, *next;

        for (item = TAILQ_FIRST(&writer->backlog); item; item = next) {
                next = TAILQ_NEXT(item, link);
                if (!item_is_question(item))
                        continue;
                TAILQ_REMOVE(&writer->backlog, item, link);
                item->error = read_answer(item, writer->store) ? LEDGER_E_UNAVAILABLE : 0;
                TAILQ_INSERT_TAIL(&list, item, link);
        }
        report(writer, &list);
}

static void write_changes(struct writer *writer)
{
        struct item *item;
        int r;

        while (has_changes(writer)) {
                r = transact(writer, &item);
                if (!r && !place_is_intact(writer->place)) {
                        trouble_set_doubtful(writer, "its files were removed or replaced underneath");
                        return;
                }
                if (!r) {
                        succeed(writer);
                        return;
                }
                if (r == STORE_E_DOUBTFUL) {
                        trouble_set_doubtful(writer, store_error(writer->store));
                        return;
                }
                store_rollback(writer->store);
                if (r != STORE_E_REFUSED) {
                        fail(writer, r);
                        return;
                }
                refuse(writer, item);
        }
}

void batch_write(struct writer *writer)
{
        write_changes(writer);
        if (!atomic_load(&writer->doubtful))
                answer_questions(writer);
}

static void prune(struct writer *writer, uint64_t before)
{
        bool more = true;
        int r = prune_step(writer->store, &writer->prune_pass, before, &more);

        if (r == STORE_E_DOUBTFUL)
                trouble_set_doubtful(writer, store_error(writer->store));
        /* Any other failure can wait for the next day. */
        if (!r && more)
                return;
        writer->prune_pass = (struct prune_pass){0};
        pthread_mutex_lock(&writer->lock);
        if (writer->prune_before == before)
                writer->prune_before = 0;
        pthread_mutex_unlock(&writer->lock);
}

/* Told once it is too large, and once it no longer is. */
static void look_at_wal(struct writer *writer)
{
        char holder[HOLDER_SIZE];
        const int64_t size = writer->store->wal_size;

        if ((size >= WAL_SIZE_MANY) == writer->wal_is_large)
                return;
        writer->wal_is_large = size >= WAL_SIZE_MANY;
        trouble_warn(writer, writer->wal_is_large ? holders_name(writer->place, HOLDER_READS, holder) : NULL,
                     size);
}

void batch_tidy(struct writer *writer)
{
        uint64_t prune_before;
        bool idle;

        pthread_mutex_lock(&writer->lock);
        idle = TAILQ_EMPTY(&writer->incoming);
        prune_before = writer->prune_before;
        pthread_mutex_unlock(&writer->lock);
        if (prune_before)
                prune(writer, prune_before);
        look_at_wal(writer);
        if (writer->store->wal_pages < (idle ? WAL_PAGES_IDLE : WAL_PAGES_BUSY))
                return;
        /* A reader that stays holds the WAL up: not again before there is something new in it. */
        writer->store->wal_pages = 0;
        if (store_checkpoint(writer->store))
                trouble_set_doubtful(writer, store_error(writer->store));
}
