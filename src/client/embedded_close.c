/*
 * Closing flows of the embedded engine, and all of them when the process ends.
 *
 * A signal handler may end the process while the thread it interrupted is closing a flow, which goes on no more. So whoever
 * closes leaves a note, and the end of the process does what is left to do.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "client/embedded.h"

#include "base/futex.h"

#include <errno.h>
#include <string.h>
#include <time.h>

enum { OTHERS_WAIT_MS = 10000, LOOK_AGAIN_MS = 20 };

void embedded_closing_begin(struct embedded *e, struct embedded_closing *c, struct flow *f,
                            struct embedded_device *d)
{
        *c = (struct embedded_closing){ .next = e->closing, .flow = f, .device = d, .thread = pthread_self() };
        e->closing = c;
}

/** What its functions still have to say goes into rings and files, and the files are written. Returns true if the flow may be freed. */
static bool finish(struct embedded *e, struct embedded_closing *c)
{
        sigset_t mask;

        embedded_kick(c->device);
        embedded_wait_settled(c->device);
        siglock_take(&e->lock, &mask);
        engine_device_reap(c->device->device);
        if (!c->finished)
                engine_flow_finish(c->flow);
        c->finished = true;
        siglock_give(&e->lock, &mask);
        return embedded_writers_end(e, c->flow);
}

static void forget(struct embedded *e, struct embedded_closing *c)
{
        struct embedded_closing **at = &e->closing;

        while (*at != c)
                at = &(*at)->next;
        *at = c->next;
}

int embedded_closing_end(struct embedded *e, struct embedded_closing *c, struct mapi_error *err)
{
        int r = 0, error = 0, fd = engine_flow_number(c->flow);
        struct embedded_device *d = c->device;
        bool ending, free_it = finish(e, c);
        sigset_t mask;

        if (!engine_flow_drained(c->flow, &error) || error != 0)
                r = mapi_fail(err, MAPI_ERROR_FILE, "flow %d is closed, but a file of it is not complete: %s", fd,
                              strerror(error != 0 ? error : ETIMEDOUT));

        siglock_take(&e->lock, &mask);
        forget(e, c);
        if (free_it)
                session_close_end(e->session, c->flow);
        d->users--;
        ending = embedded_device_let_go(d);
        if (ending)
                d->users++; /* not used again while we look at it */
        siglock_give(&e->lock, &mask);
        if (ending) {
                embedded_wait_gone(d);
                siglock_take(&e->lock, &mask);
                d->users--;
                siglock_give(&e->lock, &mask);
        }
        return r;
}

int embedded_close_flow(void *state, int fd, struct mapi_error *err)
{
        struct embedded *e = state;
        struct embedded_device *d;
        struct embedded_closing c;
        struct flow *f = NULL;
        sigset_t mask;
        int r;

        siglock_take(&e->lock, &mask);
        r = session_close_begin(e->session, fd, &f, err);
        if (f != NULL) {
                d = embedded_device_of(e, engine_flow_device(f));
                d->users++;
                embedded_closing_begin(e, &c, f, d);
        }
        siglock_give(&e->lock, &mask);
        return f == NULL ? r : embedded_closing_end(e, &c, err);
}

/* ---- the end of the process --------------------------------------------------------------------------------------- */

/** A close that this thread has begun and will not go on with: we are in a handler that interrupted it. */
static struct embedded_closing *take_interrupted(struct embedded *e, bool *ret_others)
{
        struct embedded_closing *c;
        sigset_t mask;

        siglock_take(&e->lock, &mask);
        for (c = e->closing; c != NULL && !pthread_equal(c->thread, pthread_self());)
                c = c->next;
        if (c != NULL)
                forget(e, c);
        *ret_others = e->closing != NULL;
        siglock_give(&e->lock, &mask);
        return c;
}

/** Closes that other threads have begun go on by themselves, as long as the process is there. */
static void finish_closing(struct embedded *e)
{
        struct embedded_closing *c;
        uint32_t never = 0;
        bool others;

        for (int ms = 0; ms < OTHERS_WAIT_MS;) {
                c = take_interrupted(e, &others);
                if (c != NULL) {
                        (void)finish(e, c); /* it is not freed: what was interrupted may have been about to */
                } else if (others) {
                        (void)futex_wait(&never, 0, LOOK_AGAIN_MS);
                        ms += LOOK_AGAIN_MS;
                } else {
                        break;
                }
        }
}

/** The process ends: every flow is closed as if the program had done it. */
void embedded_close(void *state)
{
        struct embedded *e = state;
        struct mapi_error err;
        struct flow *f;
        sigset_t mask;
        int fd = 0;

        for (;;) {
                siglock_take(&e->lock, &mask);
                f = session_next_flow(e->session, fd);
                fd = f == NULL ? 0 : engine_flow_number(f);
                siglock_give(&e->lock, &mask);
                if (fd == 0)
                        break;
                (void)embedded_close_flow(e, fd, &err); /* nobody is left to be told */
        }
        finish_closing(e);
        siglock_take(&e->lock, &mask);
        for (struct embedded_device *d = e->devices; d != NULL; d = d->next) {
                d->deleted = true;
                (void)embedded_device_let_go(d);
        }
        siglock_give(&e->lock, &mask);
        for (struct embedded_device *d = e->devices; d != NULL; d = d->next)
                if (!d->in_use) /* the others wait for somebody who does not come back */
                        embedded_wait_gone(d);
}
