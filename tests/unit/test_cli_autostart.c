/* SPDX-License-Identifier: MIT */

/* A daemon for this user, where there is none: what whoever starts it waits for, and for how long. */

#include "client/cli/autostart.h"
#include "proto/protocol.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char program[] = "/tmp/berth-autostart-XXXXXX";

/* In the place of berthd. */
static void be(const char *script)
{
        FILE *file = fopen(program, "w");

        assert_non_null(file);
        (void)fprintf(file, "#!/bin/sh\n%s\n", script);
        assert_int_equal(fclose(file), 0);
        assert_int_equal(chmod(program, 0700), 0);
}

static int set_up(void **state)
{
        int fd = mkstemp(program);

        (void)state;
        (void)close(fd);
        (void)alarm(60); /* a test that waits for what never comes ends all the same */
        return setenv(BERTH_ENV_DAEMON, program, 1);
}

static int tear_down(void **state)
{
        (void)state;
        return unlink(program);
}

static void one_that_comes_up_is_no_error(void **state)
{
        struct berth_error error;

        (void)state;
        be("test \"$*\" = '--user --detach'");
        assert_int_equal(autostart(AUTOSTART_TIMEOUT_MS, &error), 0);
}

static void one_that_does_not_says_why(void **state)
{
        struct berth_error error;

        (void)state;
        be("echo '<3>cannot read it; no; mend it' >&2; echo more >&2; exit 78");
        assert_int_equal(autostart(AUTOSTART_TIMEOUT_MS, &error), -1);
        assert_string_equal(error.code, "NoDaemon");
        assert_string_equal(error.message,
                            "no daemon, and berthd --user could not be started; cannot read it; no; mend it");
}

/* Another start, stopped in the middle of it, holds the lock. */
static void one_that_never_ends_is_not_waited_for(void **state)
{
        struct berth_error error;

        (void)state;
        be("exec sleep 1000");
        assert_int_equal(autostart(50, &error), -1);
        assert_non_null(strstr(error.message, "has not come up in time"));
        assert_int_equal(error.exit_code, 69);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(one_that_comes_up_is_no_error),
                cmocka_unit_test(one_that_does_not_says_why),
                cmocka_unit_test(one_that_never_ends_is_not_waited_for),
        };

        return cmocka_run_group_tests(tests, set_up, tear_down);
}
