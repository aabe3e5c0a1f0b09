/* mapid/notify: what a service manager receives, through a path and through an abstract name.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "mapid/notify.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

static int manager(const char *name)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        memcpy(address.sun_path, name, strlen(name));
        if (name[0] == '@')
                address.sun_path[0] = '\0';
        assert_int_equal(bind(fd, (const struct sockaddr *)&address, length), 0);
        assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
        return fd;
}

static const char *received(int fd)
{
        static char text[2048];
        ssize_t n = recv(fd, text, sizeof text - 1, MSG_DONTWAIT);

        text[n > 0 ? n : 0] = '\0';
        return text;
}

static unsigned long long mono_us(void)
{
        struct timespec t;

        assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &t), 0);
        return (unsigned long long)t.tv_sec * 1000000 + (unsigned long long)t.tv_nsec / 1000;
}

static void one_manager(const char *name)
{
        unsigned long long before, then, after;
        int fd = manager(name), n = 0;
        const char *text;
        char line[2000];

        assert_int_equal(notify_ready("3 devices"), 1);
        assert_string_equal(received(fd), "READY=1\nSTATUS=3 devices");
        assert_int_equal(notify_status("two\nlines\tand\x1b"), 1);
        assert_string_equal(received(fd), "STATUS=two lines and ");
        before = mono_us();
        assert_int_equal(notify_reloading(), 1);
        after = mono_us();
        text = received(fd);
        assert_int_equal(sscanf(text, "RELOADING=1\nMONOTONIC_USEC=%llu%n", &then, &n), 1);
        assert_int_equal(text[n], '\0');
        assert_true(before <= then && then <= after);
        assert_int_equal(notify_stopping(), 1);
        assert_string_equal(received(fd), "STOPPING=1\nSTATUS=stopping");
        memset(line, 'x', sizeof line);
        line[sizeof line - 1] = '\0';
        assert_int_equal(notify_status(line), 1);
        assert_int_equal(strlen(received(fd)), 511);
        close(fd);
        assert_int_equal(notify_ready("nobody"), -ECONNREFUSED);
}

static void by_path(void **state)
{
        char folder[] = "/tmp/test_notify.XXXXXX", path[64];

        assert_non_null(mkdtemp(folder));
        (void)snprintf(path, sizeof path, "%s/notify", folder);
        one_manager(path);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(notify_ready("nothing"), -ENOENT);
        assert_int_equal(rmdir(folder), 0);
}

static void by_abstract_name(void **state)
{
        char name[64];

        (void)snprintf(name, sizeof name, "@mapi/test_notify/%d", (int)getpid());
        one_manager(name);
}

static void without_a_manager(void **state)
{
        char name[200];

        assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
        assert_int_equal(notify_ready("x"), 0);
        assert_int_equal(setenv("NOTIFY_SOCKET", "", 1), 0);
        assert_int_equal(notify_stopping(), 0);
        assert_int_equal(setenv("NOTIFY_SOCKET", "vsock:2:1", 1), 0);
        assert_int_equal(notify_ready("x"), -EAFNOSUPPORT);
        assert_int_equal(setenv("NOTIFY_SOCKET", "@", 1), 0);
        assert_int_equal(notify_ready("x"), -EAFNOSUPPORT);
        memset(name, '/', sizeof name);
        name[108] = '\0';
        assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
        assert_int_equal(notify_ready("x"), -ENAMETOOLONG);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(by_path),
                cmocka_unit_test(by_abstract_name),
                cmocka_unit_test(without_a_manager),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
