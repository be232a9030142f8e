/* SPDX-License-Identifier: MIT */
#pragma once

/* One row of the table of methods. */

struct call;
struct outcome;
struct services;

enum method_flags {
        METHOD_NEEDS_MORE = 1 << 0, /* without 'more' it is ExpectedMore */
        METHOD_HOLDS = 1 << 1,      /* 'oneway' would lose what it gives: the connection is closed */
};

typedef struct outcome *method_fn(struct call *call, struct services *services);

struct method {
        const char *name; /* "io.berth.lease.Acquire"; NULL ends the table */
        method_fn *run;
        unsigned flags;
};
