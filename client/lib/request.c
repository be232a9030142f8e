/* SPDX-License-Identifier: MIT */

#include "client/lib/request.h"

#include "client/lib/error.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

void request_copy(void *to, size_t to_size, const void *from, size_t from_size)
{
        memcpy(to, from, from_size < to_size ? from_size : to_size);
}

void request_set(char *to, size_t size, const char *text)
{
        (void)snprintf(to, size, "%s", text ? text : "");
}

/* Bytes of the character that begins here, 0 where none does (RFC 3629: no overlong forms, no surrogates). */
static size_t character_length(const unsigned char *at)
{
        static const struct {
                unsigned char first, last; /* of the first byte */
                unsigned char low, high;   /* of the second */
                size_t length;
        } forms[] = {
                {0x20, 0x7e, 0x00, 0xff, 1}, {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
                {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
                {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
        };

        for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
                if (*at < forms[i].first || *at > forms[i].last)
                        continue;
                if (forms[i].length > 1 && (at[1] < forms[i].low || at[1] > forms[i].high))
                        return 0;
                for (size_t n = 2; n < forms[i].length; n++)
                        if ((at[n] & 0xc0) != 0x80)
                                return 0;
                return forms[i].length;
        }
        return 0;
}

void request_set_text(char *to, size_t size, const char *text)
{
        const unsigned char *at = (const unsigned char *)(text ? text : "");
        size_t used = 0, length;

        while (*at) {
                length = character_length(at);
                if (used + (length ? length : 1) >= size)
                        break;
                if (length)
                        memcpy(to + used, at, length);
                else
                        to[used] = '?';
                used += length ? length : 1;
                at += length ? length : 1;
        }
        to[used] = '\0';
}

int request_make_id(char id[REQUEST_ID_SIZE], struct berth_error *error)
{
        unsigned char bytes[16];

        if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
                return error_bad_argument(error, "the kernel gives no random bytes");
        for (size_t i = 0; i < sizeof(bytes); i++)
                (void)snprintf(id + 2 * i, 3, "%02x", bytes[i]);
        return 0;
}

const char *request_given(const char *text)
{
        return *text ? text : NULL;
}
