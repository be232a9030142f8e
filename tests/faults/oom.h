/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Allocations that fail on command. Programs of this folder that link oom.c are linked with OOM_WRAPS of
 * CMakeLists.txt: malloc and its relatives in all that is ours come here, under the sanitizers as well. SQLite, cJSON and
 * libevent are given the same functions by their own hooks. What libc and libpq allocate for themselves does not fail.
 */

#include <stdbool.h>
#include <stddef.h>

/* The at-th allocation from now on fails, and with for_ever all that follow. 0: none, they are counted. */
void oom_arm(long at, bool for_ever);
void oom_disarm(void);
long oom_count(void);      /* since oom_arm */
bool oom_has_failed(void); /* one of them */
long oom_live(void);       /* allocations that have not been freed */

void *oom_allocate(size_t size);
void oom_release(void *memory);
