/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Which life of the daemon is this? A token as of a namespace: pid, start, and instead of chance the host as the
 * pid has a meaning on it, this boot and this pid namespace. Whoever reads it on the same host can tell whether
 * that daemon is still alive.
 */

#include "proto/names.h"
#include "seam/env.h"

void life_token(struct env *env, char ret[NAMES_NAMESPACE_MAX + 1]);
