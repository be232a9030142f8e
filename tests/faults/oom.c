/* SPDX-License-Identifier: MIT */
#include "oom.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The linker gives __real_ its meaning, and sends the callers of the plain names to __wrap_. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_reallocarray(void *old, size_t n, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t size);
int __real_vasprintf(char **ret, const char *format, va_list arguments);
void __real_free(void *memory);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_reallocarray(void *old, size_t n, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t size);
int __wrap_vasprintf(char **ret, const char *format, va_list arguments);
int __wrap_asprintf(char **ret, const char *format, ...) __attribute__((format(printf, 2, 3)));
void __wrap_free(void *memory);

static atomic_bool armed, failed;
static bool for_ever;
static long fail_at;
static atomic_long n_allocations, n_live;

void oom_arm(long at, bool again)
{
        fail_at = at;
        for_ever = again;
        atomic_store(&n_allocations, 0);
        atomic_store(&failed, false);
        atomic_store(&armed, true);
}

void oom_disarm(void)
{
        atomic_store(&armed, false);
}

long oom_count(void)
{
        return atomic_load(&n_allocations);
}

bool oom_has_failed(void)
{
        return atomic_load(&failed);
}

long oom_live(void)
{
        return atomic_load(&n_live);
}

static bool fails(void)
{
        long n;

        if (!atomic_load(&armed))
                return false;
        n = atomic_fetch_add(&n_allocations, 1) + 1;
        if (!fail_at || n < fail_at || (n > fail_at && !for_ever))
                return false;
        atomic_store(&failed, true);
        errno = ENOMEM;
        return true;
}

static void *counted(void *memory)
{
        if (memory)
                atomic_fetch_add(&n_live, 1);
        return memory;
}

void *__wrap_malloc(size_t size)
{
        return fails() ? NULL : counted(__real_malloc(size));
}

void *__wrap_calloc(size_t n, size_t size)
{
        return fails() ? NULL : counted(__real_calloc(n, size));
}

void *__wrap_realloc(void *old, size_t size)
{
        void *memory = fails() ? NULL : __real_realloc(old, size);

        return old ? memory : counted(memory);
}

void *__wrap_reallocarray(void *old, size_t n, size_t size)
{
        void *memory = fails() ? NULL : __real_reallocarray(old, n, size);

        return old ? memory : counted(memory);
}

char *__wrap_strdup(const char *text)
{
        return fails() ? NULL : counted(__real_strdup(text));
}

char *__wrap_strndup(const char *text, size_t size)
{
        return fails() ? NULL : counted(__real_strndup(text, size));
}

int __wrap_vasprintf(char **ret, const char *format, va_list arguments)
{
        int n = fails() ? -1 : __real_vasprintf(ret, format, arguments);

        if (n >= 0)
                (void)counted(*ret);
        return n;
}

int __wrap_asprintf(char **ret, const char *format, ...)
{
        va_list arguments;
        int n;

        va_start(arguments, format);
        n = __wrap_vasprintf(ret, format, arguments);
        va_end(arguments);
        return n;
}

void __wrap_free(void *memory)
{
        if (memory)
                atomic_fetch_sub(&n_live, 1);
        __real_free(memory);
}

void *oom_allocate(size_t size)
{
        return __wrap_malloc(size);
}

void oom_release(void *memory)
{
        __wrap_free(memory);
}
