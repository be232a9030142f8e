/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What public_watch has noticed: the last of it in memory, for status; all of it in the journal and the ledger.
 *
 * A write is told when it is laid to somebody for the first time. As long as the same leases are suspected, the same
 * table is one entry, however often it is written to.
 */

#include "service/public_watch.h"

/* Who may have written. Of more than there is room for, those that came first. */
struct public_suspects {
        struct {
                int64_t lease;
                const char *namespace;
        } all[PUBLIC_NAMESPACES_MAX];
        unsigned n;
};

void public_suspects_add(struct public_suspects *suspects, int64_t lease, const char *namespace);

struct public_record;

struct public_record *public_record_new(struct env *env, struct ledger *ledger);
struct public_record *public_record_free(struct public_record *record);
void public_record_clear(struct public_record *record);
void public_record_add(struct public_record *record, const char *database, const struct public_writes *writes,
                       const struct public_suspects *suspects);
void public_record_each(const struct public_record *record, public_written_fn *each, void *owner);
