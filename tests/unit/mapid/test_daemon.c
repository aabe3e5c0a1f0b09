/* mapid/daemon: the shell waits for the word, and a pid file has one living owner. SPDX-License-Identifier: BSD-2-Clause */
#include "mapid/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static char folder[64];

static const char *in(const char *name)
{
        static char path[2][128];
        static unsigned next;

        next = !next;
        (void)snprintf(path[next], sizeof path[next], "%s/%s", folder, name);
        return path[next];
}

static int setup(void **state)
{
        (void)snprintf(folder, sizeof folder, "/tmp/test_daemon.XXXXXX");
        return mkdtemp(folder) == NULL;
}

static int teardown(void **state)
{
        static const char *const names[] = { "pid", "err", "facts", "link", "fifo" };

        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
                (void)unlink(in(names[i]));
        return rmdir(folder);
}

static const char *text_of(const char *name)
{
        static char text[4096];
        int fd = open(in(name), O_RDONLY | O_CLOEXEC);
        ssize_t n;

        assert_true(fd >= 0);
        n = read(fd, text, sizeof text - 1);
        assert_true(n >= 0);
        text[n] = '\0';
        close(fd);
        return text;
}

/* ---- into the background ---- */

enum ending { UP, FAILED, DEAD };

/* The one whose parent waits. `gone` stays open as long as the daemon lives, and `go` is waited for before the word. */
static void be_daemon(enum ending ending, int go, int gone)
{
        struct mapi_error err;
        int ready = -1, facts, err_file = open(in("err"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        pid_t caller = getpid();
        struct stat null, stream;
        char byte, where[64] = "";

        (void)dup2(err_file, STDERR_FILENO);
        facts = open(in("facts"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (daemon_detach(&ready, &err) != 0)
                _exit(9);
        if (read(go, &byte, 1) < 0 || ending == DEAD)
                _exit(3);
        if (ending == FAILED) {
                daemon_failed(&ready, "no such device");
                _exit(0); /* its own status means nothing */
        }
        dprintf(facts, "cwd %s, leads its session %d, in the caller's %d, ", getcwd(where, sizeof where),
                getsid(0) == getpid(), getsid(0) == getsid(caller));
        daemon_ready(&ready);
        stat("/dev/null", &null);
        for (int fd = 0; fd < 3; fd++)
                dprintf(facts, "%d", fstat(fd, &stream) == 0 && stream.st_rdev == null.st_rdev);
        dprintf(facts, " ready %d", ready);
        (void)gone;
        _exit(0);
}

/* Returns the exit status that the shell sees. It must not come before the word. */
static int start_daemon(enum ending ending)
{
        int go[2], gone[2], status = -1;
        struct pollfd end;
        pid_t pid;
        char byte;

        assert_int_equal(pipe2(go, O_CLOEXEC) + pipe2(gone, O_CLOEXEC), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                close(go[1]);
                close(gone[0]);
                be_daemon(ending, go[0], gone[1]);
        }
        close(gone[1]);
        assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
        assert_int_equal(write(go[1], "x", 1), 1);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        end = (struct pollfd){ .fd = gone[0], .events = POLLIN };
        assert_int_equal(poll(&end, 1, 30000), 1); /* the daemon has written all it has to say */
        assert_int_equal(read(gone[0], &byte, 1), 0);
        close(go[0]);
        close(go[1]);
        close(gone[0]);
        assert_true(WIFEXITED(status));
        return WEXITSTATUS(status);
}

static void up(void **state)
{
        char expected[200];

        assert_int_equal(start_daemon(UP), 0);
        (void)snprintf(expected, sizeof expected, "cwd /, leads its session 0, in the caller's 0, 111 ready -1");
        assert_string_equal(text_of("facts"), expected);
        assert_string_equal(text_of("err"), "");
}

static void failed(void **state)
{
        assert_int_equal(start_daemon(FAILED), 1);
        assert_string_equal(text_of("err"), "mapid: no such device\n");
}

static void dead(void **state)
{
        assert_int_equal(start_daemon(DEAD), 1);
        assert_string_equal(text_of("err"), "mapid: the daemon ended before it was up\n");
}

/* ---- the pid file ---- */

static void expect_mine(void)
{
        char expected[32];

        (void)snprintf(expected, sizeof expected, "%d\n", (int)getpid());
        assert_string_equal(text_of("pid"), expected);
}

static void one_owner(void **state)
{
        struct mapi_error err;
        struct stat status;
        int fd = -1;

        assert_int_equal(daemon_take_pid_file(in("pid"), &fd, &err), 0);
        expect_mine();
        assert_int_equal(stat(in("pid"), &status), 0);
        assert_int_equal(status.st_mode & 07777 & ~022, 0644);
        assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
        daemon_drop_pid_file(in("pid"), &fd);
        assert_int_equal(fd, -1);
        assert_int_equal(stat(in("pid"), &status), -1);
        daemon_drop_pid_file(in("pid"), &fd);
}

/* A process that takes the file and lives until its input ends. */
static pid_t owner(int *ret_input)
{
        int to[2], from[2], fd;
        char byte;
        pid_t pid;

        assert_int_equal(pipe2(to, O_CLOEXEC) + pipe2(from, O_CLOEXEC), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                close(to[1]);
                if (daemon_take_pid_file(in("pid"), &fd, NULL) != 0 || write(from[1], "x", 1) != 1)
                        _exit(1);
                if (read(to[0], &byte, 1) == 1)
                        daemon_drop_pid_file(in("pid"), &fd);
                _exit(0);
        }
        assert_int_equal(read(from[0], &byte, 1), 1);
        close(to[0]);
        close(from[0]);
        close(from[1]);
        *ret_input = to[1];
        return pid;
}

static void a_living_owner(void **state)
{
        struct mapi_error err;
        char expected[256];
        int fd = -1, input, status;
        pid_t pid = owner(&input);

        (void)snprintf(expected, sizeof expected,
                       "the file cannot be used: mapid is running already as process %d (pid file %s)", (int)pid,
                       in("pid"));
        assert_int_equal(daemon_take_pid_file(in("pid"), &fd, &err), -MAPI_ERROR_FILE);
        assert_string_equal(err.text, expected);
        assert_int_equal(fd, -1);
        (void)snprintf(expected, sizeof expected, "%d\n", (int)pid);
        assert_string_equal(text_of("pid"), expected); /* untouched */

        /* killed: what it leaves behind is taken over */
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_string_equal(text_of("pid"), expected);
        assert_int_equal(daemon_take_pid_file(in("pid"), &fd, &err), 0);
        expect_mine();
        daemon_drop_pid_file(in("pid"), &fd);
        close(input);
}

static void a_stale_file(void **state)
{
        struct mapi_error err;
        int fd = open(in("pid"), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

        /* The number of a process that lives and is not mapid, as after a reboot; and longer than ours. */
        assert_true(dprintf(fd, "1\nand more text than a number\n") > 0);
        close(fd);
        assert_int_equal(daemon_take_pid_file(in("pid"), &fd, &err), 0);
        expect_mine();
        daemon_drop_pid_file(in("pid"), &fd);
}

/* Its owner must not remove what is somebody else's by now. */
static void a_file_that_was_replaced(void **state)
{
        int fd = -1, other;

        assert_int_equal(daemon_take_pid_file(in("pid"), &fd, NULL), 0);
        assert_int_equal(unlink(in("pid")), 0);
        other = open(in("pid"), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        assert_true(other >= 0);
        daemon_drop_pid_file(in("pid"), &fd);
        assert_int_equal(access(in("pid"), F_OK), 0);
        close(other);
}

static void what_is_no_file(void **state)
{
        struct mapi_error err;
        int fd = -1;

        assert_int_equal(daemon_take_pid_file("/nowhere/pid", &fd, &err), -MAPI_ERROR_FILE);
        assert_string_equal(err.text,
                            "the file cannot be used: the pid file /nowhere/pid: No such file or directory");
        assert_int_equal(symlink("/etc/passwd", in("link")), 0);
        assert_int_equal(daemon_take_pid_file(in("link"), &fd, &err), -MAPI_ERROR_FILE);
        assert_int_equal(mkfifo(in("fifo"), 0600), 0);
        assert_int_equal(daemon_take_pid_file(in("fifo"), &fd, &err), -MAPI_ERROR_FILE);
        assert_non_null(strstr(err.text, "is not a regular file"));
        assert_int_equal(fd, -1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                TEST(up),
                TEST(failed),
                TEST(dead),
                TEST(one_owner),
                TEST(a_living_owner),
                TEST(a_stale_file),
                TEST(a_file_that_was_replaced),
                TEST(what_is_no_file),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
