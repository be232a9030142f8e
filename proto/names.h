/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The names that runs, daemon and sweep agree on. Pure. Golden vectors in proto/vectors/names.json, run by
 * the C tests and by the Python tests.
 *
 *      namespace         [a-z0-9]{1,32}; a token is p<PID>t<EPOCH>r<8 hex>
 *      worker            [a-z][a-z0-9]{0,15}; an undistributed run is gw0
 *      suffix            [a-z0-9_]+
 *      schema            test_{namespace}_{worker}[_{suffix}]
 *      application_name  pytest_{worker}_{namespace}[_{suffix}]
 *
 * Neither namespace nor worker has an underscore, so every string is a name in one way or in none. Everything
 * fits in 63 bytes or is refused: PostgreSQL would cut it silently (NAMEDATALEN), and two names could become
 * one.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAMES_MAX           63 /* NAMEDATALEN - 1 */
#define NAMES_NAMESPACE_MAX 32
#define NAMES_WORKER_MAX    16
#define NAMES_EPOCH_MAX     99999999999ULL /* seconds; with the longest pid the token has 32 bytes */
#define NAMES_MESSAGE_SIZE  160

struct berth_name {
        char namespace[NAMES_NAMESPACE_MAX + 1];
        char worker[NAMES_WORKER_MAX + 1];
        char suffix[NAMES_MAX + 1]; /* "" without one */
};

struct berth_token {
        uint32_t pid;
        uint64_t epoch_sec;
        uint32_t random;
};

/*
 * True if the text is one. On false, *message (NAMES_MESSAGE_SIZE bytes, may be NULL) says which rule it
 * breaks and by how much, in one line without a full stop.
 */
bool names_check_namespace(const char *text, char *message);
bool names_check_worker(const char *text, char *message);
bool names_check_suffix(const char *text, char *message);

/*
 * May a client export the namespace under that name as well? A variable of at most NAMES_MAX bytes that neither
 * berth itself nor the loader, the shell or Python goes by.
 */
bool names_is_alias(const char *text);

/* "my_debug" -> "mydebug". False where nothing usable remains. */
bool names_suggest_namespace(const char *text, char ret[NAMES_NAMESPACE_MAX + 1]);

/* A time above NAMES_EPOCH_MAX (November 5138) is written as that. */
void names_make_token(const struct berth_token *token, char ret[NAMES_NAMESPACE_MAX + 1]);
/* False: a namespace without a token's shape.
 * Leading zeros are refused, so that each token has one spelling. */
bool names_parse_token(const char *namespace, struct berth_token *ret);

/* Suffix may be NULL. False: a part breaks its rule, or the whole is longer than 63 bytes; see message. */
bool names_make_schema(const char *namespace, const char *worker, const char *suffix, char ret[NAMES_MAX + 1],
                       char *message);
bool names_make_application_name(const char *namespace, const char *worker, const char *suffix,
                                 char ret[NAMES_MAX + 1], char *message);

/* Total and anchored: the whole string, or false. */
bool names_parse_schema(const char *schema, struct berth_name *ret);
bool names_parse_application_name(const char *name, struct berth_name *ret);

/* N of gw<N> (no leading zeros, at most 4 digits), else -1. */
int names_worker_number(const char *worker);

/*
 * The slot a lock-file scheme gives a schema: N % slot_count of the first _gw<N> that is followed by _ or the
 * end, else 0. For those who port from lock files; the daemon grants any free slot. (First seed document,
 * "Subtle bug 2".)
 */
unsigned names_ddl_slot(const char *schema, unsigned slot_count);
