/* SPDX-License-Identifier: MIT */
#include "memory_ledger.h"

#include "util/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

struct entry {
        struct ledger_change change;
        ledger_done_fn *done;
        void *owner;
        uint64_t ticket;
        TAILQ_ENTRY(entry) link;
};

TAILQ_HEAD(entries, entry);

struct memory_ledger {
        struct ledger ledger;
        struct fake_env *fake;
        struct entries pending, durable;
        unsigned counts[LEDGER_CHANGE_MAX_];
        struct ledger_change last[LEDGER_CHANGE_MAX_];
};

/* Every text of a change, so that a copy of it can be owned. */
static const size_t texts[] = {
        offsetof(struct ledger_change, namespace), offsetof(struct ledger_change, label),
        offsetof(struct ledger_change, worker),    offsetof(struct ledger_change, request),
        offsetof(struct ledger_change, cluster),   offsetof(struct ledger_change, database),
        offsetof(struct ledger_change, schema),    offsetof(struct ledger_change, oid),
        offsetof(struct ledger_change, detail),    offsetof(struct ledger_change, reason),
        offsetof(struct ledger_change, message),   offsetof(struct ledger_change, sqlstate),
};

#define N_TEXTS (sizeof(texts) / sizeof(*texts))

static char **text_of(struct ledger_change *change, size_t i)
{
        return (char **)((char *)change + texts[i]);
}

static void copy_texts(struct ledger_change *change)
{
        for (size_t i = 0; i < N_TEXTS; i++)
                *text_of(change, i) = alloc_string(*text_of(change, i));
}

static void free_texts(struct ledger_change *change)
{
        for (size_t i = 0; i < N_TEXTS; i++)
                free(*text_of(change, i));
}

static void free_entry(struct entry *entry)
{
        free_texts(&entry->change);
        free(entry);
}

/* -1: not told; less is nothing. */
static void refuse_nonsense(const struct ledger_change *change)
{
        if (change->exit_status >= -1)
                return;
        (void)fprintf(stderr, "memory_ledger: exit status %d\n", change->exit_status);
        abort();
}

static void submit(struct ledger *ledger, const struct ledger_change *change, ledger_done_fn *done,
                   void *owner, uint64_t ticket)
{
        struct memory_ledger *memory = (struct memory_ledger *)ledger;
        struct entry *entry = NEW(struct entry);

        refuse_nonsense(change);
        *entry = (struct entry){.change = *change, .done = done, .owner = owner, .ticket = ticket};
        copy_texts(&entry->change);
        TAILQ_INSERT_TAIL(&memory->pending, entry, link);
        memory->counts[change->kind]++;
        free_texts(&memory->last[change->kind]);
        memory->last[change->kind] = *change;
        copy_texts(&memory->last[change->kind]);
}

static bool healthy(struct ledger *ledger)
{
        (void)ledger;
        return true;
}

static const struct ledger_ops ops = {.submit = submit, .healthy = healthy};

struct memory_ledger *memory_ledger_new(struct fake_env *fake)
{
        struct memory_ledger *memory = NEW(struct memory_ledger);

        memory->ledger.ops = &ops;
        memory->fake = fake;
        TAILQ_INIT(&memory->pending);
        TAILQ_INIT(&memory->durable);
        return memory;
}

static void drop_all(struct entries *entries)
{
        struct entry *entry;

        while ((entry = TAILQ_FIRST(entries))) {
                TAILQ_REMOVE(entries, entry, link);
                free_entry(entry);
        }
}

struct memory_ledger *memory_ledger_free(struct memory_ledger *memory)
{
        drop_all(&memory->pending);
        drop_all(&memory->durable);
        for (unsigned i = 0; i < LEDGER_CHANGE_MAX_; i++)
                free_texts(&memory->last[i]);
        free(memory);
        return NULL;
}

struct ledger *memory_ledger(struct memory_ledger *memory)
{
        return &memory->ledger;
}

/* ---- looking into what is durable ---- */

static struct entry *find_durable(const struct memory_ledger *memory, enum ledger_change_kind kind,
                                  bool (*fits)(const struct ledger_change *, const struct ledger_change *),
                                  const struct ledger_change *like)
{
        struct entry *entry;

        TAILQ_FOREACH (entry, &memory->durable, link)
                if (entry->change.kind == kind && fits(&entry->change, like))
                        return entry;
        return NULL;
}

static bool same_lease(const struct ledger_change *a, const struct ledger_change *b)
{
        return a->lease == b->lease;
}

static bool same_member(const struct ledger_change *a, const struct ledger_change *b)
{
        return a->member == b->member;
}

static bool same_grant(const struct ledger_change *a, const struct ledger_change *b)
{
        return a->grant == b->grant;
}

static bool lease_has_ended(const struct memory_ledger *memory, const struct ledger_change *of)
{
        return find_durable(memory, LEDGER_LEASE_ENDED, same_lease, of);
}

static void check(const struct memory_ledger *memory, const struct ledger_change *change)
{
        if (change->kind == LEDGER_MEMBER_JOINED &&
            !find_durable(memory, LEDGER_LEASE_GRANTED, same_lease, change)) {
                (void)fprintf(stderr, "memory_ledger: a member of lease %lld, which was never granted\n",
                              (long long)change->lease);
                abort();
        }
}

/* ---- answers ---- */

static void answer(struct memory_ledger *memory, struct entry *entry, int error)
{
        ledger_done_fn *done = entry->done;
        void *owner = entry->owner;
        uint64_t ticket = entry->ticket;

        TAILQ_REMOVE(&memory->pending, entry, link);
        if (error) {
                free_entry(entry);
        } else {
                check(memory, &entry->change);
                TAILQ_INSERT_TAIL(&memory->durable, entry, link);
        }
        if (!done)
                return;
        fake_env_enter(memory->fake);
        done(owner, ticket, error);
        fake_env_leave(memory->fake);
}

bool memory_ledger_confirm(struct memory_ledger *memory)
{
        bool any = false;
        struct entry *entry;

        while ((entry = TAILQ_FIRST(&memory->pending))) {
                any = true;
                answer(memory, entry, 0);
        }
        return any;
}

bool memory_ledger_refuse(struct memory_ledger *memory)
{
        bool any = false;
        struct entry *entry, *next;

        for (entry = TAILQ_FIRST(&memory->pending); entry; entry = next) {
                next = TAILQ_NEXT(entry, link);
                if (!entry->done)
                        continue;
                any = true;
                answer(memory, entry, LEDGER_E_UNAVAILABLE);
                next = TAILQ_FIRST(&memory->pending);
        }
        return any;
}

void memory_ledger_cut(struct memory_ledger *memory)
{
        drop_all(&memory->pending);
}

/* ---- loading ---- */

static void load_lease(struct memory_ledger *memory, const struct entry *granted, ledger_load_fn *load,
                       void *owner)
{
        struct ledger_change row = granted->change;
        const struct entry *entry;

        if (lease_has_ended(memory, &row))
                return;
        TAILQ_FOREACH (entry, &memory->durable, link) {
                if (entry->change.kind == LEDGER_LEASE_REKEYED && entry->change.lease == row.lease)
                        memcpy(row.secret_hash, entry->change.secret_hash, sizeof(row.secret_hash));
                if (entry->change.kind == LEDGER_LEASE_KEPT && entry->change.lease == row.lease)
                        row.until_usec = entry->change.until_usec;
        }
        load(owner, &row);
        if (find_durable(memory, LEDGER_MEMBER_LEFT, same_member, &row))
                return;
        row.kind = LEDGER_MEMBER_JOINED;
        load(owner, &row);
}

static void load_ended(const struct entry *ended, ledger_load_fn *load, void *owner)
{
        struct ledger_change row = ended->change;
        const struct entry *later;

        for (later = TAILQ_NEXT(ended, link); later; later = TAILQ_NEXT(later, link)) {
                if (!later->change.namespace || strcmp(later->change.namespace, row.namespace) != 0)
                        continue;
                if (later->change.kind == LEDGER_LEASE_ENDED)
                        return; /* not the last one of this name */
                if (later->change.kind == LEDGER_LEASE_KEPT)
                        row.until_usec = later->change.until_usec;
        }
        load(owner, &row);
}

void memory_ledger_load(struct memory_ledger *memory, ledger_load_fn *load, void *owner)
{
        const struct entry *entry;

        TAILQ_FOREACH (entry, &memory->durable, link)
                if (entry->change.kind == LEDGER_LEASE_GRANTED)
                        load_lease(memory, entry, load, owner);
        TAILQ_FOREACH (entry, &memory->durable, link)
                if (entry->change.kind == LEDGER_LEASE_ENDED)
                        load_ended(entry, load, owner);
        TAILQ_FOREACH (entry, &memory->durable, link)
                if (entry->change.kind == LEDGER_MEMBER_JOINED && !lease_has_ended(memory, &entry->change) &&
                    !find_durable(memory, LEDGER_MEMBER_LEFT, same_member, &entry->change))
                        load(owner, &entry->change);
        TAILQ_FOREACH (entry, &memory->durable, link)
                if (entry->change.kind == LEDGER_SLOT_GRANTED &&
                    !find_durable(memory, LEDGER_SLOT_FREED, same_grant, &entry->change))
                        load(owner, &entry->change);
}

static void raise(int64_t *number, int64_t used)
{
        if (used >= *number)
                *number = used + 1;
}

struct ledger_numbers memory_ledger_numbers(const struct memory_ledger *memory)
{
        struct ledger_numbers numbers = {1, 1, 1, 1};
        const struct entry *entry;

        TAILQ_FOREACH (entry, &memory->durable, link) {
                raise(&numbers.lease, entry->change.lease);
                raise(&numbers.member, entry->change.member);
                raise(&numbers.grant, entry->change.grant);
        }
        return numbers;
}

unsigned memory_ledger_n_pending(const struct memory_ledger *memory)
{
        const struct entry *entry;
        unsigned n = 0;

        TAILQ_FOREACH (entry, &memory->pending, link)
                n++;
        return n;
}

unsigned memory_ledger_count(const struct memory_ledger *memory, enum ledger_change_kind kind)
{
        return memory->counts[kind];
}

const struct ledger_change *memory_ledger_last(const struct memory_ledger *memory,
                                               enum ledger_change_kind kind)
{
        return memory->counts[kind] ? &memory->last[kind] : NULL;
}

bool memory_ledger_has_lease(const struct memory_ledger *memory, const char *namespace)
{
        const struct entry *entry;

        TAILQ_FOREACH (entry, &memory->durable, link)
                if (entry->change.kind == LEDGER_LEASE_GRANTED &&
                    !strcmp(entry->change.namespace, namespace) && !lease_has_ended(memory, &entry->change))
                        return true;
        return false;
}
