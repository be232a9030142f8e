/* SPDX-License-Identifier: MIT */
#include "os/fd_store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PREFIX "conn-"

void fd_store_name(uint64_t number, char ret[FD_STORE_NAME_SIZE])
{
        (void)snprintf(ret, FD_STORE_NAME_SIZE, PREFIX "%" PRIu64, number);
}

uint64_t fd_store_number(const char *name)
{
        char again[FD_STORE_NAME_SIZE];
        uint64_t number;

        if (strncmp(name, PREFIX, strlen(PREFIX)) != 0)
                return 0;
        number = strtoull(name + strlen(PREFIX), NULL, 10);
        fd_store_name(number, again);
        return strcmp(name, again) == 0 ? number : 0;
}

bool fd_store_is_ours(const char *name)
{
        return strcmp(name, FD_STORE_TABLE) == 0 || fd_store_number(name) != 0;
}

#ifdef HAVE_SYSTEMD

int fd_store_open(void)
{
        const char *path = getenv("NOTIFY_SOCKET");
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        size_t length = path ? strlen(path) : 0;
        int fd, r;

        if (!path || (*path != '/' && *path != '@') || length >= sizeof(address.sun_path))
                return -ENOENT;
        memcpy(address.sun_path, path, length);
        if (*path == '@')
                address.sun_path[0] = '\0';
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        if (connect(fd, (struct sockaddr *)&address,
                    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) == 0)
                return fd;
        r = -errno;
        (void)close(fd);
        return r;
}

#else

int fd_store_open(void)
{
        return -ENOENT;
}

#endif

/* fd -1: none goes with it. */
static int tell(int manager, const char *what, const char *name, int fd)
{
        union {
                char buffer[CMSG_SPACE(sizeof(int))];
                struct cmsghdr aligned;
        } control = {.buffer = ""};
        char text[64 + FD_STORE_NAME_SIZE];
        struct iovec part = {.iov_base = text};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

        part.iov_len = (size_t)snprintf(text, sizeof(text), "%s=1\nFDNAME=%s", what, name);
        if (fd >= 0) {
                struct cmsghdr *header;

                message.msg_control = control.buffer;
                message.msg_controllen = sizeof(control.buffer);
                header = CMSG_FIRSTHDR(&message);
                header->cmsg_level = SOL_SOCKET;
                header->cmsg_type = SCM_RIGHTS;
                header->cmsg_len = CMSG_LEN(sizeof(int));
                memcpy(CMSG_DATA(header), &fd, sizeof(int));
        }
        return sendmsg(manager, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int fd_store_put(int manager, const char *name, int fd)
{
        return tell(manager, "FDSTORE", name, fd);
}

int fd_store_remove(int manager, const char *name)
{
        return tell(manager, "FDSTOREREMOVE", name, -1);
}
