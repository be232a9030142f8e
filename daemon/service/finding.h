/* SPDX-License-Identifier: MIT */
#pragma once

/* What a check of berth doctor has found. */

enum finding_level {
        FINDING_OK,
        FINDING_WARNING, /* works, and will hurt somebody */
        FINDING_PROBLEM, /* does not work */
};

/* Valid during the call only. */
struct finding {
        const char *check;    /* its name in the table */
        const char *database; /* it is about, or NULL */
        enum finding_level level;
        const char *what;
        const char *why, *fix; /* NULL where all is well */
};

typedef void finding_fn(void *owner, const struct finding *finding);
