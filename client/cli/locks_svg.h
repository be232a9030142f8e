/* SPDX-License-Identifier: MIT */
#pragma once

/* Who blocks whom, as a picture: a box for each session, in rows from those that wait to those that hold everybody up. */

#include <stdio.h>

struct cJSON;

/* locks: an array of replies of ListLocks. A whole SVG document. 0, or -1: no memory. */
int locks_svg(const struct cJSON *locks, FILE *out);
