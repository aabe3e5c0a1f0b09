/*
 * Closing flows, and all flows of a session when its client goes or the process ends.
 *
 * A signal handler may end the process while the thread it interrupted is closing a flow, which goes on no more. So whoever
 * closes leaves a note, and the end of the process does what is left to do.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "host/internal.h"

#include "base/futex.h"

#include <errno.h>
#include <string.h>
#include <time.h>

enum { OTHERS_WAIT_MS = 10000, LOOK_AGAIN_MS = 20, STUCK_AGAIN_MS = 200 };

void host_closing_begin(struct host_closing *c, struct host_session *s, struct flow *f, struct host_device *d)
{
        *c = (struct host_closing){
                .next = s->host->closing, .session = s, .flow = f, .device = d, .thread = pthread_self()
        };
        s->host->closing = c;
}

/** What its functions still have to say goes into rings and files, and the files are written. Returns true if the flow may be freed. */
static bool finish(struct host_closing *c, long stuck_ms)
{
        struct host *h = c->session->host;
        sigset_t mask;

        host_kick(c->device);
        host_wait_settled(c->device);
        siglock_take(&h->lock, &mask);
        engine_device_reap(c->device->device);
        if (!c->finished)
                engine_flow_finish(c->flow);
        c->finished = true;
        siglock_give(&h->lock, &mask);
        return host_writers_end(h, c->flow, stuck_ms);
}

static void forget(struct host *h, struct host_closing *c)
{
        struct host_closing **at = &h->closing;

        while (*at != c)
                at = &(*at)->next;
        *at = c->next;
}

/** Its writer is in the kernel, with memory of the flow. Under the lock. */
static void keep_stuck(struct host_closing *c)
{
        struct host_session *s = c->session;
        struct host_stuck *stuck = arena_alloc(s->arena, sizeof *stuck);

        s->stuck++;
        if (stuck == NULL)
                return; /* it is never freed */
        *stuck = (struct host_stuck){ .next = s->stuck_flows, .flow = c->flow, .device = c->device };
        s->stuck_flows = stuck;
}

/** Frees what a session has of these. Returns true if nothing needs the session any more. Under the lock. */
static bool reclaim_session(struct host_session *s)
{
        struct host_stuck **at = &s->stuck_flows, *stuck;

        while ((stuck = *at) != NULL) {
                if (!host_writers_gone(s->host, stuck->flow)) {
                        at = &stuck->next;
                        continue;
                }
                *at = stuck->next;
                s->stuck--;
                session_close_end(s->session, stuck->flow);
                (void)host_device_let_go(stuck->device);
        }
        return s->left && s->stuck == 0;
}

void host_reclaim(struct host *h)
{
        struct host_session *s;
        struct arena *a;
        sigset_t mask;

        do {
                siglock_take(&h->lock, &mask);
                for (s = h->sessions; s != NULL && !reclaim_session(s);)
                        s = s->next;
                a = s == NULL ? NULL : host_session_unlink(s);
                siglock_give(&h->lock, &mask);
                arena_free(&a);
        } while (s != NULL);
}

int host_closing_end(struct host_closing *c, long stuck_ms, struct mapi_error *err)
{
        int r = 0, error = 0, fd = engine_flow_number(c->flow);
        struct host_session *s = c->session;
        struct host_device *d = c->device;
        bool free_it = finish(c, stuck_ms);
        sigset_t mask;

        if (!engine_flow_drained(c->flow, &error) || error != 0)
                r = mapi_fail(err, MAPI_ERROR_FILE, "flow %d is closed, but a file of it is not complete: %s", fd,
                              strerror(error != 0 ? error : ETIMEDOUT));

        siglock_take(&s->host->lock, &mask);
        forget(s->host, c);
        if (free_it)
                session_close_end(s->session, c->flow);
        else
                keep_stuck(c);
        d->users--;
        host_device_let_go_and_wait(d, &mask);
        return r;
}

int host_close_flow(void *state, int fd, struct mapi_error *err)
{
        struct host_session *s = state;
        struct host_device *d;
        struct host_closing c;
        struct flow *f = NULL;
        sigset_t mask;
        int r;

        siglock_take(&s->host->lock, &mask);
        r = session_close_begin(s->session, fd, &f, err);
        if (f != NULL) {
                d = host_device_of(s->host, engine_flow_device(f));
                d->users++;
                host_closing_begin(&c, s, f, d);
        }
        siglock_give(&s->host->lock, &mask);
        return f == NULL ? r : host_closing_end(&c, HOST_STUCK_MS, err);
}

/* ---- the end of a session ----------------------------------------------------------------------------------------- */

/** A close that this thread has begun and will not go on with: we are in a handler that interrupted it. */
static struct host_closing *take_interrupted(struct host_session *s, bool *ret_others)
{
        struct host_closing *c;
        sigset_t mask;

        *ret_others = false;
        siglock_take(&s->host->lock, &mask);
        for (c = s->host->closing; c != NULL && (c->session != s || !pthread_equal(c->thread, pthread_self()));
             c = c->next)
                *ret_others = *ret_others || c->session == s;
        if (c != NULL)
                forget(s->host, c);
        siglock_give(&s->host->lock, &mask);
        return c;
}

/** Closes that other threads have begun go on by themselves, as long as the process is there. */
static void finish_closing(struct host_session *s)
{
        struct host_closing *c;
        uint32_t never = 0;
        bool others;

        for (int ms = 0; ms < OTHERS_WAIT_MS;) {
                c = take_interrupted(s, &others);
                if (c != NULL) {
                        (void)finish(
                                c,
                                HOST_STUCK_MS); /* it is not freed: what was interrupted may have been about to */
                } else if (others) {
                        (void)futex_wait(&never, 0, LOOK_AGAIN_MS);
                        ms += LOOK_AGAIN_MS;
                } else {
                        break;
                }
        }
}

/** All flows leave the plans first, so that no packet reaches any of them any more; one plan for each device. */
static struct host_closing *close_all(struct host_session *s, struct arena *a, uint32_t *ret_n)
{
        struct host_closing *closing;
        struct host_device *d;
        struct mapi_error err;
        struct flow *f = NULL;
        uint32_t n = 0, flows = 0;
        sigset_t mask;

        siglock_take(&s->host->lock, &mask);
        for (int fd = 0; (f = session_next_flow(s->session, fd)) != NULL; fd = engine_flow_number(f))
                flows++;
        closing = a == NULL ? NULL : arena_alloc(a, (flows + 1) * sizeof *closing);
        while (closing != NULL && n < flows && (f = session_next_flow(s->session, 0)) != NULL) {
                int fd = engine_flow_number(f);

                f = NULL;
                d = host_device_of(s->host, engine_flow_device(session_flow(s->session, fd)));
                if (session_close_begin(s->session, fd, &f, &err) < 0)
                        break; /* no memory for a smaller plan: one by one, below */
                if (f == NULL)
                        continue; /* a function is being applied to it: who does that ends it */
                d->users++;
                host_closing_begin(&closing[n++], s, f, d);
        }
        siglock_give(&s->host->lock, &mask);
        *ret_n = n;
        return closing;
}

static void delete_devices(struct host_session *s)
{
        struct host *h = s->host;
        sigset_t mask;

        siglock_take(&h->lock, &mask);
        for (struct host_device *d = h->devices; d != NULL; d = d->next)
                if (d->in_use && d->session == s) {
                        d->wanted = d->named = false;
                        (void)host_device_let_go(d);
                }
        siglock_give(&h->lock, &mask);
        for (struct host_device *d = h->devices; d != NULL; d = d->next)
                if (d->session == s && !d->in_use) /* the others wait for somebody who does not come back */
                        host_wait_gone(d);
}

void host_session_end(struct host_session *s)
{
        struct arena *a = arena_new(NULL);
        struct host_closing *closing;
        long stuck_ms = HOST_STUCK_MS;
        struct mapi_error err;
        struct flow *f;
        sigset_t mask;
        uint32_t n;
        int fd = 0;

        siglock_take(&s->host->lock, &mask);
        s->ended = true;
        siglock_give(&s->host->lock, &mask);
        closing = close_all(s, a, &n);
        for (uint32_t i = 0; i < n; i++)
                if (host_closing_end(&closing[i], stuck_ms, &err) < 0) /* nobody is left to be told */
                        stuck_ms = STUCK_AGAIN_MS; /* the files of all have had time meanwhile */
        arena_free(&a);
        for (;;) {
                siglock_take(&s->host->lock, &mask);
                f = session_next_flow(s->session, fd);
                fd = f == NULL ? 0 : engine_flow_number(f);
                siglock_give(&s->host->lock, &mask);
                if (fd == 0)
                        break;
                (void)host_close_flow(s, fd, &err);
        }
        finish_closing(s);
        delete_devices(s);
        host_reclaim(s->host);
}
