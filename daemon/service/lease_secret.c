/* SPDX-License-Identifier: MIT */
#include "service/lease_record.h"

#include <sha2.h>
#include <string.h>

static void hash_bytes(const uint8_t bytes[BERTH_SECRET_BYTES], uint8_t ret[LEDGER_SECRET_HASH_SIZE])
{
        SHA2_CTX context;

        SHA256Init(&context);
        SHA256Update(&context, bytes, BERTH_SECRET_BYTES);
        SHA256Final(ret, &context);
}

void lease_secret_make(const uint8_t bytes[BERTH_SECRET_BYTES], struct lease_secret *ret)
{
        static const char digits[] = "0123456789abcdef";

        for (size_t i = 0; i < BERTH_SECRET_BYTES; i++) {
                ret->text[2 * i] = digits[bytes[i] >> 4];
                ret->text[2 * i + 1] = digits[bytes[i] & 15];
        }
        ret->text[2 * BERTH_SECRET_BYTES] = '\0';
        hash_bytes(bytes, ret->hash);
}

/* One spelling for each secret: lower case. */
static int digit_value(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        return -1;
}

static bool parse(const char *text, uint8_t ret[BERTH_SECRET_BYTES])
{
        if (!text || strlen(text) != 2 * BERTH_SECRET_BYTES)
                return false;
        for (size_t i = 0; i < BERTH_SECRET_BYTES; i++) {
                int high = digit_value(text[2 * i]), low = digit_value(text[2 * i + 1]);

                if (high < 0 || low < 0)
                        return false;
                ret[i] = (uint8_t)(high << 4 | low);
        }
        return true;
}

bool lease_secret_fits(const char *text, const uint8_t *hash)
{
        static const uint8_t nobody[LEDGER_SECRET_HASH_SIZE];
        const uint8_t *expected = hash ? hash : nobody;
        uint8_t bytes[BERTH_SECRET_BYTES], seen[LEDGER_SECRET_HASH_SIZE];
        volatile uint8_t difference = 0;

        if (!parse(text, bytes))
                return false;
        hash_bytes(bytes, seen);
        explicit_bzero(bytes, sizeof(bytes));
        for (size_t i = 0; i < LEDGER_SECRET_HASH_SIZE; i++)
                difference |= seen[i] ^ expected[i];
        return hash && !difference;
}
