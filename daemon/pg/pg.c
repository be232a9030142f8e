/* SPDX-License-Identifier: MIT */
#include "pg/connection.h"

#include "pg/pg_libpq.h"
#include "util/alloc.h"
#include "util/cleanup.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

static void clear_environment(void)
{
        for (char **variable = environ; variable && *variable;) {
                _cleanup_free_ char *name = alloc_string(*variable);

                name[strcspn(name, "=")] = '\0';
                if (!strncmp(name, "PG", 2) && !unsetenv(name))
                        variable = environ; /* it has moved */
                else
                        variable++;
        }
}

int pg_new(struct event_base *base, const char *label, struct pg **ret)
{
        struct pg_libpq *libpq;
        struct helper *helper;
        int r;

        clear_environment();
        r = helper_new(base, &helper);
        if (r)
                return r;
        libpq = NEW(struct pg_libpq);
        libpq->pg.ops = &pg_libpq_ops;
        libpq->base = base;
        libpq->helper = helper;
        libpq->application_name = alloc_printf("berthd-%s", label);
        *ret = &libpq->pg;
        return 0;
}

struct pg *pg_free(struct pg *pg)
{
        struct pg_libpq *libpq = (struct pg_libpq *)pg;

        if (!pg)
                return NULL;
        assert(libpq->n_connections == 0);
        (void)helper_free(libpq->helper);
        free(libpq->application_name);
        free(libpq);
        return NULL;
}
