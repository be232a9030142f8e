/* SPDX-License-Identifier: MIT */
#pragma once

/* What ListLeases says of one lease, read and shown. */

#include "client/cli/print.h"

struct cJSON;

struct lease_view {
        const char *namespace, *label, *state; /* borrowed from the reply; label may be NULL */
        int64_t lease, uid, position, since_usec, ended_usec, kept_until_usec; /* 0: not said */
        int64_t sessions, schemas;                                             /* -1: not known */
        int n_members, n_connected;
        const struct cJSON *members;
};

/* False: a reply that carries no lease (the end of an empty list, `ready`). */
bool leases_read(const struct cJSON *reply, struct lease_view *ret_view);
enum print_color leases_color(const char *state);
/* The block of 'berth status NAMESPACE'. */
void leases_print(const struct cli *cli, const struct lease_view *view);
