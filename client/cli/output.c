/* SPDX-License-Identifier: MIT */

#include "client/cli/output.h"

#include "client/cli/fail.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(const struct cli *cli, const char *path)
{
        return cli_fail_as(cli, "NotWritten", CLI_FAILED, "name another file, or leave -o out",
                           "cannot write %s; %s", path, strerror(errno));
}

static int write_to(const struct cli *cli, const char *path, const char *mode,
                    void (*draw)(FILE *out, void *userdata), void *userdata)
{
        FILE *out = fopen(path, mode);

        if (!out)
                return fail(cli, path);
        draw(out, userdata);
        if (ferror(out)) {
                (void)fclose(out);
                return fail(cli, path);
        }
        return fclose(out) ? fail(cli, path) : CLI_OK;
}

static int replace(const struct cli *cli, const char *path, void (*draw)(FILE *out, void *userdata),
                   void *userdata)
{
        char *aside = NULL;
        int r;

        if (asprintf(&aside, "%s.%ld.part", path, (long)getpid()) < 0)
                return fail(cli, path);
        /* In a folder for all somebody may have guessed the name: no link of theirs is followed. */
        (void)unlink(aside);
        r = write_to(cli, aside, "wxe", draw, userdata);
        if (!r && rename(aside, path) < 0)
                r = fail(cli, path);
        if (r)
                (void)unlink(aside);
        free(aside);
        return r;
}

int output_write(const struct cli *cli, void (*draw)(FILE *out, void *userdata), void *userdata)
{
        const char *path = cli->options.output;
        struct stat st;

        if (!path || !strcmp(path, "-")) {
                draw(stdout, userdata);
                return CLI_OK;
        }
        if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
                return write_to(cli, path, "we", draw, userdata); /* a device or a pipe, as it is */
        return replace(cli, path, draw, userdata);
}
