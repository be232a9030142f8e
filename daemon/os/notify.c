/* SPDX-License-Identifier: MIT */
#include "os/notify.h"

#include <errno.h>

#ifdef HAVE_SYSTEMD

#include "util/alloc.h"
#include "util/cleanup.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
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

static void free_names(char **names)
{
        for (char **name = names; name && *name; name++)
                free(*name);
        free(names);
}
DEFINE_CLEANUP(char **, free_names)

int notify_listen_fd(void)
{
        _cleanup_(free_namesp) char **names = NULL;
        int found = -1, n;

        n = sd_listen_fds_with_names(1, &names);
        if (n < 0)
                return n;
        for (int i = 0; i < n && found < 0; i++)
                if (n == 1 || strcmp(names[i], LISTEN_NAME) == 0)
                        found = SD_LISTEN_FDS_START + i;
        if (found < 0)
                return -ENOENT;
        return sd_is_socket_unix(found, SOCK_STREAM, 1, NULL, 0) > 0 ? found : -ENOTSOCK;
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

int notify_listen_fd(void)
{
        return -ENOENT;
}

#endif
