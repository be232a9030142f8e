/* SPDX-License-Identifier: MIT */
#include "pg/text.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* How many bytes the character at the start has; 0: it is none. */
static size_t character_length(const unsigned char *at)
{
        static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
        size_t n = at[0] < 0x80 ? 1 : at[0] >> 5 == 6 ? 2 : at[0] >> 4 == 14 ? 3 : at[0] >> 3 == 30 ? 4 : 0;
        uint32_t code;

        if (n < 2)
                return n;
        code = at[0] & (0x7fU >> n);
        for (size_t i = 1; i < n; i++) {
                if (at[i] >> 6 != 2) /* the end of the text, too */
                        return 0;
                code = code << 6 | (at[i] & 0x3f);
        }
        if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
                return 0;
        return n;
}

void text_force_utf8(char *text)
{
        for (unsigned char *at = (unsigned char *)text; *at;) {
                size_t n = character_length(at);

                if (n == 0) {
                        *at = '?';
                        n = 1;
                }
                at += n;
        }
}

void text_force_line(char *text)
{
        size_t n;

        for (char *at = text; *at; at++)
                if (*at == '\n' || *at == '\r' || *at == '\t')
                        *at = ' ';
                else if ((unsigned char)*at < 0x20 || *at == 0x7f)
                        *at = '?';
        text_force_utf8(text);
        for (n = strlen(text); n > 0 && text[n - 1] == ' '; n--)
                text[n - 1] = '\0';
}

void text_redact(char *text, const char *secret)
{
        size_t n = secret ? strlen(secret) : 0;

        if (n == 0)
                return;
        for (char *at = strstr(text, secret); at; at = strstr(at + n, secret))
                memset(at, '*', n);
}
