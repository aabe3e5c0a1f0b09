/* Reading packets: the caller gets a pointer into its ring, nothing is copied. SPDX-License-Identifier: BSD-2-Clause */
#include "client/client.h"

#include "base/futex.h"

#include <unistd.h>

/** The ring was replaced by a larger one. 0 or -1 with the error stored. */
static int map_again(struct client_flow *f, struct client_function *fn, const struct client_backend *b)
{
        struct mapi_error err = { 0 };
        struct backend_ring ring;
        int r;

        if (b->ops->ring(b->state, f->fd, fn->fid, &ring, &err) < 0)
                return client_fail_with(&err);
        r = ring_reader_map(&fn->ring, ring.fd, ring.size_bytes, ring.generation);
        (void)close(ring.fd);
        return r < 0 ? client_fail(MAPI_SHM_ERR, "packet ring of flow %d", f->fd) : 0;
}

/** The end of the trace: no error, unless it came too early. */
static void at_end(struct client_flow *f, const struct client_backend *b)
{
        const struct results_flow *status = (const struct results_flow *)f->status.slot;
        struct mapi_error err = { 0 };

        client_clear_error();
        if (__atomic_load_n(&status->status, __ATOMIC_ACQUIRE) == FLOW_FINISHED && status->error != 0 &&
            b->ops->trace_error(b->state, f->fd, &err) < 0)
                (void)client_fail_with(&err);
}

/** Sleeps until the writer says that there is something to see. The sleep has been announced. */
static void sleep_on(struct client_flow *f, struct ring_reader *r, uint32_t seen)
{
        /* Once more: the writer looks for sleepers after it has stored head, finished or generation. */
        if (__atomic_load_n(&r->shared->head, __ATOMIC_SEQ_CST) == r->tail &&
            __atomic_load_n(&r->shared->finished, __ATOMIC_SEQ_CST) == 0 &&
            __atomic_load_n(&r->shared->generation, __ATOMIC_SEQ_CST) == r->generation &&
            atomic_load(&f->closed) == 0)
                (void)futex_wait(&r->shared->wake, seen,
                                 -1); /* a signal is no reason to return: look again, wait on */
}

/** The ring is empty, or needs attention. Returns 1: look again; 0: return NULL as things are. */
static int wait_for_packet(struct client_flow *f, struct client_function *fn, enum ring_state state)
{
        struct ring_reader *r = &fn->ring;
        struct mapi_error err = { 0 };
        struct client_backend b;
        uint32_t seen;

        if (client_get(&b) < 0)
                return 0;
        if (atomic_load(&f->closed) != 0) {
                (void)client_fail(MAPI_INVALID_FLOW, "%d was closed meanwhile", f->fd);
                return 0;
        }
        if (state == RING_REPLACED)
                return map_again(f, fn, &b) == 0;
        if (state == RING_DAMAGED) {
                (void)client_fail(MAPI_SEM_ERR, "the packet ring of flow %d makes no sense", f->fd);
                return 0;
        }
        if (state == RING_FINISHED) {
                at_end(f, &b);
                return 0;
        }
        seen = __atomic_load_n(&r->shared->wake, __ATOMIC_SEQ_CST);
        ring_reader_waits(r); /* before we ask: who blocks after this wakes us */
        /* Our tail before their wish for room: one of us sees the other. */
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        if (ring_reader_should_kick(r))
                b.ops->kick(b.state, f->fd);
        if (b.ops->waiting(b.state, f->fd, fn->fid, &err) < 0) {
                ring_reader_awake(r);
                if (atomic_load(&f->closed) != 0)
                        return 1;
                (void)client_fail_with(&err);
                return 0;
        }
        if (fn->nowait) {
                ring_reader_awake(r);
                client_clear_error();
                return 0;
        }
        sleep_on(f, r, seen);
        ring_reader_awake(r);
        return 1;
}

static struct mapipkt *next_packet(struct client_flow *f, int fid)
{
        struct client_function *fn = client_function(f, fid);
        struct client_backend b;
        enum ring_state state;
        void *record;

        if (fn == NULL || !fn->ring_mapped) {
                (void)client_fail(MAPI_INVALID_FID_FUNCID, "function %d of flow %d is no TO_BUFFER", fid, f->fd);
                return NULL;
        }
        for (;;) {
                state = ring_reader_next(&fn->ring, &record);
                if (__builtin_expect(state == RING_PACKET &&
                                             atomic_load_explicit(&f->closed, memory_order_relaxed) == 0,
                                     1)) {
                        if (__builtin_expect(ring_reader_should_kick(&fn->ring), 0) && client_get(&b) == 0)
                                b.ops->kick(b.state, f->fd);
                        return record;
                }
                if (!wait_for_packet(f, fn, state))
                        return NULL;
        }
}

struct mapipkt *mapi_get_next_pkt(int fd, int fid)
{
        struct mapipkt *packet = NULL;
        struct client_flow *f;

        if (!client_ready())
                return NULL;
        if (fd <= 0 || fid <= 0) {
                (void)client_fail(MAPI_INVALID_FID_FUNCID, "flow %d, function %d", fd, fid);
                return NULL;
        }
        f = client_flow_get(fd);
        if (f == NULL)
                return NULL;
        if (atomic_load_explicit(&f->connected, memory_order_acquire) == 0)
                (void)client_fail(MAPI_FLOW_NOT_CONNECTED, "%d", fd);
        else
                packet = next_packet(f, fid);
        client_flow_put(f);
        return packet;
}

int mapi_loop(int fd, int fid, int cnt, mapi_handler callback)
{
        struct client_flow *f;
        int connected, code;

        if (!client_ready())
                return -1;
        if (fd <= 0 || fid <= 0)
                return client_fail(MAPI_INVALID_FID_FUNCID, "flow %d, function %d", fd, fid);
        f = client_flow_get(fd);
        if (f == NULL)
                return -1;
        connected = atomic_load(&f->connected) != 0;
        client_flow_put(f);
        if (!connected)
                return client_fail(MAPI_FLOW_NOT_CONNECTED, "%d", fd);
        if (callback == NULL)
                return client_fail(MFUNCT_INVALID_ARGUMENT_4, "no callback");
        for (int i = 0; cnt <= 0 || i < cnt; i = cnt <= 0 ? 0 : i + 1) {
                struct mapipkt *packet;

                client_clear_error();
                packet = mapi_get_next_pkt(fd, fid); /* by number each time: the callback may close the flow */
                if (packet == NULL) {
                        code = client_error_code();
                        return code == 0 ? 0 : -1;
                }
                callback(packet);
        }
        return 0;
}
