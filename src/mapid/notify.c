/* The service manager's datagrams; see notify.h. SPDX-License-Identifier: BSD-2-Clause */
#include "mapid/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define STATE_BYTES 512

/* The address as the variable has it: a path, or '@' and an abstract name. Its length, or -errno. */
static int find_address(struct sockaddr_un *ret)
{
        const char *name = getenv("NOTIFY_SOCKET");
        size_t n = name != NULL ? strlen(name) : 0;

        if (n == 0)
                return 0;
        if ((name[0] != '/' && name[0] != '@') || n < 2)
                return -EAFNOSUPPORT;
        if (n >= sizeof ret->sun_path)
                return -ENAMETOOLONG;
        memset(ret, 0, sizeof *ret);
        ret->sun_family = AF_UNIX;
        memcpy(ret->sun_path, name, n);
        if (name[0] == '@')
                ret->sun_path[0] = '\0';
        /* An abstract name ends with the address, a path with its NUL. */
        return (int)(offsetof(struct sockaddr_un, sun_path) + n + (name[0] == '/'));
}

static int notify_send(const char *state)
{
        struct timeval patience = { .tv_sec = 2 };
        struct sockaddr_un address;
        int length = find_address(&address), fd, r = 1;

        if (length <= 0)
                return length;
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) < 0 ||
            sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&address, (socklen_t)length) <
                    0)
                r = -errno;
        (void)close(fd); /* what was sent is sent */
        return r;
}

/* "KEY...\nSTATUS=text" with the text as one line. */
static int send_with_status(const char *keys, const char *status)
{
        char state[STATE_BYTES];
        int n = snprintf(state, sizeof state, "%sSTATUS=", keys);

        for (; *status != '\0' && n + 1 < (int)sizeof state; status++)
                state[n++] = (unsigned char)*status < ' ' ? ' ' : *status;
        state[n] = '\0';
        return notify_send(state);
}

int notify_ready(const char *status)
{
        return send_with_status("READY=1\n", status);
}

int notify_reloading(void)
{
        char state[STATE_BYTES];
        struct timespec now;

        if (clock_gettime(CLOCK_MONOTONIC, &now) != 0)
                return -errno;
        /* The time lets the manager tell this reload from one that it asked for later. */
        (void)snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%llu",
                       (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000);
        return notify_send(state);
}

int notify_stopping(void)
{
        return send_with_status("STOPPING=1\n", "stopping");
}

int notify_status(const char *status)
{
        return send_with_status("", status);
}
