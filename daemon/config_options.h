/* SPDX-License-Identifier: MIT */
#pragma once

/* The table of options. */

#include "config.h"

#include <stddef.h>

/* Every option at its default, those of a user's own instance if user. */
struct config *config_new(bool user);
/* name = value of section [berthd]. False: *ret_message says what is wrong; the caller frees it. */
bool config_set(struct config *config, const char *name, const char *value, char **ret_message);
/* name = value of section [databases]; one that is there already is replaced. */
bool config_set_database(struct config *config, const char *name, const char *conninfo, char **ret_message);
/* Remembers who said so last; file NULL: the command line. */
void config_note(struct config *config, const char *name, const char *text, const char *file, unsigned line);
void config_note_database(struct config *config, const char *name, const char *file, unsigned line);
/* The rows of the table, in order; NULL: no more. */
const char *config_option_name(size_t i, const char **ret_standard);
/* A folder that the environment names, else one below $HOME, and name in it; absolute in any case. */
char *config_user_path(const char *variable, const char *below_home, const char *name);
