/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Who holds locks on what is in a schema, whether anybody waits for them or not: all databases side by side. A wait
 * that has ended by a time-out is in no list of waits any more; whoever was in the way still is in this one.
 */

#include "service/locks.h"

struct lock_holding {
        const char *database;
        const char *locks; /* "users AccessExclusiveLock, ..."; or NULL */
        struct lock_side holder;
};

/* holding NULL and error NULL: no more. holding NULL and error: that database could not be asked. */
typedef void holders_fn(void *owner, uint64_t caller, const struct lock_holding *holding, const char *schema,
                        const char *database, const char *error);

struct holders;

struct holders *holders_new(struct env *env, struct pg *pg, struct databases *databases,
                            const struct settings *settings, holders_fn *each, void *owner);
struct holders *holders_free(struct holders *holders);
/* Of every schema: the caller takes what it wants. The callback comes later. */
void holders_ask(struct holders *holders, uint64_t caller);
void holders_forget_caller(struct holders *holders, uint64_t caller);
