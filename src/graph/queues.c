/* Rings and sinks of a plan: room before packets, showing what was put, and the end. SPDX-License-Identifier: BSD-2-Clause */
#include "graph/emit.h"
#include "graph/plan.h"

/** Most bytes of a queue that one record can take on top of its packet: the heads of either queue, and rounding. */
enum { RECORD_HEAD_MAX = 32 };

static uint64_t free_bytes(struct instance *in)
{
        return in->ring != NULL ? ring_room(in->ring) : sink_room(in->sink);
}

/** Bytes that n packets of the device with `bytes` captured bytes may take in this queue at the most. */
static uint64_t need_bytes(const struct instance *in, uint64_t n, uint64_t bytes)
{
        const struct mapi_room *room = &in->fn.def->room;
        uint64_t fixed = room->per_packet + RECORD_HEAD_MAX;

        if (in->room_bytes == 0)
                return n * fixed + (room->with_bytes ? bytes : 0);
        return n * in->room_packets * (fixed + (room->with_bytes ? in->room_bytes : 0));
}

void graph_room(struct graph *g, unsigned *ret_packets, size_t *ret_bytes)
{
        uint64_t packets = MAPI_BATCH_MAX, bytes = SIZE_MAX;

        for (uint32_t i = 0; i < g->nqueues && packets > 0; i++) {
                struct instance *in = g->queue[i];
                uint64_t room = free_bytes(in);
                uint64_t one = need_bytes(in, 1, 0);

                if (room / one < packets)
                        packets = room / one;
                if (in->room_bytes == 0 && in->fn.def->room.with_bytes) {
                        /* Half for bytes is enough to begin with when space is short: the heads never take more than the rest. */
                        uint64_t heads = packets * one;
                        uint64_t left = heads <= room / 2 ? room - heads : room / 2;

                        if (heads > room / 2)
                                packets = room / 2 / one;
                        bytes = left < bytes ? left : bytes;
                }
        }
        *ret_packets = (unsigned)packets;
        *ret_bytes = bytes;
}

/** Numbers the wish, so that a reader kicks once for each and not with every packet until the worker runs. */
static void want_room(struct instance *in, uint64_t bytes)
{
        in->wanted = bytes;
        if (++in->wishes == 0)
                in->wishes = 1;
        __atomic_store_n(in->ring != NULL ? &in->ring->shared->want_room : &in->sink->want_room, in->wishes,
                         __ATOMIC_SEQ_CST);
}

bool graph_want_room(struct graph *g, size_t bytes)
{
        bool blocked = false;

        for (uint32_t i = 0; i < g->nqueues; i++) {
                struct instance *in = g->queue[i];
                uint64_t need = 2 * need_bytes(in, 1, bytes); /* twice: graph_room() spends half on the heads */

                if (free_bytes(in) >= need)
                        continue;
                want_room(in, need);
                if (free_bytes(in) < need) /* once more: the reader may have moved before it could see the wish */
                        blocked = true;
        }
        if (blocked)
                graph_wake_sleepers(g);
        return blocked;
}

void graph_wake_sleepers(struct graph *g)
{
        for (uint32_t i = 0; i < g->nqueues; i++) {
                struct ring *r = g->queue[i]->ring;

                if (r != NULL && __atomic_load_n(&r->reader->waiting, __ATOMIC_SEQ_CST) != 0)
                        ring_wake(r);
        }
        for (uint32_t i = 0; i < g->nrecords; i++)
                ring_publish(g->records[i]->ring, true);
}

void graph_have_room(struct graph *g)
{
        for (uint32_t i = 0; i < g->nqueues; i++) {
                struct instance *in = g->queue[i];

                __atomic_store_n(in->ring != NULL ? &in->ring->shared->want_room : &in->sink->want_room, 0,
                                 __ATOMIC_RELAXED);
        }
}

void graph_publish(struct graph *g, bool urgent)
{
        for (uint32_t i = 0; i < g->nqueues; i++) {
                struct instance *in = g->queue[i];

                if (in->ring != NULL)
                        ring_publish(in->ring, urgent);
                else
                        sink_publish(in->sink, urgent);
        }
        for (uint32_t i = 0; i < g->nrecords; i++)
                ring_publish(g->records[i]->ring, urgent);
}

/** Room for what the next .finish of this instance may emit, in every queue behind it in its flow. */
static bool room_behind(const struct graph_flow *f, uint32_t from)
{
        uint64_t packets = 1, caplen = 0, need;

        for (uint32_t k = from; k < f->n; k++) {
                struct instance *in = f->fn[k];

                if (in->emitter != NULL && in->fn.def->shape == MAPI_TRANSFORMER) {
                        packets *= in->fn.emit_count;
                        caplen = in->fn.emit_caplen;
                }
                if (!instance_has_queue(in))
                        continue;
                need = packets * (in->fn.def->room.per_packet + RECORD_HEAD_MAX + caplen);
                if (free_bytes(in) < need) {
                        want_room(in, need);
                        if (free_bytes(in) < need)
                                return false;
                }
        }
        return true;
}

bool graph_finish_flow(struct graph *g, uint32_t flow, enum mapi_finish why, bool wait_for_room)
{
        struct graph_flow *f = &g->flow[flow];

        for (uint32_t k = 0; k < f->n; k++) {
                struct instance *in = f->fn[k];
                int more = 1;

                while (!in->ended && more != 0) {
                        if (wait_for_room && (in->emitter != NULL || in->sink != NULL) && !room_behind(f, k)) {
                                graph_publish(g, true);
                                return false;
                        }
                        more = 0;
                        if (in->fn.def->finish != NULL) {
                                for (uint32_t r = 0; r < in->nrefs; r++)
                                        instance_snapshot(in->ref[r]);
                                emit_begin(in, in->fn.emit_count);
                                more = in->fn.def->finish(&in->fn, why);
                                emit_end(in);
                        }
                }
                in->ended = true;
        }
        return true;
}

uint32_t graph_flows(const struct graph *g)
{
        return g->nflows;
}

void *graph_flow_owner(const struct graph *g, uint32_t flow)
{
        return g->flow[flow].owner;
}

void graph_want_drain(struct graph *g, uint32_t flow)
{
        for (uint32_t k = 0; k < g->flow[flow].n; k++)
                if (g->flow[flow].fn[k]->sink != NULL)
                        want_room(g->flow[flow].fn[k], 0);
}

void graph_finish_rings(struct graph *g, uint32_t flow)
{
        for (uint32_t k = 0; k < g->flow[flow].n; k++)
                if (g->flow[flow].fn[k]->ring != NULL)
                        ring_finish(g->flow[flow].fn[k]->ring);
}

void graph_facts(const struct graph *g, struct graph_facts *ret)
{
        *ret = g->facts;
}
