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

/*
 * The listening socket handed over by a .socket unit: the one named "varlink", or the only one.
 * -ENOENT: none was handed over. -ENOTSOCK: it is no listening Unix stream socket. To be called once.
 */
int notify_listen_fd(void);
