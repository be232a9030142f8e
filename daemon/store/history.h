/* SPDX-License-Identifier: MIT */
#pragma once

/* Events of the ledger: the newest that fit, told oldest first. Read on one thread, told on another. */

#include "store/store.h"

#include <sys/queue.h>

#define HISTORY_MAX 10000 /* rows of one answer; limit 0 means this many, too */

struct history_row {
        STAILQ_ENTRY(history_row) link; /* history::rows */
        struct ledger_event event;
        char texts[];
};

struct history {
        char *namespace; /* NULL: all */
        uint64_t since_usec, until_usec;
        unsigned limit;
        STAILQ_HEAD(, history_row) rows;
};

struct history *history_new(const char *namespace, uint64_t since_usec, uint64_t until_usec, unsigned limit);
struct history *history_free(struct history *history);
int history_read(struct history *history, struct store *store) MUST_CHECK; /* 0 or -EIO */
void history_tell(const struct history *history, ledger_history_fn *each, void *owner, uint64_t ticket,
                  int error);
