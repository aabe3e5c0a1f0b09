/* Connections: who comes, what they send, and when they have gone. The control thread's. SPDX-License-Identifier: BSD-2-Clause */
#include "mapid/clients_internal.h"

#include "mapi_config.h"
#include "mapid/log.h"

#include "results/layout.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MESSAGES_AT_ONCE = 16, SEND_BUFFER = 1 << 20 };

void clients_notice(struct clients *a)
{
        uint64_t one = 1;

        (void)!write(a->notice_fd, &one, sizeof one); /* full counts as noticed */
}

/* ---- the end of a client -------------------------------------------------------------------------------------- */

static void drop_events(struct client *c)
{
        struct event **all[] = { &c->readable, &c->writable, &c->exited };

        for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++)
                if (*all[i] != NULL) {
                        event_free(*all[i]);
                        *all[i] = NULL;
                }
}

static void client_free(struct client *c)
{
        struct clients *a = c->all;
        struct client **at = &a->first;

        while (*at != c)
                at = &(*at)->next;
        *at = c->next;
        a->count--;
        host_session_free(&c->session);
        (void)client_flush(c); /* it is gone: closes what was kept */
        (void)close(c->fd);
        if (c->pid_fd >= 0)
                (void)close(c->pid_fd);
        log_debug("client %llu: has gone", (unsigned long long)c->number);
        free(c);
        if (a->deaf && a->done == NULL) {
                a->deaf = false;
                (void)event_add(a->listening, NULL);
        }
        if (a->done != NULL && a->first == NULL)
                a->done(a->context);
}

/** Its connection or its process has ended, or it sends what makes no sense: whatever it has goes. */
static void client_leave(struct client *c)
{
        struct job *dropped, *end, *next;
        bool free_now;

        if (c->gone)
                return;
        drop_events(c);
        (void)shutdown(c->fd, SHUT_RDWR); /* a child of the client may hold it, too */
        end = calloc(1, sizeof *end);
        (void)pthread_mutex_lock(&c->all->lock);
        c->gone = true;
        c->reading = false;
        dropped = jobs_drop(c);
        free_now = c->session == NULL && c->running == 0;
        if (c->session == NULL)
                c->ended = true;
        else if (end != NULL) {
                end->client = c;
                end->end = true;
                jobs_add(c->all, end);
                end = NULL;
        }
        (void)pthread_mutex_unlock(&c->all->lock);
        free(end);
        for (; dropped != NULL; dropped = next) {
                next = dropped->next;
                jobs_free(dropped);
        }
        if (free_now)
                client_free(c);
}

/* ---- what comes ------------------------------------------------------------------------------------------------- */

static void answer_now(struct client *c, const Mapi__Envelope *e)
{
        struct serve_answer answer = { 0 };
        uint8_t *buf = malloc(PROTOCOL_MESSAGE_MAX);

        if (buf == NULL)
                return;
        serve_pack(e, buf, &answer);
        client_send(c, buf, answer.len, answer.fd, answer.nfds);
        free(buf);
}

static void refuse(struct client *c, uint64_t id, int code, const char *why)
{
        struct serve_answer answer = { 0 };
        uint8_t buf[1024];
        struct mapi_error err;

        (void)mapi_fail(&err, code, "%s", why);
        serve_error(id, err.code, err.text, buf, &answer);
        client_send(c, buf, answer.len, answer.fd, answer.nfds);
}

static void done_at_once(struct client *c, uint64_t id)
{
        Mapi__Envelope e = MAPI__ENVELOPE__INIT;
        Mapi__Done done = MAPI__DONE__INIT;

        e.version = PROTOCOL_VERSION;
        e.id = id;
        e.body_case = MAPI__ENVELOPE__BODY_DONE;
        e.done = &done;
        answer_now(c, &e);
}

/** Returns false if this is the end of it. */
static bool hello(struct client *c, const Mapi__Envelope *q)
{
        const struct session_limits *l = &c->all->limits.session;
        Mapi__Envelope e = MAPI__ENVELOPE__INIT;
        Mapi__Welcome welcome = MAPI__WELCOME__INIT;
        Mapi__Limits limits = MAPI__LIMITS__INIT;
        char server[64];

        if (c->session != NULL) {
                refuse(c, q->id, MCOM_UNKNOWN_ERROR, "hello was said before");
                return true;
        }
        if (q->hello->version_min > PROTOCOL_VERSION || q->hello->version_max < PROTOCOL_VERSION) {
                refuse(c, q->id, MCOM_UNKNOWN_ERROR, "this mapid speaks version 1 of the protocol only");
                return false;
        }
        c->session = host_session_new(c->all->host, l, c->uid);
        if (c->session == NULL) {
                refuse(c, q->id, MAPID_MEM_ALLOCATION_ERROR, "a session");
                return false;
        }
        (void)log_escape(q->hello->program, c->program, sizeof c->program);
        c->serve = (struct serve_session){ .ops = &host_calls,
                                           .state = c->session,
                                           .return_flow = host_return_flow,
                                           .return_private = host_return_private,
                                           .kick_fd = host_kick_fd,
                                           .string_bytes = SESSION_STRING_MAX };
        log_debug("client %llu: %s, user %u, process %d", (unsigned long long)c->number, c->program, c->uid,
                  c->pid);
        (void)snprintf(server, sizeof server, "mapid %s", MAPI_VERSION);
        limits.message_bytes = PROTOCOL_MESSAGE_MAX;
        limits.requests = CLIENTS_REQUESTS_MAX;
        limits.flows = l->flows;
        limits.devices = l->devices;
        limits.memory_bytes = l->memory_bytes;
        limits.string_bytes = SESSION_STRING_MAX;
        welcome.version = PROTOCOL_VERSION;
        welcome.server = server;
        welcome.limits = &limits;
        welcome.results_version = RESULTS_VERSION;
        e.version = PROTOCOL_VERSION;
        e.id = q->id;
        e.body_case = MAPI__ENVELOPE__BODY_WELCOME;
        e.welcome = &welcome;
        answer_now(c, &e);
        return true;
}

static void cancel(struct client *c, uint64_t id)
{
        struct job *j;

        (void)pthread_mutex_lock(&c->all->lock);
        j = jobs_take(c, id);
        if (j != NULL)
                c->outstanding--;
        (void)pthread_mutex_unlock(&c->all->lock);
        if (j == NULL)
                return;
        refuse(c, id, MAPI_CANCELLED, "it had not begun");
        jobs_free(j);
}

static bool enqueue(struct client *c, const Mapi__Envelope *q, const uint8_t *bytes, struct protocol_received *r)
{
        struct job *j = malloc(sizeof *j + r->len);

        if (j == NULL)
                return false;
        *j = (struct job){ .client = c, .id = q->id, .received = *r };
        memcpy(j->bytes, bytes, r->len);
        r->nfds = 0;
        (void)pthread_mutex_lock(&c->all->lock);
        jobs_add(c->all, j);
        (void)pthread_mutex_unlock(&c->all->lock);
        return true;
}

/** One message. Returns false if the client is not worth listening to any more. */
static bool take_message(struct client *c, const uint8_t *bytes, struct protocol_received *r)
{
        struct mapi_error err;
        Mapi__Envelope *q;

        if (protocol_unpack(&c->all->pool, bytes, r->len, &q, &err) < 0) {
                uint64_t id = protocol_peek_id(bytes, r->len);

                log_debug("client %llu: sent what is no message: %s", (unsigned long long)c->number, err.text);
                refuse(c, id, err.code, "what came is no message");
                return id != 0; /* an answer finds who asked; without an id nothing more can be said */
        }
        if (q->id == 0 || q->version != PROTOCOL_VERSION) {
                refuse(c, q->id, MCOM_UNKNOWN_ERROR,
                       q->id == 0 ? "a request without an id" : "an unknown version");
                return q->id != 0;
        }
        switch (q->body_case) {
        case MAPI__ENVELOPE__BODY_HELLO:
                return hello(c, q);
        case MAPI__ENVELOPE__BODY_PING:
                done_at_once(c, q->id);
                return true;
        case MAPI__ENVELOPE__BODY_CANCEL:
                done_at_once(c, q->id);
                cancel(c, q->cancel->request);
                return true;
        default:
                break;
        }
        if (c->session == NULL) {
                refuse(c, q->id, MCOM_UNKNOWN_ERROR, "say hello first");
                return false;
        }
        if (c->all->done != NULL) {
                refuse(c, q->id, MAPI_SHUTTING_DOWN, "mapid ends");
                return true;
        }
        return enqueue(c, q, bytes, r);
}

static void readable(evutil_socket_t fd, short what, void *context)
{
        struct client *c = context;
        uint8_t *bytes = c->all->receive_mem;

        (void)fd;
        (void)what;
        for (int i = 0; i < MESSAGES_AT_ONCE; i++) {
                struct protocol_received r = { 0 };
                bool again = false, good, full;
                struct mapi_error err;
                int got = protocol_recv(c->fd, bytes, MSG_DONTWAIT, &r, &again, &err);

                if (again)
                        return;
                good = got > 0 && take_message(c, bytes, &r);
                protocol_close_fds(&r, 0);
                if (!good) {
                        client_leave(c);
                        return;
                }
                (void)pthread_mutex_lock(&c->all->lock);
                full = c->outstanding >= CLIENTS_REQUESTS_MAX || c->out != NULL;
                c->reading = !full;
                (void)pthread_mutex_unlock(&c->all->lock);
                if (full) { /* it gets no more before it has taken some answers */
                        (void)event_del(c->readable);
                        clients_notice(c->all);
                        return;
                }
        }
}

static void writable(evutil_socket_t fd, short what, void *context)
{
        (void)fd;
        (void)what;
        clients_notice(((struct client *)context)->all);
}

static void exited(evutil_socket_t fd, short what, void *context)
{
        (void)fd;
        (void)what;
        client_leave(context); /* whoever else holds its socket */
}

/* ---- who comes -------------------------------------------------------------------------------------------------- */

static void client_new(struct clients *a, int fd)
{
        struct ucred cred;
        socklen_t size = sizeof cred;
        struct client *c = calloc(1, sizeof *c);
        int buffer = SEND_BUFFER;

        if (c == NULL || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0) {
                free(c);
                (void)close(fd);
                return;
        }
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
        *c = (struct client){ .all = a,
                              .fd = fd,
                              .pid = cred.pid,
                              .uid = cred.uid,
                              .number = ++a->numbers,
                              .reading = true,
                              .next = a->first };
        a->first = c;
        a->count++;
        c->pid_fd = (int)syscall(SYS_pidfd_open, cred.pid,
                                 0); /* a process of another namespace has none: its socket tells */
        c->readable = event_new(a->base, fd, EV_READ | EV_PERSIST, readable, c);
        c->writable = event_new(a->base, fd, EV_WRITE, writable, c);
        c->exited = c->pid_fd < 0 ? NULL : event_new(a->base, c->pid_fd, EV_READ, exited, c);
        if (c->readable == NULL || c->writable == NULL || event_add(c->readable, NULL) < 0 ||
            (c->exited != NULL && event_add(c->exited, NULL) < 0))
                client_leave(c);
}

static void acceptable(evutil_socket_t fd, short what, void *context)
{
        struct clients *a = context;
        int new_fd;

        (void)what;
        while ((new_fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
                if (a->count < a->limits.sessions) {
                        client_new(a, new_fd);
                        continue;
                }
                log_warning("a client was turned away: %u are connected, which is the limit (max_sessions)",
                            a->count);
                (void)close(new_fd);
        }
        if ((errno == EMFILE || errno == ENFILE) && a->first != NULL) { /* whoever leaves brings some back */
                log_warning("no client can connect: %s", strerror(errno));
                (void)event_del(a->listening);
                a->deaf = true;
        }
}

/* ---- looking after them ------------------------------------------------------------------------------------------ */

static bool takes_answers(struct client *c)
{
        bool takes;

        (void)pthread_mutex_lock(&c->all->lock);
        takes = c->out == NULL;
        (void)pthread_mutex_unlock(&c->all->lock);
        return takes;
}

static void send_told(struct clients *a)
{
        struct told *t, *next;

        (void)pthread_mutex_lock(&a->lock);
        t = a->told;
        a->told = NULL;
        (void)pthread_mutex_unlock(&a->lock);
        for (; t != NULL; t = next) {
                Mapi__Envelope e = MAPI__ENVELOPE__INIT;
                Mapi__Event event = MAPI__EVENT__INIT;

                log_info("device %s %s", t->device, t->event == HOST_DEVICE_DOWN ? "is down" : "is up again");
                event.kind = t->event == HOST_DEVICE_DOWN ? MAPI__EVENT__KIND__DEVICE_DOWN
                                                          : MAPI__EVENT__KIND__DEVICE_UP;
                event.device = t->device;
                e.version = PROTOCOL_VERSION;
                e.body_case = MAPI__ENVELOPE__BODY_EVENT;
                e.event = &event;
                for (struct client *c = a->first; c != NULL; c = c->next)
                        if (c->session != NULL && takes_answers(c)) /* events are not kept for who does not read */
                                answer_now(c, &e);
                next = t->next;
                free(t);
        }
}

static void look_after(evutil_socket_t fd, short what, void *context)
{
        struct clients *a = context;
        struct client *next;
        uint64_t notices;

        (void)what;
        (void)!read(fd, &notices, sizeof notices); /* only empties it */
        send_told(a);
        for (struct client *c = a->first; c != NULL; c = next) {
                bool flushed, begin, over;

                next = c->next;
                (void)pthread_mutex_lock(&a->lock);
                flushed = client_flush(c);
                begin = flushed && c->outstanding < CLIENTS_REQUESTS_MAX && !c->reading && !c->gone;
                if (begin)
                        c->reading = true;
                over = c->gone && c->ended && c->running == 0;
                (void)pthread_mutex_unlock(&a->lock);
                if (over) {
                        client_free(c); /* the last one may end it all: nothing is touched behind this */
                        continue;
                }
                if (c->gone)
                        continue;
                if (!flushed)
                        (void)event_add(c->writable, NULL);
                if (begin)
                        (void)event_add(c->readable, NULL);
        }
}

void clients_tell(struct clients *a, enum host_event event, const char *device)
{
        struct told *t = calloc(1, sizeof *t);

        if (t == NULL)
                return;
        t->event = event;
        (void)snprintf(t->device, sizeof t->device, "%s", device);
        (void)pthread_mutex_lock(&a->lock);
        if (a->told == NULL)
                a->told_last = &a->told;
        *a->told_last = t;
        a->told_last = &t->next;
        (void)pthread_mutex_unlock(&a->lock);
        clients_notice(a);
}

/* ---- life ------------------------------------------------------------------------------------------------------- */

struct clients *clients_new(struct event_base *base, struct host *host, int listen_fd,
                            const struct clients_limits *limits)
{
        struct clients *a = calloc(1, sizeof *a);
        uint8_t *mem = malloc(PROTOCOL_MESSAGE_MAX + PROTOCOL_POOL_BYTES);

        if (a == NULL || mem == NULL)
                goto fail;
        a->base = base;
        a->host = host;
        a->limits = *limits;
        a->receive_mem = mem;
        protocol_pool_init(&a->pool, mem + PROTOCOL_MESSAGE_MAX, PROTOCOL_POOL_BYTES);
        (void)pthread_mutex_init(&a->lock, NULL);
        (void)pthread_cond_init(&a->work, NULL);
        a->notice_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        a->noticed = a->notice_fd < 0 ? NULL : event_new(base, a->notice_fd, EV_READ | EV_PERSIST, look_after, a);
        a->listening = event_new(base, listen_fd, EV_READ | EV_PERSIST, acceptable, a);
        if (a->noticed != NULL && a->listening != NULL && event_add(a->noticed, NULL) == 0 &&
            event_add(a->listening, NULL) == 0)
                return a;
fail:
        free(mem);
        free(a);
        return NULL;
}

void clients_set_limits(struct clients *a, const struct clients_limits *limits)
{
        a->limits = *limits;
}

uint32_t clients_count(const struct clients *a)
{
        return a->count;
}

void clients_stop(struct clients *a, void (*done)(void *context), void *context)
{
        Mapi__Envelope e = MAPI__ENVELOPE__INIT;
        Mapi__Event event = MAPI__EVENT__INIT;
        struct client *next;

        (void)event_del(a->listening);
        event.kind = MAPI__EVENT__KIND__SHUTTING_DOWN;
        e.version = PROTOCOL_VERSION;
        e.body_case = MAPI__ENVELOPE__BODY_EVENT;
        e.event = &event;
        for (struct client *c = a->first; c != NULL; c = c->next)
                if (!c->gone && c->session != NULL)
                        answer_now(c, &e);
        a->context = context;
        a->done = done;
        if (a->first == NULL) {
                done(context);
                return;
        }
        for (struct client *c = a->first; c != NULL; c = next) {
                next = c->next;
                client_leave(c);
        }
}

void clients_free(struct clients **pa)
{
        struct clients *a = *pa;

        *pa = NULL;
        if (a == NULL)
                return;
        jobs_stop(a);
        event_free(a->listening);
        event_free(a->noticed);
        (void)close(a->notice_fd);
        free(a->receive_mem);
        (void)pthread_cond_destroy(&a->work);
        (void)pthread_mutex_destroy(&a->lock);
        free(a);
}
