/* The threads that serve requests. SPDX-License-Identifier: BSD-2-Clause */
#include "mapid/clients_internal.h"

#include "mapid/log.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { AT_ONCE = 2 /* jobs of one client */, IDLE_S = 10, STACK_BYTES = 256 * 1024 };

static void push(struct queue *q, struct job *j)
{
        if (q->first == NULL)
                q->last = &q->first;
        j->next = NULL;
        *q->last = j;
        q->last = &j->next;
}

static struct job *pop(struct queue *q)
{
        struct job *j = q->first;

        if (j != NULL)
                q->first = j->next;
        return j;
}

void jobs_free(struct job *j)
{
        protocol_close_fds(&j->received, 0);
        free(j);
}

struct job *jobs_drop(struct client *c)
{
        struct job *all = c->waiting.first;

        c->waiting.first = NULL;
        return all;
}

struct job *jobs_take(struct client *c, uint64_t id)
{
        for (struct job **at = &c->waiting.first, *j; (j = *at) != NULL; at = &j->next)
                if (j->id == id) {
                        *at = j->next;
                        if (c->waiting.last == &j->next)
                                c->waiting.last = at;
                        return j;
                }
        return NULL;
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

bool client_flush(struct client *c)
{
        struct outgoing *o;
        bool again = false;

        while ((o = c->out) != NULL) {
                if (!c->gone &&
                    protocol_send(c->fd, o->bytes, o->len, o->fd, o->nfds, MSG_DONTWAIT, &again, NULL) < 0 &&
                    again)
                        return false;
                c->out = o->next;
                for (unsigned i = 0; i < o->nfds; i++)
                        (void)close(o->fd[i]);
                free(o);
        }
        return true;
}

void client_send(struct client *c, const uint8_t *bytes, size_t len, const int *fds, unsigned nfds)
{
        struct outgoing *o = NULL;
        bool again = false;

        (void)pthread_mutex_lock(&c->all->lock);
        if (c->out == NULL && !c->gone && len > 0 &&
            protocol_send(c->fd, bytes, len, fds, nfds, MSG_DONTWAIT, &again, NULL) == 0)
                again = false;
        else if (c->out != NULL)
                again = true;
        if (again && !c->gone) { /* at most as many as it may have outstanding */
                o = malloc(sizeof *o + len);
                if (o != NULL) {
                        *o = (struct outgoing){ .len = len, .nfds = nfds };
                        memcpy(o->bytes, bytes, len);
                        memcpy(o->fd, fds, nfds * sizeof *fds);
                        if (c->out == NULL)
                                c->out_last = &c->out;
                        *c->out_last = o;
                        c->out_last = &o->next;
                        clients_notice(c->all);
                }
        }
        (void)pthread_mutex_unlock(&c->all->lock);
        for (unsigned i = 0; o == NULL && i < nfds; i++)
                (void)close(fds[i]);
}

/* ---- serving ----------------------------------------------------------------------------------------------------- */

/** Memory of a serving thread. */
struct desk {
        uint8_t answer[PROTOCOL_MESSAGE_MAX];
        uint8_t pool[PROTOCOL_POOL_BYTES];
};

/** What a request is about, for the log. */
static void tell(const struct client *c, const Mapi__Envelope *q)
{
        const char *what, *about = "";
        int number = 0;

        switch (q->body_case) {
        case MAPI__ENVELOPE__BODY_CREATE_FLOW:
                what = "create flow on";
                about = q->create_flow->on_case == MAPI__CREATE_FLOW__ON_DEVICE ? q->create_flow->device
                                                                                : q->create_flow->source->name;
                break;
        case MAPI__ENVELOPE__BODY_CREATE_DEVICE:
                what = "create offline device from";
                about = q->create_device->source->name;
                break;
        case MAPI__ENVELOPE__BODY_APPLY:
                what = "apply";
                about = q->apply->name;
                number = q->apply->flow;
                break;
        case MAPI__ENVELOPE__BODY_CONNECT:
                what = "connect";
                number = q->connect->flow;
                break;
        case MAPI__ENVELOPE__BODY_CLOSE_FLOW:
                what = "close";
                number = q->close_flow->flow;
                break;
        default:
                return;
        }
        if (number != 0)
                log_debug("client %llu: %s %s%sflow %d", (unsigned long long)c->number, what, about,
                          about[0] != '\0' ? " to " : "", number);
        else
                log_debug("client %llu: %s %s", (unsigned long long)c->number, what, about);
}

static void serve_job(struct job *j, struct desk *desk)
{
        struct client *c = j->client;
        struct protocol_pool pool;
        struct serve_answer answer = { 0 };
        struct mapi_error err;
        Mapi__Envelope *q;

        protocol_pool_init(&pool, desk->pool, sizeof desk->pool);
        if (protocol_unpack(&pool, j->bytes, j->received.len, &q, &err) < 0) { /* it was looked at when it came */
                serve_error(j->id, err.code, err.text, desk->answer, &answer);
        } else {
                if (log_debugs())
                        tell(c, q);
                serve_request(&c->serve, q, &j->received, desk->answer, &answer);
        }
        client_send(c, desk->answer, answer.len, answer.fd, answer.nfds);
}

/** A job is over: the client's next one may begin. Under the lock. */
static void done(struct clients *a, struct client *c, bool end)
{
        struct job *next;

        c->running--;
        if (end)
                c->ended = true;
        else
                c->outstanding--;
        while (!c->gone && c->running < AT_ONCE && (next = pop(&c->waiting)) != NULL) {
                c->running++;
                push(&a->ready, next);
                (void)pthread_cond_signal(&a->work);
        }
        if (c->gone || !c->reading)
                clients_notice(a);
}

static void *thread_main(void *argument)
{
        struct clients *a = argument;
        struct desk *desk = malloc(sizeof *desk);
        struct timespec until;
        int timed_out = 0;

        (void)pthread_mutex_lock(&a->lock);
        while (desk != NULL) {
                struct job *j = pop(&a->ready);

                if (j == NULL) {
                        if (timed_out != 0 || a->stopping)
                                break;
                        (void)clock_gettime(CLOCK_REALTIME, &until);
                        until.tv_sec += IDLE_S;
                        a->idle++;
                        timed_out = pthread_cond_timedwait(&a->work, &a->lock, &until);
                        a->idle--;
                        continue;
                }
                timed_out = 0;
                (void)pthread_mutex_unlock(&a->lock);
                if (j->end)
                        host_session_end(j->client->session);
                else
                        serve_job(j, desk);
                (void)pthread_mutex_lock(&a->lock);
                done(a, j->client, j->end);
                jobs_free(j);
        }
        a->threads--;
        if (a->stopping) /* the others would begin their wait anew */
                (void)pthread_cond_broadcast(&a->work);
        (void)pthread_mutex_unlock(&a->lock);
        free(desk);
        return NULL;
}

static bool start_thread(struct clients *a)
{
        pthread_attr_t attr;
        pthread_t thread;
        bool ok;

        (void)pthread_attr_init(&attr);
        (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
        (void)pthread_attr_setstacksize(&attr, STACK_BYTES);
        ok = pthread_create(&thread, &attr, thread_main, a) == 0;
        (void)pthread_attr_destroy(&attr);
        if (ok)
                a->threads++;
        return ok;
}

void jobs_add(struct clients *a, struct job *j)
{
        struct client *c = j->client;
        unsigned queued = 0;

        if (!j->end) {
                c->outstanding++;
                if (c->running >= AT_ONCE) {
                        push(&c->waiting, j);
                        return;
                }
        }
        c->running++;
        push(&a->ready, j);
        for (const struct job *r = a->ready.first; r != NULL && queued <= a->idle; r = r->next)
                queued++;
        if (queued > a->idle)
                (void)start_thread(a); /* if that fails, those that are there will come to it */
        (void)pthread_cond_signal(&a->work);
}

void jobs_stop(struct clients *a)
{
        (void)pthread_mutex_lock(&a->lock);
        a->stopping = true;
        (void)pthread_cond_broadcast(&a->work);
        while (a->threads > 0)
                (void)pthread_cond_wait(&a->work, &a->lock);
        (void)pthread_mutex_unlock(&a->lock);
}
