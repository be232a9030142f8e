/* SPDX-License-Identifier: MIT */

#include "client/cli/locks_dot.h"

#include "client/cli/print.h"

#include "proto/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUERY_COLUMNS 48
#define N_COLORS      12 /* of Graphviz's scheme set312 */
#define NAME_SIZE     300

/* In quotes, where a backslash and a quote mean something, and a new line is written as one. */
static void put_text(const char *text)
{
        for (; *text; text++) {
                if (*text == '"' || *text == '\\')
                        (void)putchar('\\');
                if (*text == '\n')
                        (void)fputs("\\n", stdout);
                else if ((unsigned char)*text >= 0x20)
                        (void)putchar(*text);
        }
}

/* The same run has the same colour in every picture. */
static unsigned color_of(const char *namespace)
{
        unsigned hash = 5381;

        for (; *namespace; namespace ++)
                hash = hash * 33 + (unsigned char)*namespace;
        return hash % N_COLORS + 1;
}

/* Numbers of processes are a server's; what is prepared has its name. */
static void name_of(const struct cJSON *lock, const struct cJSON *side, char name[NAME_SIZE])
{
        const char *database = json_get_string(lock, "database"), *gid = json_get_string(side, "gid");
        int64_t pid = json_get_integer(side, "pid", 0);

        if (pid)
                (void)snprintf(name, NAME_SIZE, "%s %" PRId64, database ? database : "?", pid);
        else
                (void)snprintf(name, NAME_SIZE, "%s prepared %s", database ? database : "?", gid ? gid : "?");
}

static bool is_drawn(struct locks_dot *dot, const char *name)
{
        char **grown;

        for (size_t i = 0; i < dot->n_names; i++)
                if (!strcmp(dot->names[i], name))
                        return true;
        grown = reallocarray(dot->names, dot->n_names + 1, sizeof(*grown));
        if (!grown)
                return false;
        dot->names = grown;
        grown[dot->n_names] = strdup(name);
        dot->n_names += grown[dot->n_names] != NULL;
        return false;
}

static void put_box(const struct cJSON *side, const char *name)
{
        const char *namespace = json_get_string(side, "namespace"), *worker = json_get_string(side, "worker");
        const char *application = json_get_string(side, "applicationName");
        const char *query = json_get_string(side, "query");
        char *cut = print_cut(query ? query : "", QUERY_COLUMNS);

        (void)fputs("  \"", stdout);
        put_text(name);
        (void)fputs("\" [label=\"", stdout);
        if (namespace) {
                put_text(worker ? worker : "");
                (void)fputs(worker ? " of " : "", stdout);
                put_text(namespace);
        } else {
                put_text(application && *application ? application : "no berth name");
        }
        (void)fputs("\\n", stdout);
        put_text(name);
        if (cut && *cut && json_get_integer(side, "pid", 0)) {
                (void)fputs("\\n", stdout);
                put_text(cut);
        }
        if (namespace)
                (void)printf("\", fillcolor=%u];\n", color_of(namespace));
        else
                (void)fputs("\", fillcolor=white];\n", stdout);
        free(cut);
}

void locks_dot_begin(struct locks_dot *dot)
{
        *dot = (struct locks_dot){.n_names = 0};
        (void)fputs(
                "digraph locks {\n"
                "  rankdir=LR;\n"
                "  node [shape=box, style=\"rounded,filled\", colorscheme=set312, fontname=\"sans-serif\"];\n"
                "  edge [fontname=\"sans-serif\"];\n",
                stdout);
}

void locks_dot_add(struct locks_dot *dot, const struct cJSON *lock)
{
        const struct cJSON *sides[] = {json_get(lock, "blocked"), json_get(lock, "blocker")};
        const char *event = json_get_string(lock, "waitEvent");
        char names[2][NAME_SIZE], waited[BERTH_DURATION_SIZE];

        for (int i = 0; i < 2; i++) {
                name_of(lock, sides[i], names[i]);
                if (!is_drawn(dot, names[i]))
                        put_box(sides[i], names[i]);
        }
        (void)fputs("  \"", stdout);
        put_text(names[0]);
        (void)fputs("\" -> \"", stdout);
        put_text(names[1]);
        (void)fputs("\" [label=\"", stdout);
        put_text(event ? event : "");
        (void)printf(" %s\"];\n", berth_format_duration(json_get_integer(lock, "waitUSec", 0), waited));
}

void locks_dot_end(struct locks_dot *dot)
{
        (void)fputs("}\n", stdout);
        for (size_t i = 0; i < dot->n_names; i++)
                free(dot->names[i]);
        free(dot->names);
}
