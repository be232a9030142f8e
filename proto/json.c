/* SPDX-License-Identifier: MIT */
#include "json.h"

#include "json_print.h"
#include "json_scan.h"

#include <assert.h>
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Up to so many members each is compared with each; beyond, pointers to the names are sorted. */
#define MEMBERS_COMPARED_MAX 16

#define NAME_SHOWN_MAX 40

void *(*json_allocate)(size_t size) = malloc;
void (*json_release)(void *memory) = free;

void json_use_allocator(void *(*allocate)(size_t), void (*release)(void *))
{
        cJSON_Hooks hooks = {.malloc_fn = allocate, .free_fn = release};

        cJSON_InitHooks(&hooks);
        json_allocate = allocate;
        json_release = release;
}

/* ---- parsing ---- */

static bool refuse_doubled(const char *name, char *message)
{
        size_t length = strnlen(name, NAME_SHOWN_MAX);

        for (size_t i = 0; i < length; i++)
                if (name[i] < 0x20 || name[i] > 0x7e)
                        length = i; /* the rest is not for a terminal */
        (void)snprintf(message, JSON_MESSAGE_SIZE, "doubled member name \"%.*s\"", (int)length, name);
        return false;
}

static int compare_names(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool check_many_names(const cJSON *object, size_t n, char *message)
{
        const char **names = json_allocate(n * sizeof(*names));
        const char *doubled = NULL;
        size_t i = 0;

        if (!names) {
                (void)snprintf(message, JSON_MESSAGE_SIZE, "no memory");
                return false;
        }
        for (const cJSON *member = object->child; member; member = member->next)
                names[i++] = member->string;
        qsort(names, n, sizeof(*names), compare_names);
        for (i = 1; i < n && !doubled; i++)
                if (strcmp(names[i - 1], names[i]) == 0)
                        doubled = names[i];
        json_release(names);
        if (doubled)
                return refuse_doubled(doubled, message);
        return true;
}

static bool check_few_names(const cJSON *object, char *message)
{
        for (const cJSON *member = object->child; member; member = member->next)
                for (const cJSON *other = object->child; other != member; other = other->next)
                        if (strcmp(other->string, member->string) == 0)
                                return refuse_doubled(member->string, message);
        return true;
}

/* After parsing, because "a" and "\u0061" are the same name. */
static bool check_names(const cJSON *value, char *message)
{
        size_t n = 0;

        for (const cJSON *child = value->child; child; child = child->next, n++)
                if (child->child && !check_names(child, message))
                        return false;
        if (!cJSON_IsObject(value))
                return true;
        return n > MEMBERS_COMPARED_MAX ? check_many_names(value, n, message)
                                        : check_few_names(value, message);
}

cJSON *json_parse(const char *text, size_t length, char message[JSON_MESSAGE_SIZE])
{
        const char *why;
        size_t at;
        cJSON *value;

        if (!json_scan(text, length, &why, &at)) {
                (void)snprintf(message, JSON_MESSAGE_SIZE, "%s at byte %zu", why, at + 1);
                return NULL;
        }
        value = cJSON_ParseWithLength(text, length);
        if (!value) {
                (void)snprintf(message, JSON_MESSAGE_SIZE, "no memory");
                return NULL;
        }
        return check_names(value, message) ? value : json_free(value);
}

cJSON *json_free(cJSON *value)
{
        cJSON_Delete(value);
        return NULL;
}

/* ---- reading ---- */

bool json_is_object(const cJSON *value)
{
        return cJSON_IsObject(value);
}

bool json_is_array(const cJSON *value)
{
        return cJSON_IsArray(value);
}

const cJSON *json_get(const cJSON *object, const char *name)
{
        const cJSON *member = NULL;

        if (cJSON_IsObject(object))
                member = cJSON_GetObjectItemCaseSensitive(object, name);
        return cJSON_IsNull(member) ? NULL : member;
}

const char *json_string(const cJSON *value)
{
        return cJSON_GetStringValue(value);
}

const char *json_get_string(const cJSON *object, const char *name)
{
        return json_string(json_get(object, name));
}

bool json_get_bool(const cJSON *object, const char *name, bool otherwise)
{
        const cJSON *member = json_get(object, name);

        return cJSON_IsBool(member) ? cJSON_IsTrue(member) : otherwise;
}

bool json_integer(const cJSON *value, int64_t *ret)
{
        double number;

        if (!cJSON_IsNumber(value))
                return false;
        number = value->valuedouble;
        /* The range first: beyond it the conversion is undefined. */
        if (number < -(double)JSON_INTEGER_MAX || number > (double)JSON_INTEGER_MAX ||
            (double)(int64_t)number != number)
                return false;
        *ret = (int64_t)number;
        return true;
}

int64_t json_get_integer(const cJSON *object, const char *name, int64_t otherwise)
{
        int64_t number;

        return json_integer(json_get(object, name), &number) ? number : otherwise;
}

double json_get_number(const cJSON *object, const char *name, double otherwise)
{
        const cJSON *member = json_get(object, name);

        return cJSON_IsNumber(member) ? member->valuedouble : otherwise;
}

const cJSON *json_first(const cJSON *container)
{
        return container ? container->child : NULL;
}

const cJSON *json_next(const cJSON *value)
{
        return value->next;
}

const char *json_name(const cJSON *value)
{
        return value->string;
}

void json_edit_strings(cJSON *value, void (*edit)(char *text))
{
        cJSON *child;

        if (cJSON_IsString(value))
                edit(value->valuestring);
        cJSON_ArrayForEach (child, value)
                json_edit_strings(child, edit);
}

/* ---- taking apart ---- */

static bool read_member(const cJSON *member, enum json_type type, char *target)
{
        bool fits = false;

        switch (type) {
        case JSON_STRING:
                fits = cJSON_IsString(member);
                if (fits)
                        *(const char **)(void *)target = member->valuestring;
                break;
        case JSON_BOOL:
                fits = cJSON_IsBool(member);
                if (fits)
                        *(bool *)target = cJSON_IsTrue(member);
                break;
        case JSON_INTEGER:
                fits = json_integer(member, (int64_t *)(void *)target);
                break;
        case JSON_OBJECT:
        case JSON_ARRAY:
                fits = type == JSON_OBJECT ? cJSON_IsObject(member) : cJSON_IsArray(member);
                if (fits)
                        *(const cJSON **)(void *)target = member;
                break;
        }
        return fits;
}

static const struct json_field *find_field(const struct json_field *fields, const char *name)
{
        for (; fields->name; fields++)
                if (strcmp(fields->name, name) == 0)
                        return fields;
        return NULL;
}

bool json_read(const cJSON *object, const struct json_field *fields, void *target, const char **ret_field)
{
        assert(!object || cJSON_IsObject(object));
        for (const cJSON *member = json_first(object); member; member = member->next) {
                const struct json_field *field = find_field(fields, member->string);

                *ret_field = member->string;
                if (!field)
                        return false;
                if (cJSON_IsNull(member))
                        continue;
                if (!read_member(member, field->type, (char *)target + field->offset))
                        return false;
                if (field->present_offset)
                        *(bool *)((char *)target + field->present_offset) = true;
        }
        for (; fields->name; fields++) {
                *ret_field = fields->name;
                if (fields->required && !json_get(object, fields->name))
                        return false;
        }
        return true;
}

/* ---- building ---- */

cJSON *json_object(void)
{
        return cJSON_CreateObject();
}

cJSON *json_array(void)
{
        return cJSON_CreateArray();
}

bool json_add(cJSON *object, const char *name, cJSON *value)
{
        if (value && cJSON_AddItemToObject(object, name, value))
                return true;
        cJSON_Delete(value);
        return false;
}

bool json_append(cJSON *array, cJSON *value)
{
        if (value && cJSON_AddItemToArray(array, value))
                return true;
        cJSON_Delete(value);
        return false;
}

bool json_add_string(cJSON *object, const char *name, const char *text)
{
        if (!text)
                return object != NULL;
        return json_add(object, name, cJSON_CreateString(text));
}

bool json_add_integer(cJSON *object, const char *name, int64_t number)
{
        if (number < -JSON_INTEGER_MAX || number > JSON_INTEGER_MAX)
                return false;
        return json_add(object, name, cJSON_CreateNumber((double)number));
}

bool json_add_number(cJSON *object, const char *name, double number)
{
        if (!isfinite(number))
                return false;
        return json_add(object, name, cJSON_CreateNumber(number));
}

bool json_add_bool(cJSON *object, const char *name, bool truth)
{
        return json_add(object, name, cJSON_CreateBool(truth));
}

bool json_add_null(cJSON *object, const char *name)
{
        return json_add(object, name, cJSON_CreateNull());
}

bool json_append_string(cJSON *array, const char *text)
{
        if (!text)
                return array != NULL;
        return json_append(array, cJSON_CreateString(text));
}

cJSON *json_copy(const cJSON *value)
{
        return cJSON_Duplicate(value, true);
}
