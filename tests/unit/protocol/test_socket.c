/* protocol/socket: messages and descriptors over a socket, and whoever sends what, no descriptor stays behind.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "protocol/message.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>
#include <cmocka.h>

static int ends[2];
static uint8_t buf[PROTOCOL_MESSAGE_MAX];
static unsigned open_before;

static unsigned open_files(void)
{
        DIR *d = opendir("/proc/self/fd");
        unsigned n = 0;

        assert_non_null(d);
        while (readdir(d) != NULL)
                n++;
        closedir(d);
        return n;
}

static int setup(void **state)
{
        memset(buf, 0xaa, sizeof buf);
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
        open_before = open_files();
        return 0;
}

static int teardown(void **state)
{
        for (unsigned i = 0; i < 2; i++)
                if (ends[i] >= 0)
                        close(ends[i]);
        return 0;
}

/** Sends what protocol_send() would refuse: n times the same descriptor beside len bytes. */
static void send_raw(size_t len, unsigned n)
{
        static uint8_t bytes[PROTOCOL_MESSAGE_MAX + 1];
        union {
                struct cmsghdr align;
                char bytes[CMSG_SPACE(64 * sizeof(int))];
        } control;
        struct iovec part = { .iov_base = bytes, .iov_len = len };
        struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };
        struct cmsghdr *head;

        if (n != 0) {
                memset(&control, 0, sizeof control);
                m.msg_control = control.bytes;
                m.msg_controllen = CMSG_SPACE(n * sizeof(int));
                head = CMSG_FIRSTHDR(&m);
                head->cmsg_level = SOL_SOCKET;
                head->cmsg_type = SCM_RIGHTS;
                head->cmsg_len = CMSG_LEN(n * sizeof(int));
                for (unsigned i = 0; i < n; i++)
                        memcpy(CMSG_DATA(head) + i * sizeof(int), &ends[1], sizeof(int));
        }
        assert_int_equal(sendmsg(ends[0], &m, 0), len);
}

static void messages_keep_their_borders(void **state)
{
        struct protocol_received r;
        struct mapi_error err = { 0 };

        assert_int_equal(protocol_send(ends[0], (const uint8_t *)"one", 3, NULL, 0, 0, NULL, &err), 0);
        assert_int_equal(protocol_send(ends[0], (const uint8_t *)"second", 6, NULL, 0, 0, NULL, &err), 0);
        assert_int_equal(protocol_recv(ends[1], buf, 0, &r, NULL, &err), 1);
        assert_int_equal(r.len, 3);
        assert_int_equal(r.nfds, 0);
        assert_memory_equal(buf, "one", 3);
        assert_int_equal(protocol_recv(ends[1], buf, 0, &r, NULL, &err), 1);
        assert_int_equal(r.len, 6);
        assert_memory_equal(buf, "second", 6);
}

static void descriptors_come_in_order(void **state)
{
        char name[] = "/tmp/mapi-test-socket.XXXXXX";
        struct mapi_error err = { 0 };

        for (unsigned n = 0; n <= PROTOCOL_FDS_MAX; n++) {
                int fds[PROTOCOL_FDS_MAX];
                struct protocol_received r;
                struct stat a, b;

                for (unsigned i = 0; i < n; i++) {
                        memcpy(name + sizeof name - 7, "XXXXXX", 6);
                        fds[i] = mkstemp(name);
                        assert_true(fds[i] >= 0);
                        assert_int_equal(unlink(name), 0);
                }
                assert_int_equal(protocol_send(ends[0], (const uint8_t *)"x", 1, fds, n, 0, NULL, &err), 0);
                assert_int_equal(protocol_recv(ends[1], buf, 0, &r, NULL, &err), 1);
                assert_int_equal(r.nfds, n);
                for (unsigned i = 0; i < n; i++) {
                        assert_int_equal(fstat(fds[i], &a), 0);
                        assert_int_equal(fstat(r.fd[i], &b), 0);
                        assert_int_equal(a.st_ino, b.st_ino);
                        assert_int_equal(fcntl(r.fd[i], F_GETFD), FD_CLOEXEC);
                        close(fds[i]); /* they were borrowed */
                }
                assert_int_equal(open_files(), open_before + n);
                protocol_close_fds(&r, n / 2);
                assert_int_equal(r.nfds, n / 2);
                assert_int_equal(open_files(), open_before + n / 2);
                protocol_close_fds(&r, n);
                protocol_close_fds(&r, 0);
                assert_int_equal(r.nfds, 0);
                assert_int_equal(open_files(), open_before);
        }
}

static void too_many_descriptors_are_refused_and_closed(void **state)
{
        for (unsigned n = PROTOCOL_FDS_MAX + 1; n <= 60; n++) {
                struct protocol_received r = { .nfds = 99 };
                struct mapi_error err = { 0 };

                send_raw(5, n);
                assert_int_equal(protocol_recv(ends[1], buf, 0, &r, NULL, &err), -5121);
                assert_int_equal(err.code, 5121);
                assert_int_equal(r.nfds, 0);
                assert_int_equal(r.len, 5);
                assert_int_equal(open_files(), open_before);
        }
}

static void credentials_take_no_room_from_descriptors(void **state)
{
        struct protocol_received r;
        struct mapi_error err = { 0 };
        int on = 1;

        assert_int_equal(setsockopt(ends[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
        send_raw(5, PROTOCOL_FDS_MAX);
        assert_int_equal(protocol_recv(ends[1], buf, 0, &r, NULL, &err), 1);
        assert_int_equal(r.nfds, PROTOCOL_FDS_MAX);
        protocol_close_fds(&r, 0);
        send_raw(5, PROTOCOL_FDS_MAX + 1);
        assert_int_equal(protocol_recv(ends[1], buf, 0, &r, NULL, &err), -5121);
        assert_int_equal(open_files(), open_before);
}

static void without_room_for_files_nothing_stays_open(void **state)
{
        struct protocol_received r;
        struct mapi_error err = { 0 };
        struct rlimit before, small;
        int spare = open("/dev/null", O_RDONLY), highest;

        assert_true(spare >= 0);
        open_before = open_files();
        highest = dup(spare);
        close(highest); /* the lowest free number */
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
        small = before;
        small.rlim_cur = (rlim_t)highest + 3;
        send_raw(5, 10);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &small), 0);
        assert_int_equal(protocol_recv(ends[1], buf, 0, &r, NULL, &err), -5121);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_int_equal(open_files(), open_before);
        assert_int_equal(r.nfds, 0);
        close(spare);
}

static void too_long_is_refused(void **state)
{
        static uint8_t bytes[PROTOCOL_MESSAGE_MAX + 1];
        struct protocol_received r;
        struct mapi_error err = { 0 };

        assert_int_equal(protocol_send(ends[0], bytes, sizeof bytes, NULL, 0, 0, NULL, &err), -5123);
        assert_int_equal(protocol_send(ends[0], bytes, 1, ends, PROTOCOL_FDS_MAX + 1, 0, NULL, &err), -5123);
        assert_int_equal(protocol_send(ends[0], bytes, 0, NULL, 0, 0, NULL, &err), -5123);
        memset(bytes, 0x55, sizeof bytes);
        assert_int_equal(protocol_send(ends[0], bytes, PROTOCOL_MESSAGE_MAX, NULL, 0, 0, NULL, &err), 0);
        assert_int_equal(protocol_recv(ends[1], buf, 0, &r, NULL, &err), 1);
        assert_int_equal(r.len, PROTOCOL_MESSAGE_MAX);
        assert_memory_equal(buf, bytes, PROTOCOL_MESSAGE_MAX);
        send_raw(sizeof bytes, 3);
        assert_int_equal(protocol_recv(ends[1], buf, 0, &r, NULL, &err), -5121);
        assert_int_equal(open_files(), open_before);
        send_raw(7, 0); /* the next one is whole again */
        assert_int_equal(protocol_recv(ends[1], buf, 0, &r, NULL, &err), 1);
        assert_int_equal(r.len, 7);
}

static void an_empty_message_is_the_end(void **state)
{
        struct protocol_received r = { .len = 42 };
        struct mapi_error err = { 0 };

        send_raw(0, 0);
        assert_int_equal(protocol_recv(ends[1], buf, 0, &r, NULL, &err), 0);
        assert_int_equal(r.len, 42);
        send_raw(0, 2);
        assert_int_equal(protocol_recv(ends[1], buf, 0, &r, NULL, &err), -5121);
        assert_int_equal(open_files(), open_before);
}

static void the_end_is_seen(void **state)
{
        struct protocol_received r;
        struct mapi_error err = { 0 };
        bool again = true;

        send_raw(7, 1);
        close(ends[0]);
        ends[0] = -1;
        assert_int_equal(protocol_recv(ends[1], buf, 0, &r, NULL, &err), 1); /* what was sent before still comes */
        protocol_close_fds(&r, 0);
        assert_int_equal(protocol_recv(ends[1], buf, MSG_DONTWAIT, &r, &again, &err), 0);
        assert_false(again);
        again = true;
        /* and no SIGPIPE */
        assert_int_equal(protocol_send(ends[1], (const uint8_t *)"x", 1, NULL, 0, 0, &again, &err), -5123);
        assert_false(again);
}

static void closed_over_unread_messages_is_the_end_too(void **state)
{
        struct protocol_received r;
        struct mapi_error err = { 0 };

        send_raw(7, 0);
        assert_int_equal(protocol_send(ends[1], (const uint8_t *)"last words", 10, NULL, 0, 0, NULL, &err), 0);
        close(ends[1]);
        ends[1] = -1;
        assert_int_equal(protocol_recv(ends[0], buf, 0, &r, NULL, &err), 1);
        assert_int_equal(r.len, 10);
        assert_memory_equal(buf, "last words", 10);
        assert_int_equal(protocol_recv(ends[0], buf, 0, &r, NULL, &err), 0);
        assert_int_equal(protocol_recv(ends[0], buf, 0, &r, NULL, &err), 0);
}

static void who_would_have_to_wait_is_told(void **state)
{
        struct protocol_received r;
        struct mapi_error err = { 0 };
        bool again = false;
        unsigned n = 0;

        assert_int_equal(protocol_recv(ends[1], buf, MSG_DONTWAIT, &r, &again, &err), -5123);
        assert_true(again);
        assert_int_equal(protocol_recv(ends[1], buf, MSG_DONTWAIT, &r, NULL, &err), -5123);
        for (again = false; !again && n < 100000; n++) {
                int rc = protocol_send(ends[0], buf, 1000, NULL, 0, MSG_DONTWAIT, &again, &err);

                assert_int_equal(rc, again ? -5123 : 0);
        }
        assert_true(again && n > 1);
        while (--n > 0)
                assert_int_equal(protocol_recv(ends[1], buf, MSG_DONTWAIT, &r, NULL, &err), 1);
        assert_int_equal(protocol_send(ends[0], buf, 1000, NULL, 0, MSG_DONTWAIT, &again, &err), 0);
        assert_false(again);
        close(ends[0]);
        ends[0] = -1;
        assert_int_equal(protocol_recv(-1, buf, 0, &r, &again, &err), -5123);
        assert_false(again);
        assert_int_equal(protocol_send(-1, buf, 1, NULL, 0, 0, &again, &err), -5123);
        assert_false(again);
}

static volatile sig_atomic_t alarms;

/* Two interruptions, then what is waited for: talking from a signal handler is what the folder is made for. */
static void on_alarm_send(int number)
{
        if (++alarms == 3)
                (void)protocol_send(ends[0], (const uint8_t *)"late", 4, NULL, 0, 0, NULL, NULL);
}

static void on_alarm_receive(int number)
{
        static uint8_t other[PROTOCOL_MESSAGE_MAX];
        struct protocol_received r;

        if (++alarms >= 3)
                while (protocol_recv(ends[1], other, MSG_DONTWAIT, &r, NULL, NULL) == 1)
                        ;
}

static void interrupt_with(void (*handler)(int))
{
        struct sigaction action = { .sa_handler = handler }; /* without SA_RESTART */
        struct itimerval often = { { 0, 2000 }, { 0, 2000 } }, never = { 0 };

        alarms = 0;
        (void)setitimer(ITIMER_REAL, handler != NULL ? &often : &never, NULL);
        if (handler == NULL)
                action.sa_handler = SIG_DFL;
        assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
}

static void signals_end_nothing(void **state)
{
        struct protocol_received r;
        struct mapi_error err = { 0 };
        bool again = false;
        struct sigaction ignore = { .sa_handler = SIG_IGN };

        assert_int_equal(sigaction(SIGALRM, &ignore, NULL), 0);
        interrupt_with(on_alarm_send);
        assert_int_equal(protocol_recv(ends[1], buf, 0, &r, NULL, &err), 1);
        assert_int_equal(sigaction(SIGALRM, &ignore, NULL), 0);
        assert_true(alarms >= 3);
        assert_int_equal(r.len, 4);
        assert_memory_equal(buf, "late", 4);

        while (!again)
                (void)protocol_send(ends[0], buf, 1000, NULL, 0, MSG_DONTWAIT, &again, &err);
        interrupt_with(on_alarm_receive);
        assert_int_equal(protocol_send(ends[0], buf, 1000, NULL, 0, 0, &again, &err), 0);
        assert_int_equal(sigaction(SIGALRM, &ignore, NULL), 0);
        assert_true(alarms >= 3);
        interrupt_with(NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(messages_keep_their_borders, setup, teardown),
                cmocka_unit_test_setup_teardown(descriptors_come_in_order, setup, teardown),
                cmocka_unit_test_setup_teardown(too_many_descriptors_are_refused_and_closed, setup, teardown),
                cmocka_unit_test_setup_teardown(credentials_take_no_room_from_descriptors, setup, teardown),
                cmocka_unit_test_setup_teardown(without_room_for_files_nothing_stays_open, setup, teardown),
                cmocka_unit_test_setup_teardown(too_long_is_refused, setup, teardown),
                cmocka_unit_test_setup_teardown(an_empty_message_is_the_end, setup, teardown),
                cmocka_unit_test_setup_teardown(the_end_is_seen, setup, teardown),
                cmocka_unit_test_setup_teardown(closed_over_unread_messages_is_the_end_too, setup, teardown),
                cmocka_unit_test_setup_teardown(who_would_have_to_wait_is_told, setup, teardown),
                cmocka_unit_test_setup_teardown(signals_end_nothing, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
