/* The threads that write files for the embedded engine. SPDX-License-Identifier: BSD-2-Clause */
#include "client/embedded.h"

#include "base/futex.h"

#include <time.h>

enum { DRAIN_WAIT_MS = 100, STUCK_MS = 5000, GONE_WAIT_MS = 1000 };

static void tell_waiters(struct embedded *e)
{
        if (atomic_load(&e->drained_waiters) == 0)
                return;
        __atomic_fetch_add(&e->drained, 1, __ATOMIC_SEQ_CST);
        futex_wake(&e->drained);
}

static void *writer_main(void *argument)
{
        struct embedded_writer *w = argument;
        struct embedded *e = w->owner;
        struct sink *s = w->sink;

        for (;;) {
                uint32_t seen = __atomic_load_n(&s->wake, __ATOMIC_SEQ_CST);

                if (sink_drain(s)) {
                        if (__atomic_load_n(&s->want_room, __ATOMIC_SEQ_CST) != 0 && sink_room(s) >= s->size / 2)
                                embedded_kick(w->device);
                        tell_waiters(e);
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
        tell_waiters(e);
        return NULL;
}

int embedded_writer_new(struct embedded *e, struct embedded_device *d, int flow, struct sink *sink,
                        struct mapi_error *err)
{
        struct embedded_writer *w;
        int r;

        for (w = e->writers; w != NULL; w = w->next)
                if (!w->in_use && __atomic_load_n(&w->gone, __ATOMIC_SEQ_CST) != 0)
                        break;
        if (w == NULL) {
                w = arena_alloc(e->arena, sizeof *w);
                if (w == NULL)
                        return mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "a file of flow %d", flow);
                w->owner = e;
                w->next = e->writers;
                e->writers = w;
        }
        w->gone = 0;
        w->device = d;
        w->sink = sink;
        w->flow = flow;
        atomic_store(&w->stop, 0);
        r = embedded_thread(writer_main, w, err);
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
static uint64_t written(struct embedded *e, int flow, uint32_t *ret_running)
{
        uint64_t bytes = 0;
        sigset_t mask;

        *ret_running = 0;
        siglock_take(&e->lock, &mask);
        for (struct embedded_writer *w = e->writers; w != NULL; w = w->next)
                if (w->in_use && w->flow == flow && __atomic_load_n(&w->gone, __ATOMIC_SEQ_CST) == 0) {
                        bytes += __atomic_load_n(&w->sink->written, __ATOMIC_RELAXED);
                        (*ret_running)++;
                }
        siglock_give(&e->lock, &mask);
        return bytes;
}

static void stop_writers(struct embedded *e, int flow, bool abandon)
{
        sigset_t mask;

        siglock_take(&e->lock, &mask);
        for (struct embedded_writer *w = e->writers; w != NULL; w = w->next)
                if (w->in_use && w->flow == flow) {
                        if (abandon)
                                __atomic_store_n(&w->sink->abandon, 1, __ATOMIC_RELAXED);
                        atomic_store(&w->stop, 1);
                        __atomic_fetch_add(&w->sink->wake, 1, __ATOMIC_SEQ_CST);
                        futex_wake(&w->sink->wake);
                }
        siglock_give(&e->lock, &mask);
}

/** Waits for `done`, as long as bytes are being written; at most limit_ms without progress. */
static bool wait_while_moving(struct embedded *e, struct flow *f, bool for_end, long limit_ms)
{
        struct timespec moved;
        uint64_t last = 0;
        bool done;

        atomic_fetch_add(&e->drained_waiters, 1);
        (void)clock_gettime(CLOCK_MONOTONIC, &moved);
        for (;;) {
                uint32_t seen = __atomic_load_n(&e->drained, __ATOMIC_SEQ_CST), running;
                uint64_t bytes = written(e, engine_flow_number(f), &running);
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
                (void)futex_wait(&e->drained, seen, DRAIN_WAIT_MS);
        }
        atomic_fetch_sub(&e->drained_waiters, 1);
        return done;
}

bool embedded_writers_end(struct embedded *e, struct flow *f)
{
        int flow = engine_flow_number(f);
        bool drained = wait_while_moving(e, f, false, STUCK_MS);
        sigset_t mask;

        stop_writers(e, flow, !drained);
        if (!wait_while_moving(e, f, true, GONE_WAIT_MS))
                return false;
        siglock_take(&e->lock, &mask);
        for (struct embedded_writer *w = e->writers; w != NULL; w = w->next)
                if (w->in_use && w->flow == flow)
                        w->in_use = false;
        siglock_give(&e->lock, &mask);
        return true;
}
