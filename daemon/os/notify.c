/* SPDX-License-Identifier: MIT */
#include "os/notify.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#ifdef HAVE_SYSTEMD

#include "os/fd_store.h"
#include "util/alloc.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#define LISTEN_NAME "varlink"

void notify_ready(void)
{
        (void)sd_notify(0, "READY=1");
}

/* With the time, Type=notify-reload (systemd 253) can tell this reload from an earlier one. */
void notify_reloading(void)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        (void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu",
                         (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000);
}

void notify_stopping(void)
{
        (void)sd_notify(0, "STOPPING=1");
}

void notify_watchdog(void)
{
        (void)sd_notify(0, "WATCHDOG=1");
}

void notify_status(const char *format, ...)
{
        char line[512];
        va_list arguments;

        va_start(arguments, format);
        (void)vsnprintf(line, sizeof(line), format, arguments);
        va_end(arguments);
        /* A second line would be another assignment. */
        line[strcspn(line, "\n")] = '\0';
        (void)sd_notifyf(0, "STATUS=%s", line);
}

uint64_t notify_watchdog_interval(void)
{
        uint64_t usec = 0;

        return sd_watchdog_enabled(0, &usec) > 0 ? usec / 2 : 0;
}

int notify_inherit(struct inherited *ret)
{
        char **names = NULL;
        int n;

        *ret = (struct inherited){.n = 0};
        n = sd_listen_fds_with_names(1, &names);
        if (n <= 0)
                return n;
        ret->fds = alloc_array(NULL, (size_t)n, sizeof(*ret->fds));
        ret->n = (unsigned)n;
        for (int i = 0; i < n; i++)
                ret->fds[i] = (struct inherited_fd){SD_LISTEN_FDS_START + i, names[i]};
        free(names);
        return 0;
}

int notify_take_listener(struct inherited *inherited)
{
        struct inherited_fd *found = NULL;
        unsigned n_sockets = 0;
        int fd;

        for (unsigned i = 0; i < inherited->n; i++)
                n_sockets += !fd_store_is_ours(inherited->fds[i].name);
        for (unsigned i = 0; i < inherited->n && !found; i++) {
                struct inherited_fd *one = &inherited->fds[i];

                if (strcmp(one->name, LISTEN_NAME) == 0 || (n_sockets == 1 && !fd_store_is_ours(one->name)))
                        found = one;
        }
        if (!found)
                return -ENOENT;
        fd = found->fd;
        if (sd_is_socket_unix(fd, SOCK_STREAM, 1, NULL, 0) <= 0)
                return -ENOTSOCK;
        found->fd = -1;
        return fd;
}

#else

void notify_ready(void)
{
}

void notify_reloading(void)
{
}

void notify_stopping(void)
{
}

void notify_watchdog(void)
{
}

void notify_status(const char *format, ...)
{
        (void)format;
}

uint64_t notify_watchdog_interval(void)
{
        return 0;
}

int notify_inherit(struct inherited *ret)
{
        *ret = (struct inherited){.n = 0};
        return 0;
}

int notify_take_listener(struct inherited *inherited)
{
        (void)inherited;
        return -ENOENT;
}

#endif

void notify_inherited_done(struct inherited *inherited)
{
        for (unsigned i = 0; i < inherited->n; i++) {
                if (inherited->fds[i].fd >= 0)
                        (void)close(inherited->fds[i].fd);
                free(inherited->fds[i].name);
        }
        free(inherited->fds);
        *inherited = (struct inherited){.n = 0};
}
