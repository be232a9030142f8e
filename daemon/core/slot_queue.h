/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The DDL slots of one cluster, and who waits for them. Pure: no clock, no descriptor.
 *
 *      request ──▶ WAITING ──▶ HELD ──▶ (gone)
 *                     │          └────▶ DRAINING ──▶ (gone)     its holder died: its backends must finish first
 *                     └──▶ (gone)                               hung up, timed out
 *
 * Order: runs before the sweep; among runs, round robin between parties (a party is a lease), and within a party
 * first come, first served. A party that has just been served goes to the end of the round. With one request each
 * that is plain FIFO.
 *
 * Invariant: held + draining <= n_slots, always; a free slot and a waiter never exist side by side after
 * slot_queue_next() has returned 0.
 */

#include <stdbool.h>
#include <stdint.h>

enum slot_state { SLOT_WAITING, SLOT_HELD, SLOT_DRAINING };
enum slot_priority { SLOT_FOR_RUN, SLOT_FOR_SWEEP };

/* One request: while it waits and while it holds. Ids only; what stands behind them is the service's business. */
struct slot_entry {
        uint64_t id;    /* the caller's, unique in the queue */
        uint64_t party; /* lease; 0: the sweep */
        enum slot_priority priority;
        enum slot_state state;
        int slot; /* -1 while waiting */
};

struct slot_queue;

struct slot_queue *slot_queue_new(unsigned n_slots);
struct slot_queue *slot_queue_free(struct slot_queue *queue);

/* Fewer slots than are held: the surplus is not taken away, it is not granted again. */
void slot_queue_resize(struct slot_queue *queue, unsigned n_slots);

/* id must be new. The request waits until slot_queue_next() hands it out, also when a slot is free. */
void slot_queue_request(struct slot_queue *queue, uint64_t id, uint64_t party, enum slot_priority priority);
/* A slot that was held before a restart: holds at once. False: that slot is taken or does not exist. */
bool slot_queue_restore(struct slot_queue *queue, uint64_t id, uint64_t party, int slot);

/* Grants one free slot to the next in line: true and *ret. Call until false. */
bool slot_queue_next(struct slot_queue *queue, struct slot_entry *ret);

bool slot_queue_remove(struct slot_queue *queue, uint64_t id); /* whatever its state; false: not there */
bool slot_queue_drain(struct slot_queue *queue, uint64_t id);  /* HELD -> DRAINING; false otherwise */
bool slot_queue_find(const struct slot_queue *queue, uint64_t id, struct slot_entry *ret);

/* 1: next in line; counted as if no further request came. 0: not waiting. */
unsigned slot_queue_position(const struct slot_queue *queue, uint64_t id);
unsigned slot_queue_slots(const struct slot_queue *queue);
unsigned slot_queue_n_waiting(const struct slot_queue *queue);
unsigned slot_queue_n_held(const struct slot_queue *queue); /* HELD and DRAINING */

/* Holders by slot number, then waiters in the order they would be served. */
typedef void slot_entry_fn(void *owner, const struct slot_entry *entry);
void slot_queue_each(const struct slot_queue *queue, slot_entry_fn *each, void *owner);
