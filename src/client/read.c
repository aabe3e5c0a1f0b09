/* Reading results: no lock, no system call. SPDX-License-Identifier: BSD-2-Clause */
#include "client/client.h"

/** Microseconds since 1970. */
static unsigned long long now_us(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_REALTIME, &t); /* through the vDSO; cannot fail */
        return (unsigned long long)t.tv_sec * 1000000u + (unsigned long long)t.tv_nsec / 1000u;
}

/** The result is as it is, but there is something to know about it: a damaged trace, a file that is not
 * complete. */
static void leave_error(const struct client_flow *f, const struct client_function *fn)
{
        const struct client_session *s = f->session;
        struct mapi_error err = { 0 };

        if (fn->result.size == 4 && *(const int *)fn->result.res < 0) {
                if (s->ops->file_error(s->state, f->number, fn->fid, &err) < 0)
                        (void)client_fail_with(&err);
        } else if (__atomic_load_n(&fn->status->status, __ATOMIC_ACQUIRE) == FLOW_FINISHED &&
                   fn->status->error != 0) {
                if (s->ops->trace_error(s->state, f->number, &err) < 0)
                        (void)client_fail_with(&err);
        }
}

/** What was written before the backend went is still mapped. It is read once more: nothing follows. */
static void read_last(struct client_function *fn)
{
        if (fn->told == fn->epoch && results_read(&fn->ref, fn->result.res) == 0)
                fn->result.ts = now_us();
}

/**
 * The backend has another life than the one in which the function was mapped. True: it has been mapped anew, read
 * on. False: there is nothing newer than the last result, and the program is told so: once while mapid is away,
 * each time if the flow is lost.
 */
static bool another_life(struct client_flow *f, struct client_function *fn)
{
        uint32_t epoch;

        do {
                epoch = client_epoch(f->session);
                if (client_away(epoch)) {
                        if (fn->told == epoch)
                                return false;
                        read_last(fn);
                        fn->told = epoch;
                        (void)client_fail(MCOM_SOCKET_ERROR, "mapid is away: the last result of flow %d", f->fd);
                        return false;
                }
                if (fn->told != epoch && client_function_renew(f, fn, epoch) == 0)
                        return true;
        } while (client_epoch(f->session) != epoch);
        read_last(fn);
        if (fn->told == epoch)
                (void)client_fail(MCOM_SOCKET_ERROR, "flow %d was lost when mapid went away: its last result",
                                  f->fd);
        fn->told = epoch; /* not asked for again in this life */
        return false;
}

static mapi_results_t *read_function(struct client_flow *f, int fid)
{
        struct client_function *fn = client_function(f, fid);

        if (fn == NULL) {
                (void)client_fail(MAPI_INVALID_FID_FUNCID, "flow %d has no function %d", f->fd, fid);
                return NULL;
        }
        if (fn->kind == MAPI_RESULT_QUEUE) {
                if (!client_queue_read(f, fn))
                        return NULL;
                fn->result.ts = now_us();
                return &fn->result;
        }
        if (fn->kind != MAPI_RESULT_COUNTER && fn->kind != MAPI_RESULT_RECORD) {
                (void)client_fail(MAPI_SHM_ERR, "function %d of flow %d", fid, f->fd);
                return NULL;
        }
        if (__builtin_expect(atomic_load_explicit(f->epoch, memory_order_relaxed) != fn->epoch, 0) &&
            !another_life(f, fn))
                return &fn->result;
        if (results_read(&fn->ref, fn->result.res) < 0) {
                if (f->session->local && client_epoch(f->session) != fn->epoch) /* its writer died in the middle */
                        return another_life(f, fn) ? read_function(f, fid) : &fn->result;
                (void)client_fail(MAPI_SEM_ERR, "function %d of flow %d does not come to rest", fid, f->fd);
                return NULL;
        }
        fn->result.ts = now_us();
        if (__builtin_expect(fn->result.size == 4 && *(const int *)fn->result.res < 0, 0) ||
            __builtin_expect(__atomic_load_n(&fn->status->error, __ATOMIC_RELAXED) != 0, 0))
                leave_error(f, fn);
        return &fn->result;
}

mapi_results_t *mapi_read_results(int fd, int fid)
{
        mapi_results_t *result = NULL;
        struct client_flow *f;
        uint32_t connected;

        if (!client_ready())
                return NULL;
        if (fd <= 0 || fid <= 0) {
                (void)client_fail(MAPI_INVALID_FLOW, "flow %d, function %d", fd, fid);
                return NULL;
        }
        f = client_flow_get(fd);
        if (f == NULL)
                return NULL;
        connected = atomic_load_explicit(&f->connected, memory_order_acquire);
        if (__builtin_expect(connected == CLIENT_CONNECTED, 1))
                result = read_function(f, fid);
        else if (connected == 0)
                (void)client_fail(MAPI_FLOW_NOT_CONNECTED, "%d", fd);
        else if (client_flow_see(f) == 0)
                result = read_function(f, fid);
        client_flow_put(f);
        return result;
}
