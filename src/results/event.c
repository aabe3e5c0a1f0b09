/* Descriptors that become readable. SPDX-License-Identifier: BSD-2-Clause */
#include "results/event.h"

#include <errno.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

void event_signal(int fd)
{
        uint64_t one = 1;
        int saved = errno;

        if (fd < 0)
                return;
        /* A full buffer or counter is readable already; one whose reader has gone needs nothing. */
        if (send(fd, &one, 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == ENOTSOCK)
                (void)!write(fd, &one, sizeof one);
        errno = saved;
}

void event_clear(int fd)
{
        char bytes[1024]; /* more than a socket holds of single bytes */
        int saved = errno;

        if (recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) < 0 && errno == ENOTSOCK)
                (void)!read(fd, bytes, sizeof bytes);
        errno = saved;
}
