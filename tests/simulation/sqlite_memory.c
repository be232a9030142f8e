/* SPDX-License-Identifier: MIT */
#include "sqlite_memory.h"

#include <sqlite3.h>
#include <stddef.h>

/* glibc's own names for its allocator, which no sanitizer puts itself in front of. */
extern void *__libc_malloc(size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void __libc_free(void *memory);

/* In front of each block: its size. */
union header {
        int size;
        max_align_t align;
};

static void *with_header(union header *header, int size)
{
        if (!header)
                return NULL;
        header->size = size;
        return header + 1;
}

static void *take(int size)
{
        return with_header(__libc_malloc(sizeof(union header) + (size_t)size), size);
}

static void give_back(void *memory)
{
        __libc_free((union header *)memory - 1);
}

static void *resize(void *memory, int size)
{
        return with_header(__libc_realloc((union header *)memory - 1, sizeof(union header) + (size_t)size),
                           size);
}

static int size_of(void *memory)
{
        return ((union header *)memory - 1)->size;
}

static int round_up(int size)
{
        return (size + 7) & ~7;
}

static int begin(void *nothing)
{
        (void)nothing;
        return SQLITE_OK;
}

static void end(void *nothing)
{
        (void)nothing;
}

void sqlite_memory_use_libc(void)
{
        static const sqlite3_mem_methods methods = {
                .xMalloc = take,
                .xFree = give_back,
                .xRealloc = resize,
                .xSize = size_of,
                .xRoundup = round_up,
                .xInit = begin,
                .xShutdown = end,
        };

        (void)sqlite3_config(SQLITE_CONFIG_MALLOC, &methods);
        (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
        (void)sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
}
