/* SPDX-License-Identifier: MIT */
#pragma once

/* Is the ledger sound? SQLite's quick_check, on the writer's thread while the daemon works, on a file of its own else. */

#include "store/store.h"

struct inspect;

struct inspect *inspect_new(void);
struct inspect *inspect_free(struct inspect *inspect);
int inspect_read(struct inspect *inspect, struct store *store) MUST_CHECK; /* 0 or -EIO */
void inspect_tell(const struct inspect *inspect, ledger_inspected_fn *told, void *owner, uint64_t ticket,
                  int error);

/*
 * The ledger in a state directory that no daemon of this process has open. Nothing is written. 0, -ENOENT: there is
 * none, -EACCES, or -EIO: it cannot be read, ret->fault says why.
 */
int inspect_file(const char *state_dir, struct ledger_inspection *ret);
