/* SPDX-License-Identifier: MIT */
#include "store/ledger_sqlite.h"

#include "store/held.h"
#include "store/load.h"
#include "store/trouble.h"
#include "store/writer.h"
#include "util/alloc.h"
#include "util/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

struct ledger_sqlite {
        struct ledger seam; /* first, for of() */
        struct place place;
        struct store *store;
        struct writer writer;
        int fd; /* epoll: the writer's, and the watch on the state directory */
        struct held held;
};

static struct ledger_sqlite *of(struct ledger *seam)
{
        return (struct ledger_sqlite *)seam;
}

static void submit(struct ledger *seam, const struct ledger_change *change, ledger_done_fn *done, void *owner,
                   uint64_t ticket)
{
        held_note(&of(seam)->held, change);
        writer_submit(&of(seam)->writer, change, done, owner, ticket);
}

static bool healthy(struct ledger *seam)
{
        return atomic_load(&of(seam)->writer.healthy);
}

static void history(struct ledger *seam, const char *namespace, uint64_t since_usec, uint64_t until_usec,
                    unsigned limit, ledger_history_fn *each, void *owner, uint64_t ticket)
{
        writer_ask(&of(seam)->writer, history_new(namespace, since_usec, until_usec, limit), each, owner,
                   ticket);
}

static void recall(struct ledger *seam, const char *namespace, ledger_recall_fn *each, void *owner,
                   uint64_t ticket)
{
        writer_recall(&of(seam)->writer, recall_new(namespace), each, owner, ticket);
}

static void inspect(struct ledger *seam, ledger_inspected_fn *told, void *owner, uint64_t ticket)
{
        writer_inspect(&of(seam)->writer, told, owner, ticket);
}

static const struct ledger_ops ops = {submit, healthy, history, recall, inspect};

/* The writer must have been stopped, or not have started. */
static struct ledger_sqlite *ledger_free(struct ledger_sqlite *ledger)
{
        closep(&ledger->fd);
        store_free(ledger->store);
        held_close(&ledger->held);
        place_leave(&ledger->place);
        free(ledger);
        return NULL;
}

DEFINE_CLEANUP(struct ledger_sqlite *, ledger_free)

static int open_store(struct ledger_sqlite *ledger, char *message)
{
        struct place *place = &ledger->place;
        struct sqlite error;
        int r;

        if (store_open(place->paths[PLACE_LEDGER], &ledger->store, &error)) {
                r = place_outcome(error.code);
                (void)snprintf(message, LEDGER_MESSAGE_SIZE,
                               "the ledger in %.200s cannot be used; %.200s; %s", place->directory,
                               error.message,
                               r == LEDGER_E_LOCKED ? "end the program that holds its lock"
                                                    : "check its permissions and the disk");
                return r;
        }
        if (place_is_intact(place))
                return place_confirm(place, message);
        (void)snprintf(
                message, LEDGER_MESSAGE_SIZE,
                "the ledger in %.200s cannot be used; its files went away while it was opened; start again",
                place->directory);
        return LEDGER_E_IO;
}

/* One descriptor for the loop. Without a watch only commits notice what becomes of the files. */
static int join_descriptors(struct ledger_sqlite *ledger)
{
        const int fds[] = {ledger->writer.fd, ledger->place.watch_fd};

        ledger->fd = epoll_create1(EPOLL_CLOEXEC);
        for (size_t i = 0; i < 2 && ledger->fd >= 0; i++) {
                struct epoll_event event = {.events = EPOLLIN};

                if (fds[i] >= 0 && epoll_ctl(ledger->fd, EPOLL_CTL_ADD, fds[i], &event))
                        return -errno;
        }
        return ledger->fd < 0 ? -errno : 0;
}

int ledger_sqlite_open(const char *state_dir, bool create, struct ledger_sqlite **ret,
                       char message[LEDGER_MESSAGE_SIZE])
{
        _cleanup_(ledger_freep) struct ledger_sqlite *ledger = NEW(struct ledger_sqlite);
        int r;

        ledger->seam.ops = &ops;
        ledger->fd = -1;
        r = place_take(&ledger->place, state_dir, create, message);
        if (r)
                return r;
        r = open_store(ledger, message);
        if (r)
                return r;
        place_watch(&ledger->place);
        r = writer_start(&ledger->writer, ledger->store, &ledger->place);
        if (!r && (r = join_descriptors(ledger)))
                writer_stop(&ledger->writer);
        if (r) {
                (void)snprintf(message, LEDGER_MESSAGE_SIZE,
                               "the ledger cannot be written; its thread does not start: %s; raise the "
                               "limits of the "
                               "service",
                               strerror(-r));
                return r;
        }
        r = held_open(&ledger->held, state_dir);
        if (r)
                log_warning(
                        "what slots are held cannot be noted in %s; %s; one that is granted just before a "
                        "crash is forgotten; make room there",
                        state_dir, strerror(-r));
        *ret = TAKE(ledger);
        return 0;
}

int ledger_sqlite_close(struct ledger_sqlite *ledger)
{
        bool lost;

        if (!ledger)
                return 0;
        writer_stop(&ledger->writer);
        lost = atomic_load(&ledger->writer.lost);
        /* In doubt, or not where it was: not a byte more. Else all goes into the file; if that fails, the WAL
         * has it. */
        if (!atomic_load(&ledger->writer.doubtful) && place_is_intact(&ledger->place)) {
                (void)store_settle(ledger->store);
                (void)store_checkpoint(ledger->store);
        }
        log_info("ledger closed: commits=%u", ledger_sqlite_n_commits(ledger));
        ledger_free(ledger);
        return lost ? LEDGER_E_UNAVAILABLE : 0;
}

struct ledger *ledger_sqlite_seam(struct ledger_sqlite *ledger)
{
        return &ledger->seam;
}

/* ---- loading: of slots, what ledger.held says counts where it is of this boot ---- */

struct loading {
        struct ledger_sqlite *ledger;
        ledger_load_fn *each;
        void *owner;
        int64_t *grants; /* held, and in the tables */
        unsigned n_grants;
        int64_t last_grant;
};

static void load_row(void *owner, const struct ledger_change *row)
{
        struct loading *loading = owner;
        struct ledger_sqlite *ledger = loading->ledger;
        struct ledger_change held = *row;

        if (row->kind != LEDGER_SLOT_GRANTED) {
                loading->each(loading->owner, row);
                return;
        }
        loading->grants = alloc_array(loading->grants, loading->n_grants + 1, sizeof(*loading->grants));
        loading->grants[loading->n_grants++] = row->grant;
        if (!ledger->held.is_known)
                held_note(&ledger->held, row);
        if (!ledger->held.is_known || held_find(&ledger->held, row->grant, &held)) {
                loading->each(loading->owner, &held);
                return;
        }
        held.kind = LEDGER_SLOT_FREED;
        held.detail = "released";
        writer_submit(&ledger->writer, &held, NULL, NULL, 0);
}

static void load_held(void *owner, const struct ledger_change *row)
{
        struct loading *loading = owner;

        if (row->grant > loading->last_grant)
                loading->last_grant = row->grant;
        for (unsigned i = 0; i < loading->n_grants; i++)
                if (loading->grants[i] == row->grant)
                        return;
        writer_submit(&loading->ledger->writer, row, NULL, NULL, 0);
        loading->each(loading->owner, row);
}

int ledger_sqlite_load(struct ledger_sqlite *ledger, ledger_load_fn *each, void *owner,
                       struct ledger_numbers *ret_next)
{
        struct loading loading = {.ledger = ledger, .each = each, .owner = owner};
        int r;

        pthread_mutex_lock(&ledger->writer.store_lock);
        r = ledger_load_from(ledger->store, load_row, &loading, ret_next);
        pthread_mutex_unlock(&ledger->writer.store_lock);
        if (!r && ledger->held.is_known)
                held_each(&ledger->held, load_held, &loading);
        if (!r && ret_next->grant <= loading.last_grant)
                ret_next->grant = loading.last_grant + 1;
        free(loading.grants);
        return r;
}

int ledger_sqlite_fd(const struct ledger_sqlite *ledger)
{
        return ledger->fd;
}

int ledger_sqlite_dispatch(struct ledger_sqlite *ledger)
{
        if (place_has_stirred(&ledger->place) && !place_is_intact(&ledger->place))
                trouble_set_doubtful(&ledger->writer, "its files were removed or replaced underneath");
        writer_dispatch(&ledger->writer);
        return ledger_sqlite_is_doubtful(ledger) ? -EIO : 0;
}

bool ledger_sqlite_is_doubtful(const struct ledger_sqlite *ledger)
{
        return atomic_load(&ledger->writer.doubtful);
}

bool ledger_sqlite_news(struct ledger_sqlite *ledger, struct ledger_news *ret)
{
        struct writer *writer = &ledger->writer;
        bool has_news;

        pthread_mutex_lock(&writer->lock);
        has_news = writer->has_news;
        writer->has_news = false;
        (void)strcpy(ret->trouble, writer->message);
        (void)strcpy(ret->warning, writer->warning);
        pthread_mutex_unlock(&writer->lock);
        return has_news;
}

unsigned ledger_sqlite_n_refused(const struct ledger_sqlite *ledger)
{
        return atomic_load(&ledger->writer.n_refused);
}

unsigned ledger_sqlite_n_commits(const struct ledger_sqlite *ledger)
{
        return atomic_load(&ledger->writer.n_commits);
}

void ledger_sqlite_prune(struct ledger_sqlite *ledger, uint64_t older_than_usec)
{
        writer_prune(&ledger->writer, older_than_usec);
}

int ledger_sqlite_inspect_file(const char *state_dir, struct ledger_inspection *ret)
{
        return inspect_file(state_dir, ret);
}
