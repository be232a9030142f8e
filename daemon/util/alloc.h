/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Memory that is there or the process is not. None of these returns NULL (but strdup of NULL); when the system has
 * no memory they write one line to stderr and leave with status 71 (EX_OSERR).
 */

#include <stddef.h>

void *alloc_zero(size_t size);
void *alloc_array(void *old, size_t n, size_t size);
char *alloc_string(const char *text); /* NULL for NULL */
char *alloc_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
void alloc_failed(void) __attribute__((noreturn));

#define NEW(type) ((type *)alloc_zero(sizeof(type)))
