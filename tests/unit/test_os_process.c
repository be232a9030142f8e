/* SPDX-License-Identifier: MIT */
#include "os/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define STAT_TAIL                                                                                            \
        "S 1 4 4 0 -1 4194560 120 0 0 0 0 0 0 0 20 0 1 0 987654 2600960 388 18446744073709551615 1 1 0\n"

static void the_start_time_is_field_22(void **state)
{
        struct process_stat stat;

        (void)state;
        assert_int_equal(process_parse_stat("4 (cat) " STAT_TAIL, &stat), 0);
        assert_int_equal(stat.start_ticks, 987654);
        assert_int_equal(stat.state, 'S');
}

static void a_name_of_parentheses_and_blanks_hides_nothing(void **state)
{
        struct process_stat stat;

        (void)state;
        assert_int_equal(process_parse_stat("4 (a) R 1 2 (3)) ) " STAT_TAIL, &stat), 0);
        assert_int_equal(stat.start_ticks, 987654);
        assert_int_equal(stat.state, 'S');
}

static void what_is_no_stat_is_refused(void **state)
{
        static const char *const wrong[] = {
                "",
                "4",
                "4 (cat)",
                "4 (cat) ",
                "4 (cat) S",
                "4 (cat) S 1 2 3",
                "4 cat " STAT_TAIL,
                "4 (cat) S 1 4 4 0 -1 4194560 120 0 0 0 0 0 0 0 20 0 1 0 x 26",
        };
        struct process_stat stat;

        (void)state;
        for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
                assert_int_equal(process_parse_stat(wrong[i], &stat), -EBADMSG);
}

static void we_are_a_process_with_an_identity(void **state)
{
        struct process_id first, second;

        (void)state;
        /* What the kernel lets anybody call himself must not shift the fields. */
        assert_int_equal(prctl(PR_SET_NAME, ") R 1 2 3 ("), 0);
        assert_int_equal(process_of_pid(getpid(), &first), 0);
        assert_int_equal(process_of_pid(getpid(), &second), 0);
        assert_int_equal(first.pid, getpid());
        assert_true(first.start_ticks > 0);
        assert_int_equal(strlen(first.boot_id), 36);
        assert_int_equal(first.start_ticks, second.start_ticks);
        assert_int_equal(first.pidfd_inode, second.pidfd_inode);
}

static void a_process_that_was_waited_for_is_none(void **state)
{
        struct process_id process;
        pid_t child = fork();

        (void)state;
        if (child == 0)
                _exit(0);
        assert_int_equal(waitpid(child, NULL, 0), child);
        assert_int_equal(process_of_pid(child, &process), -ESRCH);
        assert_int_equal(process_exists(child), 0);
        assert_int_equal(process_exists(getpid()), 1);
}

static void a_peer_is_its_process_and_user(void **state)
{
        struct process_id peer, self;
        uid_t uid;
        int pair[2];

        (void)state;
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        assert_int_equal(process_of_peer(pair[0], &uid, &peer), 0);
        assert_int_equal(process_of_pid(getpid(), &self), 0);
        assert_int_equal(uid, getuid());
        assert_int_equal(peer.pid, getpid());
        assert_int_equal(peer.start_ticks, self.start_ticks);
        assert_int_equal(peer.pidfd_inode, self.pidfd_inode);
        assert_string_equal(peer.boot_id, self.boot_id);
        close(pair[0]);
        close(pair[1]);
}

/* Connects in a child with the given groups; the child ends when `go` closes. */
static pid_t connect_in_child(int *ret_fd, int *ret_go, const gid_t *groups, size_t n)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        socklen_t size = sizeof(sa_family_t); /* a name of the kernel's choice */
        int listener = socket(AF_UNIX, SOCK_STREAM, 0), go[2];
        char byte;
        pid_t child;

        assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
        size = sizeof(address);
        assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
        assert_int_equal(listen(listener, 1), 0);
        assert_int_equal(pipe(go), 0);
        child = fork();
        if (child == 0) {
                int fd = socket(AF_UNIX, SOCK_STREAM, 0);

                close(go[1]);
                if (n && setgroups(n, groups))
                        _exit(2);
                if (connect(fd, (struct sockaddr *)&address, size))
                        _exit(1);
                _exit(read(go[0], &byte, 1) < 0);
        }
        *ret_fd = accept(listener, NULL, NULL);
        *ret_go = go[1];
        close(go[0]);
        close(listener);
        return child;
}

static void a_peer_that_ended_has_no_identity_any_more(void **state)
{
        struct process_id peer;
        uid_t uid;
        pid_t child;
        int fd, go;

        (void)state;
        child = connect_in_child(&fd, &go, NULL, 0);
        assert_int_equal(process_of_peer(fd, &uid, &peer), 0);
        assert_int_equal(peer.pid, child);
        close(go);
        assert_int_equal(waitpid(child, NULL, 0), child);
        assert_int_equal(process_of_peer(fd, &uid, &peer), -ESRCH);
        close(fd);
}

static void the_groups_of_a_peer_are_the_kernels_word(void **state)
{
        static const gid_t groups[] = {4711, 4712, 4713};
        pid_t child;
        int fd, go;

        (void)state;
        if (geteuid() != 0)
                skip(); /* only root may choose its groups */
        child = connect_in_child(&fd, &go, groups, 3);
        assert_int_equal(peer_in_group(fd, getgid()), 1);
        assert_int_equal(peer_in_group(fd, 4713), 1);
        assert_int_equal(peer_in_group(fd, 4714), 0);
        close(go);
        assert_int_equal(waitpid(child, NULL, 0), child);
        assert_int_equal(peer_in_group(fd, 4713), 1); /* fixed at connect() */
        close(fd);
        assert_int_equal(peer_in_group(-1, 4713), -EBADF);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_start_time_is_field_22),
                cmocka_unit_test(a_name_of_parentheses_and_blanks_hides_nothing),
                cmocka_unit_test(what_is_no_stat_is_refused),
                cmocka_unit_test(we_are_a_process_with_an_identity),
                cmocka_unit_test(a_process_that_was_waited_for_is_none),
                cmocka_unit_test(a_peer_is_its_process_and_user),
                cmocka_unit_test(a_peer_that_ended_has_no_identity_any_more),
                cmocka_unit_test(the_groups_of_a_peer_are_the_kernels_word),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
