/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The file descriptor store of the service manager: what is put there is handed over again at the next start,
 * also after kill -9. A datagram each way (sd_notify(3)), sent without waiting: a manager that is busy must not
 * stop the loop.
 *
 *      conn-<number>   the connection of a client that holds something
 *      holds           the memory that says what each of them holds (server/keep.h)
 *
 * The manager's copy keeps a socket open: whoever closes a stored one must shut it down, or its peer sees no end.
 * A socket whose peer has gone, or that was shut down, the manager drops by itself.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FD_STORE_TABLE     "holds"
#define FD_STORE_NAME_SIZE 32

/* A datagram socket to the manager, not blocking. -ENOENT: there is no manager, or it has no store. */
int fd_store_open(void);
/* 0, -EAGAIN: try again when the socket can be written, or -errno. */
int fd_store_put(int manager, const char *name, int fd);
int fd_store_remove(int manager, const char *name);

void fd_store_name(uint64_t number, char ret[FD_STORE_NAME_SIZE]);
/* 0: not the name of a connection. */
uint64_t fd_store_number(const char *name);
bool fd_store_is_ours(const char *name);
