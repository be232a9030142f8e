/* SPDX-License-Identifier: MIT */
#include "core/decide.h"

#include "proto/names.h"

#include <stddef.h>

/*
 * Of namespaces the ledger does not know, only those with a gw<N> worker can be ours: names_parse_schema()
 * takes test_user_settings for the namespace "user" and the worker "settings".
 */
static bool is_ours(const struct drop_facts *facts, struct berth_name *ret)
{
        if (!names_parse_schema(facts->schema, ret))
                return false;
        return facts->standing != STANDING_UNKNOWN || names_worker_number(ret->worker) >= 0;
}

static bool is_live(const struct drop_facts *facts, const char *namespace)
{
        if (facts->standing == STANDING_LIVE || live_set_has(facts->live, namespace))
                return true;
        /* A name that had a lease has its own proof of death; the pid in it may long be another's. */
        return facts->standing == STANDING_UNKNOWN && facts->token_process_alive;
}

/* A clock that went back makes a time lie in the future: that is no proof of age. */
static bool is_younger(uint64_t time, uint64_t now, uint64_t age)
{
        return time > now || now - time < age;
}

static bool is_recent(const struct drop_facts *facts)
{
        if (facts->standing != STANDING_UNKNOWN)
                return false;
        /* 0: not on record, so seen for the first time just now. */
        if (!facts->first_seen || is_younger(facts->first_seen, facts->now, facts->unleased_grace))
                return true;
        return is_younger(facts->token_time, facts->now, facts->unleased_grace);
}

enum drop_reason decide_drop(const struct drop_facts *facts)
{
        struct berth_name name;

        if (!is_ours(facts, &name))
                return DROP_NOT_OURS;
        /* Before anything else that is known of it: an incomplete census says the same of every candidate. */
        if (!facts->live)
                return KEPT_ACTIVE_DETECTION_INCOMPLETE;
        if (is_live(facts, name.namespace))
                return KEPT_LIVE;
        if (facts->standing == STANDING_RECOVERING)
                return KEPT_RECOVERING;
        if (facts->standing == STANDING_KEPT)
                return KEPT_KEEP;
        if (is_recent(facts))
                return KEPT_UNLEASED_RECENT;
        if (!facts->may_drop)
                return KEPT_NOT_OWNER;
        return DROP_ALLOWED;
}

const char *drop_reason_name(enum drop_reason reason)
{
        static const char *const names[DROP_REASON_MAX_] = {
                [KEPT_LIVE] = "live",
                [KEPT_ACTIVE_DETECTION_INCOMPLETE] = "active_detection_incomplete",
                [KEPT_RECOVERING] = "recovering",
                [KEPT_KEEP] = "keep",
                [KEPT_UNLEASED_RECENT] = "unleased_recent",
                [KEPT_EXTERNAL_DEPENDENTS] = "external_dependents",
                [KEPT_NOT_OWNER] = "not_owner",
        };

        return reason < DROP_REASON_MAX_ ? names[reason] : NULL;
}
