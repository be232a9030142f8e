/* SPDX-License-Identifier: MIT */
#pragma once

/* What leases, slots and processes look like on the wire; the types of the .varlink files. The caller owns
 * results. */

#include "proto/json.h"
#include "server/services.h"

struct cJSON *describe_process(const struct process_id *process); /* ProcessId; NULL without identity */
struct cJSON *describe_lease_holder(struct services *services, const struct lease *lease); /* Holder */
struct cJSON *describe_lease_controller(struct services *services, const struct lease *lease); /* Holder */
struct cJSON *describe_lease_holders(struct services *services);                  /* []Holder: the oldest */
struct cJSON *describe_slot_holders(struct services *services, unsigned cluster); /* []Holder */
struct cJSON *describe_lease_context(struct services *services, const struct lease *lease); /* LeaseContext */
struct cJSON *describe_lease_runtime(struct services *services, const struct lease *lease); /* LeaseRuntime */
struct cJSON *describe_lease_past(const struct lease_past *past); /* context and runtime of ListLeases */
const char *describe_lease_state(enum lease_state state);         /* LeaseState */
struct cJSON *describe_status(struct services *services); /* the reply of GetStatus, without lastSweep */
struct cJSON *describe_public_writes(const struct services *services); /* of GetStatus */
struct cJSON *describe_lock_side(const struct lock_side *side);
struct cJSON *describe_lock_pair(const struct lock_pair *pair); /* a reply of ListLocks */
struct cJSON *describe_slot_use(struct services *services, const struct slot_use *use); /* SlotUse */

struct cJSON *describe_finding(const struct finding *finding); /* what Diagnose replies */

/* Adds only what is there. */
void describe_add_time(struct cJSON *object, const char *name, int64_t time); /* < 0: unknown */
