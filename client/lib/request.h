/* SPDX-License-Identifier: MIT */
#pragma once

/* What callers give, taken over into objects. */

#include <stddef.h>

struct berth_error;

#define REQUEST_ID_SIZE 33

/* A struct that begins with its size: of a newer or older caller, as much as both know. */
void request_copy(void *to, size_t to_size, const void *from, size_t from_size);
/* text NULL: "" */
void request_set(char *to, size_t size, const char *text);
/* Free text, fit for the wire: control bytes and broken UTF-8 become '?',
 * and it is cut between characters. */
void request_set_text(char *to, size_t size, const char *text);
/* 32 hex digits by chance: our name for a request, by which the daemon knows it again after a lost reply. 0 or -1 */
int request_make_id(char id[REQUEST_ID_SIZE], struct berth_error *error);
/* NULL for "", so that json_add_string() adds nothing */
const char *request_given(const char *text);
