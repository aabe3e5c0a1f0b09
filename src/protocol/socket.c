/* Messages and descriptors over a Unix socket. SPDX-License-Identifier: BSD-2-Clause */
#include "protocol/message.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* In control data of the right size and alignment. A receiver that has asked for credentials gets those besides. */
union send_control {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(PROTOCOL_FDS_MAX * sizeof(int))];
};

union recv_control {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(PROTOCOL_FDS_MAX * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
};

int protocol_send(int socket, const uint8_t *bytes, size_t len, const int *fds, unsigned nfds, int flags,
                  bool *ret_again, struct mapi_error *err)
{
        struct iovec part = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = len };
        struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
        union send_control control;
        struct cmsghdr *head;
        ssize_t n;

        if (ret_again != NULL)
                *ret_again = false;
        if (len == 0 || len > PROTOCOL_MESSAGE_MAX ||
            nfds > PROTOCOL_FDS_MAX) /* an empty one would look like the end */
                return mapi_fail(err, MCOM_SOCKET_ERROR,
                                 "a message of %zu bytes and %u descriptors cannot be sent", len, nfds);
        if (nfds != 0) {
                memset(&control, 0, sizeof control);
                message.msg_control = control.bytes;
                message.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
                head = CMSG_FIRSTHDR(&message);
                head->cmsg_level = SOL_SOCKET;
                head->cmsg_type = SCM_RIGHTS;
                head->cmsg_len = CMSG_LEN(nfds * sizeof(int));
                memcpy(CMSG_DATA(head), fds, nfds * sizeof(int));
        }
        do {
                n = sendmsg(socket, &message, flags | MSG_NOSIGNAL);
        } while (n < 0 && errno == EINTR);
        if (n == (ssize_t)len)
                return 0;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
                if (ret_again != NULL)
                        *ret_again = true;
                return mapi_fail(err, MCOM_SOCKET_ERROR, "the other side does not read its messages");
        }
        /* not strerror(): a signal handler may be talking here */
        return mapi_fail(err, MCOM_SOCKET_ERROR, "a message cannot be sent (errno %d)", n < 0 ? errno : 0);
}

/** Takes over all descriptors that the kernel has given us; what is too much is closed. Returns how many came. */
static unsigned take_fds(struct msghdr *message, struct protocol_received *r)
{
        struct cmsghdr *head;
        unsigned came = 0;
        int fd;

        for (head = CMSG_FIRSTHDR(message); head != NULL; head = CMSG_NXTHDR(message, head)) {
                if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
                        continue;
                for (size_t at = 0; at + sizeof fd <= head->cmsg_len - CMSG_LEN(0); at += sizeof fd) {
                        memcpy(&fd, CMSG_DATA(head) + at, sizeof fd);
                        came++;
                        if (r->nfds < PROTOCOL_FDS_MAX)
                                r->fd[r->nfds++] = fd;
                        else
                                (void)close(fd);
                }
        }
        return came;
}

int protocol_recv(int socket, uint8_t *buf, int flags, struct protocol_received *ret, bool *ret_again,
                  struct mapi_error *err)
{
        struct iovec part = { .iov_base = buf, .iov_len = PROTOCOL_MESSAGE_MAX };
        struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
        struct protocol_received r = { 0 };
        union recv_control control;
        const char *wrong = NULL;
        unsigned came;
        int reset = 0;
        ssize_t n;

        if (ret_again != NULL)
                *ret_again = false;
        do {
                message.msg_control = control.bytes;
                message.msg_controllen = sizeof control.bytes;
                n = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
                /* It has closed without reading all that we sent: said once, and behind it is what it had still to say. */
        } while (n < 0 && (errno == EINTR || (errno == ECONNRESET && !reset++)));
        if (n < 0 && errno == ECONNRESET)
                return 0;
        if (n < 0) {
                if (ret_again != NULL && (errno == EAGAIN || errno == EWOULDBLOCK))
                        *ret_again = true;
                return mapi_fail(err, MCOM_SOCKET_ERROR, "no message can be received (errno %d)", errno);
        }
        came = take_fds(&message, &r);
        r.len = (size_t)n;
        if (message.msg_flags & MSG_TRUNC)
                wrong = "a message that is too long";
        else if (came > PROTOCOL_FDS_MAX)
                wrong = "too many descriptors beside a message";
        else if (message.msg_flags & MSG_CTRUNC) /* or this process may not open more files */
                wrong = "a message whose descriptors could not all be received";
        else if (n == 0 && came != 0)
                wrong = "descriptors beside an empty message";
        if (wrong != NULL) {
                protocol_close_fds(&r, 0);
                *ret = r;
                return mapi_fail(err, MCOM_UNKNOWN_ERROR, "%s", wrong);
        }
        if (n == 0)
                return 0;
        *ret = r;
        return 1;
}

void protocol_close_fds(struct protocol_received *r, unsigned from)
{
        for (unsigned i = from; i < r->nfds; i++)
                (void)close(r->fd[i]);
        if (from < r->nfds)
                r->nfds = from;
}
