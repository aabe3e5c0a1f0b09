/* Messages between the opener and the engine process. SPDX-License-Identifier: BSD-2-Clause */
#include "mapid/link.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
        char bytes[CMSG_SPACE(MAPI_SOURCE_FDS * sizeof(int))];
        struct cmsghdr align;
};

int link_send(int socket, const struct link_message *m, const int *fds, unsigned nfds)
{
        struct iovec part = { .iov_base = (void *)(uintptr_t)m, .iov_len = sizeof *m };
        struct msghdr msg = { .msg_iov = &part, .msg_iovlen = 1 };
        union control control = { 0 };
        struct cmsghdr *c;
        ssize_t n;

        if (nfds > MAPI_SOURCE_FDS)
                return -1;
        if (nfds > 0) {
                msg.msg_control = control.bytes;
                msg.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
                c = CMSG_FIRSTHDR(&msg);
                c->cmsg_level = SOL_SOCKET;
                c->cmsg_type = SCM_RIGHTS;
                c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
                memcpy(CMSG_DATA(c), fds, nfds * sizeof(int));
        }
        do
                n = sendmsg(socket, &msg, MSG_NOSIGNAL);
        while (n < 0 && errno == EINTR);
        return n == (ssize_t)sizeof *m ? 0 : -1;
}

int link_recv(int socket, int flags, struct link_message *ret, int *ret_fds, unsigned *ret_nfds)
{
        struct iovec part = { .iov_base = ret, .iov_len = sizeof *ret };
        union control control;
        struct msghdr msg = { .msg_iov = &part,
                              .msg_iovlen = 1,
                              .msg_control = control.bytes,
                              .msg_controllen = sizeof control.bytes };
        unsigned fds = 0;
        ssize_t n;

        do
                n = recvmsg(socket, &msg, flags | MSG_CMSG_CLOEXEC);
        while (n < 0 && errno == EINTR);
        if (n <= 0)
                return n == 0 ? 0 : -1;
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c != NULL; c = CMSG_NXTHDR(&msg, c))
                if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
                        fds = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
                        memcpy(ret_fds, CMSG_DATA(c), fds * sizeof(int));
                }
        *ret_nfds = fds;
        if (n == (ssize_t)sizeof *ret && (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0)
                return 1;
        for (unsigned i = 0; i < fds; i++)
                (void)close(ret_fds[i]);
        return -1;
}
