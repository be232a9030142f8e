/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

#define GIT_HEAD_SIZE 65 /* SHA-256 in hex digits, and a NUL */

/* The commit of the work tree that this folder is in, read from git's own files. False: none is known. */
bool git_head(char ret_head[GIT_HEAD_SIZE]);
