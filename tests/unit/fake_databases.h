/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Stands in for service/databases: clusters that are known, and clusters that have to be asked for. A test
 * that links it must not link the real one.
 */

#include "fake_env.h"
#include "service/databases.h"

struct databases *fake_databases_new(struct fake_env *fake);
struct databases *fake_databases_free(struct databases *databases); /* complains of a question left behind */

/* "name" is a database of the cluster. known false: that takes asking its server. */
void fake_databases_add(struct databases *databases, const char *name, unsigned cluster, bool known);
/* As if copied from another: its system_identifier, and an address of its own. */
void fake_databases_add_clone(struct databases *databases, const char *name, unsigned cluster, unsigned of);
/* Known no longer: that takes asking its server. */
void fake_databases_forget(struct databases *databases, const char *name);
/* As if [databases] were empty; clusters that were added stay known. */
void fake_databases_configure_none(struct databases *databases);
/* The answer to everything that was asked; why NULL: they are known now. */
void fake_databases_answer(struct databases *databases, const char *why);
unsigned fake_databases_n_asked(const struct databases *databases);
