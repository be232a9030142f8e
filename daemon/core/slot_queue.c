/* SPDX-License-Identifier: MIT */
#include "core/slot_queue.h"

#include "util/alloc.h"
#include "util/hash.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/queue.h>


/*
 * Who waits stands in a line: one line per party, and one for the sweep. The lines of the parties that have
 * waiters stand in a round; the first of the round is served and goes to its end, or leaves it when nobody of
 * it waits any more.
 *
 *      round:   party 7 ──▶ party 3 ──▶ party 9        then the sweep's line
 *                 │            │           │
 *              a, d, e         b          c, f         served: a b c d f e
 */

struct entry {
        struct slot_entry shown;
        struct line *line;       /* while it waits, else NULL */
        TAILQ_ENTRY(entry) link; /* line::entries */
        UT_hash_handle hh;       /* slot_queue::entries */
};

TAILQ_HEAD(entries, entry);

struct line {
        uint64_t party;
        unsigned n;
        struct entries entries;
        struct entry *cursor;   /* only inside slot_queue_each */
        TAILQ_ENTRY(line) link; /* slot_queue::round */
        UT_hash_handle hh;      /* slot_queue::lines */
};

struct slot_queue {
        unsigned n_slots;
        struct entry **slots; /* by number; more than n_slots after it has shrunk */
        unsigned n_slots_allocated;
        unsigned n_held, n_waiting;
        struct entry *entries; /* all, by id */
        struct line *lines;    /* those in the round, by party */
        TAILQ_HEAD(, line) round;
        struct line sweep;
};

struct slot_queue *slot_queue_new(unsigned n_slots)
{
        struct slot_queue *queue = NEW(struct slot_queue);

        TAILQ_INIT(&queue->round);
        TAILQ_INIT(&queue->sweep.entries);
        slot_queue_resize(queue, n_slots);
        return queue;
}

struct slot_queue *slot_queue_free(struct slot_queue *queue)
{
        struct entry *entry, *next_entry;
        struct line *line, *next_line;

        if (!queue)
                return NULL;
        HASH_ITER (hh, queue->entries, entry, next_entry) {
                HASH_DEL(queue->entries, entry);
                free(entry);
        }
        HASH_ITER (hh, queue->lines, line, next_line) {
                HASH_DEL(queue->lines, line);
                free(line);
        }
        free(queue->slots);
        free(queue);
        return NULL;
}

void slot_queue_resize(struct slot_queue *queue, unsigned n_slots)
{
        if (n_slots > queue->n_slots_allocated) {
                queue->slots = alloc_array(queue->slots, n_slots, sizeof(*queue->slots));
                for (unsigned i = queue->n_slots_allocated; i < n_slots; i++)
                        queue->slots[i] = NULL;
                queue->n_slots_allocated = n_slots;
        }
        queue->n_slots = n_slots;
}

static struct entry *find(const struct slot_queue *queue, uint64_t id)
{
        struct entry *entry;

        HASH_FIND(hh, queue->entries, &id, sizeof(id), entry);
        return entry;
}

static struct entry *add(struct slot_queue *queue, uint64_t id, uint64_t party, enum slot_priority priority)
{
        struct entry *entry = NEW(struct entry);

        assert(!find(queue, id));
        entry->shown = (struct slot_entry){
                .id = id, .party = party, .priority = priority, .state = SLOT_WAITING, .slot = -1};
        HASH_ADD(hh, queue->entries, shown.id, sizeof(entry->shown.id), entry);
        return entry;
}

/* The party's line, at the end of the round if it was in none. */
static struct line *join_round(struct slot_queue *queue, uint64_t party)
{
        struct line *line;

        HASH_FIND(hh, queue->lines, &party, sizeof(party), line);
        if (line)
                return line;
        line = NEW(struct line);
        line->party = party;
        TAILQ_INIT(&line->entries);
        HASH_ADD(hh, queue->lines, party, sizeof(line->party), line);
        TAILQ_INSERT_TAIL(&queue->round, line, link);
        return line;
}

static void stop_waiting(struct slot_queue *queue, struct entry *entry)
{
        struct line *line = entry->line;

        TAILQ_REMOVE(&line->entries, entry, link);
        entry->line = NULL;
        queue->n_waiting--;
        if (--line->n || line == &queue->sweep)
                return;
        TAILQ_REMOVE(&queue->round, line, link);
        HASH_DEL(queue->lines, line);
        free(line);
}

static void hold(struct slot_queue *queue, struct entry *entry, unsigned slot)
{
        queue->slots[slot] = entry;
        queue->n_held++;
        entry->shown.slot = (int)slot;
        entry->shown.state = SLOT_HELD;
}

void slot_queue_request(struct slot_queue *queue, uint64_t id, uint64_t party, enum slot_priority priority)
{
        struct entry *entry = add(queue, id, party, priority);

        entry->line = priority == SLOT_FOR_SWEEP ? &queue->sweep : join_round(queue, party);
        TAILQ_INSERT_TAIL(&entry->line->entries, entry, link);
        entry->line->n++;
        queue->n_waiting++;
}

bool slot_queue_restore(struct slot_queue *queue, uint64_t id, uint64_t party, int slot)
{
        if (slot < 0 || (unsigned)slot >= queue->n_slots || queue->slots[slot])
                return false;
        if (queue->n_held >= queue->n_slots)
                return false;
        hold(queue, add(queue, id, party, SLOT_FOR_RUN), (unsigned)slot);
        return true;
}

/* Whoever is next, and the round moved on; NULL: nobody waits. */
static struct entry *take_next(struct slot_queue *queue)
{
        struct line *line = TAILQ_FIRST(&queue->round);
        struct entry *entry;

        if (line) {
                TAILQ_REMOVE(&queue->round, line, link);
                TAILQ_INSERT_TAIL(&queue->round, line, link);
        } else {
                line = &queue->sweep;
        }
        entry = TAILQ_FIRST(&line->entries);
        if (entry)
                stop_waiting(queue, entry);
        return entry;
}

bool slot_queue_next(struct slot_queue *queue, struct slot_entry *ret)
{
        struct entry *entry;
        unsigned slot = 0;

        /* Counted, not only looked for: after shrinking,
         * a surplus holder has a number beyond the last slot. */
        if (queue->n_held >= queue->n_slots)
                return false;
        entry = take_next(queue);
        if (!entry)
                return false;
        while (queue->slots[slot])
                slot++;
        hold(queue, entry, slot);
        *ret = entry->shown;
        return true;
}

bool slot_queue_remove(struct slot_queue *queue, uint64_t id)
{
        struct entry *entry = find(queue, id);

        if (!entry)
                return false;
        if (entry->line) {
                stop_waiting(queue, entry);
        } else {
                queue->slots[entry->shown.slot] = NULL;
                queue->n_held--;
        }
        HASH_DEL(queue->entries, entry);
        free(entry);
        return true;
}

bool slot_queue_drain(struct slot_queue *queue, uint64_t id)
{
        struct entry *entry = find(queue, id);

        if (!entry || entry->shown.state != SLOT_HELD)
                return false;
        entry->shown.state = SLOT_DRAINING;
        return true;
}

bool slot_queue_find(const struct slot_queue *queue, uint64_t id, struct slot_entry *ret)
{
        struct entry *entry = find(queue, id);

        if (!entry)
                return false;
        *ret = entry->shown;
        return true;
}

static unsigned least(unsigned a, unsigned b)
{
        return a < b ? a : b;
}

/* The k-th of its own line is served in the k-th turn of the round,
 * so behind k turns of the lines before it. */
static unsigned served_before(const struct slot_queue *queue, const struct line *own, unsigned depth)
{
        const struct line *line;
        unsigned n = depth, turns = depth + 1;

        TAILQ_FOREACH (line, &queue->round, link) {
                if (line == own)
                        turns = depth;
                else
                        n += least(line->n, turns);
        }
        return n;
}

unsigned slot_queue_position(const struct slot_queue *queue, uint64_t id)
{
        const struct entry *entry = find(queue, id), *other;
        unsigned depth = 0;

        if (!entry || !entry->line)
                return 0;
        for (other = TAILQ_FIRST(&entry->line->entries); other != entry; other = TAILQ_NEXT(other, link))
                depth++;
        if (entry->line == &queue->sweep)
                return queue->n_waiting - queue->sweep.n + depth + 1;
        return served_before(queue, entry->line, depth) + 1;
}

unsigned slot_queue_slots(const struct slot_queue *queue)
{
        return queue->n_slots;
}

unsigned slot_queue_n_waiting(const struct slot_queue *queue)
{
        return queue->n_waiting;
}

unsigned slot_queue_n_held(const struct slot_queue *queue)
{
        return queue->n_held;
}

void slot_queue_each(const struct slot_queue *queue, slot_entry_fn *each, void *owner)
{
        const struct entry *entry;
        struct line *line;
        unsigned left = queue->n_waiting - queue->sweep.n;

        for (unsigned i = 0; i < queue->n_slots_allocated; i++)
                if (queue->slots[i])
                        each(owner, &queue->slots[i]->shown);
        TAILQ_FOREACH (line, &queue->round, link)
                line->cursor = TAILQ_FIRST(&line->entries);
        while (left) {
                TAILQ_FOREACH (line, &queue->round, link) {
                        if (!line->cursor)
                                continue;
                        each(owner, &line->cursor->shown);
                        line->cursor = TAILQ_NEXT(line->cursor, link);
                        left--;
                }
        }
        TAILQ_FOREACH (entry, &queue->sweep.entries, link)
                each(owner, &entry->shown);
}
