/* SPDX-License-Identifier: MIT */
#pragma once

/* Who blocks whom: both sides of pg_blocking_pids(), all databases side by side. */

#include "service/databases.h"

struct lock_pair {
        const char *database;
        struct lock_side {
                int pid;                              /* 0: a prepared transaction */
                const char *application_name, *query; /* or NULL */
                int64_t transaction_usec;             /* -1: unknown */
                const char *gid, *schema;             /* only of a prepared transaction; or NULL */
        } blocked, blocker;
        const char *wait_event; /* or NULL */
        int64_t wait_usec;      /* -1: unknown */
};

/* pair NULL and error NULL: no more. pair NULL and error: that database could not be asked. */
typedef void locks_fn(void *owner, uint64_t caller, const struct lock_pair *pair, const char *database,
                      const char *error);

struct locks;

struct locks *locks_new(struct env *env, struct pg *pg, struct databases *databases,
                        const struct settings *settings, locks_fn *each, void *owner);
struct locks *locks_free(struct locks *locks);
/* database NULL: all. 0, or DATABASES_E_NO_SUCH_DATABASE. */
int locks_ask(struct locks *locks, uint64_t caller, const char *database);
void locks_forget_caller(struct locks *locks, uint64_t caller);
