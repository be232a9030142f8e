/* SPDX-License-Identifier: MIT */

#include "client/cli/options.h"

#include "client/cli/fail.h"
#include "client/cli/suggest.h"

#include <ctype.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define OPTIONS_MAX     32
#define DURATION_MAX_MS 3.2e12 /* a hundred years */

#define AT(member) offsetof(struct options, member)

const struct option_row common_options[] = {
        {"json", 0, OPTION_FLAG, AT(json), NULL, "results and errors as JSON, with stable keys"},
        {"socket", 0, OPTION_TEXT, AT(socket), "PATH",
         "the daemon's; default: $BERTH_SOCKET, or where it is"},
        {"color", 0, OPTION_TEXT, AT(color), "WHEN", "auto, always or never; NO_COLOR counts in auto"},
        {"help", 'h', OPTION_FLAG, AT(help), NULL, "this help"},
        {"version", 0, OPTION_FLAG, AT(version), NULL, "the version"},
        {.name = NULL},
};

/* The rows of the verb and the common ones, in the shape getopt wants. */
struct parser {
        const struct option_row *rows[OPTIONS_MAX];
        struct option longs[OPTIONS_MAX + 1];
        char shorts[2 * OPTIONS_MAX + 3];
        int n;
};

static void add_rows(struct parser *parser, const struct option_row *rows)
{
        char *at = parser->shorts + strlen(parser->shorts);

        for (; rows && rows->name && parser->n < OPTIONS_MAX; rows++) {
                parser->rows[parser->n] = rows;
                parser->longs[parser->n] = (struct option){
                        .name = rows->name,
                        .has_arg = rows->argument ? required_argument : no_argument,
                        .val = 256 + parser->n,
                };
                parser->n++;
                if (!rows->letter)
                        continue;
                *at++ = rows->letter;
                if (rows->argument)
                        *at++ = ':';
        }
}

static const struct option_row *find_row(const struct parser *parser, int code)
{
        if (code >= 256)
                return parser->rows[code - 256];
        for (int i = 0; i < parser->n; i++)
                if (parser->rows[i]->letter == code)
                        return parser->rows[i];
        return NULL;
}

bool options_read_duration(const char *text, int64_t *ret_ms)
{
        static const struct {
                const char *unit;
                double ms;
        } units[] = {
                {"", 1e3}, {"ms", 1}, {"s", 1e3}, {"min", 60e3}, {"m", 60e3}, {"h", 3600e3}, {"d", 86400e3},
        };
        double number;
        char *end;

        if (!isdigit((unsigned char)*text))
                return false;
        number = strtod(text, &end);
        for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
                if (strcmp(end, units[i].unit))
                        continue;
                if (!(number * units[i].ms <= DURATION_MAX_MS))
                        return false;
                *ret_ms = (int64_t)ceil(number * units[i].ms);
                return true;
        }
        return false;
}

static bool read_number(const char *text, int64_t *ret_number)
{
        char *end;

        if (!isdigit((unsigned char)*text) || strlen(text) > 9)
                return false;
        *ret_number = strtoll(text, &end, 10);
        return !*end;
}

static bool refuse(struct cli *cli, const struct option_row *row, const char *value)
{
        bool is_duration = row->type == OPTION_DURATION;

        (void)cli_fail_usage(cli, is_duration ? "write 500ms, 30s, 5min, 2h or 3d" : "write digits",
                             "cannot read --%s %s; it is no %s", row->name, value,
                             is_duration ? "duration" : "number");
        return false;
}

static bool store(struct cli *cli, const struct option_row *row, const char *value)
{
        char *at = (char *)&cli->options + row->offset;

        switch (row->type) {
        case OPTION_FLAG:
                *(bool *)at = true;
                return true;
        case OPTION_TEXT:
                *(const char **)at = value;
                return true;
        case OPTION_DURATION:
                /* 0 stands for "not given"; who says 0 means "at once" */
                if (!options_read_duration(value, (int64_t *)at))
                        return refuse(cli, row, value);
                if (!*(int64_t *)at)
                        *(int64_t *)at = 1;
                return true;
        case OPTION_NUMBER:
                return read_number(value, (int64_t *)at) || refuse(cli, row, value);
        }
        return false;
}

static bool tell_unknown(struct cli *cli, const struct parser *parser, const char *word)
{
        const char *names[OPTIONS_MAX], *nearest = NULL;
        char name[64], fix[96];

        for (int i = 0; i < parser->n; i++)
                names[i] = parser->rows[i]->name;
        if (!strncmp(word, "--", 2)) {
                (void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(word + 2, "="), word + 2);
                nearest = suggest_nearest(name, names, (size_t)parser->n);
        }
        if (nearest)
                (void)snprintf(fix, sizeof(fix), "try --%s", nearest);
        (void)cli_fail_usage(cli, nearest ? fix : NULL, "unknown option %s; berth%s%s has none of that name",
                             word, cli->verb ? " " : "", cli->verb ? cli->verb->name : "");
        return false;
}

static bool tell_missing(struct cli *cli, const struct parser *parser, int code, const char *word)
{
        const struct option_row *row = find_row(parser, code);

        (void)cli_fail_usage(cli, NULL, "option %s has no value; it needs a %s", word, row->argument);
        return false;
}

/* The word getopt stumbled over: a cluster such as -xn stands in argv[optind], which it has not left yet. */
static const char *stumbled_word(int argc, char **argv, int before)
{
        static char letter[3] = "-?";

        if (optopt > 0 && optopt < 256) {
                letter[1] = (char)optopt;
                return letter;
        }
        return before < argc && !strncmp(argv[optind - 1], "--", 2) ? argv[optind - 1] : argv[before];
}

bool options_parse(struct cli *cli, const struct option_row *rows, bool stop_at_operand, int argc,
                   char **argv)
{
        struct parser parser = {.n = 0};
        int code, before;

        strcpy(parser.shorts, stop_at_operand ? "+:" : ":");
        add_rows(&parser, rows);
        add_rows(&parser, common_options);
        opterr = 0;
        optind = 0; /* GNU: start afresh, this is the second argv within one process */
        for (before = 1; (code = getopt_long(argc, argv, parser.shorts, parser.longs, NULL)) != -1;
             before = optind) {
                if (code == ':')
                        return tell_missing(cli, &parser, optopt, stumbled_word(argc, argv, before));
                if (code == '?')
                        return tell_unknown(cli, &parser, stumbled_word(argc, argv, before));
                if (!store(cli, find_row(&parser, code), optarg))
                        return false;
        }
        cli->operands = argv + optind;
        cli->n_operands = argc - optind;
        if (cli->options.color && strcmp(cli->options.color, "auto") &&
            strcmp(cli->options.color, "always") && strcmp(cli->options.color, "never")) {
                (void)cli_fail_usage(cli, "write auto, always or never",
                                     "cannot read --color %s; it is no known word", cli->options.color);
                return false;
        }
        return true;
}

void options_print(FILE *stream, const struct option_row *rows)
{
        for (; rows && rows->name; rows++) {
                char left[48], letter[6] = "    ";

                if (rows->letter)
                        (void)snprintf(letter, sizeof(letter), "-%c, ", rows->letter);
                (void)snprintf(left, sizeof(left), "%s--%s%s%s", letter, rows->name,
                               rows->argument ? " " : "", rows->argument ? rows->argument : "");
                (void)fprintf(stream, "  %-22s %s\n", left, rows->help);
        }
}
