/* SPDX-License-Identifier: MIT */
#include "json_print.h"

#include "json.h"
#include "json_scan.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

/*
 * Text of a value. cJSON's own printer writes 1745178234000000, a usual time in microseconds,
 * as 1.745178234e+15, which typed readers refuse as an integer; and it passes on bytes that are not UTF-8
 * (text of a server, a file name), with which a reader closes the connection. Here integers are digits, and
 * each such byte is U+FFFD.
 */

#define INDENT 2

struct buffer {
        char *text; /* NULL: nothing yet */
        size_t length, size;
        bool failed;
        bool pretty;
        unsigned depth;
};

static bool reserve(struct buffer *buffer, size_t more)
{
        size_t size = buffer->size ? buffer->size : 256;
        char *text;

        if (buffer->failed || buffer->length + more <= buffer->size)
                return !buffer->failed;
        while (size < buffer->length + more)
                size *= 2;
        text = json_allocate(size);
        if (!text) {
                buffer->failed = true;
                return false;
        }
        if (buffer->text) {
                memcpy(text, buffer->text, buffer->length);
                json_release(buffer->text);
        }
        buffer->text = text;
        buffer->size = size;
        return true;
}

static void put(struct buffer *buffer, const char *text, size_t length)
{
        if (!length || !reserve(buffer, length))
                return;
        memcpy(buffer->text + buffer->length, text, length);
        buffer->length += length;
}

static void put_text(struct buffer *buffer, const char *text)
{
        put(buffer, text, strlen(text));
}

static void put_escape(struct buffer *buffer, unsigned char c)
{
        static const char with_letter[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
        const char *found = strchr(with_letter, c);
        char text[8];

        if (found)
                (void)snprintf(text, sizeof(text), "\\%c", letters[found - with_letter]);
        else
                (void)snprintf(text, sizeof(text), "\\u%04x", c);
        put_text(buffer, text);
}

static void put_string(struct buffer *buffer, const char *string)
{
        const unsigned char *at = (const unsigned char *)string;
        const unsigned char *end = at + strlen(string);

        put(buffer, "\"", 1);
        while (at < end) {
                const unsigned char *plain = at;
                size_t length = 1;

                while (at < end && *at >= 0x20 && *at != '"' && *at != '\\' && length) {
                        length = *at < 0x80 ? 1 : json_utf8_length(at, (size_t)(end - at));
                        at += length;
                }
                put(buffer, (const char *)plain, (size_t)(at - plain));
                if (at == end)
                        break;
                if (length)
                        put_escape(buffer, *at);
                else
                        put_text(buffer, "\xef\xbf\xbd");
                at++;
        }
        put(buffer, "\"", 1);
}

static void put_number(struct buffer *buffer, const cJSON *value)
{
        char text[32];
        int64_t integer;

        if (json_integer(value, &integer))
                (void)snprintf(text, sizeof(text), "%lld", (long long)integer);
        else
                (void)snprintf(text, sizeof(text), "%.15g", value->valuedouble);
        put_text(buffer, text);
}

static void put_line_break(struct buffer *buffer)
{
        if (!buffer->pretty)
                return;
        put(buffer, "\n", 1);
        for (unsigned i = 0; i < buffer->depth * INDENT; i++)
                put(buffer, " ", 1);
}

static void put_value(struct buffer *buffer, const cJSON *value);

static void put_container(struct buffer *buffer, const cJSON *container, const char *brackets)
{
        put(buffer, &brackets[0], 1);
        buffer->depth++;
        for (const cJSON *child = container->child; child; child = child->next) {
                if (child != container->child)
                        put(buffer, ",", 1);
                put_line_break(buffer);
                if (child->string) {
                        put_string(buffer, child->string);
                        put(buffer, ": ", buffer->pretty ? 2 : 1);
                }
                put_value(buffer, child);
        }
        buffer->depth--;
        if (container->child)
                put_line_break(buffer);
        put(buffer, &brackets[1], 1);
}

static void put_value(struct buffer *buffer, const cJSON *value)
{
        if (cJSON_IsObject(value))
                put_container(buffer, value, "{}");
        else if (cJSON_IsArray(value))
                put_container(buffer, value, "[]");
        else if (cJSON_IsString(value))
                put_string(buffer, value->valuestring);
        else if (cJSON_IsNumber(value))
                put_number(buffer, value);
        else if (cJSON_IsBool(value))
                put_text(buffer, cJSON_IsTrue(value) ? "true" : "false");
        else
                put_text(buffer, "null");
}

static char *print(const cJSON *value, bool pretty)
{
        struct buffer buffer = {.pretty = pretty};

        put_value(&buffer, value);
        put(&buffer, "", 1);
        if (!buffer.failed)
                return buffer.text;
        json_release(buffer.text);
        return NULL;
}

char *json_print(const cJSON *value)
{
        return print(value, false);
}

char *json_print_pretty(const cJSON *value)
{
        return print(value, true);
}
