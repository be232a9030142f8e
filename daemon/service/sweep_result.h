/* SPDX-License-Identifier: MIT */
#pragma once

/* Building a struct sweep_result; its JSON is sweep_result_json() in sweep.h. */

#include "service/census.h"
#include "service/sweep.h"

struct sweep_result *sweep_result_new(int64_t id, bool dry_run, uint64_t started_usec);
struct sweep_result *sweep_result_free(struct sweep_result *result);
/* Which databases there were, and who was alive: by the census and by the ledger, as of now. */
void sweep_result_set_census(struct sweep_result *result, struct census *census, struct leases *leases);
struct sweep_item *sweep_result_add(struct sweep_result *result, const char *database,
                                    const struct census_schema *schema);
