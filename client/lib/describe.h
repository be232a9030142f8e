/* SPDX-License-Identifier: MIT */
#pragma once

/* Values of the wire in words. */

#include <stddef.h>

struct cJSON;

/* "gw3 of p18… for 1.2s, gw1 of p20… for 3s"; "" for an empty array or NULL */
void describe_holders(const struct cJSON *holders, char *text, size_t size);
/* "held by pytest -n 8 (pid 4242, uid 1000) for 3min"; "its holder is not known" for NULL */
void describe_owner(const struct cJSON *holder, char *text, size_t size);
