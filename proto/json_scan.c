/* SPDX-License-Identifier: MIT */
#include "json_scan.h"

#include "json.h"

#include <string.h>

/*
 * RFC 8259 and nothing else, minus what does not survive C strings and doubles: U+0000, lone surrogates, and
 * numbers that a double does not hold exactly enough. It runs before cJSON, which then sees only what both
 * agree on.
 *
 * Numbers: an integer is at most 2^53 - 1. One with a fraction or an exponent has at most 15 digits from the
 * first that is not 0 on (DBL_DIG), so that two different texts never become one double, and 0.99... never
 * becomes 1.
 */

#define NUMBER_LENGTH_MAX   40
#define NUMBER_DIGITS_MAX   15
#define EXPONENT_DIGITS_MAX 2
#define INTEGER_MAX_TEXT    "9007199254740991" /* JSON_INTEGER_MAX */

struct scan {
        const unsigned char *at, *end;
        unsigned depth;
        const char *why; /* NULL while all is well */
};

static bool refuse(struct scan *scan, const char *why)
{
        scan->why = why;
        return false;
}

/* The byte at the cursor; 0 at the end: as a byte of the text it is refused everywhere. */
static unsigned char peek(const struct scan *scan)
{
        return scan->at < scan->end ? *scan->at : 0;
}

static bool take(struct scan *scan, char c)
{
        if (peek(scan) != (unsigned char)c)
                return false;
        scan->at++;
        return true;
}

static void skip_space(struct scan *scan)
{
        while (take(scan, ' ') || take(scan, '\n') || take(scan, '\r') || take(scan, '\t'))
                ;
}

size_t json_utf8_length(const unsigned char *text, size_t length)
{
        /* The second byte alone tells overlong forms, surrogates and what is beyond U+10FFFF (Unicode, table
         * 3-7). */
        static const struct {
                unsigned char first, last, second_min, second_max;
                size_t length;
        } forms[] = {
                {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
                {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
                {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
        };

        if (length == 0)
                return 0;
        if (text[0] < 0x80)
                return 1;
        for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
                if (text[0] < forms[i].first || text[0] > forms[i].last)
                        continue;
                if (length < forms[i].length || text[1] < forms[i].second_min ||
                    text[1] > forms[i].second_max)
                        return 0;
                for (size_t k = 2; k < forms[i].length; k++)
                        if ((text[k] & 0xc0) != 0x80)
                                return 0;
                return forms[i].length;
        }
        return 0;
}

static int hex_digit(unsigned char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        c |= 0x20;
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four hex digits behind \u. */
static bool take_code_unit(struct scan *scan, unsigned *ret)
{
        unsigned unit = 0;

        for (int i = 0; i < 4; i++) {
                int digit = hex_digit(peek(scan));

                if (digit < 0)
                        return refuse(scan, "bad \\u escape");
                unit = unit << 4 | (unsigned)digit;
                scan->at++;
        }
        *ret = unit;
        return true;
}

static bool scan_unicode_escape(struct scan *scan)
{
        unsigned unit;

        if (!take_code_unit(scan, &unit))
                return false;
        if (unit == 0)
                return refuse(scan, "\\u0000");
        if (unit < 0xd800 || unit > 0xdfff)
                return true;
        if (unit > 0xdbff || !take(scan, '\\') || !take(scan, 'u'))
                return refuse(scan, "lone surrogate");
        if (!take_code_unit(scan, &unit))
                return false;
        return (unit >= 0xdc00 && unit <= 0xdfff) || refuse(scan, "lone surrogate");
}

static bool scan_escape(struct scan *scan)
{
        unsigned char c = peek(scan);

        if (take(scan, 'u'))
                return scan_unicode_escape(scan);
        if (!c || !strchr("\"\\/bfnrt", c))
                return refuse(scan, "bad escape");
        scan->at++;
        return true;
}

/* Behind the opening quote. */
static bool scan_string(struct scan *scan)
{
        while (scan->at < scan->end) {
                size_t length;

                if (take(scan, '"'))
                        return true;
                if (take(scan, '\\')) {
                        if (!scan_escape(scan))
                                return false;
                        continue;
                }
                if (*scan->at < 0x20)
                        return refuse(scan, "control character in a string");
                length = json_utf8_length(scan->at, (size_t)(scan->end - scan->at));
                if (length == 0)
                        return refuse(scan, "not UTF-8");
                scan->at += length;
        }
        return refuse(scan, "unfinished string");
}

static size_t skip_digits(struct scan *scan)
{
        const unsigned char *start = scan->at;

        while (peek(scan) >= '0' && peek(scan) <= '9')
                scan->at++;
        return (size_t)(scan->at - start);
}

/* From the first digit that is not 0 on, the point left out, up to the exponent. */
static size_t count_significant(const unsigned char *text, const unsigned char *end)
{
        size_t n = 0;

        for (; text < end && *text != 'e' && *text != 'E'; text++)
                if (*text != '.' && (n || *text != '0'))
                        n++;
        return n;
}

static bool check_integer(struct scan *scan, const unsigned char *digits, size_t n)
{
        const size_t max = strlen(INTEGER_MAX_TEXT);

        if (n > max || (n == max && memcmp(digits, INTEGER_MAX_TEXT, max) > 0))
                return refuse(scan, "integer beyond 2^53 - 1");
        return true;
}

static bool scan_number(struct scan *scan)
{
        const unsigned char *start, *digits;
        size_t n, n_exponent;
        bool is_integer = true;

        start = scan->at;
        (void)take(scan, '-');
        digits = scan->at;
        n = skip_digits(scan);
        if (n == 0)
                return refuse(scan, "not a value");
        if (n > 1 && *digits == '0')
                return refuse(scan, "leading zero");
        if (take(scan, '.')) {
                is_integer = false;
                if (skip_digits(scan) == 0)
                        return refuse(scan, "no digit behind the point");
        }
        if (take(scan, 'e') || take(scan, 'E')) {
                is_integer = false;
                if (!take(scan, '-'))
                        (void)take(scan, '+');
                n_exponent = skip_digits(scan);
                if (n_exponent == 0 || n_exponent > EXPONENT_DIGITS_MAX)
                        return refuse(scan, "bad exponent");
        }
        if (is_integer)
                return check_integer(scan, digits, n);
        if (scan->at - start > NUMBER_LENGTH_MAX || count_significant(digits, scan->at) > NUMBER_DIGITS_MAX)
                return refuse(scan, "number with too many digits");
        return true;
}

static bool scan_value(struct scan *scan);

static bool scan_member(struct scan *scan)
{
        skip_space(scan);
        if (!take(scan, '"'))
                return refuse(scan, "no member name");
        if (!scan_string(scan))
                return false;
        skip_space(scan);
        return take(scan, ':') ? scan_value(scan) : refuse(scan, "no colon behind a member name");
}

/* Behind the opening bracket. */
static bool scan_container(struct scan *scan, char closing, bool (*scan_child)(struct scan *scan))
{
        if (++scan->depth > JSON_DEPTH_MAX)
                return refuse(scan, "nested too deeply");
        skip_space(scan);
        if (!take(scan, closing)) {
                do {
                        if (!scan_child(scan))
                                return false;
                        skip_space(scan);
                } while (take(scan, ','));
                if (!take(scan, closing))
                        return refuse(scan, "no comma or closing bracket");
        }
        scan->depth--;
        return true;
}

static bool take_word(struct scan *scan, const char *word)
{
        size_t length = strlen(word);

        if ((size_t)(scan->end - scan->at) < length || memcmp(scan->at, word, length) != 0)
                return false;
        scan->at += length;
        return true;
}

static bool scan_value(struct scan *scan)
{
        skip_space(scan);
        if (take(scan, '{'))
                return scan_container(scan, '}', scan_member);
        if (take(scan, '['))
                return scan_container(scan, ']', scan_value);
        if (take(scan, '"'))
                return scan_string(scan);
        if (take_word(scan, "true") || take_word(scan, "false") || take_word(scan, "null"))
                return true;
        return scan_number(scan);
}

bool json_scan(const char *text, size_t length, const char **ret_why, size_t *ret_at)
{
        const unsigned char *start = (const unsigned char *)text;
        struct scan scan = {.at = start, .end = start + length};

        if (scan_value(&scan)) {
                skip_space(&scan);
                if (scan.at == scan.end)
                        return true;
                scan.why = "something behind the value";
        }
        *ret_why = scan.why;
        *ret_at = (size_t)(scan.at - start);
        return false;
}
