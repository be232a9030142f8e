/* SPDX-License-Identifier: MIT */

#include "client/lib/connection.h"

#include "client/lib/connect.h"
#include "client/lib/error.h"

#include "proto/json.h"
#include "util/cleanup.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define CONNECT_WAIT_MS 2000
#define SEND_WAIT_MS    2000
#define READ_SIZE       65536
/* A sweep over thousands of schemas is a large reply; beyond this it is no reply of berthd. */
#define REPLY_MAX (16 * 1024 * 1024)

struct berth_connection {
        int fd;
        char path[BERTH_SOCKET_PATH_MAX + 1];
        char *buffer;
        size_t size;    /* allocated */
        size_t length;  /* read */
        size_t scanned; /* known to hold no NUL */
};

static int open_connection(const char *path, int wait_ms, struct berth_connection **ret,
                           struct berth_error *error)
{
        struct berth_connection *connection = calloc(1, sizeof(*connection));

        if (!connection)
                return error_no_memory(error);
        connection->fd = connect_socket(path, wait_ms, connection->path, error);
        if (connection->fd < 0) {
                free(connection);
                return -1;
        }
        *ret = connection;
        return 0;
}

int berth_connect(const char *path, struct berth_connection **ret_connection, struct berth_error *error)
{
        return open_connection(path, CONNECT_WAIT_MS, ret_connection, error);
}

int connection_try(const char *path, struct berth_connection **ret_connection, struct berth_error *error)
{
        return open_connection(path, 0, ret_connection, error);
}

struct berth_connection *berth_disconnect(struct berth_connection *connection)
{
        if (!connection)
                return NULL;
        (void)close(connection->fd);
        if (connection->buffer)
                explicit_bzero(connection->buffer, connection->size); /* a secret may have come through */
        free(connection->buffer);
        free(connection);
        return NULL;
}

const char *berth_connection_path(const struct berth_connection *connection)
{
        return connection->path;
}

int berth_connection_fd(const struct berth_connection *connection)
{
        return connection->fd;
}

/* True: ready, or broken, which the next read or write will tell. */
static bool wait_for(int fd, short events, int64_t deadline_ms)
{
        struct pollfd ready = {.fd = fd, .events = events};
        int64_t left_ms;
        int n;

        do {
                left_ms = deadline_ms == INT64_MAX ? -1 : deadline_ms - clock_ms();
                if (deadline_ms != INT64_MAX && left_ms < 0)
                        left_ms = 0;
                n = poll(&ready, 1, left_ms > INT_MAX ? INT_MAX : (int)left_ms);
        } while (n < 0 && errno == EINTR);
        return n > 0;
}

static int send_all(struct berth_connection *connection, const char *text, size_t length,
                    struct berth_error *error)
{
        int64_t deadline_ms = clock_ms() + SEND_WAIT_MS;

        while (length) {
                ssize_t n = send(connection->fd, text, length, MSG_NOSIGNAL);

                if (n >= 0) {
                        text += n;
                        length -= (size_t)n;
                } else if (errno == EAGAIN) {
                        if (!wait_for(connection->fd, POLLOUT, deadline_ms))
                                return error_unanswered(error, connection->path, SEND_WAIT_MS);
                } else if (errno == EPIPE || errno == ECONNRESET) {
                        return 0; /* a full daemon says why before it closes: read that first */
                } else if (errno != EINTR) {
                        return error_lost(error, connection->path, errno);
                }
        }
        return 0;
}

int connection_call(struct berth_connection *connection, const char *method, struct cJSON *parameters,
                    bool more, struct berth_error *error)
{
        size_t length;
        char *text = varlink_print_call(method, parameters, more, false, &length);
        int r;

        if (!text)
                return error_no_memory(error);
        r = send_all(connection, text, length, error);
        explicit_bzero(text, length);
        free(text);
        return r;
}

static int make_room(struct berth_connection *connection, struct berth_error *error)
{
        size_t size = connection->size ? 2 * connection->size : READ_SIZE;
        char *buffer;

        if (connection->size - connection->length >= READ_SIZE / 2)
                return 0;
        if (size > REPLY_MAX)
                return error_bad_answer(error, connection->path, "a reply of more than 16 MiB");
        buffer = realloc(connection->buffer, size);
        if (!buffer)
                return error_no_memory(error);
        connection->buffer = buffer;
        connection->size = size;
        return 0;
}

/* 1: something was read, 0: nothing there, -1: error */
static int read_some(struct berth_connection *connection, struct berth_error *error)
{
        ssize_t n;

        if (make_room(connection, error))
                return -1;
        do
                n = recv(connection->fd, connection->buffer + connection->length,
                         connection->size - connection->length, 0);
        while (n < 0 && errno == EINTR);
        if (n < 0 && errno == EAGAIN)
                return 0;
        if (n <= 0)
                return error_lost(error, connection->path, n < 0 ? errno : 0);
        connection->length += (size_t)n;
        return 1;
}

/* 1: a reply was taken from the buffer, 0: no whole one there, -1: it is no reply */
static int take_frame(struct berth_connection *connection, struct varlink_reply *ret_reply,
                      struct berth_error *error)
{
        char *start = connection->buffer, *end = NULL, why[JSON_MESSAGE_SIZE];
        bool parsed;

        if (connection->length > connection->scanned)
                end = memchr(start + connection->scanned, '\0', connection->length - connection->scanned);
        connection->scanned = connection->length;
        if (!end)
                return 0;
        parsed = varlink_reply_parse(start, (size_t)(end - start), ret_reply, why);
        connection->length -= (size_t)(end - start) + 1;
        connection->scanned = 0;
        memmove(start, end + 1, connection->length);
        return parsed ? 1 : error_bad_answer(error, connection->path, why);
}

int connection_receive(struct berth_connection *connection, int timeout_ms, struct varlink_reply *ret_reply,
                       struct berth_error *error)
{
        int64_t deadline_ms = timeout_ms < 0 ? INT64_MAX : clock_ms() + timeout_ms;

        for (;;) {
                int r = take_frame(connection, ret_reply, error);

                if (r)
                        return r;
                r = read_some(connection, error);
                if (r < 0)
                        return -1;
                if (!r && !wait_for(connection->fd, POLLIN, deadline_ms))
                        return 0;
        }
}

int berth_call_start(struct berth_connection *connection, const char *method, const char *parameters,
                     int flags, struct berth_error *error)
{
        struct cJSON *object = NULL;
        char why[JSON_MESSAGE_SIZE];

        if (parameters) {
                object = json_parse(parameters, strlen(parameters), why);
                if (!object || !json_is_object(object)) {
                        json_free(object);
                        return error_bad_argument(error, "parameters are not a JSON object");
                }
        }
        return connection_call(connection, method, object, flags & BERTH_CALL_MORE, error);
}

int berth_call_next(struct berth_connection *connection, int timeout_ms, char **ret_reply, int *ret_continues,
                    struct berth_error *error)
{
        struct varlink_reply reply;
        int r = connection_receive(connection, timeout_ms, &reply, error);
        char *text;

        if (r <= 0)
                return r;
        if (reply.error) {
                r = error_from_reply(error, &reply);
        } else {
                text = reply.parameters ? json_print(reply.parameters) : strdup("{}");
                if (!text)
                        r = error_no_memory(error);
                else if (ret_reply)
                        *ret_reply = text;
                else
                        free(text);
                if (ret_continues)
                        *ret_continues = reply.continues;
        }
        varlink_reply_done(&reply);
        return r;
}

int berth_call(struct berth_connection *connection, const char *method, const char *parameters,
               int timeout_ms, char **ret_reply, struct berth_error *error)
{
        int r;

        if (berth_call_start(connection, method, parameters, 0, error))
                return -1;
        r = berth_call_next(connection, timeout_ms, ret_reply, NULL, error);
        if (!r)
                return error_unanswered(error, connection->path, timeout_ms);
        return r < 0 ? -1 : 0;
}
