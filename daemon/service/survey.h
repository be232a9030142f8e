/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One question to every database, side by side, each over a connection of its own and by its deadline. However many
 * ask, there is one connection to a database at a time: whoever comes while it is being asked is told what it answers
 * when it is asked again, so nobody is told what was true before he came.
 */

#include "service/databases.h"

/*
 * What a database has to say: answer->outcome is PG_OK, or it could not be asked. answer NULL: no more. Valid during
 * the callback only.
 */
typedef void survey_fn(void *owner, uint64_t caller, const char *database, const struct pg_answer *answer);

struct survey;

struct survey *survey_new(struct env *env, struct pg *pg, struct databases *databases,
                          const struct settings *settings, enum pg_question question, survey_fn *each,
                          void *owner);
struct survey *survey_free(struct survey *survey);
/* The callback comes later. database NULL: all. 0, or DATABASES_E_NO_SUCH_DATABASE. */
int survey_ask(struct survey *survey, uint64_t caller, const char *database);
void survey_forget_caller(struct survey *survey, uint64_t caller);
