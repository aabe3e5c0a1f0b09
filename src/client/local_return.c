/*
 * mapid goes away and comes back: everything is made anew from the recipes, by the receiving thread.
 *
 * Devices first, then all flows with the numbers that they had, then all functions in the order in which the program
 * applied them (one may refer to a flow with a higher number), then flows are connected, and at last traces are started. What
 * cannot be made anew is lost, and its calls say why; the others live on.
 *
 * While a flow is busy here nobody else frees it or its functions, so they can be walked with the lock given back.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "client/local.h"

#include "base/futex.h"

#include "results/event.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { GONE = -1, REFUSED = 1 }; /* what trying may come to, besides 0 */

bool local_event_check(int fd)
{
        struct stat st;
        int flags = fcntl(fd, F_GETFL);

        /* No type: an anonymous inode. Writing to anything else might wait, or end the program with a signal. */
        if (flags < 0 || fstat(fd, &st) < 0 || (st.st_mode & S_IFMT) != 0)
                return false;
        return (flags & O_NONBLOCK) != 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

void local_away(struct local *l)
{
        struct local_flow *next;
        sigset_t mask;

        siglock_take(&l->lock, &mask);
        if (l->alive) {
                l->life++;
                atomic_fetch_add(&l->epoch, 1); /* odd */
        }
        l->alive = l->returning = l->shutting_down = false;
        local_hang_up(l);
        local_slots_lost(l);
        for (struct local_flow *f = l->flows; f != NULL; f = next) {
                next = f->next;
                f->busy = f->trying = false;
                if (f->kick_fd >= 0)
                        (void)close(f->kick_fd);
                f->kick_fd = -1;
                event_signal(f->event_fd);
                if (f->closed) /* nobody is left who would have to know */
                        local_flow_free(l, f);
        }
        siglock_give(&l->lock, &mask);
        futex_wake((uint32_t *)&l->epoch);
}

/* ---- walking ---------------------------------------------------------------------------------------------------- */

static struct local_flow *next_flow(struct local *l, struct local_flow *f)
{
        sigset_t mask;

        siglock_take(&l->lock, &mask);
        f = f == NULL ? l->flows : f->next;
        while (f != NULL && !f->trying)
                f = f->next;
        siglock_give(&l->lock, &mask);
        return f;
}

static struct local_function *next_function(struct local *l, struct local_function *fn)
{
        sigset_t mask;

        siglock_take(&l->lock, &mask);
        fn = fn == NULL ? l->functions : fn->next;
        while (fn != NULL && !fn->flow->trying)
                fn = fn->next;
        siglock_give(&l->lock, &mask);
        return fn;
}

/* ---- requests, one for each step ---------------------------------------------------------------------------------- */

static int close_at_server(struct local *l, int number)
{
        Mapi__CloseFlow m = MAPI__CLOSE_FLOW__INIT;
        Mapi__Envelope e = MAPI__ENVELOPE__INIT, *answer;

        m.flow = number;
        LOCAL_BODY(e, CLOSE_FLOW, close_flow, &m);
        return local_own(l, &e, NULL, 0, MAPI__ENVELOPE__BODY_DONE, -1, &answer, NULL) < 0 ? GONE : 0;
}

/** It cannot be made anew. GONE or 0. */
static int lose(struct local *l, struct local_flow *f, bool hopeful, const char *why)
{
        sigset_t mask;
        bool made;

        siglock_take(&l->lock, &mask);
        made = f->made;
        f->trying = f->made = false;
        f->hopeful = hopeful;
        (void)snprintf(f->why, sizeof f->why, "%s", why);
        siglock_give(&l->lock, &mask);
        return made ? close_at_server(l, f->number) : 0;
}

static int make_device(struct local *l, struct local_device *d)
{
        Mapi__CreateDevice m = MAPI__CREATE_DEVICE__INIT;
        Mapi__Envelope e = MAPI__ENVELOPE__INIT, *answer;
        struct mapi_error err = { 0 };
        Mapi__Source source;
        sigset_t mask;
        int fd, r;

        r = local_source_open(&d->source, &fd, err.text) < 0 ? REFUSED : 0;
        if (r == 0) {
                local_source_message(&d->source, &source);
                m.source = &source;
                LOCAL_BODY(e, CREATE_DEVICE, create_device, &m);
                r = local_own(l, &e, &fd, fd >= 0, MAPI__ENVELOPE__BODY_DEVICE_NAME, -1, &answer, &err);
                if (fd >= 0)
                        (void)close(fd);
        }
        if (r < 0)
                return GONE;
        siglock_take(&l->lock, &mask);
        d->lost = r != 0;
        d->remade = d->deleted;
        (void)snprintf(d->why, sizeof d->why, "%.*s", (int)sizeof d->why - 1, err.text);
        if (r == 0)
                (void)snprintf(d->server_name, sizeof d->server_name, "%s", answer->device_name->device);
        siglock_give(&l->lock, &mask);
        return 0;
}

static int start_device(struct local *l, struct local_device *d)
{
        Mapi__StartDevice m = MAPI__START_DEVICE__INIT;
        Mapi__Envelope e = MAPI__ENVELOPE__INIT, *answer;

        m.device = d->server_name;
        LOCAL_BODY(e, START_DEVICE, start_device, &m);
        return local_own(l, &e, NULL, 0, MAPI__ENVELOPE__BODY_DONE, -1, &answer, NULL) < 0 ? GONE : 0;
}

static int create(struct local *l, struct local_flow *f)
{
        Mapi__CreateFlow m = MAPI__CREATE_FLOW__INIT;
        Mapi__Envelope e = MAPI__ENVELOPE__INIT, *answer;
        struct mapi_error err = { 0 };
        Mapi__Source source;
        int fd = -1, r;

        m.wanted = (uint32_t)f->number;
        m.on_case = MAPI__CREATE_FLOW__ON_DEVICE;
        if (f->device != NULL) {
                if (f->device->lost)
                        return lose(l, f, false, f->device->why);
                m.device = f->device->server_name;
        } else if (f->device_name != NULL) {
                m.device = f->device_name;
        } else {
                if (local_source_open(&f->source, &fd, err.text) < 0)
                        return lose(l, f, false, err.text);
                local_source_message(&f->source, &source);
                m.on_case = MAPI__CREATE_FLOW__ON_SOURCE;
                m.source = &source;
        }
        LOCAL_BODY(e, CREATE_FLOW, create_flow, &m);
        r = local_own(l, &e, &fd, fd >= 0, MAPI__ENVELOPE__BODY_FLOW_NUMBER, -1, &answer, &err);
        if (fd >= 0)
                (void)close(fd);
        if (r < 0)
                return GONE;
        if (r != 0) /* a live device may come back */
                return lose(l, f, !local_flow_offline(f), err.text);
        if (answer->flow_number->flow != f->number) {
                r = close_at_server(l, answer->flow_number->flow);
                return r < 0 ? r : lose(l, f, !local_flow_offline(f), "its number is taken");
        }
        f->made = true;
        return 0;
}

/** Opens the files among the arguments again. How many, or -1 and none. */
static int open_files(const struct local_function *fn, int *fds, char *why)
{
        int n = 0;

        for (unsigned i = 0; i < fn->n; i++) {
                if (fn->value[i].letter != 'w')
                        continue;
                if (local_file_open(&fn->value[i], local_flow_offline(fn->flow), &fds[n], why) < 0) {
                        while (n-- > 0)
                                (void)close(fds[n]);
                        return -1;
                }
                n++;
        }
        return n;
}

static int apply(struct local *l, struct local_function *fn)
{
        Mapi__Value values[MAPI_ARGS_MAX], *pointers[MAPI_ARGS_MAX];
        Mapi__Envelope e = MAPI__ENVELOPE__INIT, *answer;
        int fds[MAPI_ARGS_MAX], nfds, r;
        struct mapi_error err = { 0 };
        Mapi__Apply m;

        nfds = open_files(fn, fds, err.text);
        if (nfds < 0)
                return lose(l, fn->flow, false, err.text);
        local_function_message(fn, fn->flow->number, &m, values, pointers);
        LOCAL_BODY(e, APPLY, apply, &m);
        r = local_own(l, &e, fds, (unsigned)nfds, MAPI__ENVELOPE__BODY_FUNCTION_ID, -1, &answer, &err);
        while (nfds-- > 0)
                (void)close(fds[nfds]);
        if (r < 0)
                return GONE;
        if (r != 0)
                return lose(l, fn->flow, false, err.text);
        if (answer->function_id->fid != fn->fid)
                return lose(l, fn->flow, false, "its functions have other numbers");
        return 0;
}

/** The number of the program's descriptor stays the same. */
static int renew_event_fd(struct local *l, struct local_flow *f)
{
        Mapi__EventFd m = MAPI__EVENT_FD__INIT;
        Mapi__Envelope e = MAPI__ENVELOPE__INIT, *answer;
        sigset_t mask;
        int r;

        m.flow = f->number;
        LOCAL_BODY(e, EVENT_FD, event_fd, &m);
        r = local_own(l, &e, NULL, 0, MAPI__ENVELOPE__BODY_DONE, -1, &answer, NULL);
        if (r < 0)
                return GONE;
        siglock_take(&l->lock, &mask);
        if (r == 0 && local_event_check(l->in.fd[0]))
                (void)dup3(l->in.fd[0], f->event_fd, O_CLOEXEC);
        siglock_give(&l->lock, &mask);
        return 0;
}

static int connect_flow(struct local *l, struct local_flow *f)
{
        Mapi__Connect m = MAPI__CONNECT__INIT;
        Mapi__Envelope e = MAPI__ENVELOPE__INIT, *answer;
        struct mapi_error err = { 0 };
        sigset_t mask;
        int r;

        m.flow = f->number;
        LOCAL_BODY(e, CONNECT, connect, &m);
        r = local_own(l, &e, NULL, 0, MAPI__ENVELOPE__BODY_CONNECTED, -1, &answer, &err);
        if (r == 0) {
                siglock_take(&l->lock, &mask);
                r = local_places_set(f, answer->connected, &err) < 0 ? REFUSED : 0;
                siglock_give(&l->lock, &mask);
        }
        if (r < 0)
                return GONE;
        if (r != 0)
                return lose(l, f, false, err.text);
        return f->event_fd >= 0 ? renew_event_fd(l, f) : 0;
}

/* ---- all of it ------------------------------------------------------------------------------------------------------ */

/** All flows that are being tried: creates them, applies, connects. */
static int make_flows(struct local *l)
{
        int r = 0;

        for (struct local_flow *f = next_flow(l, NULL); r == 0 && f != NULL; f = next_flow(l, f))
                r = create(l, f);
        for (struct local_function *fn = r == 0 ? next_function(l, NULL) : NULL; r == 0 && fn != NULL;
             fn = next_function(l, fn))
                r = apply(l, fn);
        for (struct local_flow *f = r == 0 ? next_flow(l, NULL) : NULL; r == 0 && f != NULL; f = next_flow(l, f))
                if (f->connected)
                        r = connect_flow(l, f);
        return r;
}

/** What the program has closed meanwhile is closed now; then everybody may go on. */
static int finish(struct local *l, uint32_t epochs)
{
        struct local_flow *f;
        sigset_t mask;

        for (;;) {
                siglock_take(&l->lock, &mask);
                f = l->flows;
                while (f != NULL && !(f->busy && f->closed))
                        f = f->next;
                if (f == NULL)
                        break;
                siglock_give(&l->lock, &mask);
                if (f->made && close_at_server(l, f->number) < 0)
                        return GONE;
                siglock_take(&l->lock, &mask);
                local_flow_free(l, f);
                siglock_give(&l->lock, &mask);
        }
        for (f = l->flows; f != NULL; f = f->next) {
                if (f->busy)
                        f->lost = !f->trying;
                f->busy = f->trying = f->made = false;
        }
        l->returning = false;
        l->alive = true;
        atomic_fetch_add(&l->epoch, epochs);
        for (f = epochs != 0 ? l->flows : NULL; f != NULL; f = f->next)
                event_signal(f->event_fd); /* after the epoch: who wakes sees that everything is new */
        siglock_give(&l->lock, &mask);
        futex_wake((uint32_t *)&l->epoch);
        return 0;
}

int local_return(struct local *l)
{
        sigset_t mask;
        int r = 0;

        siglock_take(&l->lock, &mask);
        l->returning = true;
        for (struct local_flow *f = l->flows; f != NULL; f = f->next) {
                f->busy = f->trying = f->lost = true;
                f->made = f->hopeful = false;
        }
        siglock_give(&l->lock, &mask);
        /* Nobody enters or removes a device now: requests wait, and answers of the last life are refused. */
        for (struct local_device *d = l->devices; r == 0 && d != NULL; d = d->next)
                r = make_device(l, d);
        if (r == 0)
                r = make_flows(l);
        for (struct local_device *d = l->devices; r == 0 && d != NULL; d = d->next)
                if (d->started && !d->lost)
                        r = start_device(l, d);
        return r == 0 ? finish(l, 1) : GONE;
}

bool local_hopeful(struct local *l)
{
        struct local_flow *f;
        sigset_t mask;

        siglock_take(&l->lock, &mask);
        f = l->flows;
        while (f != NULL && !(f->lost && f->hopeful))
                f = f->next;
        siglock_give(&l->lock, &mask);
        return f != NULL;
}

int local_retry(struct local *l)
{
        bool some = false;
        sigset_t mask;

        siglock_take(&l->lock, &mask);
        for (struct local_flow *f = l->flows; f != NULL; f = f->next)
                if (f->lost && f->hopeful) {
                        f->busy = f->trying = true;
                        f->made = false;
                }
        siglock_give(&l->lock, &mask);
        if (make_flows(l) < 0)
                return GONE;
        siglock_take(&l->lock, &mask);
        for (struct local_flow *f = l->flows; f != NULL; f = f->next)
                some = some || f->trying;
        siglock_give(&l->lock, &mask);
        return finish(l, some ? 2 : 0); /* readers map anew what they read */
}
