/* SPDX-License-Identifier: MIT */
#include "os/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* A socket as systemd's, in the abstract namespace. */
static int open_manager(void)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        socklen_t size = sizeof(sa_family_t);
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        char name[sizeof(address.sun_path) + 1];

        assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
        size = sizeof(address);
        assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
        (void)snprintf(name, sizeof(name), "@%.*s", (int)(size - sizeof(sa_family_t) - 1),
                       address.sun_path + 1);
        assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
        return fd;
}

static const char *heard(int fd)
{
        static char text[1024];
        ssize_t n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);

        text[n > 0 ? n : 0] = '\0';
        return text;
}

static void the_manager_hears_what_we_do(void **state)
{
        int manager = open_manager();

        (void)state;
        notify_ready();
        assert_string_equal(heard(manager), "READY=1");
        notify_status("%d leases\nREADY=1", 3);
        assert_string_equal(heard(manager), "STATUS=3 leases");
        notify_reloading();
        assert_memory_equal(heard(manager), "RELOADING=1\nMONOTONIC_USEC=", 27);
        notify_watchdog();
        assert_string_equal(heard(manager), "WATCHDOG=1");
        notify_stopping();
        assert_string_equal(heard(manager), "STOPPING=1");
        close(manager);
        unsetenv("NOTIFY_SOCKET");
        notify_ready(); /* nobody there: nothing happens */
}

static void the_watchdog_is_fed_twice_in_its_time(void **state)
{
        char pid[16];

        (void)state;
        assert_int_equal(notify_watchdog_interval(), 0);
        (void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
        setenv("WATCHDOG_PID", pid, 1);
        setenv("WATCHDOG_USEC", "30000000", 1);
        assert_int_equal(notify_watchdog_interval(), 15000000);
        unsetenv("WATCHDOG_USEC");
        unsetenv("WATCHDOG_PID");
}

/* What notify_take_listener says in a process that is handed n sockets of these names, those from `listening` on
 * open. */
static int hand_over(const char *names, int n, int type, int listening)
{
        pid_t child = fork();
        int status;

        if (child == 0) {
                struct inherited inherited;
                struct sockaddr_un address = {.sun_family = AF_UNIX};
                char text[16];
                int r;

                for (int i = 0; i < n; i++) {
                        int fd = socket(AF_UNIX, type, 0);

                        if (bind(fd, (struct sockaddr *)&address, sizeof(sa_family_t)) ||
                            (listening && listen(fd, 1)) || (fd != 3 + i && dup2(fd, 3 + i) < 0))
                                _exit(200);
                }
                (void)snprintf(text, sizeof(text), "%d", (int)getpid());
                setenv("LISTEN_PID", text, 1);
                (void)snprintf(text, sizeof(text), "%d", n);
                setenv("LISTEN_FDS", text, 1);
                setenv("LISTEN_FDNAMES", names, 1);
                r = notify_inherit(&inherited);
                r = r ? r : notify_take_listener(&inherited);
                notify_inherited_done(&inherited);
                if (getenv("LISTEN_FDS"))
                        r = -201; /* would be passed on to children */
                _exit(r < 0 ? -r : r + 100);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        return WEXITSTATUS(status) > 100 ? WEXITSTATUS(status) - 100 : -WEXITSTATUS(status);
}

static void the_inherited_socket_goes_by_its_name(void **state)
{
        (void)state;
        assert_int_equal(hand_over("varlink", 1, SOCK_STREAM, 1), 3);
        assert_int_equal(hand_over("whatever", 1, SOCK_STREAM, 1), 3);
        assert_int_equal(hand_over("conn-1:varlink:conn-2", 3, SOCK_STREAM, 1), 4);
        assert_int_equal(hand_over("conn-1:conn-2", 2, SOCK_STREAM, 1), -ENOENT);
        assert_int_equal(hand_over("conn-1:holds:whatever", 3, SOCK_STREAM, 1), 5);
        assert_int_equal(hand_over("holds", 1, SOCK_STREAM, 1), -ENOENT); /* stored by us, not to be listened at */
}

static void what_is_no_listening_stream_is_refused(void **state)
{
        (void)state;
        assert_int_equal(hand_over("varlink", 1, SOCK_DGRAM, 0), -ENOTSOCK);
        assert_int_equal(hand_over("varlink", 1, SOCK_STREAM, 0), -ENOTSOCK);
}

static void nothing_is_taken_where_nothing_was_handed_over(void **state)
{
        struct inherited inherited;

        (void)state;
        assert_int_equal(notify_inherit(&inherited), 0);
        assert_int_equal(inherited.n, 0);
        assert_int_equal(notify_take_listener(&inherited), -ENOENT);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_manager_hears_what_we_do),
                cmocka_unit_test(the_watchdog_is_fed_twice_in_its_time),
                cmocka_unit_test(the_inherited_socket_goes_by_its_name),
                cmocka_unit_test(what_is_no_listening_stream_is_refused),
                cmocka_unit_test(nothing_is_taken_where_nothing_was_handed_over),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
