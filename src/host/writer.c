/* The threads that write files for the host. SPDX-License-Identifier: BSD-2-Clause */
#include "host/internal.h"

#include "base/futex.h"

#include <time.h>

enum { DRAIN_WAIT_MS = 100, GONE_WAIT_MS = 1000 };

static void tell_waiters(struct host *h)
{
        if (atomic_load(&h->drained_waiters) == 0)
                return;
        __atomic_fetch_add(&h->drained, 1, __ATOMIC_SEQ_CST);
        futex_wake(&h->drained);
}

static void *writer_main(void *argument)
{
        struct host_writer *w = argument;
        struct host *h = w->host;
        struct sink *s = w->sink;

        for (;;) {
                uint32_t seen = __atomic_load_n(&s->wake, __ATOMIC_SEQ_CST);

                if (sink_drain(s)) {
                        if (__atomic_load_n(&s->want_room, __ATOMIC_SEQ_CST) != 0 && sink_room(s) >= s->size / 2)
                                host_kick(w->device);
                        tell_waiters(h);
                        continue;
                }
                if (atomic_load(&w->stop) != 0)
                        break;
                __atomic_store_n(&s->idle, 1, __ATOMIC_SEQ_CST);
                if (__atomic_load_n(&s->head, __ATOMIC_SEQ_CST) == s->tail && atomic_load(&w->stop) == 0)
                        (void)futex_wait(&s->wake, seen, -1);
                __atomic_store_n(&s->idle, 0, __ATOMIC_SEQ_CST);
        }
        __atomic_store_n(&w->gone, 1, __ATOMIC_SEQ_CST);
        tell_waiters(h);
        return NULL;
}

int host_writer_new(struct host *h, struct host_device *d, int flow, struct sink *sink, struct mapi_error *err)
{
        struct host_writer *w;
        int r;

        for (w = h->writers; w != NULL; w = w->next)
                if (!w->in_use && __atomic_load_n(&w->gone, __ATOMIC_SEQ_CST) != 0)
                        break;
        if (w == NULL) {
                w = arena_alloc(h->arena, sizeof *w);
                if (w == NULL)
                        return mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "a file of flow %d", flow);
                w->host = h;
                w->next = h->writers;
                h->writers = w;
        }
        w->gone = 0;
        w->device = d;
        w->sink = sink;
        w->flow = flow;
        atomic_store(&w->stop, 0);
        r = host_thread(writer_main, w, err);
        if (r < 0)
                w->gone = 1;
        else
                w->in_use = true;
        return r;
}

static long elapsed_ms(const struct timespec *since)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (now.tv_sec - since->tv_sec) * 1000 + (now.tv_nsec - since->tv_nsec) / 1000000;
}

/** Bytes written by the flow's threads: does it go on? */
static uint64_t written(struct host *h, int flow, uint32_t *ret_running)
{
        uint64_t bytes = 0;
        sigset_t mask;

        *ret_running = 0;
        siglock_take(&h->lock, &mask);
        for (struct host_writer *w = h->writers; w != NULL; w = w->next)
                if (w->in_use && w->flow == flow && __atomic_load_n(&w->gone, __ATOMIC_SEQ_CST) == 0) {
                        bytes += __atomic_load_n(&w->sink->written, __ATOMIC_RELAXED);
                        (*ret_running)++;
                }
        siglock_give(&h->lock, &mask);
        return bytes;
}

/** Under the lock. */
static void forget_writers(struct host *h, const struct flow *f)
{
        for (struct host_writer *w = h->writers; w != NULL; w = w->next)
                if (w->in_use && w->flow == engine_flow_number(f))
                        w->in_use = false;
}

bool host_writers_gone(struct host *h, const struct flow *f)
{
        for (const struct host_writer *w = h->writers; w != NULL; w = w->next)
                if (w->in_use && w->flow == engine_flow_number(f) &&
                    __atomic_load_n(&w->gone, __ATOMIC_SEQ_CST) == 0)
                        return false;
        forget_writers(h, f);
        return true;
}

static void stop_writers(struct host *h, int flow, bool abandon)
{
        sigset_t mask;

        siglock_take(&h->lock, &mask);
        for (struct host_writer *w = h->writers; w != NULL; w = w->next)
                if (w->in_use && w->flow == flow) {
                        if (abandon)
                                __atomic_store_n(&w->sink->abandon, 1, __ATOMIC_RELAXED);
                        atomic_store(&w->stop, 1);
                        __atomic_fetch_add(&w->sink->wake, 1, __ATOMIC_SEQ_CST);
                        futex_wake(&w->sink->wake);
                }
        siglock_give(&h->lock, &mask);
}

/** Waits for `done`, as long as bytes are being written; at most limit_ms without progress. */
static bool wait_while_moving(struct host *h, struct flow *f, bool for_end, long limit_ms)
{
        struct timespec moved;
        uint64_t last = 0;
        bool done;

        atomic_fetch_add(&h->drained_waiters, 1);
        (void)clock_gettime(CLOCK_MONOTONIC, &moved);
        for (;;) {
                uint32_t seen = __atomic_load_n(&h->drained, __ATOMIC_SEQ_CST), running;
                uint64_t bytes = written(h, engine_flow_number(f), &running);
                int error;

                done = for_end ? running == 0 : engine_flow_drained(f, &error);
                if (done)
                        break;
                if (bytes != last) {
                        last = bytes;
                        (void)clock_gettime(CLOCK_MONOTONIC, &moved);
                }
                if (elapsed_ms(&moved) > limit_ms)
                        break;
                (void)futex_wait(&h->drained, seen, DRAIN_WAIT_MS);
        }
        atomic_fetch_sub(&h->drained_waiters, 1);
        return done;
}

bool host_writers_end(struct host *h, struct flow *f, long stuck_ms)
{
        int flow = engine_flow_number(f);
        bool drained = wait_while_moving(h, f, false, stuck_ms);
        sigset_t mask;

        stop_writers(h, flow, !drained);
        if (!wait_while_moving(h, f, true, GONE_WAIT_MS))
                return false;
        siglock_take(&h->lock, &mask);
        forget_writers(h, f);
        siglock_give(&h->lock, &mask);
        return true;
}
