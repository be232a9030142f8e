/* SPDX-License-Identifier: MIT */
#include "os/process.h"

#include "util/alloc.h"
#include "util/cleanup.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

/* Linux 6.5; Debian 12's headers are older than many a kernel it runs on. */
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

static int peer_credentials(int fd, struct ucred *ret)
{
        socklen_t size = sizeof(*ret);

        return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, ret, &size) ? -errno : 0;
}

static int hung_up(int fd)
{
        struct pollfd ready = {.fd = fd, .events = POLLRDHUP};
        int n = poll(&ready, 1, 0);

        if (n < 0)
                return -errno;
        return n > 0 && (ready.revents & (POLLHUP | POLLRDHUP | POLLERR));
}

/*
 * The process that connected, even if its pid is another's by now. Older kernels only have the pid: there a
 * peer that has not hung up is taken for the one that connected, which a reuse of the pid since connect()
 * would belie.
 */
static int peer_open(int fd, pid_t pid, bool *ret_sure)
{
        socklen_t size = sizeof(int);
        int pidfd;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) == 0) {
                *ret_sure = true;
                return pidfd;
        }
        if (errno == EINVAL)
                return -ESRCH; /* ended, and waited for */
        if (errno != ENOPROTOOPT)
                return -errno;
        *ret_sure = false;
        return process_open(pid);
}

static int read_identity(int fd, int pidfd, bool sure, struct process_id *process)
{
        struct process_stat before, after;
        int r;

        r = process_read_stat(process->pid, &before);
        if (!r)
                r = process_read_stat(process->pid, &after);
        if (r == -ENOENT || r == -ESRCH || r == -EACCES) {
                r = process_has_ended(pidfd);
                if (r)
                        return r < 0 ? r : -ESRCH;
                process->pid = 0; /* it lives, and /proc hides it */
                return 0;
        }
        if (r)
                return r;
        r = process_has_ended(pidfd);
        if (!r && !sure)
                r = hung_up(fd);
        if (r < 0)
                return r;
        if (r || before.start_ticks != after.start_ticks)
                return -ESRCH;
        process->start_ticks = after.start_ticks;
        process->pidfd_inode = process_pidfd_inode(pidfd);
        return process_read_boot_id(process->boot_id);
}

int process_of_peer(int fd, uid_t *ret_uid, struct process_id *ret)
{
        _cleanup_close_ int pidfd = -1;
        struct process_id process = {};
        struct ucred peer;
        bool sure = false;
        int r;

        r = peer_credentials(fd, &peer);
        if (r)
                return r;
        if (peer.pid > 0) {
                process.pid = peer.pid;
                pidfd = peer_open(fd, peer.pid, &sure);
                if (pidfd < 0)
                        return pidfd;
                r = read_identity(fd, pidfd, sure, &process);
                if (r)
                        return r;
        }
        *ret_uid = peer.uid;
        *ret = process;
        return 0;
}

int peer_in_group(int fd, gid_t gid)
{
        _cleanup_free_ gid_t *groups = NULL;
        socklen_t size = 0;
        struct ucred peer;
        int r;

        r = peer_credentials(fd, &peer);
        if (r)
                return r;
        if (peer.gid == gid)
                return 1;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) == 0 || errno != ERANGE)
                size = 0;
        if (size == 0)
                return 0;
        groups = alloc_array(NULL, size, 1);
        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size))
                return -errno;
        for (size_t i = 0; i < size / sizeof(gid_t); i++)
                if (groups[i] == gid)
                        return 1;
        return 0;
}
