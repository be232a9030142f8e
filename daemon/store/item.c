/* SPDX-License-Identifier: MIT */
#include "store/item.h"

#include "util/alloc.h"

#include <string.h>

static const size_t texts[] = {
        offsetof(struct ledger_change, namespace), offsetof(struct ledger_change, label),
        offsetof(struct ledger_change, worker),    offsetof(struct ledger_change, request),
        offsetof(struct ledger_change, cluster),   offsetof(struct ledger_change, database),
        offsetof(struct ledger_change, schema),    offsetof(struct ledger_change, oid),
        offsetof(struct ledger_change, detail),    offsetof(struct ledger_change, reason),
        offsetof(struct ledger_change, message),   offsetof(struct ledger_change, sqlstate),
};

#define N_TEXTS (sizeof(texts) / sizeof(*texts))

static const char **text_at(struct ledger_change *change, size_t i)
{
        return (const char **)((char *)change + texts[i]);
}

struct item *item_new(const struct ledger_change *change)
{
        struct ledger_change copy = *change;
        size_t sizes[N_TEXTS], size = sizeof(struct item);
        struct item *item;
        char *at;

        for (size_t i = 0; i < N_TEXTS; i++) {
                const char *text = *text_at(&copy, i);

                sizes[i] = text ? strlen(text) + 1 : 0;
                size += sizes[i];
        }
        item = alloc_zero(size);
        at = item->texts;
        for (size_t i = 0; i < N_TEXTS; i++) {
                if (!sizes[i])
                        continue;
                *text_at(&copy, i) = memcpy(at, *text_at(&copy, i), sizes[i]);
                at += sizes[i];
        }
        item->change = copy;
        return item;
}

struct item *item_new_history(struct history *history)
{
        struct item *item = NEW(struct item);

        item->history = history;
        return item;
}

struct item *item_new_recall(struct recall *recall)
{
        struct item *item = NEW(struct item);

        item->recall = recall;
        return item;
}

struct item *item_free(struct item *item)
{
        if (!item)
                return NULL;
        history_free(item->history);
        recall_free(item->recall);
        inspect_free(item->inspect);
        free(item);
        return NULL;
}

void item_list_clear(struct item_list *list)
{
        struct item *item;

        while ((item = TAILQ_FIRST(list))) {
                TAILQ_REMOVE(list, item, link);
                item_free(item);
        }
}

void item_list_tell(struct item_list *list)
{
        struct item *item;

        while ((item = TAILQ_FIRST(list))) {
                TAILQ_REMOVE(list, item, link);
                if (item->history)
                        history_tell(item->history, item->each, item->owner, item->ticket, item->error);
                else if (item->recall)
                        recall_tell(item->recall, item->each_row, item->owner, item->ticket, item->error);
                else if (item->inspect)
                        inspect_tell(item->inspect, item->told, item->owner, item->ticket, item->error);
                else
                        item->done(item->owner, item->ticket, item->error);
                item_free(item);
        }
}
