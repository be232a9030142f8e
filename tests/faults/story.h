/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a daemon does to its ledger, at random from a seed, and what must be true of the ledger afterwards. Each
 * change is told apart by its time, which is NOW plus its number in the story; its event carries the same time. So
 * the events of a ledger say which changes it has, and its tables must say the same.
 */

#include "store/ledger_sqlite.h"

#include <pthread.h>

#define STORY_NOW     UINT64_C(1600000000000000)
#define STORY_CHANGES 20000

enum story_state { STORY_SUBMITTED, STORY_ACKNOWLEDGED, STORY_FAILED, STORY_FORGOTTEN };

struct story_change {
        enum ledger_change_kind kind;
        int64_t id; /* of the lease, member, grant, claim */
        bool is_waited_for;
        bool is_unreserved; /* the number of a slot's grant may come back after a crash */
        enum story_state state;
};

struct story {
        pthread_mutex_t lock; /* of all below */
        struct ledger *ledger;
        unsigned seed;
        struct story_change changes[STORY_CHANGES];
        unsigned n, n_waiting;
        struct ledger_numbers next; /* as a daemon would count on */
};

/* What a ledger holds. */
struct story_image {
        bool has[STORY_CHANGES]; /* the event of the change */
        unsigned last;           /* the highest of these, plus one; 0: none */
        int64_t last_event;
};

void story_begin(struct story *story, unsigned seed);
unsigned story_random(struct story *story, unsigned below);
/* As after a reboot: what is held is in the ledger alone (store/held.h). Before each start. */
void story_forget_held(const char *directory);
/* Some changes; what may wait is waited for by nobody, as in the daemon. */
void story_submit(struct story *story, unsigned n_changes);
/* The changes that an image does not have never were: the story goes on from it. */
void story_go_on_from(struct story *story, const struct story_image *image);

/*
 * Opens the ledger in that directory as the daemon does, and looks: it is sound, its tables say what its events
 * say, what was acknowledged is there, what was refused is not, and no number comes back. NULL, or what is wrong;
 * the text is the caller's until the next call. Under lock.
 */
const char *story_check(const struct story *story, const char *directory, struct story_image *ret);
/* NULL, or what a clean stop has not written. Grants of slots that came and went need not be there. */
const char *story_missing(const struct story *story, const struct story_image *image);
