/* The one loop (hot): room, recv, plan, release, publish. SPDX-License-Identifier: BSD-2-Clause */
#include "engine/internal.h"

#include "results/event.h"

#include <mapi.h>

/** The worker takes up a plan: transformers get its buffers, and the accounts of new flows begin. */
static void adopt(struct device *d, struct graph *g)
{
        graph_adopt(g, 0);
        for (uint32_t i = 0; i < graph_flows(g); i++) {
                struct flow *f = graph_flow_owner(g, i);

                if (f->taken_up)
                        continue;
                f->packets_before = d->capture.packets;
                f->taken_up = true;
                __atomic_store_n(&f->mark->begun, true, __ATOMIC_RELAXED);
        }
        d->running = graph_head(g)->generation;
}

/** The newest plan, announced: what it replaced is not in use from here on. */
static struct graph *take_plan(struct device *d)
{
        uint64_t number = atomic_load(&d->plan_number);
        struct graph *g = atomic_load(&d->plan);

        if (graph_head(g)->generation != d->running)
                adopt(d, g);
        /* The number was read first: if it is an older one than the plan's, control waits for the next announcement. */
        atomic_store(&d->seen_number, number);
        return g;
}

/** Why a packet was not taken: it has more bytes than fit. Returns true if the worker must wait. */
static bool must_wait(struct device *d, struct graph *g, size_t bytes)
{
        /* First: a reader that looks after this sees it and asks for a larger ring. */
        atomic_store(&d->blocked, 1);
        d->waiting_for_room = true;
        graph_publish(g, true);
        if (graph_want_room(g, bytes))
                return true;
        atomic_store(&d->blocked, 0);
        return false;
}

/** All flows of the plan learn that the trace is over, once their functions have emitted what they held. */
static enum engine_state end_flows(struct device *d, struct graph *g)
{
        bool waiting = false;

        for (uint32_t i = 0; i < graph_flows(g); i++) {
                struct flow *f = graph_flow_owner(g, i);
                struct results_flow *status = f->place.mem;
                int error;

                if (__atomic_load_n(&status->status, __ATOMIC_RELAXED) == FLOW_FINISHED)
                        continue;
                if (!graph_finish_flow(g, i, MAPI_FINISH_END, true)) {
                        waiting = true;
                        continue;
                }
                graph_publish(g, true);
                if (!engine_flow_drained(f, &error)) { /* its files are complete before it is FINISHED */
                        graph_want_drain(g, i);
                        if (!engine_flow_drained(f, &error)) {
                                waiting = true;
                                continue;
                        }
                }
                status->error = d->error.code;
                status->end_s = engine_now_s(d->engine);
                __atomic_store_n(&status->status, FLOW_FINISHED, __ATOMIC_RELEASE);
                graph_finish_rings(g, i);
                event_signal(f->event_fd);
        }
        if (waiting) {
                atomic_store(&d->blocked, 1);
                d->waiting_for_room = true;
                graph_wake_sleepers(g); /* who looked at .blocked before this */
                return ENGINE_BLOCKED;
        }
        return ENGINE_FINISHED;
}

/** Nothing is read any more. */
static void end(struct device *d)
{
        d->ended = true;
        if (atomic_load(&d->finished) != 0)
                return;
        capture_stats(&d->capture, &d->at_end);
        atomic_store(&d->finished, 1);
}

static enum engine_state step(struct device *d, unsigned budget)
{
        struct mapi_batch *b = &d->batch;

        for (; budget > 0; budget--) {
                struct graph *g = take_plan(d);
                unsigned most = MAPI_BATCH_MAX;
                size_t bytes = SIZE_MAX, needed;
                int n;

                if (d->waiting_for_room) {
                        d->waiting_for_room = false;
                        atomic_store(&d->blocked, 0);
                        graph_have_room(g);
                }
                if (d->ended || atomic_load_explicit(&d->end_wanted, memory_order_relaxed) != 0) {
                        end(d);
                        return end_flows(d, g);
                }
                if (d->capture.facts.offline) {
                        graph_room(g, &most, &bytes);
                        if (most == 0) {
                                if (must_wait(d, g, 0))
                                        return ENGINE_BLOCKED;
                                continue;
                        }
                }
                n = capture_fill(&d->capture, b, most, bytes, &needed, &d->error);
                if (n > 0) {
                        graph_run(g, b);
                        capture_release(&d->capture, b);
                        graph_publish(g, !d->capture.facts.offline && budget == 1);
                } else if (n == 0 && needed > 0 && d->capture.facts.offline) {
                        if (must_wait(d, g, needed))
                                return ENGINE_BLOCKED;
                } else if (n == 0) {
                        graph_publish(g, true);
                        return ENGINE_IDLE;
                } else {
                        d->error.code = n == MAPI_RECV_END ? 0 : -n;
                        d->ended = true;
                }
        }
        return ENGINE_WORKED;
}

enum engine_state engine_step(struct device *d, unsigned budget)
{
        enum engine_state state = ENGINE_STOPPED;

        atomic_store(&d->busy, 1);
        if (atomic_load(&d->started) != 0 && atomic_load(&d->held) == 0)
                state = step(d, budget);
        atomic_store(&d->busy, 0);
        return state;
}

void engine_tick(struct device *d, uint64_t now)
{
        struct graph *g;

        atomic_store(&d->busy, 1);
        if (atomic_load(&d->started) != 0 && atomic_load(&d->held) == 0 && !d->ended) {
                g = take_plan(d);
                graph_tick(g, now);
                graph_publish(g, true);
        }
        atomic_store(&d->busy, 0);
}
