/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the files of the lease service share, and nobody else includes.
 *
 *      leases.c            the calls: acquire, attach, and looking
 *      lease_release.c     the calls that end a lease, or keep what it leaves
 *      lease_queue.c       who waits, and for how long
 *      lease_grant.c       from the queue through the ledger to a lease
 *      lease_members.c     who carries a lease, and whether anybody does
 *      lease_end.c         its end
 *      lease_memory.c      namespaces that are no lease now: ended ones, claimed ones; standing
 *      lease_recovery.c    what a restart and a census say
 *      lease_table.c       finding records by name, number, connection and request
 *      lease_outbox.c      what is to be told, told later
 *      lease_secret.c      128 bits
 */

#include "service/leases.h"

#include <sys/queue.h>

#include "util/alloc.h"
#include "util/hash.h"

struct lease_secret {
        char text[BERTH_SECRET_SIZE];
        uint8_t hash[LEDGER_SECRET_HASH_SIZE];
};

struct lease_record {
        struct lease lease; /* what others see */
        struct leases *leases;
        uint8_t secret_hash[LEDGER_SECRET_HASH_SIZE];
        char *request; /* "UID:the caller's name for it", or NULL */

        /* WAITING: the one member is whoever asks. */
        uint64_t deadline; /* boottime; 0: none */
        unsigned told;     /* the place last told */

        char secret[BERTH_SECRET_SIZE]; /* GRANTING: not handed out yet; else wiped */

        /* The member that acquired it, and its process, also after it has left. */
        int64_t acquirer;
        struct process_id acquirer_process;

        int exit_status;     /* RELEASING; -1: not told */
        uint64_t kept_until; /* real time; 0: its schemas go when it ends */

        TAILQ_ENTRY(lease_record) link;  /* leases::all */
        TAILQ_ENTRY(lease_record) queue; /* leases::queue, while WAITING */
        bool is_change_told;             /* a "changed" of it is in the outbox */
        UT_hash_handle by_name, by_id, by_request;
};

/* A connection that waits for, carries, or has released a lease. */
struct lease_carrier {
        uint64_t connection;
        struct lease_record *record; /* NULL: released, so that releasing it again is harmless */
        UT_hash_handle hh;
};

/* A new secret on its way into the ledger, for a lease that was asked for again. */
struct lease_rekey {
        uint64_t ticket;
        int64_t lease;
        uint64_t connection; /* may have closed meanwhile */
        struct lease_secret secret;
        TAILQ_ENTRY(lease_rekey) link; /* leases::rekeys */
};

/* A promise to keep what a lease leaves, on its way into the ledger. */
struct lease_keep {
        uint64_t ticket;
        uint64_t connection; /* may have closed meanwhile */
        char namespace[NAMES_NAMESPACE_MAX + 1];
        int64_t lease;                /* 0: it had ended */
        uint64_t until, before;       /* before: what was promised until now */
        bool with_release;            /* or its end has written it besides */
        TAILQ_ENTRY(lease_keep) link; /* leases::keeps */
};

/* A namespace whose last lease has ended, and whose schemas may still be there. */
struct lease_ended {
        char namespace[NAMES_NAMESPACE_MAX + 1];
        int64_t id;
        unsigned uid;
        char *label; /* or NULL */
        enum lease_state state;
        uint64_t since_realtime, ended_realtime;
        uint64_t kept_until;  /* real time; 0: not kept */
        uint64_t ended_usec;  /* boottime */
        bool has_secret_hash; /* released in this life: the same release again is harmless */
        uint8_t secret_hash[LEDGER_SECRET_HASH_SIZE];
        UT_hash_handle hh;
};

struct lease_claim {
        char namespace[NAMES_NAMESPACE_MAX + 1];
        unsigned count;
        UT_hash_handle hh;
};

enum lease_event_kind {
        LEASE_EVENT_QUEUED,
        LEASE_EVENT_FAILED,
        LEASE_EVENT_LET_GO,
        LEASE_EVENT_CHANGED,
        LEASE_EVENT_ENDED
};

struct lease_event {
        enum lease_event_kind kind;
        uint64_t connection;
        int error;
        enum lease_state state;
        char *reason;
        int64_t lease;
        struct lease_record *record;   /* ENDED: owned */
        TAILQ_ENTRY(lease_event) link; /* leases::outbox */
};

struct leases {
        struct env *env;
        struct ledger *ledger;
        struct metrics *metrics; /* NULL: nobody counts */
        const struct lease_events *events;
        void *owner;
        unsigned max_leases;
        uint64_t start_grace, keep_for;

        TAILQ_HEAD(lease_records, lease_record) all; /* waiting or not ended; oldest first */
        TAILQ_HEAD(lease_queue, lease_record) queue;
        unsigned n_live, n_waiting;
        struct lease_record *by_name; /* not ended, and forced ones that wait */
        struct lease_record *by_id, *by_request;
        struct lease_carrier *carriers;
        struct lease_ended *ended;
        struct lease_claim *claims;
        TAILQ_HEAD(, lease_rekey) rekeys;
        TAILQ_HEAD(, lease_keep) keeps;
        uint64_t last_rekey, last_keep;
        struct ledger_numbers next;

        TAILQ_HEAD(, lease_event) outbox;
        unsigned n_addressed; /* events of the outbox that name a connection */
        struct timer *outbox_timer, *deadline_timer, *places_timer;
        uint64_t deadline; /* that deadline_timer is armed for; 0: none */
        bool is_renumbering_due, is_places_timer_armed, is_loaded;
};

/* lease_table.c */
struct lease_record *lease_record_new(struct leases *leases, enum lease_state state);
void lease_record_free(struct lease_record *record); /* out of no table and no list */
void lease_table_remove(struct lease_record *record);
void lease_table_name(struct lease_record *record); /* its namespace is set now; likewise below */
void lease_table_number(struct lease_record *record);
void lease_table_request(struct lease_record *record, unsigned uid, const char *request);
struct lease_record *lease_by_name(struct leases *leases, const char *namespace);
struct lease_record *lease_by_id(struct leases *leases, int64_t id);
struct lease_record *lease_by_request(struct leases *leases, unsigned uid, const char *request);
struct lease_record *lease_by_secret(struct leases *leases, const char *namespace,
                                     const char *secret); /* granted */
struct lease_carrier *lease_carrier_find(struct leases *leases, uint64_t connection);
void lease_carrier_set(struct leases *leases, uint64_t connection, struct lease_record *record);
void lease_carrier_drop(struct leases *leases, uint64_t connection);
static inline bool lease_has_ended(const struct lease_record *record)
{
        return record->lease.state >= LEASE_CRASHED;
}
static inline bool lease_is_granted(const struct lease_record *record)
{
        return record->lease.state != LEASE_WAITING && record->lease.state != LEASE_GRANTING;
}

/* lease_queue.c */
void lease_queue_append(struct lease_record *record, uint64_t timeout_usec);
void lease_queue_remove(struct lease_record *record);
void lease_queue_advance(struct leases *leases); /* grants to whoever may be granted to */
void lease_queue_number(struct leases *leases);  /* makes lease.position true */
void lease_queue_take_over(struct lease_record *record, const struct lease_request *request);
void lease_queue_on_deadline(void *owner);
void lease_queue_on_places(void *owner);

/* lease_grant.c */
void lease_grant(struct lease_record *record); /* WAITING -> GRANTING */
int lease_grant_again(struct lease_record *record, const struct lease_request *request);

/* lease_members.c */
bool lease_same_process(const struct process_id *a, const struct process_id *b);
bool lease_controller_is_taken(const struct lease_record *record, const struct peer *peer);
/* A connection carries the lease from now on;
 * a member of the same process that has closed comes back in it. */
struct lease_member *lease_member_join(struct lease_record *record, const struct lease_request *request);
struct lease_member *lease_member_add(struct lease_record *record);
void lease_member_write(struct lease_record *record, const struct lease_member *member); /* into the ledger */
/* Likewise, and its attach is answered when it is there. */
void lease_member_await(struct lease_record *record, struct lease_member *member);
struct lease_member *lease_member_of(struct lease_record *record, uint64_t connection);
/* Mostly of a young lease. NULL: that has ended meanwhile, or the member has left. */
struct lease_record *lease_by_member(struct leases *leases, int64_t id, struct lease_member **ret);
void lease_member_watch(struct lease_record *record, struct lease_member *member);
void lease_member_close(struct lease_record *record, struct lease_member *member);
void lease_members_unwatch(struct lease_record *record);
void lease_settle(struct lease_record *record); /* ends it if everything says so */

/* lease_release.c */
/* Its end writes what was promised besides, for as long as it takes: a refusal of the promise means nothing now. */
void lease_keep_ended(struct lease_record *record);

/* lease_end.c */
void lease_end(struct lease_record *record, enum lease_state state, const char *reason);

/* lease_memory.c */
void lease_remember_ended(struct leases *leases, const struct lease_ended *ended); /* takes its label */
struct lease_ended *lease_ended_find(struct leases *leases, const char *namespace);
bool lease_is_claimed(struct leases *leases, const char *namespace);
void lease_memory_clear(struct leases *leases);

/* lease_outbox.c */
void lease_tell_queued(struct lease_record *record);
void lease_tell_failed(struct leases *leases, uint64_t connection, int error);
/* Or, if it waits to be told of the grant, that there is none. */
void lease_tell_let_go(struct leases *leases, const struct lease_member *member, enum lease_state state,
                       const char *reason);
void lease_tell_changed(struct lease_record *record);
void lease_tell_ended(struct lease_record *record); /* takes the record over */
void lease_outbox_forget_connection(struct leases *leases, uint64_t connection);
void lease_outbox_clear(struct leases *leases);
void lease_outbox_on_timer(void *owner);

/* lease_secret.c */
void lease_secret_make(const uint8_t bytes[BERTH_SECRET_BYTES], struct lease_secret *ret);
/* Whether the text is the secret of this hash. In constant time; hash NULL: no, and it takes as long. */
bool lease_secret_fits(const char *text, const uint8_t *hash);
