/* SPDX-License-Identifier: MIT */
#include "server/http_address.h"

#include "proto/protocol.h"
#include "server/http.h"

#include <ctype.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define UNIX "unix:"
#define IPV4 "127.0.0.1:"
#define IPV6 "[::1]:"

static bool parse_port(const char *text, in_port_t *ret)
{
        char *end;
        long port;

        if (!isdigit((unsigned char)*text) || strlen(text) > 5)
                return false;
        port = strtol(text, &end, 10);
        if (*end || port < 1 || port > 65535)
                return false;
        *ret = htons((in_port_t)port);
        return true;
}

static const char *parse_path(const char *path, struct http_address *ret)
{
        if (*path != '/')
                return "the path of its Unix socket is not absolute";
        if (strlen(path) > BERTH_SOCKET_PATH_MAX)
                return "the path of its Unix socket is too long";
        ret->path = path;
        return NULL;
}

const char *http_address_parse(const char *text, struct http_address *ret)
{
        struct sockaddr_in *ipv4 = (struct sockaddr_in *)&ret->storage;
        struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)&ret->storage;

        *ret = (struct http_address){.path = NULL};
        if (!strncmp(text, UNIX, strlen(UNIX)))
                return parse_path(text + strlen(UNIX), ret);
        if (!strncmp(text, IPV4, strlen(IPV4)) && parse_port(text + strlen(IPV4), &ipv4->sin_port)) {
                ipv4->sin_family = AF_INET;
                ipv4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
                ret->length = sizeof(*ipv4);
                return NULL;
        }
        if (!strncmp(text, IPV6, strlen(IPV6)) && parse_port(text + strlen(IPV6), &ipv6->sin6_port)) {
                ipv6->sin6_family = AF_INET6;
                ipv6->sin6_addr = in6addr_loopback;
                ret->length = sizeof(*ipv6);
                return NULL;
        }
        return "it is neither 127.0.0.1:PORT nor [::1]:PORT nor unix:PATH";
}

const char *http_check_address(const char *address)
{
        struct http_address parsed;

        return http_address_parse(address, &parsed);
}
