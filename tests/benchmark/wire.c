/* SPDX-License-Identifier: MIT */
#include "wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

void wire_die(const char *what)
{
        (void)fprintf(stderr, "benchmark: %s: %m\n", what);
        exit(1);
}

int wire_connect(const char *path)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (strlen(path) >= sizeof(address.sun_path))
                wire_die("path of the socket is too long");
        (void)stpcpy(address.sun_path, path);
        if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
                wire_die(path);
        return fd;
}

void wire_send(int fd, const char *message, size_t size)
{
        if (send(fd, message, size, MSG_NOSIGNAL) != (ssize_t)size)
                wire_die("send");
}

size_t wire_receive(int fd, char *buffer)
{
        size_t n = 0;
        ssize_t got;

        do {
                got = recv(fd, buffer + n, WIRE_SIZE - n, 0);
                if (got <= 0)
                        wire_die("receive");
                n += (size_t)got;
        } while (buffer[n - 1] != '\0');
        /* Every answer that is none begins like this: "error" is the first member. */
        if (strncmp(buffer, "{\"error\"", 8) == 0) {
                (void)fprintf(stderr, "benchmark: %s\n", buffer);
                exit(1);
        }
        return n;
}

void wire_call(int fd, const char *message, char *buffer)
{
        wire_send(fd, message, strlen(message) + 1);
        (void)wire_receive(fd, buffer);
}

/* Of the one reply whose form is known. */
static void copy_member(const char *reply, const char *name, char *ret, size_t size)
{
        char start[64];
        const char *at;
        size_t length;

        (void)snprintf(start, sizeof(start), "\"%s\":\"", name);
        at = strstr(reply, start);
        if (!at)
                wire_die(name);
        at += strlen(start);
        length = strcspn(at, "\"");
        if (length >= size)
                wire_die(name);
        memcpy(ret, at, length);
        ret[length] = '\0';
}

void wire_share_lease(const int *fds, unsigned n)
{
        static char reply[WIRE_SIZE];
        char namespace[64], secret[64], message[512];

        wire_call(fds[0], "{\"method\":\"io.berth.lease.Acquire\",\"parameters\":{\"label\":\"benchmark\"}}",
                  reply);
        copy_member(reply, "namespace", namespace, sizeof(namespace));
        copy_member(reply, "secret", secret, sizeof(secret));
        for (unsigned i = 1; i < n; i++) {
                (void)snprintf(message, sizeof(message),
                               "{\"method\":\"io.berth.lease.Attach\",\"parameters\":{\"namespace\":\"%s\","
                               "\"secret\":\"%s\",\"role\":\"worker\",\"worker\":\"gw%u\"}}",
                               namespace, secret, i);
                wire_call(fds[i], message, reply);
        }
}

uint64_t wire_now_nsec(void)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
        const uint64_t *x = a, *y = b;

        return (*x > *y) - (*x < *y);
}

uint64_t wire_quantile(uint64_t *values, size_t n, double fraction)
{
        size_t at = (size_t)((double)n * fraction);

        if (!n)
                return 0;
        qsort(values, n, sizeof(*values), compare);
        return values[at < n ? at : n - 1];
}
