/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Who is alive: the union of what every database reported. Pure.
 *
 * Fail-closed by type: a verdict that drops needs a const struct live_set *, and only live_set_seal() hands one out,
 * and only when every expected report has come in whole. There is no flag to forget.
 */

#include <stdbool.h>

struct live_report; /* being collected */
struct live_set;    /* complete */

struct live_report *live_report_new(unsigned n_expected);
struct live_report *live_report_free(struct live_report *report);

/* A namespace seen alive. Copied. */
void live_report_add(struct live_report *report, const char *namespace);
/* One of the expected has said all it had to say. */
void live_report_heard(struct live_report *report);
/* One of the expected cannot be believed; reason is kept (the first one). The report can never be sealed any more. */
void live_report_failed(struct live_report *report, const char *reason);

bool live_report_has(const struct live_report *report, const char *namespace);
/* Why it cannot be sealed; NULL if it can. */
const char *live_report_incomplete(const struct live_report *report);

/* NULL unless all expected were heard and none failed. Borrowed from the report. */
const struct live_set *live_set_seal(struct live_report *report);
bool live_set_has(const struct live_set *set, const char *namespace);

typedef void live_each_fn(void *owner, const char *namespace);
void live_report_each(const struct live_report *report, live_each_fn *each, void *owner); /* sorted */
