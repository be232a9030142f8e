/* SPDX-License-Identifier: MIT */

#include "client/cli/fail.h"
#include "client/cli/options.h"
#include "client/cli/suggest.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VERBS_MAX 32

static const struct verb *find_verb(const char *name)
{
        size_t n;
        const struct verb *table = verbs(&n);

        for (size_t i = 0; i < n; i++)
                if (!strcmp(table[i].name, name))
                        return &table[i];
        return NULL;
}

static void print_general_help(FILE *stream)
{
        size_t n;
        const struct verb *table = verbs(&n);

        (void)fputs("Examples:\n"
                    "  berth run -- pytest -n 8       run tests with a namespace of their own\n"
                    "  berth status                   see who runs, who waits, what was swept\n"
                    "  berth sweep --dry-run          see what ended runs have left\n"
                    "\nUsage: berth COMMAND [OPTION]... [ARGUMENT]...\n\nCommands:\n",
                    stream);
        for (size_t i = 0; i < n; i++)
                (void)fprintf(stream, "  %-9s %s\n", table[i].name, table[i].summary);
        (void)fputs("\nOptions of every command:\n", stream);
        options_print(stream, common_options);
        (void)fputs("\n'berth COMMAND --help' tells more.\n", stream);
}

static void print_verb_help(const struct verb *verb)
{
        (void)printf("Examples:\n%s\nUsage: berth %s [OPTION]...%s%s\n\n%c%s.\n\nOptions:\n", verb->examples,
                     verb->name, *verb->usage ? " " : "", verb->usage, verb->summary[0] - 'a' + 'A',
                     verb->summary + 1);
        options_print(stdout, verb->options);
        options_print(stdout, common_options);
        if (verb->schemas)
                (void)printf("\nWhat --json prints is in docs/schema: %s\n", verb->schemas);
        if (verb->notes)
                (void)printf("\n%s", verb->notes);
}

/* For the shell's completion: the verbs, or the options of one. */
static int print_words(const char *name)
{
        const struct verb *verb = name ? find_verb(name) : NULL;
        const struct option_row *tables[] = {verb ? verb->options : NULL, common_options};
        size_t n;
        const struct verb *table = verbs(&n);

        for (size_t i = 0; !name && i < n; i++)
                (void)puts(table[i].name);
        for (size_t i = 0; i < 2; i++)
                for (const struct option_row *row = tables[i]; row && row->name; row++)
                        (void)printf("--%s\n", row->name);
        return CLI_OK;
}

/* "list list list_watch": a verb, and the files of docs/schema that say what its --json prints. */
static int print_schemas(void)
{
        size_t n;
        const struct verb *table = verbs(&n);

        for (size_t i = 0; i < n; i++)
                (void)printf("%s%s%s\n", table[i].name, table[i].schemas ? " " : "",
                             table[i].schemas ? table[i].schemas : "");
        return CLI_OK;
}

static int fail_unknown_verb(struct cli *cli, const char *name)
{
        const char *names[VERBS_MAX], *nearest;
        char fix[64];
        size_t n;
        const struct verb *table = verbs(&n);

        for (size_t i = 0; i < n && i < VERBS_MAX; i++)
                names[i] = table[i].name;
        nearest = suggest_nearest(name, names, n);
        if (nearest)
                (void)snprintf(fix, sizeof(fix), "did you mean 'berth %s'?", nearest);
        return cli_fail_usage(cli, nearest ? fix : NULL, "unknown command %s; berth has none of that name",
                              name);
}

static int check_operands(struct cli *cli)
{
        const struct verb *verb = cli->verb;

        if (cli->n_operands < verb->n_min)
                return cli_fail_usage(cli, NULL, "an argument is missing; it is berth %s %s", verb->name,
                                      verb->usage);
        if (verb->n_max >= 0 && cli->n_operands > verb->n_max)
                return cli_fail_usage(cli, NULL, "unexpected argument %s; usage is berth %s%s%s",
                                      cli->operands[verb->n_max], verb->name, *verb->usage ? " " : "",
                                      verb->usage);
        return CLI_OK;
}

/* Results that did not get out are a failure, e.g. on a full disk. */
static int flush_results(const struct cli *cli, int exit_code)
{
        errno = 0;
        if (!fflush(stdout) && !ferror(stdout))
                return exit_code;
        (void)fprintf(stderr, "berth: cannot write the result; %s; see where standard output goes\n",
                      errno ? strerror(errno) : "write error");
        return cli->verb && exit_code ? exit_code : CLI_FAILED;
}

static int help_for(struct cli *cli, const char *name)
{
        const struct verb *verb = name ? find_verb(name) : NULL;

        if (name && !verb)
                return fail_unknown_verb(cli, name);
        if (verb)
                print_verb_help(verb);
        else
                print_general_help(stdout);
        return CLI_OK;
}

static int print_version(void)
{
        (void)printf("berth %s\n", berth_version());
        return CLI_OK;
}

static int run_verb(struct cli *cli, int argc, char **argv)
{
        int r;

        if (!options_parse(cli, cli->verb->options, cli->verb->n_max < 0, argc, argv))
                return CLI_USAGE;
        if (cli->options.version)
                return print_version();
        if (cli->options.help)
                return help_for(cli, cli->verb->name);
        r = check_operands(cli);
        return r ? r : cli->verb->run(cli);
}

static int run(struct cli *cli, int argc, char **argv)
{
        const char *name;

        /* Common options may stand before the verb; what stands behind it is the verb's. */
        if (!options_parse(cli, NULL, true, argc, argv))
                return CLI_USAGE;
        name = cli->n_operands ? cli->operands[0] : NULL;
        if (cli->options.version)
                return print_version();
        if (cli->options.help || (name && !strcmp(name, "help")))
                return help_for(cli, cli->options.help ? NULL : cli->operands[1]);
        if (!name) {
                print_general_help(stderr);
                return CLI_USAGE;
        }
        if (!strcmp(name, "__words"))
                return print_words(cli->operands[1]);
        if (!strcmp(name, "__schemas"))
                return print_schemas();
        cli->verb = find_verb(name);
        if (!cli->verb)
                return fail_unknown_verb(cli, name);
        return run_verb(cli, cli->n_operands, argv + (argc - cli->n_operands));
}

/* Else the daemon's connection could get the number of a closed standard output or error, and what we print with it. */
static void hold_standard_descriptors(void)
{
        int fd;

        do
                fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        while (fd >= 0 && fd <= STDERR_FILENO);
        if (fd >= 0)
                (void)close(fd);
}

int main(int argc, char **argv)
{
        struct cli cli = {.verb = NULL};

        hold_standard_descriptors();
        (void)setlocale(LC_CTYPE, "");
        return flush_results(&cli, run(&cli, argc, argv));
}
