/* Going into the background and the pid file; see daemon.h. SPDX-License-Identifier: BSD-2-Clause */
#include "mapid/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PID_FILE_TRIES 16

/* ---- the word back ---- */

/* What comes through the sockets: nothing but an end means that the daemon died; "" (one NUL) that it is up; else a text. */
static _Noreturn void wait_for_word(int fd)
{
        char text[1024];
        size_t have = 0;
        ssize_t n;

        do {
                n = read(fd, text + have, sizeof text - 1 - have);
                have += n > 0 ? (size_t)n : 0;
        } while ((n > 0 && have < sizeof text - 1) || (n < 0 && errno == EINTR));
        text[have] = '\0';
        if (have > 0 && text[0] == '\0')
                _exit(0);
        dprintf(STDERR_FILENO, "mapid: %s\n", have > 0 ? text : "the daemon ended before it was up");
        _exit(1);
}

static void send_word(int *ready, const char *text, size_t n)
{
        if (*ready < 0)
                return;
        while (n > 0) {
                ssize_t r = send(*ready, text, n, MSG_NOSIGNAL);

                if (r < 0 && errno == EINTR)
                        continue;
                if (r <= 0)
                        break; /* nobody waits any more */
                text += r;
                n -= (size_t)r;
        }
        (void)close(*ready);
        *ready = -1;
}

int daemon_detach(int *ret_ready, struct mapi_error *err)
{
        int ends[2];
        pid_t pid;

        (void)fflush(NULL); /* or the copies would be written as well */
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
                return mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "a pair of sockets: %m");
        pid = fork();
        if (pid < 0) {
                (void)close(ends[0]);
                (void)close(ends[1]);
                return mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "a process for the background: %m");
        }
        if (pid > 0) {
                (void)close(ends[1]);
                while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                        ;
                wait_for_word(ends[0]);
        }
        (void)close(ends[0]);
        *ret_ready = ends[1];
        if (setsid() < 0 || chdir("/") < 0 || (pid = fork()) < 0) {
                char text[128];

                (void)snprintf(text, sizeof text, "cannot go into the background: %s", strerror(errno));
                daemon_failed(ret_ready, text);
                _exit(1);
        }
        if (pid > 0) /* not a leader of its session any more: it can never get a terminal again */
                _exit(0);
        return 0;
}

void daemon_ready(int *ready)
{
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        if (null >= 0) {
                for (int fd = 0; fd <= STDERR_FILENO; fd++)
                        (void)dup2(null, fd); /* the terminal stays where this fails, which harms nobody */
                if (null > STDERR_FILENO)
                        (void)close(null);
        }
        send_word(ready, "", 1);
}

void daemon_failed(int *ready, const char *text)
{
        send_word(ready, *text != '\0' ? text : "failed", *text != '\0' ? strlen(text) : 6);
}

/* ---- the pid file ---- */

/* Whether what is locked is still what the path leads to: its owner may have removed it just before it let go. */
static int still_there(const char *path, int fd)
{
        struct stat by_path, by_fd;

        return lstat(path, &by_path) == 0 && fstat(fd, &by_fd) == 0 && by_path.st_dev == by_fd.st_dev &&
               by_path.st_ino == by_fd.st_ino;
}

/* 0 locked and ours, 1 try again, or an error. */
static int try_lock(const char *path, int fd, struct mapi_error *err)
{
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET }, other = lock;
        struct stat status;

        if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
                return mapi_fail(err, MAPI_ERROR_FILE, "the pid file %s is not a regular file", path);
        if (fcntl(fd, F_SETLK, &lock) == 0)
                return !still_there(path, fd);
        if (errno != EACCES && errno != EAGAIN)
                return mapi_fail(err, MAPI_ERROR_FILE, "the pid file %s cannot be locked: %m", path);
        if (fcntl(fd, F_GETLK, &other) != 0 || other.l_type == F_UNLCK)
                return 1; /* it has just gone */
        return mapi_fail(err, MAPI_ERROR_FILE, "mapid is running already as process %d (pid file %s)",
                         (int)other.l_pid, path);
}

static int write_pid(const char *path, int fd, struct mapi_error *err)
{
        char text[32];
        int n = snprintf(text, sizeof text, "%d\n", (int)getpid());

        if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) != n)
                return mapi_fail(err, MAPI_ERROR_FILE, "the pid file %s cannot be written: %m", path);
        return 0;
}

int daemon_take_pid_file(const char *path, int *ret_fd, struct mapi_error *err)
{
        int fd = -1, r = 1;

        for (int i = 0; i < PID_FILE_TRIES && r == 1; i++) {
                fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0644);
                if (fd < 0)
                        return mapi_fail(err, MAPI_ERROR_FILE, "the pid file %s: %m", path);
                r = try_lock(path, fd, err);
                if (r == 0)
                        r = write_pid(path, fd, err);
                if (r != 0)
                        (void)close(fd);
        }
        if (r == 1)
                r = mapi_fail(err, MAPI_ERROR_FILE, "the pid file %s is being replaced all the time", path);
        if (r == 0)
                *ret_fd = fd;
        return r;
}

void daemon_drop_pid_file(const char *path, int *fd)
{
        if (*fd < 0)
                return;
        if (still_there(path, *fd))
                (void)unlink(path); /* before the lock goes: nobody else can have it */
        (void)close(*fd);
        *fd = -1;
}
