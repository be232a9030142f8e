/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the files of the slot service share, and nobody else includes.
 *
 *      slots.c             the calls: acquire, release, and what frees a slot
 *      slot_grants.c       a request's way: its cluster, the queue, the grant, the end
 *      slot_table.c        finding records by number and connection; clusters
 *      slot_notices.c      what is to be told, told later; places and deadlines
 *      slot_recovery.c     slots that were held before a restart
 *      slot_drain.c        slots whose holder died: not handed on before its sessions have finished
 *
 * A request:
 *
 *      RESOLVING ──▶ QUEUED ──▶ IN_USE ──▶ OVER    (OVER: only while its end is still to be told)
 *          │           │         ▲  │       ▲
 *          └───────────┴──▶ OVER │  └──▶ ORPHANED  its holder died; DRAINING in the queue
 *                                │          ▲
 *                               LOST ───────┘      held before a restart, by a connection that is not ours
 */

#include "service/drain.h"
#include "service/slots.h"

#include <sys/queue.h>

#include "util/alloc.h"
#include "util/hash.h"

enum slot_stage { SLOT_RESOLVING, SLOT_QUEUED, SLOT_IN_USE, SLOT_LOST, SLOT_ORPHANED, SLOT_OVER };

/* What its connection has still to be told; a later one replaces an earlier one. */
enum slot_notice {
        SLOT_TELL_NOTHING,
        SLOT_TELL_QUEUED,
        SLOT_TELL_GRANTED,
        SLOT_TELL_FAILED,
        SLOT_TELL_LET_GO
};

#define SLOT_CLUSTER_KEY_SIZE 160

struct slot_record {
        struct slot_use use; /* what others see */
        struct slots *slots;
        enum slot_stage stage;
        struct slot_cluster *cluster; /* NULL: RESOLVING or LOST */
        bool no_wait;
        int64_t reclaim;   /* 0: none */
        bool only_reclaim; /* is never queued */
        char *request;     /* the caller's name for it, or NULL */
        uint64_t deadline; /* boottime; 0: none */
        unsigned told;     /* the place last told */

        enum slot_notice notice;
        int error;
        char *text; /* FAILED: message, LET_GO: reason; or NULL */
        bool revoked;

        uint64_t sweep; /* the sweep's id for it */
        slots_granted_fn *granted;
        void *granted_owner;

        char cluster_key[SLOT_CLUSTER_KEY_SIZE]; /* LOST */
        struct process_watch *watch;             /* LOST */
        bool is_placed;                          /* LOST, over, and its cluster is being asked for */

        struct drain *drain; /* ORPHANED */
        const char *why;     /* ORPHANED, or is_placed: why it ended */

        struct slot_connection *connection;
        TAILQ_ENTRY(slot_record) link;          /* slots::all */
        TAILQ_ENTRY(slot_record) of_connection; /* slot_connection::records */
        TAILQ_ENTRY(slot_record) notices;       /* slots::notices, with a notice */
        UT_hash_handle hh;                      /* slots::by_id */
};

TAILQ_HEAD(slot_records, slot_record);

/* One that has asked for a slot; its process is watched once, until it closes. */
struct slot_connection {
        uint64_t id;
        struct slots *slots;
        bool is_process_gone;
        struct process_watch *watch;
        struct slot_records records;
        UT_hash_handle hh;
};

struct slot_cluster {
        unsigned id;
        char key[SLOT_CLUSTER_KEY_SIZE]; /* the same cluster in another life of the daemon */
        struct slot_queue *queue;
        bool has_changed;
        UT_hash_handle hh;
};

struct slots {
        struct env *env;
        struct ledger *ledger;
        struct databases *databases;
        struct pg *pg;
        struct metrics *metrics; /* NULL: nobody counts */
        const struct slot_events *events;
        void *owner;
        unsigned n_slots;
        uint64_t start_grace;
        struct drain_limits drain_limits;

        struct slot_records all; /* oldest first */
        struct slot_record *by_id;
        struct slot_connection *connections;
        struct slot_cluster *clusters;
        struct slot_records notices;
        unsigned n_lost; /* while there are any, nothing new is granted */
        uint64_t last_id;
        int64_t next_grant;

        struct timer *notice_timer, *change_timer, *deadline_timer, *grace_timer;
        bool is_change_timer_armed;
        uint64_t deadline;   /* that deadline_timer is armed for; 0: none */
        uint64_t grace_ends; /* boottime */
        bool is_grace_over;
};

static inline bool slot_is_waiting(const struct slot_record *record)
{
        return record->stage == SLOT_RESOLVING || record->stage == SLOT_QUEUED;
}

/* slot_table.c */
struct slot_record *slot_record_new(struct slots *slots, enum slot_stage stage);
struct slot_record *slot_record_free(struct slot_record *record); /* out of all tables */
void slot_record_leave(struct slot_record *record);               /* its connection; no more is told */
struct slot_record *slot_record_find(struct slots *slots, uint64_t id);
struct slot_connection *slot_connection_find(struct slots *slots, uint64_t id);
struct slot_connection *slot_connection_get(struct slots *slots, uint64_t id, const struct peer *peer);
void slot_connection_free(struct slot_connection *connection);
void slot_record_join(struct slot_record *record, struct slot_connection *connection);
struct slot_cluster *slot_cluster_find(struct slots *slots, unsigned id);
struct slot_cluster *slot_cluster_get(struct slots *slots, unsigned id);

/* slot_grants.c */
void slot_enqueue(struct slot_record *record, unsigned cluster_id);
/* Hands out what is free. mine: told by the caller itself, or NULL. */
void slot_hand_out(struct slots *slots, struct slot_cluster *cluster, const struct slot_record *mine);
void slot_hand_out_everywhere(struct slots *slots);
/* Whatever it is, it is no longer: out of the queue, and free for the next. The record stays. */
void slot_end(struct slot_record *record, const char *why);
/* slot_end, and what its connection is told, if it is still open. Frees the record, sooner or later. */
void slot_fail(struct slot_record *record, int error, const char *message);
void slot_let_go(struct slot_record *record, bool revoked, const char *reason);
void slot_on_resolved(void *owner, uint64_t id, unsigned cluster, const char *why);

/* slot_notices.c */
void slot_tell(struct slot_record *record, enum slot_notice notice);
void slot_untell(struct slot_record *record);
void slot_set_deadline(struct slot_record *record, uint64_t timeout_usec);
void slot_has_changed(struct slots *slots, struct slot_cluster *cluster);
void slot_on_notices(void *owner);
void slot_on_change(void *owner);
void slot_on_deadline(void *owner);

/* slot_drain.c */
/* slot_end, but for who may have left sessions that build: then it is ORPHANED, and ends and is freed later. */
void slot_orphan(struct slot_record *record, const char *why);
/* Handed on although its sessions may not have finished. */
void slot_report(const struct slot_record *record, const char *why);

/* slot_recovery.c */
/* It was held before the restart: the same again. */
bool slot_reclaim(struct slot_record *record, struct slot_cluster *cluster);
void slot_forget_lost(struct slots *slots); /* one is LOST no longer */
/* A LOST one that is about to end becomes that of the connection which is taking it back, if there is one. */
struct slot_record *slot_merge_adopter(struct slot_record *record);
void slot_give_up_lost(struct slot_record *record, const char *why);
void slot_on_grace(void *owner);
