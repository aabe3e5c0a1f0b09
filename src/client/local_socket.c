/* The connection to mapid: dialling, greeting, and the thread that receives. SPDX-License-Identifier: BSD-2-Clause */
#include "client/local.h"

#include "base/futex.h"
#include "results/layout.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { MESSAGES_AT_ONCE = 64 }; /* before we look whether we are to stop */

struct local_times local_times = {
        .backoff_first = 100,
        .backoff_max = 2000,
        .retry = 2000,
        .open = 5000,
        .returned = 10000,
        .close = 6000,
};

uint64_t local_now_ms(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail */
        return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

bool local_nap(struct local *l, int timeout_ms)
{
        struct pollfd p = { .fd = l->wake_fd, .events = POLLIN };

        if (atomic_load(&l->stop) == 0)
                (void)poll(&p, 1, timeout_ms);
        return atomic_load(&l->stop) != 0;
}

void local_hang_up(struct local *l)
{
        if (l->socket >= 0)
                (void)close(l->socket);
        l->socket = -1;
        protocol_close_fds(&l->in, 0);
}

/* ---- the thread's own requests -------------------------------------------------------------------------------- */

enum received { RECEIVED_OTHER, RECEIVED_OWN, RECEIVED_NOTHING, RECEIVED_LOST };

/** Takes one message off the socket and gives it to whom it belongs. */
static enum received receive(struct local *l)
{
        enum received result = RECEIVED_LOST;
        bool again = false;
        sigset_t mask;
        int r;

        siglock_take(&l->lock, &mask); /* so that fork() finds the descriptors where they belong */
        protocol_close_fds(&l->in, 0); /* left over from the last one */
        l->in.len = 0;
        r = protocol_recv(l->socket, l->in_buf, MSG_DONTWAIT, &l->in, &again, NULL);
        if (again) {
                result = RECEIVED_NOTHING;
        } else if (r == 1 || r == -MCOM_UNKNOWN_ERROR) {
                r = local_dispatch(l, r);
                result = r < 0 ? RECEIVED_LOST : r == 0 ? RECEIVED_OTHER : RECEIVED_OWN;
        }
        siglock_give(&l->lock, &mask);
        return result;
}

/** Sends what is in out_buf and receives until the answer is in in_buf. -5123: it will not come. */
static int exchange(struct local *l, size_t len, const int *fds, unsigned nfds, int timeout_ms,
                    struct mapi_error *err)
{
        struct pollfd p[2] = { { .fd = l->wake_fd, .events = POLLIN }, { .fd = l->socket } };
        uint64_t end = local_now_ms() + (uint64_t)timeout_ms, now;
        bool sent = false, again;
        enum received got;

        for (;;) {
                if (!sent) {
                        int r = protocol_send(l->socket, l->out_buf, len, fds, nfds, MSG_DONTWAIT, &again, err);

                        if (r < 0 && !again)
                                return r;
                        sent = r == 0;
                }
                now = local_now_ms();
                if (timeout_ms >= 0 && now >= end)
                        return mapi_fail(err, MCOM_SOCKET_ERROR, "no answer within %d ms", timeout_ms);
                p[1].events = (short)(sent ? POLLIN : POLLIN | POLLOUT);
                p[1].revents = 0;
                (void)poll(p, 2, timeout_ms < 0 ? -1 : (int)(end - now));
                if (atomic_load(&l->stop) != 0)
                        return mapi_fail(err, MCOM_SOCKET_ERROR, "this program ends");
                if ((p[1].revents & ~POLLOUT) == 0)
                        continue;
                got = receive(l);
                if (got == RECEIVED_OWN)
                        return 0;
                if (got == RECEIVED_LOST)
                        return mapi_fail(err, MCOM_SOCKET_ERROR, "it closed the connection");
        }
}

int local_own(struct local *l, Mapi__Envelope *e, const int *fds, unsigned nfds, Mapi__Envelope__BodyCase wanted,
              int timeout_ms, Mapi__Envelope **ret, struct mapi_error *err)
{
        size_t len;
        int r;

        local_large_free(&l->large);
        e->version = PROTOCOL_VERSION;
        e->id = ++l->own_serial << 16 | 0xffffu; /* no slot has this number */
        if (protocol_pack(e, l->out_buf, atomic_load(&l->message_max), &len, err) < 0)
                return 1;
        l->own_id = e->id;
        r = exchange(l, len, fds, nfds, timeout_ms, err);
        l->own_id = 0;
        if (r < 0)
                return r;
        r = local_unpack(&l->pool, &l->large, l->in_buf, &l->in, wanted, local_fds_of(e), ret, err);
        return r < 0 ? 1 : 0;
}

/* ---- connecting ------------------------------------------------------------------------------------------------ */

/** Why connecting failed. Only where malloc may be called. */
static int explain(const struct local *l, int error, struct mapi_error *err)
{
        struct group group, *found = NULL;
        char text[1024], number[24];
        const char *name = number;
        struct stat st;

        if (err == NULL)
                return -MCOM_INIT_SOCKET_ERROR;
        if (error == ENOENT)
                return mapi_fail(err, MCOM_INIT_SOCKET_ERROR, "%s: there is no such socket; mapid does not run",
                                 l->path);
        if (error == ECONNREFUSED)
                return mapi_fail(err, MCOM_INIT_SOCKET_ERROR, "%s: nobody listens; mapid does not run", l->path);
        if (error == EAGAIN)
                return mapi_fail(err, MCOM_INIT_SOCKET_ERROR, "%s: mapid is too busy to answer", l->path);
        if ((error == EACCES || error == EPERM) && stat(l->path, &st) == 0) {
                if (getgrgid_r(st.st_gid, &group, text, sizeof text, &found) == 0 && found != NULL)
                        name = group.gr_name;
                else
                        (void)snprintf(number, sizeof number, "%u", (unsigned)st.st_gid);
                if ((st.st_mode & S_IWGRP) == 0)
                        return mapi_fail(
                                err, MCOM_INIT_SOCKET_ERROR,
                                "%s: permission denied; it belongs to group %s, which may not use it either",
                                l->path, name);
                return mapi_fail(err, MCOM_INIT_SOCKET_ERROR,
                                 "%s: permission denied; it belongs to group %s, and this user is not in it",
                                 l->path, name);
        }
        return mapi_fail(err, MCOM_INIT_SOCKET_ERROR, "%s: %s", l->path, strerrordesc_np(error));
}

static int connect_socket(struct local *l, bool *ret_again, struct mapi_error *err)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int size = 2 * PROTOCOL_MESSAGE_MAX, error = 0, fd;
        sigset_t mask;

        memcpy(address.sun_path, l->path, sizeof address.sun_path);
        siglock_take(&l->lock, &mask);
        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                error = errno;
        l->socket = fd;
        siglock_give(&l->lock, &mask);
        if (fd >= 0) {
                /* the largest message must fit, whatever the system's default is */
                (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
                if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
                        error = errno;
        }
        if (ret_again != NULL)
                *ret_again = error == EAGAIN; /* its queue is full: it lives */
        return error == 0 ? 0 : explain(l, error, err);
}

/** Hello and welcome: do we understand one another? */
static int greet(struct local *l, struct mapi_error *err)
{
        Mapi__Envelope e = MAPI__ENVELOPE__INIT, *answer;
        Mapi__Hello hello = MAPI__HELLO__INIT;
        struct mapi_error why = { 0 };
        const Mapi__Welcome *w;
        uint32_t requests;

        hello.version_min = PROTOCOL_VERSION;
        hello.version_max = PROTOCOL_VERSION;
        hello.program = program_invocation_short_name;
        LOCAL_BODY(e, HELLO, hello, &hello);
        atomic_store(&l->message_max, PROTOCOL_MESSAGE_MAX);
        if (local_own(l, &e, NULL, 0, MAPI__ENVELOPE__BODY_WELCOME, l->times.open, &answer, &why) != 0)
                return mapi_fail(err, MCOM_INIT_SOCKET_ERROR, "%s: %s", l->path, why.text);
        w = answer->welcome;
        if (w->version != PROTOCOL_VERSION)
                return mapi_fail(err, MCOM_INIT_SOCKET_ERROR,
                                 "%s: %.64s speaks version %u of the protocol, this program version %u", l->path,
                                 w->server, w->version, PROTOCOL_VERSION);
        if (w->results_version != RESULTS_VERSION)
                return mapi_fail(err, MCOM_INIT_SOCKET_ERROR,
                                 "%s: %.64s lays out results in version %u, this program reads version %u",
                                 l->path, w->server, w->results_version, RESULTS_VERSION);
        if (w->limits->message_bytes > 0 && w->limits->message_bytes < PROTOCOL_MESSAGE_MAX)
                atomic_store(&l->message_max, w->limits->message_bytes);
        atomic_store(&l->string_max, w->limits->string_bytes > 0 ? w->limits->string_bytes : PROTOCOL_MESSAGE_MAX);
        requests = w->limits->requests;
        if (requests == 0 || requests > LOCAL_SLOTS)
                requests = LOCAL_SLOTS;
        atomic_store(&l->slots_max, requests < 2 ? 1 : requests - 1); /* one for the thread's own requests */
        return 0;
}

int local_dial(struct local *l, bool *ret_again, struct mapi_error *err)
{
        sigset_t mask;
        int r;

        r = connect_socket(l, ret_again, err);
        if (r == 0)
                r = greet(l, err);
        if (r < 0) {
                siglock_take(&l->lock, &mask);
                local_hang_up(l);
                siglock_give(&l->lock, &mask);
        }
        return r;
}

/* ---- the thread ------------------------------------------------------------------------------------------------ */

/** Receives until the connection is lost or we are to stop. */
static void serve(struct local *l)
{
        struct pollfd p[2] = { { .fd = l->wake_fd, .events = POLLIN }, { .fd = l->socket, .events = POLLIN } };
        uint64_t retry = local_now_ms() + (uint64_t)l->times.retry, now;
        enum received got;

        while (atomic_load(&l->stop) == 0) {
                bool hopeful = local_hopeful(l);

                now = local_now_ms();
                if (hopeful && now >= retry) {
                        if (local_retry(l) < 0)
                                return;
                        retry = local_now_ms() + (uint64_t)l->times.retry;
                        continue;
                }
                p[1].revents = 0;
                (void)poll(p, 2, hopeful ? (int)(retry - now) : -1);
                for (int i = 0; i < MESSAGES_AT_ONCE && p[1].revents != 0; i++) {
                        got = receive(l);
                        if (got == RECEIVED_LOST)
                                return;
                        if (got == RECEIVED_NOTHING)
                                break;
                }
        }
}

void *local_thread(void *state)
{
        struct local *l = state;
        int backoff = l->times.backoff_first;
        sigset_t mask;

        for (;;) {
                serve(l);
                local_away(l);
                while (!local_nap(l, backoff)) {
                        if (local_dial(l, NULL, NULL) == 0) {
                                if (local_return(l) == 0)
                                        break;
                                local_away(l); /* lost again */
                        }
                        backoff = backoff < l->times.backoff_max / 2 ? 2 * backoff : l->times.backoff_max;
                }
                if (atomic_load(&l->stop) != 0)
                        break;
                backoff = l->times.backoff_first;
        }
        local_away(l);
        siglock_take(&l->lock, &mask);
        (void)close(l->wake_fd); /* who has told us to stop was the last to use it */
        l->wake_fd = -1;
        siglock_give(&l->lock, &mask);
        atomic_store(&l->gone, 1);
        futex_wake((uint32_t *)&l->gone);
        local_leave(&l);
        return NULL;
}
