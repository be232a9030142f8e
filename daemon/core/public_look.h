/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Two looks at schema public of one database, one after the other: what was written there in between?
 *
 *      a table that was not there before                  it appeared, with the rows written since
 *      a partition that was not, a count that has grown   rows of its table were written
 *      a count that is lower, or counts of another        the count begins anew: nothing is said of rows
 *      beginning (a reset, a crash)
 *      another place (database, server)                   nothing is said at all
 */

#include <stdbool.h>
#include <stdint.h>

struct public_table {
        uint32_t oid;
        char *name; /* as SQL would write it; of a partition, its table's */
        bool is_partition;
        uint64_t writes; /* so far */
};

struct public_look {
        char *place, *counted_since;
        struct public_table *tables; /* by oid */
        unsigned n_tables;
};

struct public_look *public_look_new(const char *place, const char *counted_since);
struct public_look *public_look_free(struct public_look *look);
/* False: not in order of oid. */
bool public_look_add(struct public_look *look, uint32_t oid, const char *name, bool is_partition,
                     uint64_t writes);

enum public_write_kind { PUBLIC_TABLE, PUBLIC_ROWS };
const char *public_write_kind_name(enum public_write_kind kind);

struct public_write {
        const char *table; /* the later look's */
        enum public_write_kind kind;
        uint64_t rows;
};

#define PUBLIC_WRITES_MAX 64

struct public_writes {
        struct public_write all[PUBLIC_WRITES_MAX]; /* each table once */
        unsigned n;
        unsigned n_more; /* that found no room */
};

void public_look_compare(const struct public_look *before, const struct public_look *after,
                         struct public_writes *ret);
