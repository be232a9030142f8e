/* SPDX-License-Identifier: MIT */

/* The daemon's own socket: its mode, and that no living daemon ever loses its own. */

#include "server/listener.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64], path[96], lock_path[112];

static int setup(void **state)
{
        (void)state;
        (void)strcpy(folder, "/tmp/berth-test-listener-XXXXXX");
        assert_non_null(mkdtemp(folder));
        (void)snprintf(path, sizeof(path), "%s/run/socket", folder);
        (void)snprintf(lock_path, sizeof(lock_path), "%s.lock", path);
        return 0;
}

static int teardown(void **state)
{
        char below[80];

        (void)state;
        (void)unlink(path);
        (void)unlink(lock_path);
        (void)snprintf(below, sizeof(below), "%s/run", folder);
        (void)rmdir(below);
        (void)rmdir(folder);
        return 0;
}

static int connect_to_it(void)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM, 0), r;

        (void)strcpy(address.sun_path, path);
        r = connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
        (void)close(fd);
        return r;
}

static void assert_opens(struct listener *listener, bool only_us)
{
        char *message = NULL;
        int r = listener_open(listener, path, only_us, &message);

        if (r)
                print_error("%s\n", message);
        assert_int_equal(r, 0);
        assert_int_equal(connect_to_it(), 0);
}

static void assert_refuses(int expected, const char *part)
{
        struct listener listener;
        char *message = NULL;

        assert_int_equal(listener_open(&listener, path, true, &message), expected);
        assert_non_null(strstr(message, part));
        assert_int_equal(listener.fd, -1);
        free(message);
}

static void close_it(struct listener *listener)
{
        (void)close(listener->fd);
        listener_remove(listener);
}

static mode_t mode_of(const char *of)
{
        struct stat st;

        assert_int_equal(stat(of, &st), 0);
        return st.st_mode & 07777;
}

static void modes_are_right_whatever_the_umask(void **state)
{
        struct listener listener;
        mode_t mask = umask(0077);
        char below[80];

        (void)state;
        (void)snprintf(below, sizeof(below), "%s/run", folder);
        assert_opens(&listener, false);
        assert_int_equal(mode_of(path), 0660);
        assert_int_equal(mode_of(below), 0755);
        close_it(&listener);
        assert_int_equal(access(path, F_OK), -1);
        (void)umask(0);
        assert_opens(&listener, true);
        assert_int_equal(mode_of(path), 0600);
        close_it(&listener);
        (void)umask(mask);
}

static void a_second_daemon_is_turned_away_and_the_first_goes_on(void **state)
{
        struct listener first;

        (void)state;
        assert_opens(&first, true);
        assert_refuses(-EADDRINUSE, "another berthd serves this socket");
        assert_int_equal(connect_to_it(), 0);
        close_it(&first);
}

static void a_socket_that_a_killed_daemon_left_is_replaced(void **state)
{
        struct listener killed, next;

        (void)state;
        assert_opens(&killed, true);
        (void)close(killed.fd);
        (void)close(killed.lock_fd);
        free(killed.path);
        assert_int_equal(connect_to_it(), -ECONNREFUSED);
        assert_opens(&next, true);
        close_it(&next);
}

static void a_stranger_that_listens_there_is_left_alone(void **state)
{
        struct listener first;

        (void)state;
        assert_opens(&first, true);
        assert_int_equal(unlink(lock_path), 0); /* who listens knows nothing of our lock */
        assert_refuses(-EADDRINUSE, "somebody listens there");
        assert_int_equal(connect_to_it(), 0);
        close_it(&first);
}

static void a_file_in_its_place_is_left_alone(void **state)
{
        struct listener first;
        FILE *file;

        (void)state;
        assert_opens(&first, true);
        close_it(&first);
        file = fopen(path, "w");
        assert_non_null(file);
        (void)fclose(file);
        assert_refuses(-EEXIST, "it is no socket");
        assert_int_equal(access(path, F_OK), 0);
}

static void a_path_that_is_too_long_is_told_with_its_length(void **state)
{
        struct listener listener;
        char long_path[128], *message = NULL;

        (void)state;
        (void)snprintf(long_path, sizeof(long_path), "/%0107d", 0);
        assert_int_equal(listener_open(&listener, long_path, true, &message), -ENAMETOOLONG);
        assert_non_null(strstr(message, "the path has 108 bytes, the limit is 107"));
        free(message);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                STORY(modes_are_right_whatever_the_umask),
                STORY(a_second_daemon_is_turned_away_and_the_first_goes_on),
                STORY(a_socket_that_a_killed_daemon_left_is_replaced),
                STORY(a_stranger_that_listens_there_is_left_alone),
                STORY(a_file_in_its_place_is_left_alone),
                STORY(a_path_that_is_too_long_is_told_with_its_length),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
