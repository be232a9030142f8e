/* SPDX-License-Identifier: MIT */
#include "util/alloc.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* Only write(2) and _exit(2): there is no memory for anything that might want some. */
void alloc_failed(void)
{
        static const char text[] =
                "<3>out of memory; the process ends here; the ledger has all it needs to go on\n";

        if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
                _exit(EX_OSERR);
        _exit(EX_OSERR);
}

void *alloc_zero(size_t size)
{
        void *memory = calloc(1, size ? size : 1);

        if (!memory)
                alloc_failed();
        return memory;
}

void *alloc_array(void *old, size_t n, size_t size)
{
        void *memory = reallocarray(old, n ? n : 1, size ? size : 1);

        if (!memory)
                alloc_failed();
        return memory;
}

char *alloc_string(const char *text)
{
        char *copy = text ? strdup(text) : NULL;

        if (text && !copy)
                alloc_failed();
        return copy;
}

char *alloc_printf(const char *format, ...)
{
        char *text = NULL;
        va_list arguments;
        int n;

        va_start(arguments, format);
        n = vasprintf(&text, format, arguments);
        va_end(arguments);
        if (n < 0)
                alloc_failed();
        return text;
}
