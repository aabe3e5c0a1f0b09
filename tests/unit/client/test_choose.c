/* Who runs the flows: the order of sockets, what refuses, what is said about it.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "fake.h"

#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* Each case runs in a process of its own, for the choice is made once. */
static char runtime_socket[80], missing[80];

static void in_child(void (*f)(void))
{
        int status;
        pid_t child;

        (void)fflush(NULL);
        child = fork();
        if (child == 0) {
                f();
                _exit(0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        if (status != 0)
                fail_msg("the case ended with %d", status);
}

/** assert_... jump out of the child's way: here a failure ends it. */
static void must_at(bool good, int line, const char *what)
{
        if (good)
                return;
        (void)fprintf(stderr, "%s:%d: %s; error: %s\n", __FILE__, line, what, fake_text());
        _exit(1);
}
#define must(condition) must_at((condition), __LINE__, #condition)

static bool fails(int got, int code, const char *part)
{
        static char text[MAPI_ERRORSTR_LENGTH];
        int error;

        (void)mapi_read_error(&error, text);
        if (got == -1 && error == code && strstr(text, part) != NULL)
                return true;
        (void)fprintf(stderr, "returned %d, error %d: %s\n", got, error, text);
        return false;
}

static bool is_embedded(void)
{
        return fake_opened == 0;
}

static void named_socket(void)
{
        must(mapi_create_flow("fake0") == 1);
        must(strcmp(fake_last()->path, fake_socket()) == 0);
        must(fails(mapi_create_flow("lo"), MAPID_NO_DRIVER, "does not offer it"));
        must(fails(mapi_create_flow("any"), MAPID_NO_DRIVER, "does not offer it"));
        must(fails(mapi_create_flow("HOW CARES"), MAPID_NO_DRIVER, "no readable trace"));
        must(fails(mapi_create_flow("host:eth0"), MCOM_SOCKET_ERROR, "DiMAPI"));
        must(mapi_create_flow("null") == -1);
        (void)setenv("MAPI_DEVICE_MAP", "lo=null:packets=5,fake0=null", 1);
        must(mapi_create_flow("lo") == 2); /* in front of interfaces, behind devices */
        must(fake_opened == 1);
}

static void runtime_directory(void)
{
        (void)unsetenv("MAPI_SOCKET");
        (void)setenv("XDG_RUNTIME_DIR", runtime_socket, 1);
        *strrchr(getenv("XDG_RUNTIME_DIR"), '/') = '\0';
        must(mapi_create_flow("fake0") == 1);
        must(strcmp(fake_last()->path, fake_socket()) == 0);
        (void)setenv("MAPI_SOCKET", missing, 1); /* only this one, if it is set */
        must(fails(mapi_session_open(missing), MCOM_INIT_SOCKET_ERROR, missing));
}

static void no_socket(void)
{
        mapi_lib_info_t info;

        (void)setenv("MAPI_SOCKET", missing, 1);
        must(mapi_get_library_info(0, &info) == 0);
        must(strcmp(info.libname, "stdflib") == 0);
        must(is_embedded());
        must(fails(mapi_create_flow("HOW CARES"), MAPID_NO_DRIVER, "no readable trace"));
        /* mapid has been started: it is found as long as nothing has been created. */
        (void)setenv("MAPI_SOCKET", fake_socket(), 1);
        must(mapi_create_flow("fake0") == 1);
        must(fake_opened == 1);
        must(mapi_get_library_info(0, &info) == 0 && strcmp(info.libname, "fakelib") == 0);
}

static void stays_embedded(void)
{
        int fd;

        (void)setenv("MAPI_SOCKET", missing, 1);
        (void)setenv("MAPI_DEVICE_MAP", "x=null:packets=5", 1);
        fd = mapi_create_flow("x");
        must(fd == 1);
        (void)setenv("MAPI_SOCKET", fake_socket(), 1);
        must(fails(mapi_create_flow("fake0"), MAPID_NO_DRIVER, "no readable trace"));
        must(mapi_close_flow(fd) == 0);
        must(mapi_create_flow("fake0") > 1000000); /* its number, 1, has been used */
        must(fake_opened == 1);
}

static void refuses(void)
{
        int fd;

        fake_refuses = "connection refused: nobody listens";
        (void)setenv("MAPI_DEVICE_MAP", "x=null:packets=5", 1);
        fd = mapi_create_flow("x"); /* offline: in this process */
        must(fd == 1 && is_embedded());
        must(fails(mapi_create_flow("lo"), MCOM_INIT_SOCKET_ERROR, "nobody listens"));
        must(fails(mapi_create_flow("any"), MCOM_INIT_SOCKET_ERROR, fake_socket()));
        must(fails(mapi_create_flow("fake0"), MAPID_NO_DRIVER, "nobody listens"));
        must(fails(mapi_session_open(fake_socket()), MCOM_INIT_SOCKET_ERROR, "nobody listens"));
        must(mapi_session_open(NULL) == 1); /* embedded, too */
        must(mapi_close_flow(fd) == 0);
        fake_refuses = NULL;
        must(mapi_create_flow("fake0") > 0 && fake_opened == 1);
}

static void no_rights(void)
{
        char *slash;

        (void)snprintf(runtime_socket, sizeof runtime_socket, "%s", fake_socket());
        slash = strrchr(runtime_socket, '/');
        *slash = '\0';
        must(chmod(fake_socket(), 0660) == 0 && chmod(runtime_socket, 0711) == 0);
        if (geteuid() != 0 || setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0)
                _exit(0); /* only root can become somebody who is kept out */
        must(fails(mapi_create_flow("lo"), MCOM_INIT_SOCKET_ERROR, "permission denied"));
        must(fails(mapi_create_flow("lo"), MCOM_INIT_SOCKET_ERROR, "members of the group root"));
        must(fake_opened == 0);
}

static void no_socket_file(void)
{
        must(fails(mapi_session_open("/dev/null"), MCOM_INIT_SOCKET_ERROR, "/dev/null: it is no socket"));
        must(fails(mapi_session_open("/dev/null/x"), MCOM_INIT_SOCKET_ERROR, "Not a directory"));
        must(fails(mapi_session_open(""), MCOM_INIT_SOCKET_ERROR, "no such socket"));
}

static void by_name(void)
{
        mapi_lib_info_t info;

        (void)setenv("MAPI_BACKEND", "local", 1);
        fake_refuses = "not now";
        must(fails(mapi_get_library_info(0, &info), MCOM_INIT_SOCKET_ERROR, "not now"));
        (void)setenv("MAPI_SOCKET", missing, 1);
        must(fails(mapi_create_offline_flow("/dev/null", MFF_PCAP), MCOM_INIT_SOCKET_ERROR, missing));
        (void)unsetenv("MAPI_SOCKET");
        (void)setenv("XDG_RUNTIME_DIR", "/nowhere", 1);
        must(fails(mapi_create_flow("lo"), MCOM_INIT_SOCKET_ERROR, "/nowhere/mapid.sock: "));
        must(fails(mapi_create_flow("lo"), MCOM_INIT_SOCKET_ERROR, "/run/mapi/mapid.sock: "));
        (void)setenv("MAPI_BACKEND", "remote", 1);
        must(fails(mapi_create_flow("lo"), MCOM_INIT_SOCKET_ERROR, "'remote'"));
        fake_refuses = NULL;
        (void)setenv("MAPI_BACKEND", "embedded", 1);
        (void)setenv("MAPI_SOCKET", fake_socket(), 1);
        must(mapi_get_library_info(0, &info) == 0 && strcmp(info.libname, "stdflib") == 0);
        must(fails(mapi_create_flow("fake0"), MAPID_NO_DRIVER, "no readable trace"));
        must(is_embedded());
        must(mapi_session_open(fake_socket()) == 1 && fake_opened == 1); /* by its path */
}

static void debug(void)
{
        char text[4096] = "", expected[200];
        int fds[2];
        mapi_lib_info_t info;

        must(pipe(fds) == 0 && dup2(fds[1], 2) == 2);
        (void)setenv("MAPI_DEBUG", "1", 1);
        (void)setenv("MAPI_SOCKET", missing, 1);
        must(mapi_get_library_info(0, &info) == 0);
        must(read(fds[0], text, sizeof text - 1) > 0);
        (void)snprintf(expected, sizeof expected, "no mapid at %s: there is no such socket", missing);
        must(strstr(text, expected) != NULL);
        must(strstr(text, "embedded, in this process") != NULL);
        must(mapi_session_open(fake_socket()) == 1);
        memset(text, 0, sizeof text);
        must(read(fds[0], text, sizeof text - 1) > 0);
        must(strstr(text, "it answers at") != NULL && strstr(text, fake_socket()) != NULL);
}

#define CASE(f)                                                                                                   \
        static void test_##f(void **unused)                                                                       \
        {                                                                                                         \
                (void)unused;                                                                                     \
                in_child(f);                                                                                      \
        }
CASE(named_socket)
CASE(runtime_directory)
CASE(no_socket)
CASE(stays_embedded)
CASE(refuses)
CASE(no_rights)
CASE(no_socket_file)
CASE(by_name)
CASE(debug)

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_named_socket), cmocka_unit_test(test_runtime_directory),
                cmocka_unit_test(test_no_socket),    cmocka_unit_test(test_stays_embedded),
                cmocka_unit_test(test_refuses),      cmocka_unit_test(test_no_socket_file),
                cmocka_unit_test(test_by_name),      cmocka_unit_test(test_debug),
                cmocka_unit_test(test_no_rights),
        };

        (void)snprintf(runtime_socket, sizeof runtime_socket, "%s", fake_socket());
        (void)snprintf(missing, sizeof missing, "%s-is-missing", fake_socket());
        return cmocka_run_group_tests(tests, NULL, NULL);
}
