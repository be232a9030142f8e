/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Scope-bound clean-up, after systemd's and dbus-broker's habit: a variable marked _cleanup_(f) is passed to f when
 * its scope ends; TAKE() moves a pointer out of it.
 */

#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

#define DEFINE_CLEANUP(type, free_function)                                                                  \
        static inline void free_function##p(type *p)                                                         \
        {                                                                                                    \
                if (*p)                                                                                      \
                        free_function(*p);                                                                   \
        }

#define TAKE(pointer)                                                                                        \
        ({                                                                                                   \
                __typeof__(pointer) *_source = &(pointer);                                                   \
                __typeof__(pointer) _taken = *_source;                                                       \
                *_source = NULL;                                                                             \
                _taken;                                                                                      \
        })

static inline void freep(void *p)
{
        free(*(void **)p);
}

static inline void closep(int *fd)
{
        if (*fd >= 0)
                (void)close(*fd);
}

#define _cleanup_free_  _cleanup_(freep)
#define _cleanup_close_ _cleanup_(closep)

#define MUST_CHECK __attribute__((warn_unused_result))
