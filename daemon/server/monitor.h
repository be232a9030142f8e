/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Live screens. Each watcher is told everything once, and then everything again whenever something has changed, but
 * not twice within MONITOR_TELL_USEC. While somebody watches, the databases are asked every MONITOR_LOOK_USEC who
 * blocks whom and whose sessions and schemas there are. While nobody does, nothing is asked and nothing wakes up.
 */

#include "seam/pg.h"
#include "server/services.h"

#define MONITOR_TELL_USEC    (500 * USEC_PER_MSEC)
#define MONITOR_LOOK_USEC    (2 * USEC_PER_SEC)
#define MONITOR_SCRAPE_USEC  (5 * USEC_PER_SEC) /* a look for metrics is not younger than that */
#define MONITOR_WATCHERS_MAX 32
#define MONITOR_LEASES_MAX   500 /* of one telling */
#define MONITOR_LOCKS_MAX    100

#define MONITOR_CALLER UINT64_MAX /* as which it asks who blocks whom: no connection has that number */

struct monitor;

struct monitor *monitor_new(struct services *services, struct pg *pg);
struct monitor *monitor_free(struct monitor *monitor);

/* False: there are too many already. */
bool monitor_watch(struct monitor *monitor, uint64_t connection);
void monitor_connection_closed(struct monitor *monitor, uint64_t connection);
/* Something that is shown may have changed. Cheap while nobody watches. */
void monitor_touch(struct monitor *monitor);

/* One look at the databases, unless the last one is young enough: for whoever asks for metrics next. */
void monitor_look_for_metrics(struct monitor *monitor);
/* What locks_ask has found for it; as in locks_fn. */
void monitor_lock_found(struct monitor *monitor, const struct lock_pair *pair, const char *database,
                        const char *error);
/* How many sessions were blocked there when it was last asked; -1: not heard. */
int64_t monitor_blocked(const struct monitor *monitor, const char *database);
