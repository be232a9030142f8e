/* SPDX-License-Identifier: MIT */
#pragma once

/* The load of seam/ledger.h, kind by kind in its order, in one read transaction. */

#include "store/store.h"

/*
 * Outside of a transaction. 0 or -EIO. The texts of a row live during its callback only. A lease that has not
 * ended and whose namespace is kept says so in until_usec, as an ended one does. Members come as
 * LEDGER_MEMBER_JOINED only, behind all leases; the member, role and process of a LEDGER_LEASE_GRANTED are
 * those it was submitted with, also when that member has left.
 */
int ledger_load_from(struct store *store, ledger_load_fn *each, void *owner,
                     struct ledger_numbers *ret_next) MUST_CHECK;

/* The rows of one query, as changes of that kind: its columns are fields. namespace: ?1, or NULL. 0 or -EIO. */
int load_rows(struct sqlite *sqlite, enum ledger_change_kind kind, const char *sql, const char *namespace,
              ledger_load_fn *each, void *owner) MUST_CHECK;
