/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

/* The nearest of the words to one that was mistyped, NULL if none is near. */
const char *suggest_nearest(const char *typed, const char *const *words, size_t n);
