/* SPDX-License-Identifier: MIT */
#include "os/process.h"

#include "util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#define STAT_FIELD_START 22
#define PIDFS_MAGIC      0x50494446

static int read_text(const char *path, char *text, size_t size)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n;

        if (fd < 0)
                return -errno;
        do
                n = read(fd, text, size - 1);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return -errno;
        text[n] = '\0';
        return 0;
}

int process_parse_stat(const char *text, struct process_stat *ret)
{
        /* The last ')' of all: the name, in parentheses, is whatever the process wants it to be. */
        const char *at = strrchr(text, ')');
        struct process_stat stat = {};
        char *end;

        if (!at || at[1] != ' ' || at[2] < 'A' || at[3] != ' ')
                return -EBADMSG;
        stat.state = at[2];
        at += 3;
        for (int field = 4; field < STAT_FIELD_START; field++) {
                at = strchr(at + 1, ' ');
                if (!at)
                        return -EBADMSG;
        }
        errno = 0;
        stat.start_ticks = strtoull(at + 1, &end, 10);
        if (errno || end == at + 1 || (*end != ' ' && *end != '\n'))
                return -EBADMSG;
        *ret = stat;
        return 0;
}

int process_read_stat(pid_t pid, struct process_stat *ret)
{
        char path[32], text[1024];
        int r;

        (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
        r = read_text(path, text, sizeof(text));
        return r ? r : process_parse_stat(text, ret);
}

int process_read_boot_id(char ret[37])
{
        char text[64] = "";
        int r = read_text("/proc/sys/kernel/random/boot_id", text, sizeof(text));

        if (r)
                return r;
        if (strlen(text) != 37 || text[36] != '\n')
                return -EBADMSG;
        text[36] = '\0';
        memcpy(ret, text, 37);
        return 0;
}

int process_exists(pid_t pid)
{
        if (pid <= 0)
                return -EINVAL;
        if (kill(pid, 0) == 0 || errno == EPERM)
                return 1;
        return errno == ESRCH ? 0 : -errno;
}

int process_open(pid_t pid)
{
        int fd = (int)syscall(SYS_pidfd_open, pid, 0);

        return fd < 0 ? -errno : fd;
}

int process_has_ended(int pidfd)
{
        struct pollfd ready = {.fd = pidfd, .events = POLLIN};
        int n;

        do
                n = poll(&ready, 1, 0);
        while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : n > 0;
}

uint64_t process_pidfd_inode(int pidfd)
{
        struct statfs filesystem;
        struct stat stat;

        /*
         * Before pidfs all pidfds share one anonymous inode, which tells nothing. With 64 bits none is used
         * twice in a boot; with 32 they wrap around.
         */
        if (sizeof(long) < sizeof(uint64_t) || fstatfs(pidfd, &filesystem) ||
            filesystem.f_type != PIDFS_MAGIC || fstat(pidfd, &stat))
                return 0;
        return stat.st_ino;
}

int process_of_pid(pid_t pid, struct process_id *ret)
{
        _cleanup_close_ int pidfd = process_open(pid);
        struct process_id process = {.pid = pid};
        struct process_stat stat;
        int r;

        if (pidfd < 0)
                return pidfd;
        r = process_read_stat(pid, &stat);
        if (r)
                return r == -ENOENT ? -ESRCH : r;
        /* Not ended yet, so that the pid was not reused between the two, and the stat is of this very
         * process. */
        r = process_has_ended(pidfd);
        if (r)
                return r < 0 ? r : -ESRCH;
        r = process_read_boot_id(process.boot_id);
        if (r)
                return r;
        process.start_ticks = stat.start_ticks;
        process.pidfd_inode = process_pidfd_inode(pidfd);
        *ret = process;
        return 0;
}
