/* SPDX-License-Identifier: MIT */
#pragma once

#include <sys/socket.h>

/* Where metrics may be asked for, taken apart. */
struct http_address {
        const char *path; /* of a Unix socket, borrowed; NULL: storage is an address */
        struct sockaddr_storage storage;
        socklen_t length;
};

/* NULL, or what is wrong. */
const char *http_address_parse(const char *text, struct http_address *ret);
