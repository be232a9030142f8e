/* SPDX-License-Identifier: MIT */

/*
 * Layers: who is blocked by nobody stands at the right, and each other session one column left of the nearest that it
 * waits for. Sessions that wait for each other in a circle (the server ends such a circle within deadlock_timeout) stand
 * where the walk has met them.
 */

#include "client/cli/locks_svg.h"

#include "client/cli/print.h"
#include "client/cli/svg.h"

#include "proto/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BOX_WIDTH  266.0
#define BOX_HEIGHT 64.0
#define GAP_X      110.0
#define GAP_Y      18.0
#define MARGIN     24.0
#define TOP        60.0
#define LAYERS_MAX 64
#define LINE_MAX   36 /* characters of a line in a box */

static const char style[] =
        ".box rect { fill: #f6f8fa; stroke: #8c959f; }\n.holds rect { fill: #ffebe9; stroke: #cf222e; }\n"
        ".name { font-weight: bold; }\n.small { font-size: 9.5px; }\n"
        ".edge { fill: none; stroke: #57606a; stroke-width: 1.4; }\n.wait { font-size: 10px; fill: #cf222e; "
        "}\n";

/* One session, or a prepared transaction. */
struct node {
        const char *database;
        const struct cJSON *side;
        int64_t pid;
        const char *query; /* of a prepared transaction: which */
        int layer;         /* 0: waits for nobody */
        double x, y;
        bool is_being_walked, is_walked, is_blocked;
};

struct edge {
        int blocked, blocker; /* nodes */
        const struct cJSON *lock;
};

struct graph {
        struct node *nodes;
        struct edge *edges;
        int n_nodes, n_edges, n_layers, highest;
};

static const char *text_of(const struct cJSON *object, const char *name)
{
        const char *text = json_get_string(object, name);

        return text ? text : "";
}

/* What a session has asked for last; of a prepared transaction, its name. */
static const char *query_of(const struct cJSON *side)
{
        const char *gid = json_get_string(side, "gid");

        return gid ? gid : text_of(side, "query");
}

static int node_of(struct graph *graph, const char *database, const struct cJSON *side)
{
        int64_t pid = json_get_integer(side, "pid", 0);

        for (int i = 0; i < graph->n_nodes; i++) {
                const struct node *node = &graph->nodes[i];

                if (node->pid == pid && !strcmp(node->database, database) &&
                    (pid || !strcmp(node->query, query_of(side))))
                        return i;
        }
        graph->nodes[graph->n_nodes] =
                (struct node){.database = database, .side = side, .pid = pid, .query = query_of(side)};
        return graph->n_nodes++;
}

static void add_edge(struct graph *graph, const struct cJSON *lock)
{
        const char *database = text_of(lock, "database");
        int blocked = node_of(graph, database, json_get(lock, "blocked")),
            blocker = node_of(graph, database, json_get(lock, "blocker"));

        graph->nodes[blocked].is_blocked = true;
        graph->edges[graph->n_edges++] = (struct edge){blocked, blocker, lock};
}

/* ---- where each stands ---- */

static int find_layer(struct graph *graph, int number)
{
        struct node *node = &graph->nodes[number];

        if (node->is_walked || node->is_being_walked)
                return node->layer;
        node->is_being_walked = true;
        for (int i = 0; i < graph->n_edges; i++) {
                int layer;

                if (graph->edges[i].blocked != number)
                        continue;
                layer = find_layer(graph, graph->edges[i].blocker) + 1;
                if (layer > node->layer && layer < LAYERS_MAX)
                        node->layer = layer;
        }
        node->is_being_walked = false;
        node->is_walked = true;
        return node->layer;
}

/* Beside those it is blocked by, so that edges cross less: the mean of their places. */
static double wish(const struct graph *graph, int number)
{
        double sum = 0;
        int n = 0;

        for (int i = 0; i < graph->n_edges; i++) {
                const struct node *blocker = &graph->nodes[graph->edges[i].blocker];

                if (graph->edges[i].blocked != number || blocker->layer >= graph->nodes[number].layer)
                        continue;
                sum += blocker->y;
                n++;
        }
        return n ? sum / n : 0;
}

struct place {
        int node;
        double wish;
};

static int by_wish(const void *a, const void *b)
{
        const struct place *one = a, *other = b;

        if (one->wish != other->wish)
                return one->wish < other->wish ? -1 : 1;
        return one->node - other->node;
}

static void place_layer(struct graph *graph, int layer, struct place *places)
{
        int n = 0;

        for (int i = 0; i < graph->n_nodes; i++)
                if (graph->nodes[i].layer == layer)
                        places[n++] = (struct place){i, layer ? wish(graph, i) : 0};
        qsort(places, (size_t)n, sizeof(*places), by_wish);
        for (int i = 0; i < n; i++) {
                struct node *node = &graph->nodes[places[i].node];

                node->x = MARGIN + (graph->n_layers - 1 - layer) * (BOX_WIDTH + GAP_X);
                node->y = TOP + i * (BOX_HEIGHT + GAP_Y);
        }
        if (n > graph->highest)
                graph->highest = n;
}

static int place_all(struct graph *graph)
{
        struct place *places = calloc((size_t)graph->n_nodes + 1, sizeof(*places));

        if (!places)
                return -1;
        for (int i = 0; i < graph->n_nodes; i++) {
                int layer = find_layer(graph, i);

                if (layer + 1 > graph->n_layers)
                        graph->n_layers = layer + 1;
        }
        for (int layer = 0; layer < graph->n_layers; layer++)
                place_layer(graph, layer, places);
        free(places);
        return 0;
}

/* ---- drawing ---- */

static void draw_line(const struct svg *svg, double x, double y, const char *class, const char *text)
{
        char *cut = print_cut(text, LINE_MAX);

        svg_text(svg, x, y, class, "start", "%s", cut ? cut : text);
        free(cut);
}

static void draw_node(const struct svg *svg, const struct node *node)
{
        const char *namespace = json_get_string(node->side, "namespace"),
                   *application = text_of(node->side, "applicationName");
        int64_t open_usec = json_get_integer(node->side, "transactionUSec", 0);
        char name[200], what[120], open[BERTH_DURATION_SIZE];

        if (namespace)
                (void)snprintf(name, sizeof(name), "%s of %s",
                               node->pid ? text_of(node->side, "worker") : "prepared transaction", namespace);
        else
                (void)snprintf(name, sizeof(name), "%s",
                               !node->pid     ? "prepared transaction"
                               : *application ? application
                                              : "unlabelled session");
        (void)snprintf(what, sizeof(what), "%s%s%" PRId64 "%s%s", node->database, node->pid ? ", pid " : ", ",
                       node->pid, open_usec > 0 ? ", open for " : "",
                       open_usec > 0 ? berth_format_duration(open_usec, open) : "");
        if (!node->pid)
                (void)snprintf(what, sizeof(what), "%s", node->database);
        svg_bar_begin(svg, node->x, node->y, BOX_WIDTH, BOX_HEIGHT, node->is_blocked ? "box" : "box holds",
                      NULL);
        svg_tooltip(svg, "%s, %s: %s", name, what, node->query);
        draw_line(svg, node->x + 10, node->y + 19, "name", name);
        draw_line(svg, node->x + 10, node->y + 36, "faint", what);
        draw_line(svg, node->x + 10, node->y + 53, "small", node->query);
        svg_bar_end(svg);
}

static void draw_edge(const struct svg *svg, const struct graph *graph, const struct edge *edge)
{
        const struct node *from = &graph->nodes[edge->blocked], *to = &graph->nodes[edge->blocker];
        double x1 = from->x + BOX_WIDTH, y1 = from->y + BOX_HEIGHT / 2, x2 = to->x - 7,
               y2 = to->y + BOX_HEIGHT / 2, bend = fmax(40, (x2 - x1) / 2);
        char waited[BERTH_DURATION_SIZE];

        (void)fprintf(svg->out,
                      "<g><path class=\"edge\" marker-end=\"url(#arrow)\" d=\"M %.1f %.1f C %.1f %.1f %.1f "
                      "%.1f %.1f %.1f\"/>",
                      x1, y1, x1 + bend, y1, x2 - bend, y2, x2, y2);
        svg_text(svg, x1 + 6, y1 - 6, "wait", "start", "%s",
                 berth_format_duration(json_get_integer(edge->lock, "waitUSec", 0), waited));
        (void)fputs("</g>\n", svg->out);
}

static void draw(const struct graph *graph, FILE *out)
{
        int n_layers = graph->n_layers > 1 ? graph->n_layers : 2,
            highest = graph->highest ? graph->highest : 1;
        const struct svg svg = {
                .out = out,
                .width = 2 * MARGIN + n_layers * BOX_WIDTH + (n_layers - 1) * GAP_X,
                .height = TOP + highest * (BOX_HEIGHT + GAP_Y) + MARGIN,
        };

        svg_begin(&svg, "berth locks", style);
        (void)fputs("<defs><marker id=\"arrow\" markerWidth=\"8\" markerHeight=\"8\" refX=\"1\" refY=\"4\" "
                    "orient=\"auto\">"
                    "<path d=\"M 0 0 L 8 4 L 0 8 z\" fill=\"#57606a\"/></marker></defs>\n",
                    out);
        svg_text(&svg, MARGIN, 28, "title", "start", "%s",
                 graph->n_edges ? "berth locks" : "berth locks: nobody is blocked");
        if (graph->n_edges)
                svg_text(&svg, MARGIN, 46, "faint", "start",
                         "who waits, and behind whom; red: waits for nobody, and holds up the others");
        for (int i = 0; i < graph->n_edges; i++)
                draw_edge(&svg, graph, &graph->edges[i]);
        for (int i = 0; i < graph->n_nodes; i++)
                draw_node(&svg, &graph->nodes[i]);
        svg_end(&svg);
}

int locks_svg(const struct cJSON *locks, FILE *out)
{
        struct graph graph = {.nodes = NULL};
        size_t n = 0;
        int r = -1;

        for (const struct cJSON *one = json_first(locks); one; one = json_next(one))
                n++;
        graph.nodes = calloc(2 * n + 1, sizeof(*graph.nodes));
        graph.edges = calloc(n + 1, sizeof(*graph.edges));
        if (graph.nodes && graph.edges) {
                for (const struct cJSON *one = json_first(locks); one; one = json_next(one))
                        add_edge(&graph, one);
                r = place_all(&graph);
        }
        if (!r)
                draw(&graph, out);
        free(graph.nodes);
        free(graph.edges);
        return r;
}
