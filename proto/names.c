/* SPDX-License-Identifier: MIT */
#include "names.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SCHEMA_PREFIX           "test_"
#define APPLICATION_NAME_PREFIX "pytest_"

#define TOKEN_RANDOM_DIGITS 8
#define TOKEN_PID_MAX       UINT32_MAX
#define WORKER_NUMBER_MAX   9999

/* What one part of a name may be. */
struct rule {
        const char *what;
        size_t max; /* 0: only the whole name is bounded */
        bool has_underscore;
        bool begins_with_letter;
        const char *allowed;
};

static const struct rule namespace_rule = {"namespace", NAMES_NAMESPACE_MAX, false, false, "a-z and 0-9"};
static const struct rule worker_rule = {"worker", NAMES_WORKER_MAX, false, true,
                                        "a letter, then a-z and 0-9"};
static const struct rule suffix_rule = {"suffix", 0, true, false, "a-z, 0-9 and _"};

/* ASCII whatever the locale says: isdigit() and friends would ask it. */
static bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
        return c >= 'a' && c <= 'z';
}

static bool is_allowed(const struct rule *rule, char c, bool is_first)
{
        if (is_letter(c))
                return true;
        if (is_first && rule->begins_with_letter)
                return false;
        return is_digit(c) || (rule->has_underscore && c == '_');
}

/* Number of leading bytes that the rule allows. */
static size_t span(const struct rule *rule, const char *text)
{
        size_t n = 0;

        while (is_allowed(rule, text[n], n == 0))
                n++;
        return n;
}

static bool refuse(char *message, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool refuse(char *message, const char *format, ...)
{
        va_list arguments;

        if (message) {
                va_start(arguments, format);
                (void)vsnprintf(message, NAMES_MESSAGE_SIZE, format, arguments);
                va_end(arguments);
        }
        return false;
}

static bool refuse_byte(const struct rule *rule, const char *text, size_t at, char *message)
{
        unsigned char byte = (unsigned char)text[at];
        char shown[5];

        /* Other people's bytes never reach a terminal as they are. */
        (void)snprintf(shown, sizeof(shown), byte > ' ' && byte < 0x7f ? "%c" : "\\x%02x", byte);
        return refuse(message, "%s has '%s' at byte %zu; allowed are %s", rule->what, shown, at + 1,
                      rule->allowed);
}

static bool check(const struct rule *rule, const char *text, char *message)
{
        size_t length = strlen(text);
        size_t n;

        if (length == 0)
                return refuse(message, "%s is empty; allowed are %s", rule->what, rule->allowed);
        if (rule->max && length > rule->max)
                return refuse(message, "%s is %zu bytes long, %zu more than the %zu allowed", rule->what,
                              length, length - rule->max, rule->max);
        n = span(rule, text);
        if (n < length)
                return refuse_byte(rule, text, n, message);
        return true;
}

bool names_check_namespace(const char *text, char *message)
{
        return check(&namespace_rule, text, message);
}

bool names_check_worker(const char *text, char *message)
{
        return check(&worker_rule, text, message);
}

bool names_check_suffix(const char *text, char *message)
{
        return check(&suffix_rule, text, message);
}

bool names_is_alias(const char *text)
{
        static const char *const reserved[] = {"PATH", "HOME", "SHELL", "USER",   "LOGNAME",
                                               "IFS",  "ENV",  "PWD",   "TMPDIR", "BASH_ENV"};
        static const char *const prefixes[] = {"BERTH_", "LD_", "PYTHON", "PYTEST_"};
        size_t n = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");

        if (!n || n > NAMES_MAX || text[n] || is_digit(*text))
                return false;
        for (size_t i = 0; i < sizeof(reserved) / sizeof(*reserved); i++)
                if (!strcmp(text, reserved[i]))
                        return false;
        for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++)
                if (!strncmp(text, prefixes[i], strlen(prefixes[i])))
                        return false;
        return true;
}

bool names_suggest_namespace(const char *text, char ret[NAMES_NAMESPACE_MAX + 1])
{
        char suggestion[NAMES_NAMESPACE_MAX + 1];
        size_t n = 0;

        for (; *text && n < NAMES_NAMESPACE_MAX; text++) {
                char c = *text >= 'A' && *text <= 'Z' ? (char)(*text - 'A' + 'a') : *text;

                if (is_allowed(&namespace_rule, c, false))
                        suggestion[n++] = c;
        }
        if (n == 0)
                return false;
        suggestion[n] = '\0';
        memcpy(ret, suggestion, n + 1);
        return true;
}

void names_make_token(const struct berth_token *token, char ret[NAMES_NAMESPACE_MAX + 1])
{
        uint64_t epoch = token->epoch_sec < NAMES_EPOCH_MAX ? token->epoch_sec : NAMES_EPOCH_MAX;

        (void)snprintf(ret, NAMES_NAMESPACE_MAX + 1, "p%ut%llur%08x", token->pid, (unsigned long long)epoch,
                       token->random);
}

/* A letter and the number behind it, at *at, which is moved on. One spelling for each number: no leading
 * zeros. */
static bool take_number(const char **at, char letter, uint64_t max, uint64_t *ret)
{
        const char *digit = *at + 1;
        uint64_t number = 0;

        if (**at != letter || !is_digit(*digit) || (digit[0] == '0' && is_digit(digit[1])))
                return false;
        for (; is_digit(*digit); digit++) {
                number = number * 10 + (uint64_t)(*digit - '0');
                if (number > max)
                        return false;
        }
        *at = digit;
        *ret = number;
        return true;
}

static int hex_digit(char c)
{
        if (is_digit(c))
                return c - '0';
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool names_parse_token(const char *namespace, struct berth_token *ret)
{
        const char *at = namespace;
        uint64_t pid, epoch;
        uint32_t random = 0;

        if (!take_number(&at, 'p', TOKEN_PID_MAX, &pid) || !take_number(&at, 't', NAMES_EPOCH_MAX, &epoch) ||
            *at++ != 'r')
                return false;
        for (int i = 0; i < TOKEN_RANDOM_DIGITS; i++) {
                int digit = hex_digit(*at++);

                if (digit < 0)
                        return false;
                random = random << 4 | (uint32_t)digit;
        }
        if (*at)
                return false;
        *ret = (struct berth_token){.pid = (uint32_t)pid, .epoch_sec = epoch, .random = random};
        return true;
}

/* {prefix}{first}_{second}[_{suffix}], all parts already checked */
static bool join(const char *what, const char *prefix, const char *first, const char *second,
                 const char *suffix, char ret[NAMES_MAX + 1], char *message)
{
        size_t length =
                strlen(prefix) + strlen(first) + 1 + strlen(second) + (suffix ? 1 + strlen(suffix) : 0);

        if (length > NAMES_MAX)
                return refuse(message, "%s would be %zu bytes long, %zu more than the %d PostgreSQL keeps",
                              what, length, length - NAMES_MAX, NAMES_MAX);
        (void)snprintf(ret, NAMES_MAX + 1, "%s%s_%s%s%s", prefix, first, second, suffix ? "_" : "",
                       suffix ? suffix : "");
        return true;
}

static bool check_parts(const char *namespace, const char *worker, const char *suffix, char *message)
{
        return names_check_namespace(namespace, message) && names_check_worker(worker, message) &&
               (!suffix || names_check_suffix(suffix, message));
}

bool names_make_schema(const char *namespace, const char *worker, const char *suffix, char ret[NAMES_MAX + 1],
                       char *message)
{
        return check_parts(namespace, worker, suffix, message) &&
               join("schema", SCHEMA_PREFIX, namespace, worker, suffix, ret, message);
}

bool names_make_application_name(const char *namespace, const char *worker, const char *suffix,
                                 char ret[NAMES_MAX + 1], char *message)
{
        return check_parts(namespace, worker, suffix, message) &&
               join("application_name", APPLICATION_NAME_PREFIX, worker, namespace, suffix, ret, message);
}

/* The longest part at *at that keeps the rule; what follows it is the caller's question. ret has room for max
 * + 1. */
static bool take_part(const char **at, const struct rule *rule, size_t max, char *ret)
{
        size_t n = span(rule, *at);

        if (n == 0 || n > max)
                return false;
        memcpy(ret, *at, n);
        ret[n] = '\0';
        *at += n;
        return true;
}

static bool take_underscore(const char **at)
{
        if (**at != '_')
                return false;
        (*at)++;
        return true;
}

/* The inverse of join(): first and second point into name. */
static bool split(const char *text, const char *prefix, struct berth_name *name, bool worker_first)
{
        const struct rule *first_rule = worker_first ? &worker_rule : &namespace_rule;
        const struct rule *second_rule = worker_first ? &namespace_rule : &worker_rule;
        const char *at = text + strlen(prefix);

        if (strncmp(text, prefix, strlen(prefix)) != 0 || strnlen(text, NAMES_MAX + 1) > NAMES_MAX)
                return false;
        if (!take_part(&at, first_rule, first_rule->max, worker_first ? name->worker : name->namespace) ||
            !take_underscore(&at) ||
            !take_part(&at, second_rule, second_rule->max, worker_first ? name->namespace : name->worker))
                return false;
        if (take_underscore(&at) && !take_part(&at, &suffix_rule, NAMES_MAX, name->suffix))
                return false;
        return *at == '\0';
}

static bool parse(const char *text, const char *prefix, bool worker_first, struct berth_name *ret)
{
        struct berth_name name = {.suffix = ""};

        if (!split(text, prefix, &name, worker_first))
                return false;
        *ret = name;
        return true;
}

bool names_parse_schema(const char *schema, struct berth_name *ret)
{
        return parse(schema, SCHEMA_PREFIX, false, ret);
}

bool names_parse_application_name(const char *name, struct berth_name *ret)
{
        return parse(name, APPLICATION_NAME_PREFIX, true, ret);
}

int names_worker_number(const char *worker)
{
        const char *at = worker + 1;
        uint64_t number;

        if (worker[0] != 'g' || !take_number(&at, 'w', WORKER_NUMBER_MAX, &number) || *at)
                return -1;
        return (int)number;
}

unsigned names_ddl_slot(const char *schema, unsigned slot_count)
{
        const char *at = schema;

        /*
         * Anchored on the worker. The first digits of the name belong to the pid in the token, and would send
         * all workers of a run to one slot.
         */
        while (slot_count && (at = strstr(at, "_gw"))) {
                uint64_t slot = 0;
                const char *digit = at += strlen("_gw");

                for (; is_digit(*digit); digit++)
                        slot = (slot * 10 + (uint64_t)(*digit - '0')) % slot_count;
                if (digit > at && (*digit == '_' || *digit == '\0'))
                        return (unsigned)slot;
        }
        return 0;
}
