/* The embedded backend: client calls to session calls, in this process. SPDX-License-Identifier: BSD-2-Clause */
#include "client/embedded.h"

#include "drivers/table.h"
#include "functions/table.h"
#include "mapi_config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static_assert(sizeof(struct session_library) == sizeof(struct functions_library),
              "one is handed over as the other");

static uint64_t now_s(void *context)
{
        (void)context;
        return (uint64_t)time(NULL);
}

/** What all flows of the process may take: half of the machine's memory, or MAPI_MEMORY_MAX bytes. */
static size_t memory_limit(void)
{
        const char *wanted = getenv("MAPI_MEMORY_MAX");
        long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
        size_t limit = pages > 0 && page > 0 ? (size_t)pages / 2 * (size_t)page : (size_t)1 << 30;
        char *end;

        if (wanted != NULL && wanted[0] >= '0' && wanted[0] <= '9') {
                errno = 0;
                unsigned long long n = strtoull(wanted, &end, 10);

                if (errno == 0 && *end == '\0')
                        limit = (size_t)n;
        }
        return limit;
}

static uint64_t seed(void)
{
        const char *wanted = getenv("MAPI_SEED");
        uint64_t s = 0;

        if (wanted != NULL)
                return strtoull(wanted, NULL, 10);
        if (getrandom(&s, sizeof s, GRND_NONBLOCK) != (ssize_t)sizeof s)
                s = (uint64_t)time(NULL);
        return s;
}

static int embedded_open(void **ret_state, struct mapi_error *err)
{
        struct engine_options engine = { .now_s = now_s, .seed = seed(), .count_functions = MAPI_FUNCSTATS };
        struct session_options session = {
                .limits = { .flows = SESSION_FLOWS_MAX,
                            .memory_bytes = memory_limit(),
                            .ring_bytes = SESSION_RING_BYTES,
                            .sink_bytes = SESSION_SINK_BYTES },
                .uid = getuid(),
                .libraries = (const struct session_library *)functions_libraries,
        };
        struct arena *a = arena_new(NULL);
        struct embedded *e = a == NULL ? NULL : arena_alloc(a, sizeof *e);

        if (e == NULL)
                goto fail;
        e->arena = a;
        (void)pthread_mutex_init(&e->lock.mutex, NULL);
        e->engine = engine_new(&engine);
        if (e->engine == NULL)
                goto fail;
        e->session = session_new(e->engine, &session);
        if (e->session == NULL)
                goto fail;
        *ret_state = e;
        return 0;
fail:
        if (e != NULL)
                engine_free(&e->engine);
        arena_free(&a);
        return mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "the engine");
}

/* ---- fork ------------------------------------------------------------------------------------------------ */

static void embedded_fork_prepare(void *state)
{
        struct embedded *e = state;

        (void)pthread_mutex_lock(&e->lock.mutex); /* the client has blocked signals already */
}

static void embedded_fork_parent(void *state)
{
        struct embedded *e = state;

        (void)pthread_mutex_unlock(&e->lock.mutex);
}

/** The threads are not here: nothing can be ended properly. Descriptors are closed, memory stays as it is. */
static void embedded_fork_child(void *state)
{
        struct embedded *e = state;

        for (struct embedded_device *d = e->devices; d != NULL; d = d->next) {
                if (!d->in_use)
                        continue;
                (void)close(d->wake_fd);
                if (d->source_fd >= 0)
                        (void)close(d->source_fd);
        }
        session_abandon(e->session);
}

/* ---- devices ----------------------------------------------------------------------------------------------- */

/** Opens the source; without the lock, for it may take its time. */
static int open_source(const struct backend_source *source, struct capture *ret, struct mapi_error *err)
{
        struct mapi_source src = { .name = source->name, .options = source->options, .fd = source->fd };
        const struct mapi_driver *driver = drivers_find(source->driver);

        if (driver == NULL) {
                if (source->fd >= 0)
                        (void)close(source->fd);
                return mapi_fail(err, MAPID_NO_DRIVER, "driver %s", source->driver);
        }
        return capture_open(ret, driver, &src, err);
}

static int embedded_device_create(void *state, const struct backend_source *source, char *ret_name,
                                  struct mapi_error *err)
{
        struct embedded *e = state;
        struct embedded_device *d;
        struct capture c;
        sigset_t mask;
        int r;

        r = open_source(source, &c, err);
        if (r < 0)
                return r;
        siglock_take(&e->lock, &mask);
        r = embedded_device_new(e, &c, source->name, source->fd, false, &d, err);
        if (r == 0)
                (void)snprintf(ret_name, MAPI_STR_LENGTH, "%s", d->name);
        siglock_give(&e->lock, &mask);
        if (r < 0)
                capture_close(&c);
        return r;
}

static int embedded_device_start(void *state, const char *name, struct mapi_error *err)
{
        struct embedded *e = state;
        struct embedded_device *d;
        sigset_t mask;
        int r = 0;

        siglock_take(&e->lock, &mask);
        d = embedded_device_find(e, name);
        if (d != NULL) {
                engine_device_start(d->device);
                embedded_kick(d);
        } else {
                r = mapi_fail(err, MAPID_NO_DEVICE, "%.200s", name);
        }
        siglock_give(&e->lock, &mask);
        return r;
}

static int embedded_device_delete(void *state, const char *name, struct mapi_error *err)
{
        struct embedded *e = state;
        struct embedded_device *d;
        bool ending = false;
        sigset_t mask;

        siglock_take(&e->lock, &mask);
        d = embedded_device_find(e, name);
        if (d != NULL) {
                d->deleted = true;
                engine_device_end(d->device); /* flows that are still there finish, their results stay */
                ending = embedded_device_let_go(d);
                if (ending)
                        d->users++; /* not used again while we look at it */
                else
                        embedded_kick(d);
        }
        siglock_give(&e->lock, &mask);
        if (d == NULL)
                return mapi_fail(err, MAPID_NO_DEVICE, "%.200s", name);
        if (ending) {
                embedded_wait_gone(d);
                siglock_take(&e->lock, &mask);
                d->users--;
                siglock_give(&e->lock, &mask);
        }
        return 0;
}

static bool embedded_device_known(void *state, const char *name)
{
        struct embedded *e = state;
        sigset_t mask;
        bool known;

        siglock_take(&e->lock, &mask);
        known = embedded_device_find(e, name) != NULL;
        siglock_give(&e->lock, &mask);
        return known;
}

/* ---- flows ------------------------------------------------------------------------------------------------- */

static int embedded_flow_create(void *state, const char *device, struct mapi_error *err)
{
        struct embedded *e = state;
        struct embedded_device *d;
        sigset_t mask;
        int r;

        siglock_take(&e->lock, &mask);
        d = embedded_device_find(e, device);
        r = d == NULL ? mapi_fail(err, MAPID_NO_DRIVER, "%.200s", device)
                      : session_create_flow(e->session, d->device, err);
        siglock_give(&e->lock, &mask);
        return r;
}

static int embedded_flow_create_private(void *state, const struct backend_source *source, struct mapi_error *err)
{
        struct embedded *e = state;
        struct embedded_device *d;
        struct capture c;
        sigset_t mask;
        int r;

        r = open_source(source, &c, err);
        if (r < 0)
                return r;
        siglock_take(&e->lock, &mask);
        r = embedded_device_new(e, &c, source->name, source->fd, true, &d, err);
        if (r < 0) {
                siglock_give(&e->lock, &mask);
                capture_close(&c);
                return r;
        }
        r = session_create_flow(e->session, d->device, err);
        if (r < 0)
                (void)embedded_device_let_go(d);
        siglock_give(&e->lock, &mask);
        return r;
}

static int embedded_describe(void *state, int fd, const char *name, struct backend_function *ret,
                             struct mapi_error *err)
{
        struct embedded *e = state;
        const struct mapi_function *def;
        const char *library;
        sigset_t mask;
        int r;

        (void)fd;
        siglock_take(&e->lock, &mask);
        r = session_find_function(e->session, name, &def, &library, err);
        siglock_give(&e->lock, &mask);
        if (r == 0)
                *ret = (struct backend_function){ .name = def->name, .args = def->args };
        return r;
}

static int embedded_apply(void *state, int fd, const char *name, const struct mapi_value *values, unsigned n,
                          struct mapi_error *err)
{
        struct embedded *e = state;
        struct embedded_device *d = NULL;
        struct embedded_closing c;
        struct flow *closed = NULL;
        struct mapi_error ignored;
        struct instance *in;
        sigset_t mask;
        int r;

        siglock_take(&e->lock, &mask);
        r = session_apply_begin(e->session, fd, name, values, n, &in, err);
        if (r == 0) {
                d = embedded_device_of(e, engine_flow_device(session_flow(e->session, fd)));
                d->users++;
        }
        siglock_give(&e->lock, &mask);
        if (r < 0)
                return r;

        r = instance_start(in, err);

        siglock_take(&e->lock, &mask);
        r = session_apply_end(e->session, fd, in, r, &closed, err);
        if (r > 0 && in->sink != NULL) {
                int w = embedded_writer_new(e, d, fd, in->sink, err);

                if (w < 0)
                        r = w; /* the function stays, but its file is dead; so is the flow for any use but closing */
        }
        if (closed == NULL)
                d->users--;
        else
                embedded_closing_begin(e, &c, closed, d);
        siglock_give(&e->lock, &mask);
        if (closed != NULL) /* another thread closed it, or a signal handler: who did it did not wait */
                (void)embedded_closing_end(e, &c, &ignored);
        return r;
}

static int embedded_connect(void *state, int fd, struct mapi_error *err)
{
        struct embedded *e = state;
        struct embedded_device *d = NULL;
        sigset_t mask;
        int r;

        siglock_take(&e->lock, &mask);
        r = session_connect(e->session, fd, err);
        if (r == 0) {
                d = embedded_device_of(e, engine_flow_device(session_flow(e->session, fd)));
                d->users++;
                if (d->deleted) /* private */
                        engine_device_start(d->device);
        }
        siglock_give(&e->lock, &mask);
        if (r < 0)
                return r;
        embedded_kick(d);
        embedded_wait_settled(d);
        siglock_take(&e->lock, &mask);
        engine_device_reap(d->device);
        d->users--;
        (void)embedded_device_let_go(d); /* closed meanwhile */
        siglock_give(&e->lock, &mask);
        return 0;
}

struct flow *embedded_lock_flow(struct embedded *e, int fd, sigset_t *ret_mask, struct mapi_error *err)
{
        struct flow *f;

        siglock_take(&e->lock, ret_mask);
        f = session_flow(e->session, fd);
        if (f == NULL) {
                siglock_give(&e->lock, ret_mask);
                (void)mapi_fail(err, MAPI_INVALID_FLOW, "%d", fd);
        }
        return f;
}

/* ---- results ------------------------------------------------------------------------------------------------ */

static int embedded_place(void *state, int fd, unsigned i, struct backend_place *ret, struct mapi_error *err)
{
        struct embedded *e = state;
        struct instance *in = NULL;
        sigset_t mask;
        struct flow *f = embedded_lock_flow(e, fd, &mask, err);
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
                        .nowait = in->ring != NULL && in->nvalues > 0 && in->values[0].num == NOWAIT,
                };
        siglock_give(&e->lock, &mask);
        return in != NULL ? 0 : mapi_fail(err, MAPI_INVALID_FID_FUNCID, "flow %d has no further function", fd);
}

static int embedded_status_place(void *state, int fd, struct backend_place *ret, struct mapi_error *err)
{
        struct embedded *e = state;
        sigset_t mask;
        struct flow *f = embedded_lock_flow(e, fd, &mask, err);

        if (f == NULL)
                return -MAPI_INVALID_FLOW;
        *ret = (struct backend_place){ .segment = engine_flow_place(f)->segment,
                                       .entry = engine_flow_place(f)->entry,
                                       .size = sizeof(struct results_flow) };
        siglock_give(&e->lock, &mask);
        return 0;
}

static int embedded_segment(void *state, uint32_t segment, size_t *ret_size, struct mapi_error *err)
{
        struct embedded *e = state;
        sigset_t mask;
        int fd;

        siglock_take(&e->lock, &mask);
        fd = segments_fd(session_segments(e->session), segment, ret_size);
        if (fd >= 0)
                fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        siglock_give(&e->lock, &mask);
        return fd >= 0 ? fd : mapi_fail(err, MAPI_SHM_ERR, "segment %u", segment);
}

static int embedded_ring(void *state, int fd, int fid, struct backend_ring *ret, struct mapi_error *err)
{
        struct embedded *e = state;
        struct instance *in;
        sigset_t mask;
        struct flow *f = embedded_lock_flow(e, fd, &mask, err);
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
        siglock_give(&e->lock, &mask);
        return r;
}

/*
 * A reader is about to sleep on an empty ring. If the device's worker waits because another ring of this process is full,
 * nobody might ever read that one: the same thread could be the reader of both. So the full ring grows.
 */
static int embedded_waiting(void *state, int fd, int fid, struct mapi_error *err)
{
        struct embedded *e = state;
        struct embedded_device *d;
        struct instance *in;
        sigset_t mask;
        struct flow *f = embedded_lock_flow(e, fd, &mask, err);
        int r = 0;

        if (f == NULL)
                return -MAPI_INVALID_FLOW;
        d = embedded_device_of(e, engine_flow_device(f));
        if (!engine_device_blocked(d->device)) {
                siglock_give(&e->lock, &mask);
                return 0;
        }
        engine_device_hold(d->device, true);
        d->users++;
        d->holders++;
        siglock_give(&e->lock, &mask);
        embedded_wait_quiet(d);
        siglock_take(&e->lock, &mask);
        f = session_flow(e->session, fd);
        in = f == NULL ? NULL : engine_function(f, fid, false);
        if (in != NULL && in->ring != NULL && engine_device_blocked(d->device))
                r = engine_grow_rings(f, in->ring, err);
        d->users--;
        if (--d->holders == 0)
                engine_device_hold(d->device, false);
        embedded_kick(d);
        (void)embedded_device_let_go(d);
        siglock_give(&e->lock, &mask);
        return r < 0 ? r : 0;
}

static void embedded_kick_flow(void *state, int fd)
{
        struct embedded *e = state;
        struct mapi_error err;
        sigset_t mask;
        struct flow *f = embedded_lock_flow(e, fd, &mask, &err);

        if (f == NULL)
                return;
        embedded_kick(embedded_device_of(e, engine_flow_device(f)));
        siglock_give(&e->lock, &mask);
}

static int embedded_trace_error(void *state, int fd, struct mapi_error *err)
{
        struct embedded *e = state;
        sigset_t mask;
        struct flow *f = embedded_lock_flow(e, fd, &mask, err);
        int r;

        if (f == NULL)
                return -MAPI_INVALID_FLOW;
        r = engine_device_error(engine_flow_device(f), err);
        siglock_give(&e->lock, &mask);
        return r;
}

static int embedded_file_error(void *state, int fd, int fid, struct mapi_error *err)
{
        struct embedded *e = state;
        struct instance *in;
        sigset_t mask;
        struct flow *f = embedded_lock_flow(e, fd, &mask, err);
        int error = 0;

        if (f == NULL)
                return -MAPI_INVALID_FLOW;
        in = engine_function(f, fid, false);
        if (in != NULL && in->sink != NULL)
                error = __atomic_load_n(&in->sink->error, __ATOMIC_ACQUIRE);
        siglock_give(&e->lock, &mask);
        return error == 0 ? 0
                          : mapi_fail(err, MAPI_ERROR_FILE,
                                      "function %d of flow %d: %s; what was written before can be read", fid, fd,
                                      strerror(error));
}

const struct backend mapi_backend_embedded = {
        .version = BACKEND_VERSION,
        .open = embedded_open,
        .close = embedded_close,
        .fork_prepare = embedded_fork_prepare,
        .fork_parent = embedded_fork_parent,
        .fork_child = embedded_fork_child,
        .device_create = embedded_device_create,
        .device_start = embedded_device_start,
        .device_delete = embedded_device_delete,
        .device_known = embedded_device_known,
        .flow_create = embedded_flow_create,
        .flow_create_private = embedded_flow_create_private,
        .describe = embedded_describe,
        .apply = embedded_apply,
        .connect = embedded_connect,
        .close_flow = embedded_close_flow,
        .place = embedded_place,
        .status_place = embedded_status_place,
        .segment = embedded_segment,
        .ring = embedded_ring,
        .waiting = embedded_waiting,
        .kick = embedded_kick_flow,
        .trace_error = embedded_trace_error,
        .file_error = embedded_file_error,
        .flow_info = embedded_flow_info,
        .function_info = embedded_function_info,
        .device_info = embedded_device_info,
        .library_info = embedded_library_info,
        .libfunct_info = embedded_libfunct_info,
        .stats = embedded_stats,
};
