/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Before the first use of SQLite: its memory comes straight from the C library. Half of a schedule under
 * AddressSanitizer is otherwise the watching of SQLite's own allocations, which are not what is tested here.
 */
void sqlite_memory_use_libc(void);
