/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The ledger, as the services see it: a queue of changes that are made durable in the order they were submitted, and
 * one load at start. store/ implements it on SQLite with a writer thread; the simulation with the same tables in
 * memory and a disk that answers late, fails, or forgets what it had not yet confirmed.
 *
 * A change is copied by ledger_submit. Its done callback comes on the loop's thread, never from inside the call:
 * 0 - durable (WAL, synchronous=FULL); LEDGER_E_UNAVAILABLE - not written and never will be; nothing of it is on disk.
 * Without a callback the change must be written sooner or later: it is kept and tried again (a release needs no disk
 * space now). Whoever needs "durable before the reply" passes a callback, and answers in it. What is held of slots
 * (LEDGER_SLOT_GRANTED, _FREED) is known to the next daemon of this boot from ledger_submit on, also after a kill -9.
 */

#include "core/roles.h"
#include "seam/env.h"

#include <stdbool.h>
#include <stdint.h>

enum { LEDGER_E_UNAVAILABLE = 1 };

#define LEDGER_SECRET_HASH_SIZE 32 /* SHA-256 of the 16 secret bytes */

/*
 * Each change also leaves a row in "event" (time, kind's name, lease, namespace, worker, database, schema, detail).
 * Behind each: the fields of struct ledger_change that it uses besides kind and time_usec.
 */
enum ledger_change_kind {
        LEDGER_LEASE_GRANTED, /* lease, namespace, label, uid, secret_hash, forced, process, request; and member */
        LEDGER_LEASE_REKEYED, /* lease, secret_hash */
        LEDGER_LEASE_ENDED, /* lease, namespace, detail = "released" | "crashed" | "revoked", reason, exit_status */
        LEDGER_LEASE_KEPT,    /* namespace, until_usec (real time; 0: no longer) */
        LEDGER_MEMBER_JOINED, /* lease, member, role, worker, uid, process */
        LEDGER_MEMBER_LEFT,   /* lease, member */
        LEDGER_SLOT_GRANTED, /* grant, lease, namespace, worker, cluster, slot, process, since_usec; request, until a reboot */
        LEDGER_SLOT_FREED, /* grant, detail = why */
        LEDGER_CLAIMED,    /* database, schema, oid, namespace, sweep */
        LEDGER_UNCLAIMED,  /* database, schema, oid */
        LEDGER_SIGHTED,    /* database, schema, oid: seen for the first time */
        LEDGER_UNSIGHTED,  /* database, schema, oid: no longer there */
        LEDGER_SWEPT,      /* sweep, dry_run, complete, detail = the result as JSON */
        LEDGER_VERDICT, /* sweep, database, schema, oid, namespace, detail = verdict, reason, sqlstate, message */
        LEDGER_NOTED, /* an event only: detail = what, and lease, namespace, worker, database, schema if set */
        LEDGER_PUBLIC_WRITTEN, /* lease, namespace, database, detail = what: an event only */
        LEDGER_CHANGE_MAX_,
};

struct ledger_change {
        enum ledger_change_kind kind;
        uint64_t time_usec; /* real time */
        int64_t lease, member, grant, sweep;
        const char *namespace, *label, *worker, *request, *cluster, *database, *schema, *oid;
        const char *detail, *reason, *message, *sqlstate;
        enum role role;
        unsigned uid;
        struct process_id process;
        uint8_t secret_hash[LEDGER_SECRET_HASH_SIZE];
        bool forced, dry_run, complete;
        int exit_status; /* -1: unknown */
        int slot;
        uint64_t until_usec;
        uint64_t since_usec; /* only where it is read */
};

/*
 * What was there at the last stop, by kind, oldest first. Each is a struct ledger_change as it was submitted:
 *   LEDGER_LEASE_GRANTED   every lease that has not ended (with its first member as MEMBER_JOINED behind it)
 *   LEDGER_LEASE_ENDED     the last ended lease of each namespace still in the ledger, since_usec its grant;
 *                          until_usec where kept
 *   LEDGER_MEMBER_JOINED   members that have not left, of leases that have not ended
 *   LEDGER_SLOT_GRANTED, LEDGER_CLAIMED, LEDGER_SIGHTED   what still stands
 *   LEDGER_SWEPT           the last one
 */
typedef void ledger_load_fn(void *owner, const struct ledger_change *row);

/*
 * What is on record of one namespace, in this order, each kind oldest first and at most so many of the newest:
 *   LEDGER_LEASE_GRANTED   leases that have not ended: lease, label, uid, forced
 *   LEDGER_LEASE_ENDED     those that have: the same, since_usec their grant, detail, reason, exit_status
 *   LEDGER_MEMBER_JOINED   lease, worker; not of the first member
 *   LEDGER_SIGHTED, LEDGER_CLAIMED   what still stands
 *   LEDGER_VERDICT         all
 *   LEDGER_PUBLIC_WRITTEN  lease, database, detail
 *   LEDGER_SWEPT           the last sweep on record, whatever it was about
 * row NULL: no more; error as above. On the loop's thread. Leases are found by what happened to them: of one that
 * ended and is older than all that is remembered there may be no row.
 */
typedef void ledger_recall_fn(void *owner, uint64_t ticket, const struct ledger_change *row, int error);

/* The first numbers never used so far. */
struct ledger_numbers {
        int64_t lease, member, grant, sweep;
};

struct ledger_event {
        uint64_t time_usec;
        const char *event;
        int64_t lease; /* 0: none */
        const char *namespace, *worker, *database, *schema, *detail;
        /* Real time; 0: none. slot_granted: when it was asked for, slot_freed: when it was granted, lease_ended: when
         * the lease was, swept: when the sweep began. */
        uint64_t since_usec;
        int slot; /* -1: none */
        const char *cluster;
};

typedef void ledger_done_fn(void *owner, uint64_t ticket, int error);
/* event NULL: no more; error as above. On the loop's thread. */
typedef void ledger_history_fn(void *owner, uint64_t ticket, const struct ledger_event *event, int error);

/* Of its file. fault: what is wrong with it, one line; "" if nothing is, or if it was too big to look. */
struct ledger_inspection {
        int64_t bytes;
        uint64_t took_usec;
        bool is_too_big;
        char fault[256];
};
/* On the loop's thread; error as above. */
typedef void ledger_inspected_fn(void *owner, uint64_t ticket, const struct ledger_inspection *inspection,
                                 int error);

struct ledger;

struct ledger_ops {
        void (*submit)(struct ledger *ledger, const struct ledger_change *change, ledger_done_fn *done,
                       void *owner, uint64_t ticket);
        /* False while a change is being tried again, or after a commit whose outcome is unknown. */
        bool (*healthy)(struct ledger *ledger);
        /* until_usec: only what is older; 0: all */
        void (*history)(struct ledger *ledger, const char *namespace /* or NULL */, uint64_t since_usec,
                        uint64_t until_usec, unsigned limit, ledger_history_fn *each, void *owner,
                        uint64_t ticket);
        void (*recall)(struct ledger *ledger, const char *namespace, ledger_recall_fn *each, void *owner,
                       uint64_t ticket);
        /* Reads all of it, unless it is big; what is submitted meanwhile waits. */
        void (*inspect)(struct ledger *ledger, ledger_inspected_fn *told, void *owner, uint64_t ticket);
};

/* Implementations embed this as their first member. */
struct ledger {
        const struct ledger_ops *ops;
};
