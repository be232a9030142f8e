/* SPDX-License-Identifier: MIT */

/* What is taken survives printing and parsing, to the byte; and the scan takes nothing that cJSON refuses. */

#include "proto/json.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect_same_again(const struct cJSON *value, char *(*print)(const struct cJSON *value))
{
        char message[JSON_MESSAGE_SIZE];
        char *first = print(value), *second;
        struct cJSON *again = json_parse(first, strlen(first), message);

        if (!again)
                abort();
        second = print(again);
        if (strcmp(first, second) != 0)
                abort();
        (void)json_free(again);
        free(first);
        free(second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        char message[JSON_MESSAGE_SIZE];
        struct cJSON *value = json_parse((const char *)data, size, message);

        if (!value) {
                /* Not the fuzzer's memory limit: a text that cJSON alone refuses. */
                if (strcmp(message, "no memory") == 0)
                        abort();
                return 0;
        }
        expect_same_again(value, json_print);
        expect_same_again(value, json_print_pretty);
        (void)json_free(value);
        return 0;
}
