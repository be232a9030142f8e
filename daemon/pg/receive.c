/* SPDX-License-Identifier: MIT */
#undef _FORTIFY_SOURCE /* recv is a macro with it */
#include "pg/receive.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

static _Thread_local bool is_limited;
static _Thread_local size_t limit_left, received;

void receive_begin(size_t limit)
{
        is_limited = true;
        limit_left = limit;
        received = 0;
}

size_t receive_end(void)
{
        is_limited = false;
        return received;
}

/* A shared library finds the program's function before the C library's. */
__attribute__((visibility("default"))) ssize_t recv(int fd, void *buffer, size_t size, int flags)
{
        ssize_t n;

        if (is_limited && size > limit_left)
                size = limit_left;
        if (is_limited && !size) {
                errno = EAGAIN;
                return -1;
        }
        n = recvfrom(fd, buffer, size, flags, NULL, NULL);
        if (is_limited && n > 0) {
                limit_left -= (size_t)n;
                received += (size_t)n;
        }
        return n;
}
