/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * No silent public: while leases live, whatever is written into schema public of a test database is noticed, and the
 * leases that lived then are named. One question to each database, one connection each for the time of the question.
 *
 *      resting ──a lease is granted──▶ looking ──▶ waiting: 10 s, or a moment after a lease has ended ──┐
 *         ▲                               ▲  │                                                          │
 *         └──nobody lives, nobody has ────┼──┘                                                          │
 *            lived since the last look    └─────────────────────────────────────────────────────────────┘
 *
 * The first look after a rest is what the later ones are compared with: what was there before a lease is nobody's. A
 * database that cannot be asked is compared with its last look when it can be again, if leases lived all the time.
 * Nothing wakes up while nobody lives.
 *
 * What is compared how: core/public_look.h. Each write is told once for the leases it is laid to, however often it is
 * seen: in the journal, and in the ledger of each of their namespaces.
 */

#include "core/public_look.h"
#include "service/databases.h"
#include "service/leases.h"

#define PUBLIC_NAMESPACES_MAX 32

struct public_written {
        char *database, *table;
        enum public_write_kind kind;
        uint64_t rows;
        uint64_t first_usec, last_usec; /* real time */
        unsigned n_namespaces;
        char namespaces[PUBLIC_NAMESPACES_MAX][NAMES_NAMESPACE_MAX + 1]; /* the newest */
};

struct public_watch;

struct public_watch *public_watch_new(struct env *env, struct pg *pg, struct ledger *ledger,
                                      struct databases *databases, struct leases *leases,
                                      const struct settings *settings);
struct public_watch *public_watch_free(struct public_watch *watch);
/* At start, when leases_loaded, and after a reload: begins, goes on or ends, as the settings say. */
void public_watch_configure(struct public_watch *watch);

/* To be told by lease_events. */
void public_watch_granted(struct public_watch *watch);
void public_watch_ended(struct public_watch *watch, const struct lease *lease);

typedef void public_looked_fn(void *owner, uint64_t caller);
/*
 * A look now, for a run that is about to end and wants to know; several that ask share one. looked comes when it has
 * been taken. False: nothing is looked at, so nothing comes.
 */
bool public_watch_ask(struct public_watch *watch, uint64_t caller, public_looked_fn *looked, void *owner);
void public_watch_forget_caller(struct public_watch *watch, uint64_t caller);

/* What was noticed in the last day; the latest last. */
typedef void public_written_fn(void *owner, const struct public_written *written);
void public_watch_each(const struct public_watch *watch, public_written_fn *each, void *owner);
