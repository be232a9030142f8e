/* SPDX-License-Identifier: MIT */
#include "core/public_look.h"

#include "util/alloc.h"

#include <stdlib.h>
#include <string.h>

struct public_look *public_look_new(const char *place, const char *counted_since)
{
        struct public_look *look = NEW(struct public_look);

        look->place = alloc_string(place);
        look->counted_since = alloc_string(counted_since);
        return look;
}

struct public_look *public_look_free(struct public_look *look)
{
        if (!look)
                return NULL;
        for (unsigned i = 0; i < look->n_tables; i++)
                free(look->tables[i].name);
        free(look->tables);
        free(look->place);
        free(look->counted_since);
        free(look);
        return NULL;
}

bool public_look_add(struct public_look *look, uint32_t oid, const char *name, bool is_partition,
                     uint64_t writes)
{
        unsigned n = look->n_tables;

        if (n && look->tables[n - 1].oid >= oid)
                return false;
        look->n_tables++;
        if (!(n & (n - 1))) /* there is room up to the next power of two */
                look->tables = alloc_array(look->tables, n ? 2 * n : 1, sizeof(*look->tables));
        look->tables[n] = (struct public_table){
                .oid = oid, .name = alloc_string(name), .is_partition = is_partition, .writes = writes};
        return true;
}

const char *public_write_kind_name(enum public_write_kind kind)
{
        return kind == PUBLIC_TABLE ? "table" : "rows";
}

/* Partitions of one table come under its name. */
static void add(struct public_writes *writes, const char *table, enum public_write_kind kind, uint64_t rows)
{
        for (unsigned i = 0; i < writes->n; i++)
                if (!strcmp(writes->all[i].table, table)) {
                        writes->all[i].rows += rows;
                        return;
                }
        if (writes->n < PUBLIC_WRITES_MAX)
                writes->all[writes->n++] = (struct public_write){table, kind, rows};
        else
                writes->n_more++;
}

void public_look_compare(const struct public_look *before, const struct public_look *after,
                         struct public_writes *ret)
{
        const struct public_table *old = before->tables, *end = old + before->n_tables;
        bool may_count = !strcmp(before->counted_since, after->counted_since);

        ret->n = ret->n_more = 0;
        if (strcmp(before->place, after->place) != 0)
                return;
        for (unsigned i = 0; i < after->n_tables; i++) {
                const struct public_table *table = &after->tables[i];
                bool is_known;

                while (old < end && old->oid < table->oid)
                        old++;
                is_known = old < end && old->oid == table->oid;
                if (!is_known && !table->is_partition)
                        add(ret, table->name, PUBLIC_TABLE, table->writes);
                else if (!is_known && table->writes)
                        add(ret, table->name, PUBLIC_ROWS, table->writes);
                else if (is_known && may_count && table->writes > old->writes)
                        add(ret, table->name, PUBLIC_ROWS, table->writes - old->writes);
        }
}
