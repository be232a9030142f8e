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
 * first that is not 0 on (DBL_DIG), so that two different numbers never become one double, and 0.99... never
 * becomes 1; and the power of ten of that digit is at most 99 either way, so that none becomes infinite or 0.
 */

#define NUMBER_LENGTH_MAX 40
#define NUMBER_DIGITS_MAX 15
#define MAGNITUDE_MAX     99
#define INTEGER_MAX_TEXT  "9007199254740991" /* JSON_INTEGER_MAX */

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
        if (unit < 0xdc00 || unit > 0xdfff)
                return refuse(scan, "lone surrogate");
        return true;
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

static bool check_integer(struct scan *scan, const unsigned char *digits, size_t n)
{
        const size_t max = strlen(INTEGER_MAX_TEXT);

        if (n > max || (n == max && memcmp(digits, INTEGER_MAX_TEXT, max) > 0))
                return refuse(scan, "integer beyond 2^53 - 1");
        return true;
}

/* Behind the e: a sign, then at most three digits. */
static bool take_exponent(struct scan *scan, int *ret)
{
        bool is_negative = take(scan, '-');
        const unsigned char *digits;
        size_t n;

        if (!is_negative)
                (void)take(scan, '+');
        digits = scan->at;
        n = skip_digits(scan);
        if (n == 0 || n > 3)
                return refuse(scan, "bad exponent");
        *ret = 0;
        for (size_t i = 0; i < n; i++)
                *ret = *ret * 10 + digits[i] - '0';
        if (is_negative)
                *ret = -*ret;
        return true;
}

/* digits up to end, a point among them, times ten to the exponent */
static bool check_inexact(struct scan *scan, const unsigned char *digits, const unsigned char *end,
                          int exponent)
{
        size_t n_significant = 0;
        int magnitude = exponent - 1; /* power of ten of the first significant digit */
        bool is_behind_point = false;

        for (const unsigned char *c = digits; c < end; c++) {
                if (*c == '.') {
                        is_behind_point = true;
                        continue;
                }
                if (n_significant || *c != '0')
                        n_significant++;
                if (!is_behind_point && n_significant)
                        magnitude++;
                if (is_behind_point && !n_significant)
                        magnitude--;
        }
        if (n_significant > NUMBER_DIGITS_MAX || end - digits > NUMBER_LENGTH_MAX)
                return refuse(scan, "number with too many digits");
        if (n_significant && (magnitude < -MAGNITUDE_MAX || magnitude > MAGNITUDE_MAX))
                return refuse(scan, "number too large or too small");
        return true;
}

static bool scan_number(struct scan *scan)
{
        const unsigned char *digits, *end;
        int exponent = 0;
        size_t n;

        (void)take(scan, '-');
        digits = scan->at;
        n = skip_digits(scan);
        if (n == 0)
                return refuse(scan, "not a value");
        if (n > 1 && *digits == '0')
                return refuse(scan, "leading zero");
        if (take(scan, '.') && skip_digits(scan) == 0)
                return refuse(scan, "no digit behind the point");
        end = scan->at;
        if ((take(scan, 'e') || take(scan, 'E')) && !take_exponent(scan, &exponent))
                return false;
        if (scan->at == digits + n)
                return check_integer(scan, digits, n);
        return check_inexact(scan, digits, end, exponent);
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
