/* SPDX-License-Identifier: MIT */

/* A string that parses is the string its parts make; a refusal always says why, in one line. */

#include "proto/names.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool holds)
{
        if (!holds)
                abort();
}

static const char *suffix_of(const struct berth_name *name)
{
        return name->suffix[0] ? name->suffix : NULL;
}

static void try_names(const char *text)
{
        struct berth_name name;
        struct berth_token token;
        char made[NAMES_MAX + 1];

        if (names_parse_schema(text, &name)) {
                expect(names_make_schema(name.namespace, name.worker, suffix_of(&name), made, NULL));
                expect(strcmp(made, text) == 0);
        }
        if (names_parse_application_name(text, &name)) {
                expect(names_make_application_name(name.namespace, name.worker, suffix_of(&name), made,
                                                   NULL));
                expect(strcmp(made, text) == 0);
        }
        if (names_parse_token(text, &token)) {
                expect(names_check_namespace(text, NULL));
                names_make_token(&token, made);
                expect(strcmp(made, text) == 0);
        }
        if (names_suggest_namespace(text, made))
                expect(names_check_namespace(made, NULL));
        expect(names_worker_number(text) < 0 || names_check_worker(text, NULL));
        expect(names_ddl_slot(text, 2) < 2);
        expect(names_ddl_slot(text, 0) == 0);
}

static void try_check(bool (*check)(const char *text, char *message), const char *text)
{
        char message[NAMES_MESSAGE_SIZE] = "";

        if (check(text, message))
                return;
        expect(message[0] && strlen(message) < NAMES_MESSAGE_SIZE - 1);
        for (const char *c = message; *c; c++)
                expect(*c >= ' ' && *c <= '~');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        char *text = malloc(size + 1);

        memcpy(text, data, size);
        text[size] = '\0';
        try_names(text);
        try_check(names_check_namespace, text);
        try_check(names_check_worker, text);
        try_check(names_check_suffix, text);
        free(text);
        return 0;
}
