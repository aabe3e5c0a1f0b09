/* The local backend's table: client calls to messages for mapid. SPDX-License-Identifier: BSD-2-Clause */
#include "client/local.h"

#include "base/futex.h"

#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { THREAD_STACK = 256 * 1024, GONE_MS = 2000, BUSY_MS = 20 };

/* ---- life of the state ------------------------------------------------------------------------------------------ */

struct local *local_enter(void *state)
{
        struct local *l = state;

        atomic_fetch_add(&l->users, 1);
        return l;
}

void local_leave(struct local **pl)
{
        struct local *l = *pl;
        struct arena *a;

        if (atomic_fetch_sub(&l->users, 1) != 1)
                return;
        while (l->flows != NULL)
                local_flow_free(l, l->flows);
        while (l->devices != NULL)
                local_device_free(l, l->devices);
        local_slots_free(l);
        local_large_free(&l->large);
        local_hang_up(l);
        if (l->wake_fd >= 0)
                (void)close(l->wake_fd);
        a = l->arena;
        arena_free(&a);
}

static struct local *state_new(const char *path)
{
        struct arena *a = arena_new(NULL);
        struct local *l = a == NULL ? NULL : arena_alloc(a, sizeof *l);
        void *pool = l == NULL ? NULL : arena_alloc(a, PROTOCOL_POOL_BYTES);

        if (pool == NULL || (l->in_buf = arena_alloc(a, PROTOCOL_MESSAGE_MAX)) == NULL ||
            (l->out_buf = arena_alloc(a, PROTOCOL_MESSAGE_MAX)) == NULL) {
                arena_free(&a);
                return NULL;
        }
        l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (l->wake_fd < 0) {
                arena_free(&a);
                return NULL;
        }
        l->arena = a;
        l->times = local_times;
        l->socket = -1;
        (void)snprintf(l->path, sizeof l->path, "%s", path);
        (void)pthread_mutex_init(&l->lock.mutex, NULL);
        protocol_pool_init(&l->pool, pool, PROTOCOL_POOL_BYTES);
        atomic_store(&l->users, 1);
        return l;
}

static int start_thread(struct local *l, struct mapi_error *err)
{
        pthread_attr_t attr;
        sigset_t all, mask;
        pthread_t thread;
        int r;

        (void)local_enter(l); /* the thread's own */
        sigfillset(&all);
        (void)pthread_sigmask(SIG_SETMASK, &all, &mask); /* inherited: no signal ever reaches it */
        (void)pthread_attr_init(&attr);
        (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
        (void)pthread_attr_setstacksize(&attr, THREAD_STACK);
        r = pthread_create(&thread, &attr, local_thread, l);
        (void)pthread_attr_destroy(&attr);
        (void)pthread_sigmask(SIG_SETMASK, &mask, NULL);
        if (r == 0)
                return 0;
        local_leave(&l);
        return mapi_fail(err, MCOM_INIT_SOCKET_ERROR, "no thread to receive with: %s", strerrordesc_np(r));
}

static int local_open(const struct backend_options *options, void **ret_state, struct mapi_error *err)
{
        uint64_t end = local_now_ms() + (uint64_t)local_times.open;
        const char *path = options->path == NULL ? "" : options->path;
        struct local *l;
        bool again;
        int r;

        if (path[0] == '\0' || strlen(path) >= sizeof l->path)
                return mapi_fail(err, MCOM_INIT_SOCKET_ERROR, "'%.200s' cannot be the name of a socket", path);
        l = state_new(path);
        if (l == NULL)
                return mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "the connection to mapid");
        do {
                r = local_dial(l, &again, err);
        } while (r < 0 && again && local_now_ms() < end && !local_nap(l, BUSY_MS));
        if (r == 0) {
                l->alive = true;
                r = start_thread(l, err);
        }
        if (r < 0) {
                local_leave(&l);
                return r;
        }
        *ret_state = l;
        return 0;
}

static const _Atomic uint32_t *local_epoch(void *state)
{
        return &((struct local *)state)->epoch;
}

static void local_await(void *state, uint32_t seen, int timeout_ms)
{
        struct local *l LOCAL_CALL = local_enter(state);
        uint64_t end = local_now_ms() + (uint64_t)timeout_ms, now = 0;

        while (atomic_load(&l->epoch) == seen && atomic_load(&l->stop) == 0 &&
               (timeout_ms < 0 || (now = local_now_ms()) < end))
                (void)futex_wait((const uint32_t *)&l->epoch, seen, timeout_ms < 0 ? -1 : (int)(end - now));
}

/** Closes the flows that write files, so that those are complete. As long as mapid answers. */
static void complete_files(struct local *l)
{
        struct local_flow *f;
        struct local_call c;
        sigset_t mask;
        int number;

        do {
                siglock_take(&l->lock, &mask);
                f = l->alive ? l->flows : NULL;
                while (f != NULL && (!f->files || f->closed || f->lost))
                        f = f->next;
                number = f == NULL ? 0 : f->number;
                if (f != NULL)
                        f->closed = true;
                siglock_give(&l->lock, &mask);
                c = (struct local_call){ .timeout_ms = l->times.close };
        } while (number != 0 && (local_ask_close(l, &c, number, NULL) != -MCOM_SOCKET_ERROR));
        local_slots_await_closes(l); /* those that another thread, or what we have interrupted, has begun */
}

static void local_close(void *state)
{
        uint64_t end = local_now_ms() + GONE_MS, now;
        struct local *l = state;
        const uint64_t one = 1;
        sigset_t mask;

        complete_files(l);
        siglock_take(&l->lock, &mask); /* the thread closes it when it has been told */
        atomic_store(&l->stop, 1);
        (void)!write(l->wake_fd, &one, sizeof one); /* cannot be full */
        siglock_give(&l->lock, &mask);
        atomic_fetch_add(&l->epoch, 2); /* nobody sleeps on */
        futex_wake((uint32_t *)&l->epoch);
        while (atomic_load(&l->gone) == 0 && (now = local_now_ms()) < end)
                (void)futex_wait((const uint32_t *)&l->gone, 0, (int)(end - now));
        local_leave(&l);
}

static void local_fork_prepare(void *state)
{
        (void)pthread_mutex_lock(
                &((struct local *)state)->lock.mutex); /* the client has blocked signals already */
}

static void local_fork_parent(void *state)
{
        (void)pthread_mutex_unlock(&((struct local *)state)->lock.mutex);
}

/** The session belongs to the parent. Descriptors are closed, memory stays as it is. */
static void local_fork_child(void *state)
{
        struct local *l = state;

        for (const struct local_flow *f = l->flows; f != NULL; f = f->next) {
                if (f->kick_fd >= 0)
                        (void)close(f->kick_fd);
                if (f->event_fd >= 0)
                        (void)close(f->event_fd);
        }
        local_slots_abandon(l);
        if (l->socket >= 0)
                (void)close(l->socket);
        if (l->wake_fd >= 0)
                (void)close(l->wake_fd);
}

/* ---- devices ------------------------------------------------------------------------------------------------------ */

static int local_device_create(void *state, const struct backend_source *source, char *ret_name,
                               struct mapi_error *err)
{
        struct local *l LOCAL_CALL = local_enter(state);
        Mapi__CreateDevice m = MAPI__CREATE_DEVICE__INIT;
        struct local_device *d = local_device_new(source);
        Mapi__Envelope e = MAPI__ENVELOPE__INIT;
        struct local_call c = { 0 };
        const char *name;
        Mapi__Source s;
        sigset_t mask;
        int r;

        if (d == NULL) {
                r = mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "%.200s", source->name);
        } else {
                local_source_message(&d->source, &s);
                m.source = &s;
                LOCAL_BODY(e, CREATE_DEVICE, create_device, &m);
                r = local_ask(l, &c, &e, 0, &source->fd, source->fd >= 0, MAPI__ENVELOPE__BODY_DEVICE_NAME, err);
        }
        if (source->fd >= 0)
                (void)close(source->fd);
        if (r == 0) {
                name = c.answer->device_name->device;
                siglock_take(&l->lock, &mask);
                if (c.life != l->life) {
                        r = local_went_away(l, err);
                } else if (name[0] == '\0' || strlen(name) >= MAPI_STR_LENGTH) {
                        r = mapi_fail(err, MCOM_UNKNOWN_ERROR, "a device's name of %zu bytes", strlen(name));
                } else {
                        local_device_link(l, d, name);
                        (void)snprintf(ret_name, MAPI_STR_LENGTH, "%s", d->name);
                        d = NULL;
                }
                siglock_give(&l->lock, &mask);
        }
        local_done(&c);
        if (d != NULL)
                local_device_drop(d);
        return r;
}

/**
 * An offline device of ours, to be spoken about: its name at mapid, and the life in which it is called so. With the lock
 * taken. 0; 1: it is lost, and nothing has to be said to mapid; -3202.
 */
static int device_for(struct local *l, const char *name, struct local_call *c, char *ret_theirs,
                      struct mapi_error *err)
{
        const struct local_device *d = local_device_find(l, name);

        if (d == NULL || d->deleted)
                return mapi_fail(err, MAPID_NO_DEVICE, "%.200s", name);
        (void)snprintf(ret_theirs, MAPI_STR_LENGTH, "%s", d->server_name);
        c->only = true;
        c->life = l->life;
        if (!d->lost || !l->alive)
                return 0;
        (void)mapi_fail(err, MCOM_SOCKET_ERROR, "%.200s was lost when mapid came back: %s", name, d->why);
        return 1;
}

static int local_device_start(void *state, const char *name, struct mapi_error *err)
{
        struct local *l LOCAL_CALL = local_enter(state);
        Mapi__StartDevice m = MAPI__START_DEVICE__INIT;
        Mapi__Envelope e = MAPI__ENVELOPE__INIT;
        char theirs[MAPI_STR_LENGTH];
        struct local_call c = { 0 };
        struct local_device *d;
        sigset_t mask;
        int r;

        local_settle(l, &mask);
        r = device_for(l, name, &c, theirs, err);
        siglock_give(&l->lock, &mask);
        if (r != 0)
                return r < 0 ? r : -MCOM_SOCKET_ERROR;
        m.device = theirs;
        LOCAL_BODY(e, START_DEVICE, start_device, &m);
        r = local_ask(l, &c, &e, 0, NULL, 0, MAPI__ENVELOPE__BODY_DONE, err);
        if (r == 0) {
                siglock_take(&l->lock, &mask);
                d = local_device_find(l, name);
                if (c.life != l->life)
                        r = local_went_away(l, err);
                else if (d != NULL)
                        d->started = true;
                siglock_give(&l->lock, &mask);
        }
        local_done(&c);
        return r;
}

/** Under the lock: the program knows it no longer; its flows may. */
static void forget_device(struct local *l, const char *name)
{
        struct local_device *d = local_device_find(l, name);

        if (d == NULL)
                return;
        d->deleted = true;
        if (d->flows == 0)
                local_device_free(l, d);
}

static int local_device_delete(void *state, const char *name, struct mapi_error *err)
{
        struct local *l LOCAL_CALL = local_enter(state);
        Mapi__DeleteDevice m = MAPI__DELETE_DEVICE__INIT;
        Mapi__Envelope e = MAPI__ENVELOPE__INIT;
        char theirs[MAPI_STR_LENGTH];
        struct local_call c = { 0 };
        sigset_t mask;
        int r;

        local_settle(l, &mask);
        r = device_for(l, name, &c, theirs, err);
        if (r == 1)
                forget_device(l, name);
        siglock_give(&l->lock, &mask);
        if (r != 0)
                return r < 0 ? r : 0;
        m.device = theirs;
        LOCAL_BODY(e, DELETE_DEVICE, delete_device, &m);
        r = local_ask(l, &c, &e, 0, NULL, 0, MAPI__ENVELOPE__BODY_DONE, err);
        if (r == -MAPID_NO_DEVICE) /* a mapid that is ending has deleted it already: that is what was wanted */
                r = 0;
        if (r == 0) {
                siglock_take(&l->lock, &mask);
                if (c.life != l->life)
                        r = local_went_away(l, err);
                else
                        forget_device(l, name);
                siglock_give(&l->lock, &mask);
        }
        local_done(&c);
        return r;
}

static bool local_device_known(void *state, const char *name)
{
        struct local *l LOCAL_CALL = local_enter(state);
        Mapi__DeviceKnown m = MAPI__DEVICE_KNOWN__INIT;
        Mapi__Envelope e = MAPI__ENVELOPE__INIT;
        const struct local_device *d;
        struct local_call c = { 0 };
        bool ours, known;
        sigset_t mask;
        int r;

        siglock_take(&l->lock, &mask);
        d = local_device_find(l, name);
        ours = d != NULL;
        known = ours && !d->deleted;
        siglock_give(&l->lock, &mask);
        if (ours)
                return known;
        m.device = (char *)(uintptr_t)name;
        LOCAL_BODY(e, DEVICE_KNOWN, device_known, &m);
        r = local_ask(l, &c, &e, 0, NULL, 0, MAPI__ENVELOPE__BODY_KNOWN, NULL);
        known = r == 0 ? c.answer->known->known : c.lost; /* lost: creating the flow will say so */
        local_done(&c);
        return known;
}

const struct backend backend_local = {
        .version = BACKEND_VERSION,
        .open = local_open,
        .epoch = local_epoch,
        .await = local_await,
        .close = local_close,
        .fork_prepare = local_fork_prepare,
        .fork_parent = local_fork_parent,
        .fork_child = local_fork_child,
        .device_create = local_device_create,
        .device_start = local_device_start,
        .device_delete = local_device_delete,
        .device_known = local_device_known,
        .flow_create = local_flow_create,
        .flow_create_private = local_flow_create_private,
        .describe = local_describe,
        .apply = local_apply,
        .connect = local_connect,
        .close_flow = local_close_flow,
        .place = local_place,
        .status_place = local_status_place,
        .segment = local_segment,
        .ring = local_ring,
        .waiting = local_waiting,
        .kick = local_kick,
        .trace_error = local_trace_error,
        .file_error = local_file_error,
        .flow_info = local_flow_info,
        .function_info = local_function_info,
        .device_info = local_device_info,
        .library_info = local_library_info,
        .libfunct_info = local_libfunct_info,
        .stats = local_stats,
        .flow_stats = local_flow_stats,
        .event_fd = local_event_fd,
};
