/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Processes by identity: a pid is reused within seconds on a busy host, so a process is its pid, the tick it
 * started at, the boot, and the inode of its pidfd where the kernel has such (6.9).
 */

#include "seam/env.h"

#include <stdbool.h>

/* What /proc/PID/stat says, so far as we want it. */
struct process_stat {
        char state;           /* 'R', 'S', 'Z', ... */
        uint64_t start_ticks; /* field 22: since boot, in the ticks of sysconf(_SC_CLK_TCK) */
};

/* The text of a stat file; the command's name in it may hold blanks and parentheses. -EBADMSG: not of that
 * form. */
int process_parse_stat(const char *text, struct process_stat *ret);
/* -ENOENT or -ESRCH: no such process, or a /proc that hides it (hidepid); see process_exists. */
int process_read_stat(pid_t pid, struct process_stat *ret);
int process_read_boot_id(char ret[37]);

/* 1, 0, or -errno: unknown. Asks the kernel itself, whatever /proc shows. */
int process_exists(pid_t pid);
/* A descriptor (close-on-exec), or -errno; -ESRCH: no such process. */
int process_open(pid_t pid);
/* Has the process behind a pidfd ended, every thread of it? 1, 0, or -errno. */
int process_has_ended(int pidfd);
/* 0 where the kernel has no pidfs, and in any doubt. */
uint64_t process_pidfd_inode(int pidfd);

/* -ESRCH: there is none (any more). */
int process_of_pid(pid_t pid, struct process_id *ret);

/*
 * Who connected to this Unix socket: its user, and its process. pid 0 with the user right means: no identity
 * can be had (it is in a pid namespace that we cannot see, or /proc hides it); such a peer is welcome all the
 * same. -ESRCH: the process that connected has ended; a child of it may still hold the socket.
 */
int process_of_peer(int fd, uid_t *ret_uid, struct process_id *ret);

/* Was the group among the peer's when it connected (its own or a supplementary one)? 1, 0, or -errno. */
int peer_in_group(int fd, gid_t gid);
