/* SPDX-License-Identifier: MIT */

#include "client/cli/print.h"

#include "proto/json.h"

#include <inttypes.h>
#include <langinfo.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

#define FIELD_INDENT 13
#define WIDTH        80
#define WIDTH_MIN    40

int print_width(void)
{
        struct winsize size;

        if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col < WIDTH_MIN)
                return WIDTH;
        return size.ws_col;
}

static bool wants_color(const struct cli *cli)
{
        const char *when = cli->options.color ? cli->options.color : "auto";
        const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");

        if (strcmp(when, "auto"))
                return !strcmp(when, "always");
        return isatty(STDOUT_FILENO) && !(no_color && *no_color) && term && strcmp(term, "dumb");
}

const char *print_start(const struct cli *cli, enum print_color color)
{
        static const char *const sequences[] = {
                [PRINT_PLAIN] = "",           [PRINT_GOOD] = "\033[32m", [PRINT_BAD] = "\033[1;31m",
                [PRINT_WARNING] = "\033[33m", [PRINT_FAINT] = "\033[2m",
        };

        return wants_color(cli) ? sequences[color] : "";
}

const char *print_stop(const struct cli *cli)
{
        return wants_color(cli) ? "\033[0m" : "";
}

static bool is_utf8(void)
{
        return !strcmp(nl_langinfo(CODESET), "UTF-8");
}

const char *print_bullet(void)
{
        return is_utf8() ? "●" : "*";
}

const char *print_ellipsis(void)
{
        return is_utf8() ? "…" : "~";
}

/* One character from the text on; *ret_columns is what it takes on a terminal. Bytes that are none count as
 * one each. */
static size_t step(const char *text, int *ret_columns)
{
        wchar_t character;
        mbstate_t state = {0};
        size_t n = mbrtowc(&character, text, MB_CUR_MAX, &state);

        if (n == 0 || n > MB_CUR_MAX) {
                *ret_columns = 1;
                return 1;
        }
        *ret_columns = wcwidth(character) < 0 ? 1 : wcwidth(character);
        return n;
}

int print_columns(const char *text)
{
        int columns, sum = 0;

        while (*text) {
                text += step(text, &columns);
                sum += columns;
        }
        return sum;
}

size_t print_fit(const char *text, int columns)
{
        const char *at = text;
        int taken = 0, next;

        while (*at) {
                size_t n = step(at, &next);

                if (taken + next > columns)
                        break;
                taken += next;
                at += n;
        }
        return (size_t)(at - text);
}

char *print_cut(const char *text, int columns)
{
        char *cut = NULL;

        if (print_columns(text) <= columns)
                return strdup(text);
        if (asprintf(&cut, "%.*s%s", (int)print_fit(text, columns - 1), text, print_ellipsis()) < 0)
                return NULL;
        return cut;
}

char *print_cut_middle(const char *text, int columns)
{
        int left = (columns - 1) / 2, right = print_columns(text) - (columns - 1 - left), next;
        const char *end = text, *tail = text;
        char *cut = NULL;

        if (print_columns(text) <= columns || columns < 3)
                return print_cut(text, columns);
        for (int taken = 0;;) {
                size_t n = step(end, &next);

                if (taken + next > left)
                        break;
                taken += next;
                end += n;
        }
        for (int skipped = 0; skipped < right; skipped += next)
                tail += step(tail, &next);
        if (asprintf(&cut, "%.*s%s%s", (int)(end - text), text, print_ellipsis(), tail) < 0)
                return NULL;
        return cut;
}

void print_fitted_at(int column, const char *rest)
{
        char *cut = isatty(STDOUT_FILENO) ? print_cut(rest, print_width() - column) : NULL;

        (void)puts(cut ? cut : rest);
        free(cut);
}

void print_fitted(const char *line)
{
        print_fitted_at(0, line);
}

/* C1 controls come as two bytes, C2 80 to C2 9F: a terminal takes some of them for an ESC and more. */
static bool is_control(const unsigned char *text)
{
        return *text < 0x20 || *text == 0x7f || (text[0] == 0xc2 && text[1] >= 0x80 && text[1] < 0xa0);
}

void print_make_plain(char *text)
{
        for (char *at = text; *at; at++) {
                if (!is_control((unsigned char *)at))
                        continue;
                if ((unsigned char)*at == 0xc2)
                        *at++ = '?';
                *at = *at == '\n' || *at == '\t' ? ' ' : '?';
        }
}

int64_t print_now_usec(void)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_REALTIME, &now);
        return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

const char *print_age(int64_t since_usec, char ret_text[BERTH_DURATION_SIZE])
{
        return berth_format_duration(print_now_usec() - since_usec, ret_text);
}

const char *print_time(int64_t usec, char ret_text[PRINT_TIME_SIZE])
{
        time_t sec = (time_t)(usec / 1000000);
        struct tm local;

        if (!localtime_r(&sec, &local) ||
            !strftime(ret_text, PRINT_TIME_SIZE, "%a %Y-%m-%d %H:%M:%S %Z", &local))
                (void)snprintf(ret_text, PRINT_TIME_SIZE, "?");
        return ret_text;
}

const char *print_count(int64_t number, char ret_text[PRINT_COUNT_SIZE])
{
        char digits[24];
        size_t n, used = 0;

        (void)snprintf(digits, sizeof(digits), "%" PRId64, number < 0 ? 0 : number);
        n = strlen(digits);
        for (size_t i = 0; i < n; i++) {
                if (i && (n - i) % 3 == 0)
                        ret_text[used++] = ',';
                ret_text[used++] = digits[i];
        }
        ret_text[used] = '\0';
        return ret_text;
}

const char *print_user(int64_t uid, char ret_text[PRINT_USER_SIZE])
{
        const struct passwd *user = getpwuid((uid_t)uid);

        if (user)
                (void)snprintf(ret_text, PRINT_USER_SIZE, "%s", user->pw_name);
        else
                (void)snprintf(ret_text, PRINT_USER_SIZE, "%" PRId64, uid);
        return ret_text;
}

const char *print_reason(const char *message, char ret_text[PRINT_REASON_SIZE])
{
        static const char *const openings[] = {" failed: ", "FATAL:  ", "FATAL: "};
        const char *end, *found;

        for (size_t i = 0; i < sizeof(openings) / sizeof(openings[0]); i++) {
                found = strstr(message, openings[i]);
                if (found)
                        message = found + strlen(openings[i]);
        }
        end = strstr(message, "Is the server running");
        (void)snprintf(ret_text, PRINT_REASON_SIZE, "%.*s", end ? (int)(end - message) : PRINT_REASON_SIZE,
                       message);
        for (char *at = ret_text; *at; at++)
                if ((unsigned char)*at < 0x20)
                        *at = ' ';
        for (size_t n = strlen(ret_text); n && ret_text[n - 1] == ' '; n--)
                ret_text[n - 1] = '\0';
        return ret_text;
}

void print_field_begin(struct print_field *field, const struct cli *cli, const char *label)
{
        *field = (struct print_field){.cli = cli, .column = FIELD_INDENT, .is_first = true};
        (void)printf("%*s: ", FIELD_INDENT - 2, label);
}

/* Where the item does not fit behind it, a new line takes the place of the separator's spaces. */
static void print_separator(struct print_field *field, const char *separator, int columns)
{
        size_t length = strlen(separator);

        field->column += (int)length;
        if (field->column + columns < print_width()) {
                (void)fputs(separator, stdout);
                return;
        }
        while (length && separator[length - 1] == ' ')
                length--;
        (void)printf("%.*s\n%*s", (int)length, separator, FIELD_INDENT, "");
        field->column = FIELD_INDENT;
}

void print_field_item(struct print_field *field, enum print_color color, const char *separator,
                      const char *format, ...)
{
        char text[400];
        va_list arguments;
        int columns;

        va_start(arguments, format);
        (void)vsnprintf(text, sizeof(text), format, arguments);
        va_end(arguments);
        columns = print_columns(text);
        if (!field->is_first)
                print_separator(field, separator, columns);
        field->is_first = false;
        field->column += columns;
        (void)printf("%s%s%s", print_start(field->cli, color), text, print_stop(field->cli));
}

void print_field_end(struct print_field *field)
{
        (void)puts(field->is_first ? "-" : "");
}

void print_json(const struct cJSON *value)
{
        char *text = json_print(value);

        (void)puts(text ? text : "null");
        free(text);
}
