/* SPDX-License-Identifier: MIT */
#pragma once

/* Between json.c and json_print.c: the allocator that json_use_allocator() has set. */

#include <stddef.h>

extern void *(*json_allocate)(size_t size);
extern void (*json_release)(void *memory);
