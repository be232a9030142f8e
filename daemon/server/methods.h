/* SPDX-License-Identifier: MIT */
#pragma once

/* The methods by name of their file, and what those files tell each other. */

#include "server/call.h"
#include "server/services.h"

struct outcome *method_acquire(struct call *call, struct services *services);
struct outcome *method_attach(struct call *call, struct services *services);
struct outcome *method_release(struct call *call, struct services *services);
struct outcome *method_acquire_slot(struct call *call, struct services *services);
struct outcome *method_release_slot(struct call *call, struct services *services);
struct outcome *method_get_status(struct call *call, struct services *services);
struct outcome *method_list_leases(struct call *call, struct services *services);
struct outcome *method_list_locks(struct call *call, struct services *services);
struct outcome *method_check_public(struct call *call, struct services *services);
struct outcome *method_list_lock_holders(struct call *call, struct services *services);
struct outcome *method_sweep(struct call *call, struct services *services);
struct outcome *method_revoke(struct call *call, struct services *services);
struct outcome *method_keep(struct call *call, struct services *services);
struct outcome *method_get_history(struct call *call, struct services *services);
struct outcome *method_explain(struct call *call, struct services *services);
struct outcome *method_monitor(struct call *call, struct services *services);
struct outcome *method_get_metrics(struct call *call, struct services *services);
struct outcome *method_diagnose(struct call *call, struct services *services);
struct outcome *method_get_configuration(struct call *call, struct services *services);
struct outcome *method_get_info(struct call *call, struct services *services);
struct outcome *method_get_interface_description(struct call *call, struct services *services);

/* For those who watch ListLeases. action: "add", "change", "remove". */
void method_list_leases_tell(struct services *services, const char *action, const struct lease *lease);

/* A lease is named by namespace and secret, or by neither: the connection's own. The missing one of the two,
 * or NULL. */
const char *method_missing_half(const char *namespace, const char *secret);
/* LedgerUnavailable, of a ledger that cannot be read. */
struct outcome *method_fail_ledger(struct call *call);
