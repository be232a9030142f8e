/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The stage of the lease tests: the real service between a fake kernel and a ledger in memory, and everything
 * it has told, per connection. A callback from inside a call fails the test at once.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "memory_ledger.h"
#include "service/leases.h"

#define START_GRACE (60 * USEC_PER_SEC)
#define KEEP_FOR    (24 * 3600 * USEC_PER_SEC)

enum told { TOLD_QUEUED = 1, TOLD_GRANTED, TOLD_FAILED, TOLD_LET_GO, TOLD_KEPT, TOLD_ENDED, TOLD_CHANGED };

struct telling {
        enum told what;
        uint64_t connection; /* 0: ENDED, CHANGED */
        unsigned position;
        int error;
        uint64_t until;
        enum lease_state state;
        char namespace[NAMES_NAMESPACE_MAX + 1];
        char secret[BERTH_SECRET_SIZE];
        char reason[64];
};

struct story {
        struct fake_env *fake;
        struct memory_ledger *memory;
        struct settings settings;
        struct leases *leases;
        struct telling tellings[8192];
        unsigned n_tellings, n_taken;
        uint64_t last_connection;
        void (*watcher)(struct story *story, const struct telling *telling); /* or NULL */
        void (*before_loaded)(struct story *story);                          /* story_restart: or NULL */
};

int story_setup(void **state);
int story_teardown(void **state);

/* Until nothing happens any more: the loop, the ledger, the loop again. Time stands still. */
void story_settle(struct story *story);
void story_pass(struct story *story, uint64_t usec); /* settles, lets time pass, settles */
/* kill -9 and a start from what is durable; every connection is gone. */
void story_restart(struct story *story);

struct peer story_peer(struct story *story); /* a new process of uid 1000 */
struct peer story_nobody(void);              /* of a pid namespace we cannot see */
/* A request of a new connection; the caller adds what it wants. */
struct lease_request story_request(struct story *story, const struct peer *peer);
/* A lease at once: its connection is ret->connection; *telling has namespace and secret. */
struct lease_request story_acquire(struct story *story, const struct peer *peer, struct telling *telling);
struct lease_request story_acquire_name(struct story *story, const struct peer *peer, const char *namespace,
                                        struct telling *telling);
struct lease_request story_attach_request(struct story *story, const struct peer *peer,
                                          const struct telling *lease, enum role role);
/* 0: attached, and the ledger knows. */
int story_attach(struct story *story, const struct lease_request *request);
/* Keeps it, and confirms that; *ret_until: what was told. */
int story_keep(struct story *story, const char *namespace, unsigned uid, bool permitted, uint64_t keep_usec,
               uint64_t *ret_until);
int story_release(struct story *story, uint64_t connection);
int story_release_by_secret(struct story *story, uint64_t connection, const char *namespace,
                            const char *secret);

/* The oldest telling to a connection (0: ended and changed) of this kind that was not taken yet; NULL: none.
 */
const struct telling *story_take(struct story *story, uint64_t connection, enum told what);
unsigned story_count(const struct story *story, enum told what); /* ever */
const struct telling *story_take_end(struct story *story, const char *namespace);
enum lease_state story_state(struct story *story,
                             const char *namespace); /* fails the test if there is no lease */
