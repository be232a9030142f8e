/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The daemon's own socket, where systemd hands none over. Never takes a socket away from a daemon that lives:
 * a lock file beside it tells daemons of ours apart, and whatever else may listen there is asked by
 * connecting.
 */

#include <stdbool.h>

struct listener {
        int fd, lock_fd;
        char *path;
};

/*
 * only_us: for this user alone (0600 in a folder 0700), else for the socket's group too (0660). 0,
 * -EADDRINUSE: another daemon serves it, or -errno; on failure *ret_message is one line for people, the
 * caller frees it.
 */
int listener_open(struct listener *listener, const char *path, bool only_us, char **ret_message);
/*
 * Lets nobody in any more, so that we may end. false: somebody stands at the door already, and everything stays as
 * it was. A socket that systemd handed over is systemd's: it goes on listening, so true.
 */
bool listener_withdraw(struct listener *listener);
/* The socket disappears while its lock is still held. fd is not closed: the server owns it. */
void listener_remove(struct listener *listener);
