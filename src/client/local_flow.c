/* Flows over the local backend: creating, applying, connecting, closing, and where their results are. SPDX-License-Identifier: BSD-2-Clause */
#include "client/local.h"

#include "results/event.h"

#include "base/futex.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NOTICE_MS = 1000 }; /* within which the thread has noticed that mapid is gone */

int local_went_away(const struct local *l, struct mapi_error *err)
{
        return mapi_fail(err, MCOM_SOCKET_ERROR, "mapid at %s went away", l->path);
}

/* ---- creating ----------------------------------------------------------------------------------------------------- */

/** Asks for the flow that *pf describes, and keeps the recipe (*pf is NULL then). Returns its number. */
static int create(struct local *l, struct local_call *c, struct local_flow **pf, Mapi__CreateFlow *m,
                  const char *offline, int fd, struct mapi_error *err)
{
        Mapi__Envelope e = MAPI__ENVELOPE__INIT;
        struct local_flow *f = *pf;
        sigset_t mask;
        int r;

        LOCAL_BODY(e, CREATE_FLOW, create_flow, m);
        r = local_ask(l, c, &e, 0, &fd, fd >= 0, MAPI__ENVELOPE__BODY_FLOW_NUMBER, err);
        if (r == 0) {
                siglock_take(&l->lock, &mask);
                r = c->answer->flow_number->flow;
                if (c->life != l->life) { /* it exists no longer, and nobody will make it anew */
                        r = local_went_away(l, err);
                } else {
                        f->device = offline == NULL ? NULL : local_device_find(l, offline);
                        if (r <= 0 || local_flow_link(l, f, r) < 0)
                                r = mapi_fail(err, MCOM_UNKNOWN_ERROR, "flow number %d", r);
                        else
                                *pf = NULL;
                }
                siglock_give(&l->lock, &mask);
        }
        local_done(c);
        return r;
}

int local_flow_create(void *state, const char *device, struct mapi_error *err)
{
        struct local *l LOCAL_CALL = local_enter(state);
        struct local_flow *f = local_flow_new(device, NULL);
        Mapi__CreateFlow m = MAPI__CREATE_FLOW__INIT;
        char theirs[MAPI_STR_LENGTH], why[LOCAL_WHY] = "";
        const struct local_device *d;
        struct local_call c = { 0 };
        sigset_t mask;
        int r;

        if (f == NULL)
                return mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "a flow");
        local_settle(l, &mask);
        d = local_device_find(l, device);
        if (d != NULL && d->deleted)
                d = NULL;
        if (d != NULL) {
                (void)snprintf(theirs, sizeof theirs, "%s", d->server_name);
                c.only = true;
                c.life = l->life;
                if (d->lost && l->alive)
                        (void)snprintf(why, sizeof why, "%s", d->why);
        }
        siglock_give(&l->lock, &mask);
        m.on_case = MAPI__CREATE_FLOW__ON_DEVICE;
        m.device = d != NULL ? theirs : f->device_name;
        if (why[0] != '\0')
                r = mapi_fail(err, MCOM_SOCKET_ERROR, "%.200s was lost when mapid came back: %s", device, why);
        else
                r = create(l, &c, &f, &m, d != NULL ? device : NULL, -1, err);
        if (f != NULL)
                local_flow_drop(f);
        return r;
}

int local_flow_create_private(void *state, const struct backend_source *source, struct mapi_error *err)
{
        struct local *l LOCAL_CALL = local_enter(state);
        struct local_flow *f = local_flow_new(NULL, source);
        Mapi__CreateFlow m = MAPI__CREATE_FLOW__INIT;
        struct local_call c = { 0 };
        Mapi__Source s;
        int r;

        if (f == NULL) {
                r = mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "a flow");
        } else {
                local_source_message(&f->source, &s);
                m.on_case = MAPI__CREATE_FLOW__ON_SOURCE;
                m.source = &s;
                r = create(l, &c, &f, &m, NULL, source->fd, err);
        }
        if (source->fd >= 0)
                (void)close(source->fd);
        if (f != NULL)
                local_flow_drop(f);
        return r;
}

/* ---- applying ------------------------------------------------------------------------------------------------------ */

static int check_values(struct local *l, const char *name, const struct backend_function *fn,
                        const struct mapi_value *values, unsigned n, struct mapi_error *err)
{
        size_t max = atomic_load(&l->string_max);

        for (unsigned i = 0; i < n; i++) {
                char letter = fn->args[i].letter;

                if (letter == '\0')
                        return mapi_fail(err, MFUNCT_INVALID_ARGUMENT, "%s has %u arguments, not %u", name, i, n);
                if (letter == 'w' && values[i].fd < 0)
                        return mapi_fail(err, MAPID_NO_FD, "%s: argument %u", name, i + 1);
                if (strchr("sSRw", letter) != NULL && values[i].str != NULL && strlen(values[i].str) > max)
                        return mapi_fail(err, MAPI_LIMIT_ERROR, "%s: argument %u has more than %zu bytes", name,
                                         i + 1, max);
        }
        return 0;
}

/** Sends the function and keeps its recipe (*pfn is NULL then). Returns the fid. */
static int send_function(struct local *l, int fd, struct local_function **pfn, const int *fds, unsigned nfds,
                         struct mapi_error *err)
{
        Mapi__Value values[MAPI_ARGS_MAX], *pointers[MAPI_ARGS_MAX];
        Mapi__Envelope e = MAPI__ENVELOPE__INIT;
        struct local_call c = { 0 };
        struct local_flow *f;
        Mapi__Apply m;
        sigset_t mask;
        int r;

        local_function_message(*pfn, fd, &m, values, pointers);
        LOCAL_BODY(e, APPLY, apply, &m);
        r = local_ask(l, &c, &e, fd, fds, nfds, MAPI__ENVELOPE__BODY_FUNCTION_ID, err);
        if (r == 0) {
                siglock_take(&l->lock, &mask);
                f = local_flow_find(l, fd);
                r = c.answer->function_id->fid;
                if (c.life != l->life) {
                        r = local_went_away(l, err);
                } else if (f == NULL) {
                        r = mapi_fail(err, MAPI_INVALID_FLOW, "%d was closed meanwhile", fd);
                } else if (r <= 0) {
                        r = mapi_fail(err, MCOM_UNKNOWN_ERROR, "function number %d", r);
                } else {
                        local_function_link(l, f, *pfn, r);
                        *pfn = NULL;
                }
                siglock_give(&l->lock, &mask);
        }
        local_done(&c);
        return r;
}

int local_apply(void *state, int fd, const char *name, const struct mapi_value *values, unsigned n,
                struct mapi_error *err)
{
        struct local *l LOCAL_CALL = local_enter(state);
        struct local_function *recipe = NULL;
        struct backend_function fn;
        int fds[MAPI_ARGS_MAX], r;
        unsigned nfds = 0;

        r = n > MAPI_ARGS_MAX ? mapi_fail(err, MFUNCT_INVALID_ARGUMENT, "%s: %u arguments", name, n)
                              : local_describe(state, fd, name, &fn, err); /* known already, unless mapid is new */
        if (r == 0)
                r = check_values(l, name, &fn, values, n, err);
        if (r == 0) {
                recipe = local_function_new(name, values, n, fn.args);
                if (recipe == NULL)
                        r = mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "%s", name);
        }
        if (r == 0) {
                for (unsigned i = 0; i < n; i++)
                        if (fn.args[i].letter == 'w')
                                fds[nfds++] = values[i].fd;
                r = send_function(l, fd, &recipe, fds, nfds, err);
        }
        for (unsigned i = 0; i < n; i++)
                if (values[i].fd >= 0)
                        (void)close(values[i].fd);
        if (recipe != NULL)
                local_function_drop(recipe);
        return r;
}

/* ---- connecting and closing ------------------------------------------------------------------------------------------ */

int local_connect(void *state, int fd, struct mapi_error *err)
{
        struct local *l LOCAL_CALL = local_enter(state);
        Mapi__Connect m = MAPI__CONNECT__INIT;
        Mapi__Envelope e = MAPI__ENVELOPE__INIT;
        struct local_call c = { 0 };
        struct local_flow *f;
        sigset_t mask;
        int r;

        m.flow = fd;
        LOCAL_BODY(e, CONNECT, connect, &m);
        r = local_ask(l, &c, &e, fd, NULL, 0, MAPI__ENVELOPE__BODY_CONNECTED, err);
        if (r == 0) {
                siglock_take(&l->lock, &mask);
                f = local_flow_find(l, fd);
                if (c.life != l->life)
                        r = local_went_away(l, err);
                else if (f == NULL)
                        r = mapi_fail(err, MAPI_INVALID_FLOW, "%d was closed meanwhile", fd);
                else
                        r = local_places_set(f, c.answer->connected, err);
                if (r == 0)
                        f->connected = true;
                siglock_give(&l->lock, &mask);
        }
        local_done(&c);
        return r;
}

int local_ask_close(struct local *l, struct local_call *c, int number, struct mapi_error *err)
{
        Mapi__CloseFlow m = MAPI__CLOSE_FLOW__INIT;
        Mapi__Envelope e = MAPI__ENVELOPE__INIT;
        int r;

        m.flow = number;
        LOCAL_BODY(e, CLOSE_FLOW, close_flow, &m);
        c->closes = true;
        r = local_ask(l, c, &e, number, NULL, 0, MAPI__ENVELOPE__BODY_DONE, err);
        local_done(c);
        return r;
}

/** A device that was deleted before mapid came back, and whose last flow has gone. */
static void delete_again(struct local *l, char *theirs)
{
        Mapi__DeleteDevice m = MAPI__DELETE_DEVICE__INIT;
        Mapi__Envelope e = MAPI__ENVELOPE__INIT;
        struct local_call c = { 0 };

        m.device = theirs;
        LOCAL_BODY(e, DELETE_DEVICE, delete_device, &m);
        (void)local_ask(l, &c, &e, 0, NULL, 0, MAPI__ENVELOPE__BODY_DONE, NULL); /* at worst it ends with us */
        local_done(&c);
}

/** Forgets the flow, or leaves the rest to the thread that is making it anew. Under the lock. */
static void forget_flow(struct local *l, struct local_flow *f, char *ret_device)
{
        const struct local_device *d = f->device;

        if (d != NULL && d->deleted && d->remade && d->flows == 1 && !f->busy && l->alive)
                (void)snprintf(ret_device, MAPI_STR_LENGTH, "%s", d->server_name);
        if (f->busy)
                f->closed = true;
        else
                local_flow_free(l, f);
}

/*
 * Closing always works. While mapid is away, or if it goes away in the middle, the flow has gone with it, and all that
 * remains is not to make it anew.
 */
int local_close_flow(void *state, int fd, struct mapi_error *err)
{
        struct local *l LOCAL_CALL = local_enter(state);
        bool asked = false, here, files = false;
        char theirs[MAPI_STR_LENGTH] = "";
        struct local_call c;
        struct local_flow *f;
        uint32_t epoch;
        sigset_t mask;
        int r;

        do {
                c = (struct local_call){ 0 };
                siglock_take(&l->lock, &mask);
                epoch = atomic_load(&l->epoch);
                f = local_flow_find(l, fd);
                here = f != NULL && !f->busy && !f->lost && l->alive;
                if (f != NULL)
                        files = f->files && f->connected;
                if (here)
                        f->closed = true; /* whatever happens now, it is not made anew */
                else if (f != NULL)
                        forget_flow(l, f, theirs);
                siglock_give(&l->lock, &mask);
                if (f == NULL && !asked)
                        return mapi_fail(err, MAPI_INVALID_FLOW, "%d", fd);
                if (!here) {
                        r = files ? mapi_fail(err, MAPI_ERROR_FILE,
                                              "flow %d may not be complete: mapid at %s went away", fd, l->path)
                                  : 0;
                        break;
                }
                asked = true;
                r = local_ask_close(l, &c, fd, err);
                if (c.lost) /* the thread notices it now: look again */
                        (void)futex_wait((const uint32_t *)&l->epoch, epoch, NOTICE_MS);
        } while (c.lost && atomic_load(&l->stop) == 0);

        if (here) {
                siglock_take(&l->lock, &mask);
                f = local_flow_find(l, fd);
                if (f != NULL && c.life == l->life)
                        forget_flow(l, f, theirs);
                siglock_give(&l->lock, &mask);
        }
        if (theirs[0] != '\0')
                delete_again(l, theirs);
        return r;
}

/* ---- results ---------------------------------------------------------------------------------------------------------- */

/** A connected flow that mapid has, with the lock taken. NULL: the lock is given back, err filled. */
static struct local_flow *connected_flow(struct local *l, int fd, sigset_t *ret_mask, struct mapi_error *err)
{
        struct local_flow *f;

        local_settle(l, ret_mask);
        f = local_flow_find(l, fd);
        if (f == NULL)
                (void)mapi_fail(err, MAPI_INVALID_FLOW, "%d", fd);
        else if (!l->alive)
                (void)mapi_fail(err, MCOM_SOCKET_ERROR, "mapid at %s is away", l->path);
        else if (f->lost)
                (void)mapi_fail(err, MCOM_SOCKET_ERROR, "flow %d was lost when mapid came back: %s", fd, f->why);
        else if (!f->connected)
                (void)mapi_fail(err, MAPI_FLOW_NOT_CONNECTED, "%d", fd);
        else
                return f;
        siglock_give(&l->lock, ret_mask);
        return NULL;
}

int local_place(void *state, int fd, unsigned i, struct backend_place *ret, struct mapi_error *err)
{
        struct local *l LOCAL_CALL = local_enter(state);
        struct mapi_error why;
        struct local_flow *f;
        sigset_t mask;
        bool there;

        f = connected_flow(l, fd, &mask, &why);
        if (f == NULL) {
                if (err != NULL)
                        *err = why;
                return -why.code;
        }
        there = i < f->nplaces;
        if (there)
                *ret = f->place[i];
        siglock_give(&l->lock, &mask);
        return there ? 0 : mapi_fail(err, MAPI_INVALID_FID_FUNCID, "flow %d has no further function", fd);
}

int local_status_place(void *state, int fd, struct backend_place *ret, struct mapi_error *err)
{
        struct local *l LOCAL_CALL = local_enter(state);
        struct mapi_error why;
        struct local_flow *f;
        sigset_t mask;

        f = connected_flow(l, fd, &mask, &why);
        if (f == NULL) {
                if (err != NULL)
                        *err = why;
                return -why.code;
        }
        *ret = f->status;
        siglock_give(&l->lock, &mask);
        return 0;
}

/** Reading what lies behind the end of a file would end the program: the file must be that long and stay so. */
static bool long_enough(int fd, uint64_t size_bytes)
{
        int seals = fcntl(fd, F_GET_SEALS);
        struct stat st;

        return size_bytes > 0 && size_bytes <= INT64_MAX && seals >= 0 && (seals & F_SEAL_SHRINK) != 0 &&
               fstat(fd, &st) == 0 && st.st_size >= 0 && (uint64_t)st.st_size >= size_bytes;
}

int local_segment(void *state, uint32_t segment, size_t *ret_size, struct mapi_error *err)
{
        struct local *l LOCAL_CALL = local_enter(state);
        Mapi__Segment m = MAPI__SEGMENT__INIT;
        Mapi__Envelope e = MAPI__ENVELOPE__INIT;
        struct local_call c = { 0 };
        uint64_t size;
        int r;

        m.segment = segment;
        LOCAL_BODY(e, SEGMENT, segment, &m);
        r = local_ask(l, &c, &e, 0, NULL, 0, MAPI__ENVELOPE__BODY_SEGMENT_MEMORY, err);
        if (r == 0) {
                size = c.answer->segment_memory->size_bytes;
                if (!long_enough(c.slot->received.fd[0], size)) {
                        r = mapi_fail(err, MCOM_UNKNOWN_ERROR, "segment %u is not what it says", segment);
                } else {
                        *ret_size = (size_t)size;
                        r = local_take_fd(&c, 0);
                }
        }
        local_done(&c);
        return r;
}

/** Keeps the descriptor that wakes the flow's worker; -1: it never waits for room. Under the lock. */
static void keep_kick(struct local *l, int fd, struct local_call *c, int kick)
{
        struct local_flow *f = c->life == l->life ? local_flow_find(l, fd) : NULL;

        if (f == NULL) {
                if (kick >= 0)
                        (void)close(kick);
                return;
        }
        if (f->kick_fd >= 0)
                (void)close(f->kick_fd);
        f->kick_fd = kick;
        f->never_blocks = kick < 0;
}

int local_ring(void *state, int fd, int fid, struct backend_ring *ret, struct mapi_error *err)
{
        struct local *l LOCAL_CALL = local_enter(state);
        Mapi__Envelope e = MAPI__ENVELOPE__INIT;
        const Mapi__RingMemory *ring;
        struct local_call c = { 0 };
        Mapi__Ring m = MAPI__RING__INIT;
        sigset_t mask;
        int r, kick;

        m.flow = fd;
        m.fid = fid;
        LOCAL_BODY(e, RING, ring, &m);
        r = local_ask(l, &c, &e, fd, NULL, 0, MAPI__ENVELOPE__BODY_RING_MEMORY, err);
        if (r == 0) {
                const struct protocol_received *got = &c.slot->received;

                ring = c.answer->ring_memory;
                if (!long_enough(got->fd[0], ring->size_bytes) ||
                    (got->nfds > 1 && !local_event_check(got->fd[1]))) {
                        r = mapi_fail(err, MCOM_UNKNOWN_ERROR, "the packet ring of flow %d is not what it says",
                                      fd);
                } else {
                        *ret = (struct backend_ring){ .size_bytes = ring->size_bytes,
                                                      .generation = ring->generation };
                        ret->fd = local_take_fd(&c, 0);
                        kick = got->nfds > 0 ? local_take_fd(&c, 0) : -1;
                        siglock_take(&l->lock, &mask);
                        keep_kick(l, fd, &c, kick);
                        siglock_give(&l->lock, &mask);
                }
        }
        local_done(&c);
        return r;
}

int local_waiting(void *state, int fd, int fid, struct mapi_error *err)
{
        struct local *l LOCAL_CALL = local_enter(state);
        Mapi__Waiting m = MAPI__WAITING__INIT;
        Mapi__Envelope e = MAPI__ENVELOPE__INIT;
        struct local_call c = { 0 };
        const struct local_flow *f;
        sigset_t mask;
        bool live;
        int r;

        siglock_take(&l->lock, &mask);
        f = local_flow_find(l, fd);
        live = f != NULL && f->never_blocks;
        siglock_give(&l->lock, &mask);
        if (live)
                return 0;
        m.flow = fd;
        m.fid = fid;
        LOCAL_BODY(e, WAITING, waiting, &m);
        r = local_ask(l, &c, &e, fd, NULL, 0, MAPI__ENVELOPE__BODY_DONE, err);
        local_done(&c);
        return r;
}

void local_kick(void *state, int fd)
{
        struct local *l LOCAL_CALL = local_enter(state);
        const struct local_flow *f;
        int saved = errno;
        sigset_t mask;

        siglock_take(&l->lock, &mask);
        f = local_flow_find(l, fd);
        if (f != NULL && f->kick_fd >= 0)
                event_signal(f->kick_fd);
        siglock_give(&l->lock, &mask);
        errno = saved;
}

/** The flow's event descriptor, if there is one already; -1. */
static int known_event_fd(struct local *l, int fd)
{
        const struct local_flow *f;
        sigset_t mask;
        int known;

        siglock_take(&l->lock, &mask);
        f = local_flow_find(l, fd);
        known = f == NULL ? -1 : f->event_fd;
        siglock_give(&l->lock, &mask);
        return known;
}

int local_event_fd(void *state, int fd, struct mapi_error *err)
{
        struct local *l LOCAL_CALL = local_enter(state);
        Mapi__EventFd m = MAPI__EVENT_FD__INIT;
        Mapi__Envelope e = MAPI__ENVELOPE__INIT;
        struct local_call c = { 0 };
        struct local_flow *f;
        sigset_t mask;
        int r, came;

        r = known_event_fd(l, fd);
        if (r >= 0)
                return r;
        m.flow = fd;
        LOCAL_BODY(e, EVENT_FD, event_fd, &m);
        r = local_ask(l, &c, &e, fd, NULL, 0, MAPI__ENVELOPE__BODY_DONE, err);
        if (r == 0 && !local_event_check(c.slot->received.fd[0]))
                r = mapi_fail(err, MCOM_UNKNOWN_ERROR, "the event descriptor of flow %d is none", fd);
        if (r == 0) {
                came = local_take_fd(&c, 0);
                siglock_take(&l->lock, &mask);
                f = local_flow_find(l, fd);
                if (c.life != l->life)
                        r = local_went_away(l, err);
                else if (f == NULL)
                        r = mapi_fail(err, MAPI_INVALID_FLOW, "%d was closed meanwhile", fd);
                else if (f->event_fd < 0)
                        f->event_fd = came;
                if (r < 0 || f->event_fd != came)
                        (void)close(came); /* another thread was faster */
                if (r == 0)
                        r = f->event_fd;
                siglock_give(&l->lock, &mask);
        }
        local_done(&c);
        return r;
}
