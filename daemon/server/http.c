/* SPDX-License-Identifier: MIT */
#include "server/http.h"

#include "server/http_address.h"
#include "server/listener.h"
#include "server/measure.h"
#include "util/alloc.h"
#include "util/cleanup.h"
#include "util/log.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEADERS_MAX 8192
#define SILENCE_SEC 2
#define BACKLOG     16

static const struct timeval closed_time = {.tv_sec = SILENCE_SEC};
static const struct timeval pause_time = {.tv_usec = 100000};

struct http {
        struct event_base *base;
        struct services *services;
        int fd;                      /* -1: nobody listens */
        struct listener unix_socket; /* with a path, or nothing */
        struct evhttp *evhttp;       /* NULL: nobody listens */
        struct evconnlistener *door; /* of evhttp */
        struct event *open_door;
        unsigned n_unanswered;
};

/* ---- one request ---- */

static void on_answered(struct evhttp_request *request, void *owner)
{
        struct http *http = owner;

        (void)request;
        if (http->n_unanswered > 0)
                http->n_unanswered--;
}

static void answer(struct http *http, struct evhttp_request *request, int code, const char *reason,
                   const char *text)
{
        struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
        struct evbuffer *body = evbuffer_new();

        if (!body || evbuffer_add(body, text, strlen(text)) ||
            evhttp_add_header(headers, "Content-Type", "text/plain; version=0.0.4; charset=utf-8") ||
            evhttp_add_header(headers, "Connection", "close"))
                alloc_failed();
        evhttp_request_set_on_complete_cb(request, on_answered, http);
        evhttp_send_reply(request, code, reason, body);
        evbuffer_free(body);
}

static void on_metrics(struct evhttp_request *request, void *owner)
{
        struct http *http = owner;
        _cleanup_free_ char *text = measure_print(http->services);

        answer(http, request, HTTP_OK, "OK", text);
}

static void on_other(struct evhttp_request *request, void *owner)
{
        answer(owner, request, HTTP_NOTFOUND, "Not Found", "there is /metrics, and nothing else\n");
}

/* ---- the door ---- */

static void close_evhttp(struct http *http)
{
        if (!http->evhttp)
                return;
        evhttp_free(http->evhttp); /* with all its connections, and the door */
        http->evhttp = NULL;
        http->door = NULL;
        http->n_unanswered = 0;
        (void)event_del(http->open_door);
}

/* Somebody has been let in. NULL: evhttp makes the buffers itself. */
static struct bufferevent *on_let_in(struct event_base *base, void *owner)
{
        struct http *http = owner;

        (void)base;
        if (++http->n_unanswered < HTTP_UNANSWERED_MAX)
                return NULL;
        log_warning("metrics: %u HTTP connections have asked for nothing; they are closed in %d s",
                    http->n_unanswered, SILENCE_SEC);
        (void)evconnlistener_disable(http->door);
        (void)event_add(http->open_door, &closed_time);
        return NULL;
}

/* No descriptor is free: without a pause the loop would spin. */
static void on_accept_failed(struct evconnlistener *door, void *owner)
{
        struct http *http = owner;

        (void)evconnlistener_disable(door);
        (void)event_add(http->open_door, &pause_time);
}

static void open_evhttp(struct http *http)
{
        http->evhttp = evhttp_new(http->base);
        http->door = evconnlistener_new(http->base, NULL, NULL, LEV_OPT_CLOSE_ON_EXEC, 0, http->fd);
        if (!http->evhttp || !http->door)
                alloc_failed();
        evhttp_set_allowed_methods(http->evhttp, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
        evhttp_set_max_headers_size(http->evhttp, HEADERS_MAX);
        evhttp_set_max_body_size(http->evhttp, 0);
        evhttp_set_timeout(http->evhttp, SILENCE_SEC);
        evhttp_set_bevcb(http->evhttp, on_let_in, http);
        evhttp_set_gencb(http->evhttp, on_other, http);
        if (evhttp_set_cb(http->evhttp, "/metrics", on_metrics, http) ||
            !evhttp_bind_listener(http->evhttp, http->door))
                alloc_failed();
        evconnlistener_set_error_cb(http->door, on_accept_failed);
}

static void on_open_door(int fd, short what, void *owner)
{
        struct http *http = owner;

        (void)fd;
        (void)what;
        if (http->n_unanswered < HTTP_UNANSWERED_MAX) {
                (void)evconnlistener_enable(http->door);
                return;
        }
        close_evhttp(http);
        open_evhttp(http);
}

/* ---- where ---- */

static void stop_listening(struct http *http)
{
        close_evhttp(http);
        listener_remove(&http->unix_socket);
        if (http->fd >= 0)
                (void)close(http->fd);
        http->fd = -1;
}

static int bind_tcp(const struct http_address *address, int *ret_fd)
{
        int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        const int yes = 1;
        int r;

        if (fd < 0)
                return -errno;
        if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) == 0 &&
            bind(fd, (const struct sockaddr *)&address->storage, address->length) == 0 &&
            listen(fd, BACKLOG) == 0) {
                *ret_fd = fd;
                return 0;
        }
        r = -errno;
        (void)close(fd);
        return r;
}

int http_listen(struct http *http, const char *text, bool only_us, char **ret_message)
{
        struct http_address address;
        int r;

        stop_listening(http);
        if (!*text)
                return 0;
        if (http_address_parse(text, &address))
                return -EINVAL;
        if (address.path) {
                r = listener_open(&http->unix_socket, address.path, only_us, ret_message);
                http->fd = http->unix_socket.fd;
        } else {
                r = bind_tcp(&address, &http->fd);
                if (r)
                        *ret_message = alloc_printf("cannot listen on %s; %s; set another metrics_listen",
                                                    text, strerror(-r));
        }
        if (r)
                return r;
        open_evhttp(http);
        return 0;
}

bool http_is_listening(const struct http *http)
{
        return http->fd >= 0;
}

struct http *http_new(struct event_base *base, struct services *services)
{
        struct http *http = NEW(struct http);

        *http = (struct http){
                .base = base, .services = services, .fd = -1, .unix_socket = {.fd = -1, .lock_fd = -1}};
        http->open_door = evtimer_new(base, on_open_door, http);
        if (!http->open_door)
                alloc_failed();
        return http;
}

struct http *http_free(struct http *http)
{
        if (!http)
                return NULL;
        stop_listening(http);
        event_free(http->open_door);
        free(http);
        return NULL;
}
