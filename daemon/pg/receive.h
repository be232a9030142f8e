/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * How much libpq may read at a time, and how much it has read.
 *
 * It reads a long message in one go for as long as something comes, up to the gigabyte that a message may announce:
 * from a server that keeps up with us it would not come back before (measured: 3 s on the loop, 1 GB). It offers no
 * bound and no count, so recv(2), which it reads with, TLS or not, is ours: beyond the bound there is nothing to read
 * for now. Whoever sets no bound has recv(2) as it is.
 */

#include <stddef.h>

#define RECEIVE_MAX (128u << 10) /* a turn */

/* Around a call of libpq's that reads, on the same thread. receive_end: bytes read meanwhile. */
void receive_begin(size_t limit);
size_t receive_end(void);
