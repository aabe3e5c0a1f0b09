/* What a client asks of a host: applying, connecting, results. SPDX-License-Identifier: BSD-2-Clause */
#include "host/internal.h"

#include "results/event.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int host_describe(void *state, int fd, const char *name, struct backend_function *ret, struct mapi_error *err)
{
        struct host_session *s = state;
        const struct mapi_function *def;
        const char *library;
        sigset_t mask;
        int r;

        (void)fd;
        siglock_take(&s->host->lock, &mask);
        r = session_find_function(s->session, name, &def, &library, err);
        siglock_give(&s->host->lock, &mask);
        if (r == 0)
                *ret = (struct backend_function){ .name = def->name,
                                                  .args = def->args,
                                                  .library = library,
                                                  .help = def->help,
                                                  .result = def->result };
        return r;
}

int host_apply(void *state, int fd, const char *name, const struct mapi_value *values, unsigned n,
               struct mapi_error *err)
{
        struct host_session *s = state;
        struct host_device *d = NULL;
        struct host_closing c;
        struct flow *closed = NULL;
        struct mapi_error ignored;
        struct instance *in;
        sigset_t mask;
        int r;

        siglock_take(&s->host->lock, &mask);
        r = session_apply_begin(s->session, fd, name, values, n, &in, err);
        if (r == 0) {
                d = host_device_of(s->host, engine_flow_device(session_flow(s->session, fd)));
                d->users++;
        }
        siglock_give(&s->host->lock, &mask);
        if (r < 0)
                return r;

        r = instance_start(in, err);

        siglock_take(&s->host->lock, &mask);
        r = session_apply_end(s->session, fd, in, r, &closed, err);
        if (r > 0 && in->sink != NULL) {
                int w = host_writer_new(s->host, d, fd, in->sink, err);

                if (w < 0)
                        r = w; /* the function stays, but its file is dead; so is the flow for any use but closing */
        }
        if (closed == NULL)
                d->users--;
        else
                host_closing_begin(&c, s, closed, d);
        siglock_give(&s->host->lock, &mask);
        if (closed != NULL) /* another thread closed it, or a signal handler: who did it did not wait */
                (void)host_closing_end(&c, HOST_STUCK_MS, &ignored);
        return r;
}

int host_connect(void *state, int fd, struct mapi_error *err)
{
        struct host_session *s = state;
        struct host_device *d = NULL;
        sigset_t mask;
        int r;

        siglock_take(&s->host->lock, &mask);
        r = session_connect(s->session, fd, err);
        if (r == 0) {
                d = host_device_of(s->host, engine_flow_device(session_flow(s->session, fd)));
                d->users++;
                if (d->session != NULL && !d->named) /* private */
                        engine_device_start(d->device);
        }
        siglock_give(&s->host->lock, &mask);
        if (r < 0)
                return r;
        host_kick(d);
        host_wait_settled(d);
        siglock_take(&s->host->lock, &mask);
        engine_device_reap(d->device);
        d->users--;
        (void)host_device_let_go(d); /* closed meanwhile */
        siglock_give(&s->host->lock, &mask);
        return 0;
}

struct flow *host_lock_flow(struct host_session *s, int fd, sigset_t *ret_mask, struct mapi_error *err)
{
        struct flow *f;

        siglock_take(&s->host->lock, ret_mask);
        f = session_flow(s->session, fd);
        if (f == NULL) {
                siglock_give(&s->host->lock, ret_mask);
                (void)mapi_fail(err, MAPI_INVALID_FLOW, "%d", fd);
        }
        return f;
}

/* ---- results ------------------------------------------------------------------------------------------------ */

int host_place(void *state, int fd, unsigned i, struct backend_place *ret, struct mapi_error *err)
{
        struct host_session *s = state;
        struct instance *in = NULL;
        sigset_t mask;
        struct flow *f = host_lock_flow(s, fd, &mask, err);
        int fid = 0;

        if (f == NULL)
                return -MAPI_INVALID_FLOW;
        do {
                in = engine_function(f, fid, true);
                fid = in == NULL ? 0 : in->fid;
        } while (in != NULL && i-- > 0);
        if (in != NULL)
                *ret = (struct backend_place){
                        .fid = in->fid,
                        .kind = in->fn.def->result.kind,
                        .size = in->fn.result_size,
                        .segment = in->place.segment,
                        .entry = in->place.entry,
                        .nowait = in->fn.def->result.kind == MAPI_RESULT_PACKETS && in->nvalues > 0 &&
                                  in->values[0].num == NOWAIT,
                };
        siglock_give(&s->host->lock, &mask);
        return in != NULL ? 0 : mapi_fail(err, MAPI_INVALID_FID_FUNCID, "flow %d has no further function", fd);
}

int host_status_place(void *state, int fd, struct backend_place *ret, struct mapi_error *err)
{
        struct host_session *s = state;
        sigset_t mask;
        struct flow *f = host_lock_flow(s, fd, &mask, err);

        if (f == NULL)
                return -MAPI_INVALID_FLOW;
        *ret = (struct backend_place){ .segment = engine_flow_place(f)->segment,
                                       .entry = engine_flow_place(f)->entry,
                                       .size = sizeof(struct results_flow) };
        siglock_give(&s->host->lock, &mask);
        return 0;
}

int host_segment(void *state, uint32_t segment, size_t *ret_size, struct mapi_error *err)
{
        struct host_session *s = state;
        sigset_t mask;
        int fd;

        siglock_take(&s->host->lock, &mask);
        fd = segments_fd(session_segments(s->session), segment, ret_size);
        if (fd >= 0)
                fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        siglock_give(&s->host->lock, &mask);
        return fd >= 0 ? fd : mapi_fail(err, MAPI_SHM_ERR, "segment %u", segment);
}

int host_ring(void *state, int fd, int fid, struct backend_ring *ret, struct mapi_error *err)
{
        struct host_session *s = state;
        struct instance *in;
        sigset_t mask;
        struct flow *f = host_lock_flow(s, fd, &mask, err);
        int r = 0;

        if (f == NULL)
                return -MAPI_INVALID_FLOW;
        in = engine_function(f, fid, false);
        if (in == NULL || in->ring == NULL) {
                r = mapi_fail(err, MAPI_INVALID_FID_FUNCID, "function %d of flow %d has no packet ring", fid, fd);
        } else {
                *ret = (struct backend_ring){ .size_bytes = in->ring->size, .generation = in->ring->generation };
                ret->fd = fcntl(in->ring->fd, F_DUPFD_CLOEXEC, 3);
                if (ret->fd < 0)
                        r = mapi_fail(err, MAPI_SHM_ERR, "the packet ring of flow %d: %s", fd, strerror(errno));
        }
        siglock_give(&s->host->lock, &mask);
        return r;
}

/*
 * A reader is about to sleep on an empty ring. If the device's worker waits because another ring of this client is full,
 * nobody might ever read that one: the same thread could be the reader of both. So the full ring grows.
 */
int host_waiting(void *state, int fd, int fid, struct mapi_error *err)
{
        struct host_session *s = state;
        struct host_device *d;
        struct instance *in;
        sigset_t mask;
        struct flow *f = host_lock_flow(s, fd, &mask, err);
        int r = 0;

        if (f == NULL)
                return -MAPI_INVALID_FLOW;
        d = host_device_of(s->host, engine_flow_device(f));
        if (!engine_device_blocked(d->device)) {
                siglock_give(&s->host->lock, &mask);
                return 0;
        }
        host_hold(d, &mask);
        f = session_flow(s->session, fd);
        in = f == NULL ? NULL : engine_function(f, fid, false);
        if (in != NULL && in->ring != NULL && engine_device_blocked(d->device))
                r = engine_grow_rings(f, in->ring, err);
        host_unhold(d);
        (void)host_device_let_go(d);
        siglock_give(&s->host->lock, &mask);
        return r < 0 ? r : 0;
}

void host_kick_flow(void *state, int fd)
{
        struct host_session *s = state;
        struct mapi_error err;
        sigset_t mask;
        struct flow *f = host_lock_flow(s, fd, &mask, &err);

        if (f == NULL)
                return;
        host_kick(host_device_of(s->host, engine_flow_device(f)));
        siglock_give(&s->host->lock, &mask);
}

int host_trace_error(void *state, int fd, struct mapi_error *err)
{
        struct host_session *s = state;
        sigset_t mask;
        struct flow *f = host_lock_flow(s, fd, &mask, err);
        int r;

        if (f == NULL)
                return -MAPI_INVALID_FLOW;
        r = engine_device_error(engine_flow_device(f), err);
        siglock_give(&s->host->lock, &mask);
        return r;
}

int host_file_error(void *state, int fd, int fid, struct mapi_error *err)
{
        struct host_session *s = state;
        struct instance *in;
        sigset_t mask;
        struct flow *f = host_lock_flow(s, fd, &mask, err);
        int error = 0;

        if (f == NULL)
                return -MAPI_INVALID_FLOW;
        in = engine_function(f, fid, false);
        if (in != NULL && in->sink != NULL)
                error = __atomic_load_n(&in->sink->error, __ATOMIC_ACQUIRE);
        siglock_give(&s->host->lock, &mask);
        return error == 0 ? 0
                          : mapi_fail(err, MAPI_ERROR_FILE,
                                      "function %d of flow %d: %s; what was written before can be read", fid, fd,
                                      strerror(error));
}

int host_event_fd(void *state, int fd, struct mapi_error *err)
{
        struct host_session *s = state;
        struct host_device *d;
        sigset_t mask;
        struct flow *f = host_lock_flow(s, fd, &mask, err);
        int r = -1;

        if (f == NULL)
                return -MAPI_INVALID_FLOW;
        d = host_device_of(s->host, engine_flow_device(f));
        host_hold(d, &mask);
        f = session_flow(s->session, fd);
        if (f != NULL) {
                r = engine_flow_event_fd(f);
                if (r < 0) {
                        r = event_new();
                        if (r >= 0 && engine_flow_event(f, r) < 0) {
                                (void)close(r);
                                r = -1;
                        }
                }
        }
        host_unhold(d);
        (void)host_device_let_go(d);
        siglock_give(&s->host->lock, &mask);
        return r >= 0 ? r : mapi_fail(err, MAPI_SHM_ERR, "flow %d has nothing to wait for", fd);
}

const struct backend host_calls = { .version = BACKEND_VERSION, HOST_CALLS };

int host_kick_fd(void *state, int fd)
{
        struct host_session *s = state;
        struct mapi_error err;
        sigset_t mask;
        struct flow *f = host_lock_flow(s, fd, &mask, &err);
        struct host_device *d;
        int r = -1;

        if (f == NULL)
                return -1;
        d = host_device_of(s->host, engine_flow_device(f));
        if (d->session != NULL) { /* live devices never wait for room */
                if (atomic_load(&d->kick_fd) < 0) {
                        atomic_store(&d->kick_fd, event_new());
                        host_kick(d); /* the thread takes it up */
                }
                r = fcntl(atomic_load(&d->kick_fd), F_DUPFD_CLOEXEC, 3);
        }
        siglock_give(&s->host->lock, &mask);
        return r;
}
