/* What <mapi/function.h> offers to functions. SPDX-License-Identifier: BSD-2-Clause */
#include "graph/emit.h"
#include "graph/instance.h"

#include <string.h>

void *mapi_fn_alloc(struct mapi_fn *fn, size_t size)
{
        return arena_alloc(instance_of(fn)->arena, size);
}

int mapi_predicate_bpf(struct mapi_fn *fn, const char *expression, struct mapi_error *err)
{
        struct instance *in = instance_of(fn);

        return filter_compile(in->arena, in->compiler, expression, fn->device->linktype, fn->device->snaplen,
                              &in->filter, err);
}

int mapi_predicate_literals(struct mapi_fn *fn, const struct mapi_literal *lit, size_t n, uint32_t offset,
                            uint32_t depth, struct mapi_error *err)
{
        struct instance *in = instance_of(fn);

        return match_new(in->arena, lit, n, offset, depth, &in->match, err);
}

uint8_t *mapi_emit(struct mapi_fn *fn, const struct mapi_view *like, uint32_t caplen, uint32_t wirelen,
                   uint64_t ts)
{
        return emit_packet(instance_of(fn), like, caplen, wirelen, ts);
}

unsigned mapi_ref_count(const struct mapi_fn *fn)
{
        return instance_of(fn)->nrefs;
}

const struct mapi_function *mapi_ref_function(const struct mapi_fn *fn, unsigned i)
{
        const struct instance *in = instance_of(fn);

        return i < in->nrefs ? in->ref[i]->fn.def : NULL;
}

size_t mapi_ref_read(const struct mapi_fn *fn, unsigned i, void *to, size_t size)
{
        const struct instance *in = instance_of(fn);
        uint64_t value;

        if (i >= in->nrefs)
                return 0;
        in = in->ref[i];
        size = size < in->fn.result_size ? size : in->fn.result_size;
        if (size == 0 || in->fn.slot == NULL)
                return in->fn.result_size;
        if (in->fn.def->result.kind == MAPI_RESULT_COUNTER) {
                value = instance_u64(in);
                memcpy(to, &value,
                       size); /* little-endian or 8 bytes; a counter of 4 has its value in the lower half */
        } else {
                memcpy(to, in->fn.slot->data, size); /* written by this thread, which is not in the middle of it */
        }
        return in->fn.result_size;
}

unsigned mapi_ref_flow_count(const struct mapi_fn *fn)
{
        return instance_of(fn)->nmarks;
}

int mapi_ref_flow_begun(const struct mapi_fn *fn, unsigned i)
{
        const struct instance *in = instance_of(fn);

        return i < in->nmarks && __atomic_load_n(&in->mark[i]->begun, __ATOMIC_RELAXED);
}

int mapi_queue_put(struct mapi_fn *fn, const void *record)
{
        struct ring *ring = instance_of(fn)->ring;

        return ring != NULL && ring->record != 0 && ring_put_record(ring, record);
}

uint64_t mapi_ref_u64(const struct mapi_fn *fn, unsigned i)
{
        const struct instance *in = instance_of(fn);

        return i < in->nrefs ? instance_u64(in->ref[i]) : 0;
}

uint64_t mapi_ref_before(const struct mapi_fn *fn, unsigned i)
{
        const struct instance *in = instance_of(fn);

        return i < in->nrefs ? instance_u64_before(in->ref[i], in->flow) : 0;
}

void mapi_ref_reset(struct mapi_fn *fn, unsigned i)
{
        const struct instance *in = instance_of(fn);

        if (i < in->nrefs)
                (void)instance_reset(in->ref[i], in->flow); /* a result that cannot be reset goes on */
}

int mapi_sink_open(struct mapi_fn *fn, unsigned arg, struct mapi_error *err)
{
        struct instance *in = instance_of(fn);
        struct sink *sink;
        int r;

        if (in->sink != NULL || arg >= in->nvalues || in->values[arg].fd < 0)
                return mapi_fail(err, MAPI_ERROR_FILE, "%s: no file", fn->def->name);
        sink = arena_alloc(in->arena, sizeof *sink);
        if (sink == NULL)
                return mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "%s", fn->def->name);
        r = sink_init(sink, fn, in->values[arg].fd, in->sink_bytes, in->quota, err);
        if (r < 0)
                return r;
        in->values[arg].fd = -1; /* the sink closes it */
        in->sink = sink;
        return 0;
}

int mapi_sink_put(struct mapi_fn *fn, const void *a, size_t na, const void *b, size_t nb)
{
        struct sink *sink = instance_of(fn)->sink;

        return sink != NULL && na + nb <= MAPI_CAPLEN_MAX + 4096 && sink_put(sink, a, na, b, nb);
}

uint64_t mapi_sink_total(const struct mapi_fn *fn)
{
        const struct sink *sink = instance_of(fn)->sink;

        return sink != NULL ? sink->total : 0;
}

mapi_sel mapi_ring_put(struct mapi_fn *fn, const struct mapi_batch *b, mapi_sel in)
{
        struct ring *ring = instance_of(fn)->ring;
        mapi_sel room = in;

        MAPI_SEL_EACH (i, in)
                if (__builtin_expect(!ring_put(ring, &b->pkt[i]), 0))
                        room &= ~MAPI_SEL_BIT(i);
        return room;
}

uint64_t mapi_random(struct mapi_fn *fn)
{
        struct instance *in = instance_of(fn);
        uint64_t z = in->random += 0x9e3779b97f4a7c15u; /* SplitMix64 (Steele, Lea, Flood 2014) */

        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return z ^ (z >> 31);
}
