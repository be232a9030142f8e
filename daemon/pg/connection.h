/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * seam/pg.h on asynchronous libpq and libevent.
 *
 * Connections are labelled application_name=berthd-<label>, speak UTF-8, and have gssencmode=disable unless
 * the connection string says otherwise. Of a list of hosts each is tried in turn, with an equal share of the
 * time that is left; as soon as one fails for whatever reason the next one is tried. A name is looked up on a
 * thread.
 */

#include "seam/pg.h"

struct event_base;

/*
 * Clears every PG* variable of the process: PGHOSTADDR alone would send us to another server than the
 * configuration names. To be called before there are threads. -errno: no descriptor.
 */
int pg_new(struct event_base *base, const char *label, struct pg **ret);
/* Every connection must have been closed. NULL is allowed. */
struct pg *pg_free(struct pg *pg);
