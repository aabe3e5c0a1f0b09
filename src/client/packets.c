/* Reading packets: the caller gets a pointer into its ring, nothing is copied.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "client/client.h"

#include "base/futex.h"

#include <unistd.h>

static bool nonblocking(const struct client_flow *f)
{
        return atomic_load(&f->nonblocking) != 0;
}

/** A failed call of the backend: was it because it is not the one any more in which the function was mapped? */
static bool has_gone(const struct client_flow *f, const struct client_function *fn)
{
        return client_epoch(f->session) != fn->epoch;
}

/** The ring was replaced by a larger one. Returns 1: look again; 0 with the error stored. */
static int map_again(struct client_flow *f, struct client_function *fn)
{
        struct client_session *s = f->session;
        struct mapi_error err = { 0 };
        struct backend_ring ring;
        sigset_t mask;
        int r;

        if (s->ops->ring(s->state, f->number, fn->fid, &ring, &err) < 0) {
                if (has_gone(f, fn))
                        return 1;
                (void)client_fail_with(&err);
                return 0;
        }
        client_lock(&mask); /* readers of the flow's other rings may look at this one, see events.c */
        r = ring_reader_map(&fn->ring, ring.fd, ring.size_bytes, ring.generation);
        client_unlock(&mask);
        (void)close(ring.fd);
        if (r < 0 && !has_gone(f, fn)) {
                (void)client_fail(MAPI_SHM_ERR, "packet ring of flow %d", f->fd);
                return 0;
        }
        return 1;
}

static bool is_over(const struct client_function *fn)
{
        return __atomic_load_n(&fn->status->status, __ATOMIC_ACQUIRE) == FLOW_FINISHED;
}

/** The end of the trace: no error, unless it came too early. */
static void at_end(struct client_flow *f, const struct client_function *fn)
{
        const struct client_session *s = f->session;
        struct mapi_error err = { 0 };

        client_clear_error();
        if (!is_over(fn) || fn->status->error == 0)
                return;
        if (has_gone(f, fn)) /* nobody knows more about it */
                (void)client_fail(fn->status->error, NULL);
        else if (s->ops->trace_error(s->state, f->number, &err) < 0)
                (void)client_fail_with(&err);
}

/** Sleeps until the writer says that there is something to see. The sleep has been announced. */
static void sleep_on(struct client_flow *f, struct client_function *fn, uint32_t seen)
{
        const struct ring_reader *r = &fn->ring;
        int limit_ms = f->session->local ? AWAY_LOOK_MS : -1, why;

        do {
                /* Once more: the writer looks for sleepers after it has stored head, finished or generation. */
                if (__atomic_load_n(&r->shared->head, __ATOMIC_SEQ_CST) != r->tail ||
                    __atomic_load_n(&r->shared->finished, __ATOMIC_SEQ_CST) != 0 ||
                    __atomic_load_n(&r->shared->generation, __ATOMIC_SEQ_CST) != r->generation ||
                    atomic_load(&f->closed) != 0 || has_gone(f, fn))
                        return;
                why = futex_wait(&r->shared->wake, seen, limit_ms);
        } while (why == -1); /* a signal is no reason to return: look again, wait on */
}

/** What the ring holds belongs to an earlier life of the backend, and has been read. Returns as
 * wait_for_packet(). */
static int wait_for_return(struct client_flow *f, struct client_function *fn, enum ring_state state)
{
        const struct client_session *s = f->session;
        uint32_t epoch = client_epoch(s);

        if (state == RING_FINISHED && is_over(fn)) { /* it had ended before */
                at_end(f, fn);
                return 0;
        }
        if (!client_away(epoch)) {
                if (fn->told != epoch && client_function_renew(f, fn, epoch) == 0)
                        return 1;
                if (client_epoch(s) != epoch) /* gone once more */
                        return 1;
                if (fn->told == epoch)
                        (void)client_fail(MCOM_SOCKET_ERROR, "flow %d was lost when mapid went away", f->fd);
                fn->told = epoch;
                return 0;
        }
        if (nonblocking(f) || fn->nowait) {
                if (client_event_rest(f, fn, epoch))
                        return 1;
                if (nonblocking(f))
                        (void)client_fail(MCOM_SOCKET_ERROR, "mapid is away");
                else
                        client_clear_error();
                return 0;
        }
        s->ops->await(s->state, epoch, AWAY_LOOK_MS); /* not for ever: the flow may be closed */
        return 1;
}

/** The ring says that nothing more comes, but the trace is not over: mapid is closing the flow, because it
 * ends. */
static int wait_for_going(struct client_flow *f, const struct client_function *fn)
{
        const struct client_session *s = f->session;

        if (nonblocking(f) || fn->nowait) {
                client_clear_error();
                return 0;
        }
        s->ops->await(s->state, fn->epoch, AWAY_LOOK_MS);
        return 1;
}

/** The ring is empty. Returns as wait_for_packet(). */
static int wait_for_writer(struct client_flow *f, struct client_function *fn)
{
        const struct client_session *s = f->session;
        struct ring_reader *r = &fn->ring;
        struct mapi_error err = { 0 };
        uint32_t seen = __atomic_load_n(&r->shared->wake, __ATOMIC_SEQ_CST);

        ring_reader_waits(r); /* before we ask: who blocks after this wakes us */
        /* Our tail before their wish for room: one of us sees the other. */
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        if (ring_reader_should_kick(r))
                s->ops->kick(s->state, f->number);
        if (s->ops->waiting(s->state, f->number, fn->fid, &err) < 0) {
                ring_reader_awake(r);
                if (atomic_load(&f->closed) != 0 || has_gone(f, fn))
                        return 1;
                (void)client_fail_with(&err);
                return 0;
        }
        if (fn->nowait || nonblocking(f)) {
                if (client_event_rest(f, fn, fn->epoch))
                        return 1;
                client_clear_error();
                return 0;
        }
        sleep_on(f, fn, seen);
        ring_reader_awake(r);
        return 1;
}

/** The ring is empty, or needs attention. Returns 1: look again; 0: return NULL as things are. */
static int wait_for_packet(struct client_flow *f, struct client_function *fn, enum ring_state state)
{
        if (atomic_load(&f->closed) != 0) {
                (void)client_fail(MAPI_INVALID_FLOW, "%d was closed meanwhile", f->fd);
                return 0;
        }
        if (has_gone(f, fn))
                return wait_for_return(f, fn, state);
        switch (state) {
        case RING_REPLACED:
                return map_again(f, fn);
        case RING_DAMAGED:
                (void)client_fail(MAPI_SEM_ERR, "the packet ring of flow %d makes no sense", f->fd);
                return 0;
        case RING_FINISHED:
                if (f->session->local && !is_over(fn))
                        return wait_for_going(f, fn);
                at_end(f, fn);
                return 0;
        default:
                return wait_for_writer(f, fn);
        }
}

static struct mapipkt *next_packet(struct client_flow *f, int fid)
{
        struct client_function *fn = client_function(f, fid);
        const struct client_session *s = f->session;
        enum ring_state state;
        void *record;

        if (fn == NULL || !fn->ring_mapped || fn->kind != MAPI_RESULT_PACKETS) {
                (void)client_fail(MAPI_INVALID_FID_FUNCID, "function %d of flow %d is no TO_BUFFER", fid, f->fd);
                return NULL;
        }
        for (;;) {
                state = ring_reader_next(&fn->ring, &record);
                if (__builtin_expect(state == RING_PACKET &&
                                             atomic_load_explicit(&f->closed, memory_order_relaxed) == 0,
                                     1)) {
                        if (__builtin_expect(ring_reader_should_kick(&fn->ring), 0))
                                s->ops->kick(s->state, f->number);
                        return record;
                }
                if (!wait_for_packet(f, fn, state))
                        return NULL;
        }
}

bool client_queue_read(struct client_flow *f, struct client_function *fn)
{
        enum ring_state state;
        uint64_t lost = 0, n;

        for (;;) {
                state = ring_reader_take(&fn->ring, fn->result.res, fn->size, &n);
                lost += n;
                if (state == RING_PACKET && atomic_load_explicit(&f->closed, memory_order_relaxed) == 0)
                        break;
                if (!wait_for_packet(f, fn, state))
                        return false;
        }
        if (lost > 0)
                (void)client_fail(MAPI_RESULTS_LOST, "%llu of function %d of flow %d", (unsigned long long)lost,
                                  fn->fid, f->fd);
        return true;
}

/** Results of a connected flow that could not be mapped yet: waits until they can. 0 or -1 with the error
 * stored. */
static int see_or_wait(struct client_flow *f)
{
        const struct client_session *s = f->session;
        uint32_t epoch;

        for (;;) {
                epoch = client_epoch(s);
                if (client_flow_see(f) == 0)
                        return 0;
                if (atomic_load(&f->closed) != 0)
                        return client_fail(MAPI_INVALID_FLOW, "%d was closed meanwhile", f->fd);
                if (nonblocking(f) || (!client_away(epoch) && client_epoch(s) == epoch))
                        return -1;
                s->ops->await(s->state, epoch, AWAY_LOOK_MS);
        }
}

struct mapipkt *mapi_get_next_pkt(int fd, int fid)
{
        struct mapipkt *packet = NULL;
        struct client_flow *f;
        uint32_t connected;

        if (!client_ready())
                return NULL;
        if (fd <= 0 || fid <= 0) {
                (void)client_fail(MAPI_INVALID_FID_FUNCID, "flow %d, function %d", fd, fid);
                return NULL;
        }
        f = client_flow_get(fd);
        if (f == NULL)
                return NULL;
        connected = atomic_load_explicit(&f->connected, memory_order_acquire);
        if (__builtin_expect(connected == CLIENT_CONNECTED, 1))
                packet = next_packet(f, fid);
        else if (connected == 0)
                (void)client_fail(MAPI_FLOW_NOT_CONNECTED, "%d", fd);
        else if (see_or_wait(f) == 0)
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
