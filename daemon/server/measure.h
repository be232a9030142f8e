/* SPDX-License-Identifier: MIT */
#pragma once

/* The services in figures (core/metrics.h): what they count by themselves, and what is looked up when asked. */

#include "server/services.h"

void measure_begin(struct services *services); /* when all of them have been made */
void measure_end(struct services *services);
/* A sweep has finished. */
void measure_sweep(struct services *services, const struct sweep_result *result);
/* As Prometheus reads it; the caller frees. */
char *measure_print(struct services *services);
