/* SPDX-License-Identifier: MIT */
#pragma once

/* What the daemon arranges with the system before it serves. None of these log; all return 0 or -errno. */

#include <sys/types.h>

/* path and what is missing above it. */
int startup_make_folder(const char *path, mode_t mode);
/* As many descriptors as the connections may need, so far as the hard limit allows. */
int startup_raise_descriptors(unsigned n_connections);
/* (gid_t)-1 for "". -ENOENT: no such group. */
int startup_find_group(const char *name, gid_t *ret);
/*
 * First line of a credential in $CREDENTIALS_DIRECTORY; NULL: there is none, or it is empty. The caller frees
 * it. The file is read by us and not named to libpq: where systemd gives it an ACL libpq would ignore it with
 * a warning.
 */
int startup_read_credential(const char *name, char **ret);
