/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Questions about a whole cluster, asked in whichever of its databases answers. A connection is proven to lead
 * to that cluster before it is asked anything, since a standby or a clone in its place knows none of its
 * sessions, and is kept until the link is freed or an answer fails to come.
 */

#include "service/databases.h"

struct cluster_link;

/*
 * answer NULL: it could not be asked this time; the next question tries the next database. Valid during the
 * callback only; the owner may ask again or free the link in it.
 */
typedef void cluster_answered_fn(void *owner, const struct pg_answer *answer);

struct cluster_link *cluster_link_new(struct pg *pg, struct databases *databases, unsigned cluster,
                                      cluster_answered_fn *answered, void *owner);
struct cluster_link *cluster_link_free(struct cluster_link *link); /* what was asked is forgotten */

/*
 * One question at a time, of parameters that live as long as the link; each of its steps has timeout_usec.
 * False: no configured database is on that cluster, and nobody will answer.
 */
bool cluster_link_ask(struct cluster_link *link, enum pg_question question,
                      const char *const parameters[PG_PARAMETERS_MAX], uint64_t timeout_usec);
/* Closes the connection; it is opened anew when there is something to ask. */
void cluster_link_rest(struct cluster_link *link);
