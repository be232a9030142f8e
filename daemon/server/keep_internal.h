/* SPDX-License-Identifier: MIT */
#pragma once

/* What keep.c, while the daemon runs, and keep_restore.c, when it starts, share. */

#include "server/keep.h"

#include <event2/event_struct.h>

struct keep_table {
        char magic[16];
        uint32_t record_size, n_records;
        uint64_t last_connection;
        struct keep_record records[KEEP_MAX];
};

struct keep {
        struct server *server;
        int manager;
        struct keep_table *table;
        unsigned next; /* where to look for a free record first */
        bool is_full_told;
        struct event writable, look;
};

/* keep_restore.c */
/* That of an earlier life, or a new one, which goes into the store. NULL: neither can be had. */
struct keep_table *keep_table_open(int manager, int inherited_fd);
void keep_table_close(struct keep_table *table);
