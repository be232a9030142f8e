/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * May this schema go? One pure function, decide_drop(), and the facts it needs. The order of its questions is the
 * order of its reasons: the first that applies is the one reported.
 */

#include "core/live_set.h"

#include <stdbool.h>
#include <stdint.h>

/* What the ledger says of a namespace, now. */
enum lease_standing {
        STANDING_UNKNOWN,    /* no lease of that name on record */
        STANDING_LIVE,       /* granted, being granted, or releasing with members left */
        STANDING_RECOVERING, /* from before a restart, not yet proven dead */
        STANDING_KEPT,       /* ended; its schemas are kept until a stated time that has not come */
        STANDING_ENDED,
};

struct drop_facts {
        const char *schema;
        enum lease_standing standing;
        const struct live_set *live; /* NULL: the census is incomplete */
        bool token_process_alive;    /* the pid in the token is a process of this host, old enough */
        bool may_drop;               /* the daemon's role owns it, or may act as its owner */
        uint64_t now;                /* real time, usec */
        uint64_t first_seen;         /* real time; by the ledger */
        uint64_t token_time;         /* real time the token names; 0: it names none */
        uint64_t unleased_grace;
};

enum drop_reason {
        DROP_ALLOWED, /* stale */
        DROP_NOT_OURS, /* not a berth name, or an unknown namespace without a gw<N> worker: never a candidate */
        KEPT_LIVE,
        KEPT_ACTIVE_DETECTION_INCOMPLETE,
        KEPT_RECOVERING,
        KEPT_KEEP,
        KEPT_UNLEASED_RECENT,
        KEPT_EXTERNAL_DEPENDENTS, /* found later, in the drop's own transaction */
        KEPT_NOT_OWNER,
        DROP_REASON_MAX_,
};

enum drop_reason decide_drop(const struct drop_facts *facts);

/* "live", "active_detection_incomplete", ...: the contract's words. NULL for DROP_ALLOWED and DROP_NOT_OURS. */
const char *drop_reason_name(enum drop_reason reason);
