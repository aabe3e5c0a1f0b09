/* Reading results: no lock, no system call. SPDX-License-Identifier: BSD-2-Clause */
#include "client/client.h"

/** Microseconds since 1970. */
static unsigned long long now_us(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_REALTIME, &t); /* through the vDSO; cannot fail */
        return (unsigned long long)t.tv_sec * 1000000u + (unsigned long long)t.tv_nsec / 1000u;
}

/** The result is as it is, but there is something to know about it: a damaged trace, a file that is not complete. */
static void leave_error(struct client_flow *f, const struct client_function *fn)
{
        const struct results_flow *status = (const struct results_flow *)f->status.slot;
        struct mapi_error err = { 0 };
        struct client_backend b;

        if (fn->result.size == 4 && *(const int *)fn->result.res < 0) {
                if (client_get(&b) == 0 && b.ops->file_error(b.state, f->fd, fn->fid, &err) < 0)
                        (void)client_fail_with(&err);
        } else if (__atomic_load_n(&status->status, __ATOMIC_ACQUIRE) == FLOW_FINISHED && status->error != 0) {
                if (client_get(&b) == 0 && b.ops->trace_error(b.state, f->fd, &err) < 0)
                        (void)client_fail_with(&err);
        }
}

static mapi_results_t *read_function(struct client_flow *f, int fid)
{
        const struct results_flow *status = (const struct results_flow *)f->status.slot;
        struct client_function *fn = client_function(f, fid);

        if (fn == NULL) {
                (void)client_fail(MAPI_INVALID_FID_FUNCID, "flow %d has no function %d", f->fd, fid);
                return NULL;
        }
        if (fn->kind != MAPI_RESULT_COUNTER && fn->kind != MAPI_RESULT_RECORD) {
                (void)client_fail(MAPI_SHM_ERR, "function %d of flow %d", fid, f->fd);
                return NULL;
        }
        if (results_read(&fn->ref, fn->result.res) < 0) {
                (void)client_fail(MAPI_SEM_ERR, "function %d of flow %d does not come to rest", fid, f->fd);
                return NULL;
        }
        fn->result.ts = now_us();
        if (__builtin_expect(fn->result.size == 4 && *(const int *)fn->result.res < 0, 0) ||
            __builtin_expect(__atomic_load_n(&status->error, __ATOMIC_RELAXED) != 0, 0))
                leave_error(f, fn);
        return &fn->result;
}

mapi_results_t *mapi_read_results(int fd, int fid)
{
        mapi_results_t *result = NULL;
        struct client_flow *f;

        if (!client_ready())
                return NULL;
        if (fd <= 0 || fid <= 0) {
                (void)client_fail(MAPI_INVALID_FLOW, "flow %d, function %d", fd, fid);
                return NULL;
        }
        f = client_flow_get(fd);
        if (f == NULL)
                return NULL;
        if (atomic_load_explicit(&f->connected, memory_order_acquire) == 0)
                (void)client_fail(MAPI_FLOW_NOT_CONNECTED, "%d", fd);
        else
                result = read_function(f, fid);
        client_flow_put(f);
        return result;
}
