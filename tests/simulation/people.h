/* SPDX-License-Identifier: MIT */
#pragma once

/* Operators, passers-by with psql, and fate: whatever happens to the daemon and its servers during chaos. */

struct sim;

void people_start(
        struct sim *sim); /* decoys, and the first of all that happens; ends by itself when it is calm */
void people_calm(struct sim *sim); /* what is broken is mended */
