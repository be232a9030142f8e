/* SPDX-License-Identifier: MIT */
#pragma once

/* What is on record of one namespace: seam/ledger.h. Read on one thread, told on another. */

#include "store/store.h"

struct recall;

struct recall *recall_new(const char *namespace);
struct recall *recall_free(struct recall *recall);
int recall_read(struct recall *recall, struct store *store) MUST_CHECK; /* 0 or -EIO */
void recall_tell(const struct recall *recall, ledger_recall_fn *each, void *owner, uint64_t ticket,
                 int error);
