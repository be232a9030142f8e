/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The sentences of explain.h: explain_words.c says what stands above single schemas and what to do,
 * explain_schemas.c speaks for the schemas, explain_names.c of what is no name of ours.
 */

#include "service/explain.h"

#define EXPLAIN_SPAN_SIZE 24

/* "3min"; returns text */
const char *explain_span(uint64_t from, uint64_t to, char text[EXPLAIN_SPAN_SIZE]);
/* "2026-11-21T05:58:00Z" */
const char *explain_clock(uint64_t usec, char text[EXPLAIN_SPAN_SIZE]);

/* The last one, or NULL. */
const struct explain_verdict *explain_verdict_of(const struct explain_schema *schema);
/* The callers free. first: one of those that stand alike, for all of whom it speaks. */
char *explain_say_schemas(const struct explanation *e, const struct explain_schema *first, uint64_t now);
char *explain_say_no_name(const char *name);
