/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * systemd: what it is told, and the socket it hands over. Without $NOTIFY_SOCKET, and in a build without
 * libsystemd, all of these do nothing.
 */

#include <stdint.h>

void notify_ready(void);
void notify_reloading(void); /* to be followed by notify_ready */
void notify_stopping(void);
void notify_watchdog(void);
/* One line for systemctl status. */
void notify_status(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* How often systemd wants to hear notify_watchdog: half of WatchdogSec=. 0: never. */
uint64_t notify_watchdog_interval(void);

/* Descriptors that were handed over at start: sockets of the .socket unit, and what is in the store. */
struct inherited {
        struct inherited_fd {
                int fd; /* -1: taken by somebody */
                char *name;
        } * fds;
        unsigned n;
};

/* To be called once: what it finds is passed on to no child. 0 or -errno. */
int notify_inherit(struct inherited *ret);
/*
 * Takes the listening socket: the one named "varlink", or the only one that was not stored by us. -ENOENT: none
 * was handed over. -ENOTSOCK: it is no listening Unix stream socket.
 */
int notify_take_listener(struct inherited *inherited);
/* Closes what nobody has taken. */
void notify_inherited_done(struct inherited *inherited);
