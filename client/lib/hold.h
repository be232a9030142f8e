/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a lease and a slot have in common: a call with `more` whose connection is the lifeline.
 *
 *                +--- queued ---+
 *                v              |        closed                   nobody there: again, later
 *      start --> WAITING -------+ HELD ---------> LOST ----------+
 *                |  ^ |             ^ ^             | ^          |
 *                |  | +-- granted --+ +-- granted --+ +----------+
 *                |  +-- closed: asked again           |
 *                |                                    |
 *                +-- error reply, time is up          +-- error reply that no waiting mends
 *                |                                    |
 *                +-----------------> ENDED <----------+---- released, revoked (from HELD)
 *
 * A hold that was granted is never given up for want of a daemon. A wait is, after half a minute without one, or
 * without a word of one that has taken the call.
 */

#include "client/lib/connection.h"

struct hold;

struct hold_ops {
        /* The call that gets the hold, or, after it was granted, gets it back. NULL: no memory. */
        struct cJSON *(*ask)(struct hold *hold, const char **ret_method);
        /* A reply `granted`. False: it lacks something. */
        bool (*take)(struct hold *hold, const struct cJSON *parameters);
};

struct hold {
        const struct hold_ops *ops;
        char socket[108];                    /* the one that answered first: the ledger behind it knows us */
        struct berth_connection *connection; /* NULL: retry at retry_at_ms */
        enum berth_state state;
        bool was_granted;
        bool no_wait;
        unsigned changes; /* counted for those who wait */
        int position;
        char holders[400];
        int64_t asked_at_ms;
        int64_t deadline_ms; /* of the caller; INT64_MAX: none */
        int64_t patience_ms; /* when an unanswered wait is given up; INT64_MAX: never */
        int64_t lost_at_ms;  /* 0: not lost */
        int64_t retry_at_ms;
        unsigned failures;
        struct berth_error ending; /* with ENDED */
};

/* timeout_ms 0: as long as it takes. On failure nothing is left to be done. */
int hold_start(struct hold *hold, const struct hold_ops *ops, const char *socket, bool no_wait,
               int64_t timeout_ms, struct berth_error *error);
void hold_done(struct hold *hold);

enum berth_state hold_dispatch(struct hold *hold, struct berth_error *error);
enum berth_state hold_wait(struct hold *hold, int timeout_ms, struct berth_error *error);
int hold_fd(const struct hold *hold);
int hold_timeout(const struct hold *hold);

/* noWait and timeoutUSec, as far as the caller set them. */
void hold_add_patience(const struct hold *hold, struct cJSON *parameters);
/* Ended by ourselves. */
void hold_end(struct hold *hold, const struct berth_error *error);

/*
 * One call on a connection of its own, tried again for two seconds while the daemon is away: the lifeline is
 * busy with its open call. *ret_repeated: the call may have been done before. Takes parameters.
 */
int hold_call_aside(struct hold *hold, const char *method, struct cJSON *parameters,
                    struct varlink_reply *ret_reply, bool *ret_repeated, struct berth_error *error);
