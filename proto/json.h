/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * JSON by cJSON, behind a strict layer: cJSON alone takes doubled keys, \u0000, invalid UTF-8, raw control
 * bytes, a BOM, trailing bytes, 1e999, 2^53+1, leading zeros and a nesting of 1000, and matches names without
 * regard to case (measured, cJSON 1.7.15); and it prints 1745178234000000 as 1.745178234e+15. Only json*.c
 * include cJSON.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_DEPTH_MAX    8
#define JSON_INTEGER_MAX  9007199254740991LL /* 2^53 - 1 */
#define JSON_MESSAGE_SIZE 160

struct cJSON; /* a value; objects own what is added to them */

/* Exactly length bytes, one value, nothing behind it. NULL: *message says why. The caller frees with
 * json_free. */
struct cJSON *json_parse(const char *text, size_t length, char message[JSON_MESSAGE_SIZE]);
struct cJSON *json_free(struct cJSON *value); /* NULL is allowed; returns NULL */
/* Text that is not UTF-8 (a server's message, a file name) is printed with U+FFFD for each bad byte. */
char *json_print(const struct cJSON *value);        /* one line; caller frees; NULL: no memory */
char *json_print_pretty(const struct cJSON *value); /* for people */

static inline void json_freep(struct cJSON **value)
{
        json_free(*value);
}

/* ---- reading. All exact in case; a missing member and null are the same: "not there". ---- */

bool json_is_object(const struct cJSON *value);
bool json_is_array(const struct cJSON *value);
const struct cJSON *json_get(const struct cJSON *object, const char *name); /* NULL: not there */
const char *json_string(const struct cJSON *value);                         /* NULL: not a string */
const char *json_get_string(const struct cJSON *object, const char *name);
bool json_get_bool(const struct cJSON *object, const char *name, bool otherwise);
int64_t json_get_integer(const struct cJSON *object, const char *name, int64_t otherwise);
bool json_integer(const struct cJSON *value, int64_t *ret);
double json_get_number(const struct cJSON *object, const char *name, double otherwise); /* with a fraction */
/* Iteration: first child, then next. name of a member of an object, else NULL. */
const struct cJSON *json_first(const struct cJSON *container);
const struct cJSON *json_next(const struct cJSON *value);
const char *json_name(const struct cJSON *value);
/* Every string in it, but not the names: edit may write into the text, and must not make it longer. */
void json_edit_strings(struct cJSON *value, void (*edit)(char *text));

/* Takes an object apart into a struct by a table; unknown names are errors. */
enum json_type { JSON_STRING, JSON_BOOL, JSON_INTEGER, JSON_OBJECT, JSON_ARRAY };

struct json_field {
        const char *name;
        enum json_type type;
        size_t offset; /* of const char *, bool, int64_t, const struct cJSON * (object, array) */
        bool required;
        size_t present_offset; /* of a bool that is set when the field is there and not null; 0: none */
};

/*
 * fields ends with a row whose name is NULL. object NULL counts as {}. Strings are borrowed from object.
 * Integers must be exact. False: *ret_field is the name of the offending member (borrowed from object or
 * table).
 */
bool json_read(const struct cJSON *object, const struct json_field *fields, void *target,
               const char **ret_field);

/* ---- building. Each returns false if there is no memory or the container is NULL; NULL text adds nothing.
 * ---- */

struct cJSON *json_object(void);
struct cJSON *json_array(void);
bool json_add_string(struct cJSON *object, const char *name, const char *text);
/* False too for what a double does not hold: beyond +-JSON_INTEGER_MAX. Send that as a string. */
bool json_add_integer(struct cJSON *object, const char *name, int64_t number);
bool json_add_number(struct cJSON *object, const char *name,
                     double number); /* false too if it is not finite */
bool json_add_bool(struct cJSON *object, const char *name, bool truth);
bool json_add_null(struct cJSON *object, const char *name);
bool json_add(struct cJSON *object, const char *name,
              struct cJSON *value);                         /* takes value, also when it fails */
bool json_append(struct cJSON *array, struct cJSON *value); /* likewise */
bool json_append_string(struct cJSON *array, const char *text);
struct cJSON *json_copy(const struct cJSON *value);

/*
 * For a process that ends on lack of memory: every later allocation goes through these, printed text
 * included. So release must be free(), or memory that free() takes.
 */
void json_use_allocator(void *(*allocate)(size_t), void (*release)(void *));
