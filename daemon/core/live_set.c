/* SPDX-License-Identifier: MIT */
#include "core/live_set.h"

#include "util/alloc.h"

#include <stdlib.h>
#include <string.h>

/* Sorted: a census has some hundred names at most, and whoever reads them wants them in order. */
struct live_set {
        char **names;
        unsigned n, n_allocated;
};

struct live_report {
        struct live_set set; /* handed out only by live_set_seal() */
        unsigned n_expected, n_heard;
        char *failure; /* the first reason, or NULL */
};

struct live_report *live_report_new(unsigned n_expected)
{
        struct live_report *report = NEW(struct live_report);

        report->n_expected = n_expected;
        return report;
}

struct live_report *live_report_free(struct live_report *report)
{
        if (!report)
                return NULL;
        for (unsigned i = 0; i < report->set.n; i++)
                free(report->set.names[i]);
        free(report->set.names);
        free(report->failure);
        free(report);
        return NULL;
}

/* Where it is (true), or where it belongs. */
static bool find(const struct live_set *set, const char *namespace, unsigned *ret_index)
{
        unsigned low = 0, high = set->n;

        while (low < high) {
                unsigned middle = low + (high - low) / 2;
                int order = strcmp(set->names[middle], namespace);

                if (!order) {
                        *ret_index = middle;
                        return true;
                }
                if (order < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        *ret_index = low;
        return false;
}

void live_report_add(struct live_report *report, const char *namespace)
{
        struct live_set *set = &report->set;
        unsigned index;

        if (find(set, namespace, &index))
                return;
        if (set->n == set->n_allocated) {
                set->n_allocated = set->n_allocated ? 2 * set->n_allocated : 16;
                set->names = alloc_array(set->names, set->n_allocated, sizeof(*set->names));
        }
        memmove(set->names + index + 1, set->names + index, (set->n - index) * sizeof(*set->names));
        set->names[index] = alloc_string(namespace);
        set->n++;
}

void live_report_heard(struct live_report *report)
{
        report->n_heard++;
}

void live_report_failed(struct live_report *report, const char *reason)
{
        if (!report->failure)
                report->failure = alloc_string(reason);
}

bool live_report_has(const struct live_report *report, const char *namespace)
{
        return live_set_has(&report->set, namespace);
}

const char *live_report_incomplete(const struct live_report *report)
{
        if (report->failure)
                return report->failure;
        /* More than expected: somebody was heard twice, and then somebody else perhaps not at all. */
        if (report->n_heard != report->n_expected)
                return "not every database has reported";
        return NULL;
}

const struct live_set *live_set_seal(struct live_report *report)
{
        return live_report_incomplete(report) ? NULL : &report->set;
}

bool live_set_has(const struct live_set *set, const char *namespace)
{
        unsigned index;

        return find(set, namespace, &index);
}

void live_report_each(const struct live_report *report, live_each_fn *each, void *owner)
{
        for (unsigned i = 0; i < report->set.n; i++)
                each(owner, report->set.names[i]);
}
