/* SPDX-License-Identifier: MIT */
#include "server/listener.h"

#include "proto/protocol.h"
#include "util/alloc.h"
#include "util/cleanup.h"
#include "util/log.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int fail(char **ret_message, int r, const char *what, const char *path, const char *fix)
{
        *ret_message = alloc_printf("%s %s; %s; %s", what, path, strerror(-r), fix);
        return r;
}

static int make_folder(const char *path, bool only_us, char **ret_message)
{
        _cleanup_free_ char *copy = alloc_string(path);
        const char *folder = dirname(copy);
        mode_t mask = umask(0);
        int r = mkdir(folder, only_us ? 0700 : 0755) < 0 && errno != EEXIST ? -errno : 0;

        (void)umask(mask);
        return r ? fail(ret_message, r, "cannot make the folder", folder, "make it, or set another socket")
                 : 0;
}

/* The pid is only a help for people. */
static int refuse_second(int lock_fd, const char *path, char **ret_message)
{
        char holder[24] = "";

        if (pread(lock_fd, holder, sizeof(holder) - 1, 0) < 0)
                holder[0] = '\0';
        *ret_message = alloc_printf(
                "cannot lock %s; another berthd serves this socket (pid %.*s); stop it, or use it", path,
                (int)strcspn(holder, "\n"), holder);
        return -EADDRINUSE;
}

static void name_us(int lock_fd)
{
        _cleanup_free_ char *line = alloc_printf("%ld\n", (long)getpid());

        if (ftruncate(lock_fd, 0) || (pwrite(lock_fd, line, strlen(line), 0) < 0 && ftruncate(lock_fd, 0)))
                log_debug("the lock of the socket does not say who we are: %s", strerror(errno));
}

static int take_lock(struct listener *listener, char **ret_message)
{
        _cleanup_free_ char *path = alloc_printf("%s.lock", listener->path);

        listener->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (listener->lock_fd < 0)
                return fail(ret_message, -errno, "cannot open", path, "check the folder's owner and mode");
        if (flock(listener->lock_fd, LOCK_EX | LOCK_NB) == 0) {
                name_us(listener->lock_fd);
                return 0;
        }
        if (errno == EWOULDBLOCK)
                return refuse_second(listener->lock_fd, path, ret_message);
        return fail(ret_message, -errno, "cannot lock", path, "see the limits of its file system");
}

static int connect_to(const struct sockaddr_un *address)
{
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (fd < 0)
                return -errno;
        return connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;
}

/* What a daemon that was killed has left is removed; anything else is not ours to remove. */
static int clear_path(const struct sockaddr_un *address, char **ret_message)
{
        const char *path = address->sun_path;
        struct stat st;
        int r;

        if (lstat(path, &st) < 0)
                return errno == ENOENT
                               ? 0
                               : fail(ret_message, -errno, "cannot look at", path, "check its folder");
        if (!S_ISSOCK(st.st_mode))
                return fail(ret_message, -EEXIST, "will not replace", path,
                            "it is no socket; set another socket");
        r = connect_to(address);
        if (r == 0 || r == -EAGAIN)
                return fail(ret_message, -EADDRINUSE, "will not replace", path,
                            "somebody listens there; stop it first");
        if (r != -ECONNREFUSED)
                return fail(ret_message, r, "cannot tell who owns", path, "remove it if nobody does");
        if (unlink(path) < 0)
                return fail(ret_message, -errno, "cannot remove the stale socket", path, "remove it");
        return 0;
}

static int bind_and_listen(struct listener *listener, const struct sockaddr_un *address, bool only_us,
                           char **ret_message)
{
        mode_t mask;
        int r;

        listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (listener->fd < 0)
                return fail(ret_message, -errno, "cannot make the socket", listener->path,
                            "see the system's limits");
        /* Before it exists nobody can connect to it, after it exists its mode is right:
         * no chmod in between. */
        mask = umask(only_us ? 0177 : 0117);
        r = bind(listener->fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;
        (void)umask(mask);
        if (r)
                return fail(ret_message, r, "cannot bind", listener->path,
                            "check the folder's owner and mode");
        if (listen(listener->fd, SOMAXCONN) < 0)
                return fail(ret_message, -errno, "cannot listen on", listener->path,
                            "see the system's limits");
        return 0;
}

int listener_open(struct listener *listener, const char *path, bool only_us, char **ret_message)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int r;

        *listener = (struct listener){.fd = -1, .lock_fd = -1};
        if (strlen(path) > BERTH_SOCKET_PATH_MAX) {
                *ret_message = alloc_printf(
                        "cannot listen on %s; the path has %zu bytes, the limit is %d; set a shorter "
                        "socket",
                        path, strlen(path), BERTH_SOCKET_PATH_MAX);
                return -ENAMETOOLONG;
        }
        (void)stpcpy(address.sun_path, path);
        listener->path = alloc_string(path);
        r = make_folder(path, only_us, ret_message);
        if (!r)
                r = take_lock(listener, ret_message);
        if (!r)
                r = clear_path(&address, ret_message);
        if (!r)
                r = bind_and_listen(listener, &address, only_us, ret_message);
        if (!r)
                return 0;
        if (listener->fd >= 0)
                (void)close(listener->fd);
        if (listener->lock_fd >= 0)
                (void)close(listener->lock_fd);
        free(listener->path);
        *listener = (struct listener){.fd = -1, .lock_fd = -1};
        return r;
}

bool listener_withdraw(struct listener *listener)
{
        _cleanup_free_ char *aside = NULL;
        struct pollfd door = {.fd = listener->fd, .events = POLLIN};

        if (!listener->path)
                return true;
        /* Under another name it cannot be found any more; who has found it before is in the backlog by now. */
        aside = alloc_printf("%s.end", listener->path);
        if (rename(listener->path, aside) < 0)
                return false;
        if (poll(&door, 1, 0) > 0) {
                (void)rename(aside, listener->path);
                return false;
        }
        free(listener->path);
        listener->path = TAKE(aside);
        return true;
}

void listener_remove(struct listener *listener)
{
        if (!listener->path)
                return;
        (void)unlink(listener->path);
        (void)close(listener->lock_fd);
        free(listener->path);
        *listener = (struct listener){.fd = -1, .lock_fd = -1};
}
