/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the files of the host share.
 *
 *      host.c          links, start and kill
 *      host_calls.c    what server/ does: calls to services, their events, replies to links
 */

#include "host.h"
#include "sim.h"

extern const struct lease_events host_lease_events;
extern const struct slot_events host_slot_events;
extern const struct sweep_events host_sweep_events;

struct link *host_find(struct host *host, uint64_t id);              /* NULL: none */
void host_mail(struct host *host, clock_fire_fn *fire, uint64_t id); /* soon, on the client's side */
void host_on_call(void *owner, uint64_t id);
