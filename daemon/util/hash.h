/* SPDX-License-Identifier: MIT */
#pragma once

/* uthash, whose own answer to a lack of memory is exit(-1) without a word. */

#include "util/alloc.h"

#define uthash_fatal(message) alloc_failed()

#include <uthash.h>
