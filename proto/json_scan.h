/* SPDX-License-Identifier: MIT */
#pragma once

/* Is this text one JSON value, strictly? Pure; used by json.c and json_print.c alone. */

#include <stdbool.h>
#include <stddef.h>

/* False: *ret_why is a literal, *ret_at the offset of the offending byte. */
bool json_scan(const char *text, size_t length, const char **ret_why, size_t *ret_at);

/*
 * Length of the UTF-8 character that begins here: 1 to 4, or 0 if it is none (overlong, surrogate, cut off by
 * length, which is at least 1).
 */
size_t json_utf8_length(const unsigned char *text, size_t length);
