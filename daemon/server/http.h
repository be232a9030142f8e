/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * GET /metrics over HTTP, for Prometheus on this host: libevent's evhttp on a loopback address or a Unix socket, and
 * nothing else. One request a connection.
 *
 * evhttp bounds the size of a request and how long a connection may be silent, but not how many there are. So they
 * are counted from their accept to their answer: when HTTP_UNANSWERED_MAX of them have come to nothing, nobody is let in for a
 * while, and then all of them are closed. Whoever asks in earnest is answered in the turn of the loop that reads the
 * request, long before that.
 */

#include <stdbool.h>

#define HTTP_UNANSWERED_MAX 16

struct event_base;
struct http;
struct services;

/* "127.0.0.1:9187", "[::1]:9187", "unix:/run/berth/metrics"; NULL: it is one. Else what it is not. */
const char *http_check_address(const char *address);

struct http *http_new(struct event_base *base, struct services *services);
struct http *http_free(struct http *http);
/*
 * From now on there, and nowhere else; "": nowhere. only_us: a Unix socket is for this user alone, else for its group
 * too. 0, or -errno: *ret_message is a line for people, the caller frees it, and nobody listens.
 */
int http_listen(struct http *http, const char *address, bool only_us, char **ret_message);
bool http_is_listening(const struct http *http);
