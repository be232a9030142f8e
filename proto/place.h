/* SPDX-License-Identifier: MIT */
#pragma once

/* Where the socket of one user's own instance is: pure words, for daemon and clients alike. */

#include <stddef.h>

/*
 * Below runtime_dir, the value of $XDG_RUNTIME_DIR, where that is an absolute path; else below /run/user/UID, which
 * is what a login would have set it to. Returns the length of the whole path as snprintf(3) does.
 */
int place_user_socket(const char *runtime_dir, unsigned uid, char *ret, size_t size);
