/* SPDX-License-Identifier: MIT */
#include "server/methods.h"

#include "proto/protocol.h"
#include "server/monitor.h"

#define LEASE(name)   BERTH_INTERFACE_LEASE "." name
#define MANAGE(name)  BERTH_INTERFACE_MANAGE "." name
#define SERVICE(name) BERTH_INTERFACE_SERVICE "." name

/* The busiest first. tests/lint compares the names with the .varlink files. */
const struct method services_methods[] = {
        {LEASE("AcquireSlot"), method_acquire_slot, METHOD_HOLDS},
        {LEASE("ReleaseSlot"), method_release_slot, METHOD_HOLDS},
        {LEASE("Acquire"), method_acquire, METHOD_HOLDS},
        {LEASE("Attach"), method_attach, METHOD_HOLDS},
        {LEASE("Release"), method_release, METHOD_HOLDS},
        {MANAGE("GetStatus"), method_get_status, 0},
        {MANAGE("ListLeases"), method_list_leases, METHOD_NEEDS_MORE},
        {MANAGE("ListLocks"), method_list_locks, METHOD_NEEDS_MORE},
        {MANAGE("CheckPublic"), method_check_public, 0},
        {MANAGE("ListLockHolders"), method_list_lock_holders, METHOD_NEEDS_MORE},
        {MANAGE("Sweep"), method_sweep, METHOD_HOLDS},
        {MANAGE("Revoke"), method_revoke, 0},
        {MANAGE("Keep"), method_keep, 0},
        {MANAGE("GetHistory"), method_get_history, METHOD_NEEDS_MORE},
        {MANAGE("Explain"), method_explain, 0},
        {MANAGE("Monitor"), method_monitor, METHOD_NEEDS_MORE},
        {MANAGE("GetMetrics"), method_get_metrics, 0},
        {MANAGE("Diagnose"), method_diagnose, METHOD_NEEDS_MORE},
        {MANAGE("GetConfiguration"), method_get_configuration, 0},
        {SERVICE("GetInfo"), method_get_info, 0},
        {SERVICE("GetInterfaceDescription"), method_get_interface_description, 0},
        {NULL, NULL, 0},
};

void services_connection_closed(struct services *services, uint64_t connection)
{
        slots_connection_closed(services->slots, connection);
        leases_connection_closed(services->leases, connection);
        locks_forget_caller(services->locks, connection);
        holders_forget_caller(services->holders, connection);
        public_watch_forget_caller(services->public_watch, connection);
        monitor_connection_closed(services->monitor, connection);
        explainer_forget_caller(services->explainer, connection);
        doctor_forget_caller(services->doctor, connection);
}

const char *method_missing_half(const char *namespace, const char *secret)
{
        if (namespace && !secret)
                return "secret";
        return secret && !namespace ? "namespace" : NULL;
}

struct outcome *method_fail_ledger(struct call *call)
{
        struct cJSON *parameters = json_object();

        json_add_string(parameters, "message", "the ledger cannot be read; see the daemon's log");
        return call_fail(call, BERTH_ERROR_MANAGE_LEDGER_UNAVAILABLE, parameters);
}
