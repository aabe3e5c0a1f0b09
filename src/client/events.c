/*
 * Reading without waiting: non-blocking flows, and descriptors for poll and epoll.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "client/client.h"

#include "results/event.h"

/** A connected or unconnected flow; the checks of all calls here. */
static struct client_flow *flow_of(int fd)
{
        if (!client_ready())
                return NULL;
        if (fd <= 0) {
                (void)client_fail(MAPI_INVALID_FLOW, "%d", fd);
                return NULL;
        }
        return client_flow_get(fd);
}

int mapi_set_nonblocking(int fd, int on)
{
        struct client_flow *f = flow_of(fd);

        if (f == NULL)
                return -1;
        atomic_store(&f->nonblocking, on != 0);
        client_flow_put(f);
        return 0;
}

int mapi_get_event_fd(int fd)
{
        struct client_flow *f = flow_of(fd);
        struct mapi_error err = { 0 };
        int r;

        if (f == NULL)
                return -1;
        if (atomic_load(&f->connected) == 0) {
                r = client_fail(MAPI_FLOW_NOT_CONNECTED, "%d", fd);
        } else {
                r = f->session->ops->event_fd(f->session->state, f->number, &err);
                if (r < 0) {
                        r = client_fail_with(&err);
                } else if (atomic_exchange(&f->event_fd, r) != r) {
                        /* The reader has not announced itself yet, so nobody signals: begin with a look. */
                        event_signal(r);
                }
        }
        client_flow_put(f);
        return r;
}

/** Has the ring of a function something that its reader has not taken? Its reader may be another thread:
 * only what is shared. */
static bool has_more(const struct client_function *fn)
{
        const struct results_ring *ring = fn->ring.shared;

        return __atomic_load_n(&ring->head, __ATOMIC_SEQ_CST) !=
                       __atomic_load_n(&fn->ring.mine->tail, __ATOMIC_SEQ_CST) ||
               __atomic_load_n(&ring->finished, __ATOMIC_SEQ_CST) != 0;
}

/** One descriptor for all rings of the flow: what was cleared may have been about another one. */
static bool others_have_more(const struct client_flow *f, const struct client_function *fn)
{
        sigset_t mask;
        bool more = false;

        client_lock(&mask); /* their readers do not map them anew meanwhile */
        for (unsigned i = 0; i < f->n && !more; i++)
                more = &f->function[i] != fn && f->function[i].ring_mapped && has_more(&f->function[i]);
        client_unlock(&mask);
        return more;
}

bool client_event_rest(struct client_flow *f, struct client_function *fn, uint32_t epoch)
{
        struct ring_reader *r = &fn->ring;
        int event_fd = atomic_load(&f->event_fd);

        if (event_fd == 0) {
                ring_reader_awake(r);
                return false;
        }
        /* Clear, announce, look once more: whatever comes after the look finds the announcement and
         * signals. While the backend is away, its going is cleared, but not its return, of which we do not
         * know yet. */
        if (epoch == fn->epoch || atomic_exchange(&f->rested, epoch) != epoch)
                event_clear(event_fd);
        ring_reader_waits(r);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        if (client_epoch(f->session) != epoch) /* before it signals, it counts */
                return true;
        if (epoch != fn->epoch) /* away: silent until the backend signals its return */
                return false;
        if (__atomic_load_n(&r->shared->head, __ATOMIC_SEQ_CST) != r->tail ||
            __atomic_load_n(&r->shared->finished, __ATOMIC_SEQ_CST) != 0 ||
            __atomic_load_n(&r->shared->generation, __ATOMIC_SEQ_CST) != r->generation ||
            atomic_load(&f->closed) != 0) {
                ring_reader_awake(r);
                return true;
        }
        if (others_have_more(f, fn))
                event_signal(event_fd);
        return false;
}
