/* Taking and leaving the socket. SPDX-License-Identifier: BSD-2-Clause */
#include "mapid/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SYSTEM_DIRECTORY "/run/mapi"

enum { BACKLOG = 128 };

int socket_choose(const char *given, const char *configured, bool local, char *ret, size_t size,
                  struct mapi_error *err)
{
        const char *wanted = given, *runtime = getenv("XDG_RUNTIME_DIR");
        int n;

        if (wanted == NULL)
                wanted = getenv("MAPI_SOCKET");
        if (wanted == NULL || wanted[0] == '\0')
                wanted = configured;
        if (wanted != NULL)
                n = snprintf(ret, size, "%s", wanted);
        else if (geteuid() == 0 && !local)
                n = snprintf(ret, size, "%s/mapid.sock", SYSTEM_DIRECTORY);
        else if (runtime != NULL && runtime[0] == '/')
                n = snprintf(ret, size, "%s/mapid.sock", runtime);
        else
                return mapi_fail(err, MCOM_INIT_SOCKET_ERROR,
                                 "no place for the socket of this user's mapid: $XDG_RUNTIME_DIR is not set");
        if (n < 0 || (size_t)n >= size)
                return mapi_fail(err, MCOM_INIT_SOCKET_ERROR, "the path of the socket has more than %zu bytes",
                                 size - 1);
        return ret[0] == '/' ? 0
                             : mapi_fail(err, MCOM_INIT_SOCKET_ERROR,
                                         "the path of the socket must be absolute, not %s", ret);
}

/** True if somebody answers there. */
static bool answers(const struct sockaddr_un *address)
{
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), r, code;

        if (fd < 0)
                return false;
        r = connect(fd, (const struct sockaddr *)address, sizeof *address);
        code = errno;
        (void)close(fd);
        return r == 0 || (code != ECONNREFUSED && code != ENOENT);
}

/** One mapid at a time: the lock goes with the last process that has the descriptor. */
static int take_state(struct socket_place *p, struct mapi_error *err)
{
        char text[32] = "";
        ssize_t n;

        p->state_fd = open(p->state_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (p->state_fd < 0)
                return mapi_fail(err, MCOM_INIT_SOCKET_ERROR, "%s: %s", p->state_path, strerror(errno));
        if (flock(p->state_fd, LOCK_EX | LOCK_NB) < 0)
                return mapi_fail(err, MCOM_INIT_SOCKET_ERROR, "another mapid listens on %s", p->path);
        n = pread(p->state_fd, text, sizeof text - 1, 0);
        if (n > 0) {
                long last = strtol(text, NULL, 10);

                p->last_flow = last > 0 && last < 1 << 30 ? (int)last : 0;
        }
        return 0;
}

/** Members of the group, or this user only. */
static int set_access(struct socket_place *p, const char *group, struct mapi_error *err)
{
        const struct group *g = group == NULL ? NULL : getgrnam(group);
        mode_t mode = 0600;

        (void)snprintf(p->access, sizeof p->access, "this user only");
        if (geteuid() == 0)
                (void)snprintf(p->access, sizeof p->access, "root only%s%s%s",
                               group != NULL ? ", there is no group " : "", group != NULL ? group : "", "");
        if (g != NULL) {
                if (chown(p->path, (uid_t)-1, g->gr_gid) == 0) {
                        mode = 0660;
                        (void)snprintf(p->access, sizeof p->access, "group %s", group);
                }
        }
        if (chmod(p->path, mode) < 0)
                return mapi_fail(err, MCOM_INIT_SOCKET_ERROR, "%s: %s", p->path, strerror(errno));
        return 0;
}

int socket_take(const char *path, const char *group, struct socket_place *ret, struct mapi_error *err)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        struct socket_place *p = ret;
        struct stat st;
        mode_t mask;
        int r;

        *p = (struct socket_place){ .listen_fd = -1, .state_fd = -1 };
        (void)snprintf(p->path, sizeof p->path, "%s", path);
        (void)snprintf(p->state_path, sizeof p->state_path, "%s.state", path);
        (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
        if (strncmp(path, SYSTEM_DIRECTORY "/", strlen(SYSTEM_DIRECTORY) + 1) == 0)
                (void)mkdir(SYSTEM_DIRECTORY, 0755); /* what is there already is fine */
        r = take_state(p, err);
        if (r < 0)
                goto fail;
        if (lstat(path, &st) == 0) {
                if (!S_ISSOCK(st.st_mode)) {
                        r = mapi_fail(err, MCOM_INIT_SOCKET_ERROR, "%s is there and is no socket", path);
                        goto fail;
                }
                if (answers(&address)) {
                        r = mapi_fail(err, MCOM_INIT_SOCKET_ERROR, "another program listens on %s", path);
                        goto fail;
                }
                (void)unlink(path); /* of a mapid that did not end in peace */
        }
        p->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        mask = umask(0177); /* nobody else before its rights are set */
        r = p->listen_fd < 0 ? -1 : bind(p->listen_fd, (const struct sockaddr *)&address, sizeof address);
        (void)umask(mask);
        if (r < 0) {
                r = mapi_fail(err, MCOM_INIT_SOCKET_ERROR, "%s: %s", path, strerror(errno));
                goto fail;
        }
        r = set_access(p, group, err);
        if (r == 0 && listen(p->listen_fd, BACKLOG) < 0)
                r = mapi_fail(err, MCOM_INIT_SOCKET_ERROR, "%s: %s", path, strerror(errno));
        if (r == 0)
                return 0;
        (void)unlink(path);
fail:
        if (p->listen_fd >= 0)
                (void)close(p->listen_fd);
        if (p->state_fd >= 0)
                (void)close(p->state_fd);
        return r;
}

void socket_leave(struct socket_place *p)
{
        (void)unlink(p->path);
}
