/* SPDX-License-Identifier: MIT */
#pragma once

/* The items of the writer's queue. */

#include "store/writer.h"

/* One allocation: the item, and its texts behind it. */
struct item *item_new(const struct ledger_change *change);
struct item *item_new_history(struct history *history); /* takes it over */
struct item *item_new_recall(struct recall *recall);    /* likewise */
struct item *item_free(struct item *item);
void item_list_clear(struct item_list *list);
/* Calls back and frees, one after the other. */
void item_list_tell(struct item_list *list);
