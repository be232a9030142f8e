/* SPDX-License-Identifier: MIT */
#pragma once

/* For doctor.c: the table of what is looked at in a database, and what each row found. */

#include "service/doctor.h"

struct doctor_look {
        const struct doctor_sources *sources;
        const char *database;
        const struct pg_answer *answer; /* to PG_DIAGNOSE, or why there is none */
};

struct doctor_found {
        enum finding_level level;
        char *what, *why, *fix; /* owned */
};

enum doctor_scope { DOCTOR_DATABASE, DOCTOR_SERVER };

struct doctor_check {
        const char *name;
        enum doctor_scope scope; /* DOCTOR_SERVER: once for all databases of a server */
        void (*run)(const struct doctor_look *look, struct doctor_found *ret);
};

/* Ends with a row without a name. The first, reachable, is the only one that is run without an answer. */
extern const struct doctor_check doctor_checks[];

/* Fills *ret; what, why and fix are taken. */
void doctor_is_well(struct doctor_found *ret, char *what);
void doctor_warns(struct doctor_found *ret, char *what, char *why, char *fix);
void doctor_complains(struct doctor_found *ret, char *what, char *why, char *fix);
