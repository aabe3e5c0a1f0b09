/*
 * The Unix socket of mapid, and the file beside it that says that it is taken and which number the last flow had.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef MAPID_SOCKET_H
#define MAPID_SOCKET_H

#include <mapi/function.h>

#include <stdbool.h>

struct socket_place {
        char path[108];       /* of the socket */
        char state_path[120]; /* "PATH.state" */
        int listen_fd, state_fd;
        int last_flow;
        char access[128]; /* who may connect, for the log */
};

/**
 * Takes the place: locks the state file, removes a socket that nobody listens to, listens. group: whose members may connect, NULL:
 * this user only.
 * Returns  0, or -5124: another mapid listens there, or the directory does not allow it
 */
int socket_take(const char *path, const char *group, struct socket_place *ret, struct mapi_error *err);

/** Removes the socket; the state file stays. */
void socket_leave(struct socket_place *p);

/** Where this user's mapid listens: given, $MAPI_SOCKET, configured, or the usual place. 0 or -5124. */
int socket_choose(const char *given, const char *configured, bool local, char *ret, size_t size,
                  struct mapi_error *err);

#endif
