/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * How many sessions and schemas each namespace has, as the databases said last. For screens, not for verdicts: what a
 * database that did not answer has is left out.
 */

#include "service/databases.h"

struct occupancy;

typedef void occupancy_done_fn(void *owner);

struct occupancy *occupancy_new(struct env *env, struct pg *pg, struct databases *databases,
                                const struct settings *settings, occupancy_done_fn *done, void *owner);
struct occupancy *occupancy_free(struct occupancy *occupancy);

/* done() is called later, once; not again before that. */
void occupancy_ask(struct occupancy *occupancy);
/* What was being asked is forgotten, and done() is not called. What was heard stays. */
void occupancy_rest(struct occupancy *occupancy);

/* False: nothing has been heard yet. */
bool occupancy_of(const struct occupancy *occupancy, const char *namespace, unsigned *ret_sessions,
                  unsigned *ret_schemas);
