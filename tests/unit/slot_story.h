/* SPDX-License-Identifier: MIT */
#pragma once

/* The stage of the slot tests, as lease_story.h is that of the lease tests. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_databases.h"
#include "fake_server.h"
#include "memory_ledger.h"
#include "service/slots.h"

#define START_GRACE       (60 * USEC_PER_SEC)
#define STATEMENT_TIMEOUT (30 * USEC_PER_SEC)
#define CONNECT_TIMEOUT   (5 * USEC_PER_SEC)

enum slot_told {
        SLOT_TOLD_QUEUED = 1,
        SLOT_TOLD_GRANTED,
        SLOT_TOLD_FAILED,
        SLOT_TOLD_LET_GO,
        SLOT_TOLD_CHANGED
};

struct slot_telling {
        enum slot_told what;
        uint64_t connection;
        unsigned position, cluster;
        int slot, error;
        int64_t grant, lease;
        bool revoked;
        char text[96];
};

struct slot_story {
        struct fake_env *fake;
        struct memory_ledger *memory;
        struct databases
                *databases; /* main, tenant: cluster 1; other: cluster 2; far: cluster 3, to be asked for */
        struct fake_server *server; /* of all of them; nobody is busy on it */
        struct settings settings;
        struct slots *slots;
        struct slot_telling tellings[8192];
        unsigned n_tellings;
        uint64_t last_connection;
        uint64_t sweep_granted; /* the last id that was told to the sweep */
        void (*watcher)(struct slot_story *story, const struct slot_telling *telling);
};

int slot_story_setup(void **state);
int slot_story_teardown(void **state);
void slot_story_settle(struct slot_story *story);
void slot_story_pass(struct slot_story *story, uint64_t usec);
/* kill -9 and a start; every connection is gone, every cluster unknown until it is asked for if ask is set.
 */
void slot_story_restart(struct slot_story *story);

struct peer slot_story_peer(struct slot_story *story);
/* On a new connection of a new process, database main. */
struct slot_request slot_story_request(struct slot_story *story, int64_t lease);
int slot_story_ask(struct slot_story *story, const struct slot_request *request, int64_t *ret_grant);
/* Asks, and fails the test unless it has a slot at once. */
struct slot_request slot_story_hold(struct slot_story *story, int64_t lease, int64_t *ret_grant);
/* Asks, and fails the test unless it waits. */
struct slot_request slot_story_wait(struct slot_story *story, int64_t lease);
int slot_story_release(struct slot_story *story, uint64_t connection);
void slot_story_request_for_sweep(struct slot_story *story, unsigned cluster, uint64_t id);

const struct slot_telling *slot_story_take(struct slot_story *story, uint64_t connection,
                                           enum slot_told what);
unsigned slot_story_count(const struct slot_story *story, enum slot_told what);
unsigned slot_story_n_held(struct slot_story *story, unsigned cluster);
