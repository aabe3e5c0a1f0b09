/* Making and ending instances of functions. SPDX-License-Identifier: BSD-2-Clause */
#include "graph/instance.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
        QUEUE_TRACE_RECORDS = 65536, /* structs that a queue keeps for its reader on a trace, at least */
        QUEUE_BYTES_MAX = 16 << 20
};

static int argument_code(uint32_t position)
{
        static const int code[] = { MFUNCT_INVALID_ARGUMENT_1, MFUNCT_INVALID_ARGUMENT_2,
                                    MFUNCT_INVALID_ARGUMENT_3, MFUNCT_INVALID_ARGUMENT_4,
                                    MFUNCT_INVALID_ARGUMENT_5, MFUNCT_INVALID_ARGUMENT_6 };

        return position < sizeof code / sizeof code[0] ? code[position] : MFUNCT_INVALID_ARGUMENT;
}

int instance_check_ranges(const struct mapi_function *def, const struct mapi_value *values, uint32_t n,
                          struct mapi_error *err)
{
        for (uint32_t i = 0; i < n; i++) {
                const struct mapi_arg_spec *s = &def->args[i];

                if ((s->letter == 'i' || s->letter == 'c') && s->min < s->max &&
                    (values[i].num < s->min || values[i].num > s->max))
                        return mapi_fail(err, argument_code(i), "%s: %s is %lld, must be %lld to %lld", def->name,
                                         s->name, values[i].num, s->min, s->max);
        }
        return 0;
}

static int copy_values(struct instance *in, const struct mapi_value *values, uint32_t n)
{
        in->values = arena_alloc(in->arena, (n + 1) * sizeof *in->values);
        if (in->values == NULL)
                return -1;
        for (uint32_t i = 0; i < n; i++) {
                in->values[i] = values[i];
                if (values[i].str != NULL) {
                        in->values[i].str = arena_strndup(in->arena, values[i].str, strlen(values[i].str));
                        if (in->values[i].str == NULL)
                                return -1;
                }
        }
        in->nvalues = n;
        return 0;
}

static enum results_kind slot_kind(enum mapi_result_kind kind)
{
        switch (kind) {
        case MAPI_RESULT_COUNTER:
                return RESULTS_COUNTER;
        case MAPI_RESULT_RECORD:
                return RESULTS_RECORD;
        case MAPI_RESULT_PACKETS:
        case MAPI_RESULT_QUEUE:
                return RESULTS_RING;
        default:
                return RESULTS_FREE;
        }
}

/** Allocates the slot for fn->result_size bytes, if there is none of that size yet. */
static int result_new(struct instance *in, struct segments *segments, struct mapi_error *err)
{
        enum results_kind kind = slot_kind(in->fn.def->result.kind);
        uint32_t size = kind == RESULTS_RING ? (uint32_t)sizeof(struct results_ring) : in->fn.result_size;
        int r;

        if (kind == RESULTS_FREE || in->fn.result_size == 0 || size == in->place_size)
                return 0;
        segments_release(segments, &in->place);
        r = segments_alloc(segments, kind, in->flow, in->fid, size, 1, in->fn.def->result.combine, &in->place,
                           err);
        if (r < 0)
                return r;
        in->place_size = size;
        if (kind == RESULTS_COUNTER || kind == RESULTS_RECORD)
                in->fn.slot = in->place.mem;
        return 0;
}

/** How many records a queue keeps: a trace is read faster than any live device delivers. */
static uint32_t queue_records(const struct instance *in)
{
        uint32_t depth = in->fn.def->result.depth, stride = (uint32_t)ring_stride(in->fn.result_size);

        if (in->fn.device->offline && depth < QUEUE_TRACE_RECORDS)
                depth = QUEUE_TRACE_RECORDS;
        if (depth > QUEUE_BYTES_MAX / stride)
                depth = QUEUE_BYTES_MAX / stride;
        return depth > 0 ? depth : 1;
}

static int ring_new(struct instance *in, struct mapi_error *err)
{
        struct ring *ring = arena_alloc(in->arena, sizeof *ring);
        struct ring_queue queue = { .record = in->fn.result_size,
                                    .overwrites = in->fn.def->result.full == MAPI_OVERRUN_OLDEST };
        int r;

        if (ring == NULL)
                return mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "%s", in->fn.def->name);
        if (in->fn.def->result.kind == MAPI_RESULT_QUEUE) {
                queue.records = queue_records(in);
                r = ring_init_queue(ring, &queue, in->place.mem, in->quota, err);
        } else {
                r = ring_init(ring, in->ring_bytes, in->place.mem, in->quota, err);
        }
        if (r < 0)
                return r;
        in->ring = ring;
        return 0;
}

static void describe(struct instance *in, const struct mapi_function *def, const struct instance_env *env)
{
        in->flow = env->flow;
        in->fid = env->fid;
        in->library = env->library;
        in->compiler = env->compiler;
        in->arena = env->arena;
        in->quota = env->quota;
        in->ring_bytes = env->ring_bytes;
        in->sink_bytes = env->sink_bytes;
        in->random = env->seed;
        in->fn.def = def;
        in->fn.device = env->device;
        in->fn.needs = def->needs;
        in->fn.result_size = def->result.size;
        if (def->result.kind == MAPI_RESULT_COUNTER && def->result.size == 0)
                in->fn.result_size = 8;
        if (def->result.kind == MAPI_RESULT_PACKETS)
                in->fn.result_size = sizeof(struct results_ring);
        if (def->shape == MAPI_TRANSFORMER) {
                in->fn.emit_caplen = env->device->snaplen;
                in->fn.emit_count = 1;
        }
}

static int give_up(const struct mapi_function *def, const struct mapi_value *values, uint32_t n,
                   struct mapi_error *err)
{
        for (uint32_t i = 0; i < n; i++)
                if (values[i].fd >= 0)
                        close(values[i].fd);
        return mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "%s", def->name);
}

/** Keeps what it refers to. */
static int take_refs(struct instance *in, struct instance *const *refs, uint32_t n)
{
        in->ref = arena_alloc(in->arena, (n + 1) * sizeof(struct instance *));
        if (in->ref == NULL)
                return -1;
        for (; in->nrefs < n; in->nrefs++) {
                in->ref[in->nrefs] = refs[in->nrefs];
                in->ref[in->nrefs]->readers++;
        }
        return 0;
}

int instance_watch(struct instance *in, struct flow_mark *const *marks, uint32_t n, struct mapi_error *err)
{
        in->mark = arena_alloc(in->arena, (n + 1) * sizeof(struct flow_mark *));
        if (in->mark == NULL)
                return mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "%s", in->fn.def->name);
        for (; in->nmarks < n; in->nmarks++) {
                in->mark[in->nmarks] = marks[in->nmarks];
                in->mark[in->nmarks]->users++;
        }
        return 0;
}

void flow_mark_put(struct flow_mark *m)
{
        if (m != NULL && --m->users == 0)
                free(m);
}

int instance_prepare(const struct mapi_function *def, const struct instance_env *env,
                     const struct mapi_value *values, uint32_t nvalues, struct instance *const *refs,
                     uint32_t nrefs, struct instance **ret, struct mapi_error *err)
{
        struct instance *in = arena_alloc(env->arena, sizeof *in);
        int r;

        if (in == NULL || nrefs > MAPI_REFS_MAX)
                return give_up(def, values, nvalues, err);
        describe(in, def, env);
        if (copy_values(in, values, nvalues) < 0 || take_refs(in, refs, nrefs) < 0)
                return give_up(def, values, nvalues, err);
        in->fn.arg = in->values;
        r = instance_check_ranges(def, in->values, nvalues, err);
        if (r == 0)
                r = result_new(in, env->segments, err);
        if (r < 0) {
                instance_free(in, env->segments);
                return r;
        }
        *ret = in;
        return 0;
}

int instance_start(struct instance *in, struct mapi_error *err)
{
        const struct mapi_function *def = in->fn.def;

        in->started = true; /* .stop takes a half-done .start */
        if (def->start != NULL) {
                int r = def->start(&in->fn, err);

                if (r < 0)
                        return r;
        }
        if (def->shape == MAPI_TRANSFORMER && in->fn.emit_caplen > MAPI_CAPLEN_MAX)
                return mapi_fail(err, MFUNCT_COULD_NOT_INIT_FUNCT,
                                 "%s emits packets of up to %u bytes, the most are %u", def->name,
                                 in->fn.emit_caplen, MAPI_CAPLEN_MAX);
        if ((in->sink != NULL || def->result.kind == MAPI_RESULT_PACKETS) &&
            (def->shape == MAPI_TRANSFORMER || (def->traits & (MAPI_FILTERS | MAPI_MODIFIES)) != 0))
                return mapi_fail(err, MFUNCT_COULD_NOT_INIT_FUNCT,
                                 "%s has a queue: it can neither filter nor change packets", def->name);
        if (def->shape == MAPI_PREDICATE && in->filter == NULL && in->match == NULL)
                return mapi_fail(err, MFUNCT_COULD_NOT_APPLY_FUNCT, "%s hands over neither a filter nor a pattern",
                                 def->name);
        return 0;
}

int instance_complete(struct instance *in, struct segments *segments, struct mapi_error *err)
{
        int r = result_new(in, segments, err);

        if (r == 0 && slot_kind(in->fn.def->result.kind) == RESULTS_RING && in->fn.result_size != 0)
                r = ring_new(in, err);
        return r;
}

void instance_free(struct instance *in, struct segments *segments)
{
        if (in == NULL)
                return;
        if (in->started && in->fn.def->stop != NULL)
                in->fn.def->stop(&in->fn);
        if (in->sink != NULL)
                sink_fini(in->sink);
        if (in->ring != NULL)
                ring_fini(in->ring);
        in->ring = NULL;
        in->sink = NULL;
        for (uint32_t i = 0; i < in->nvalues; i++)
                if (in->values[i].fd >= 0)
                        close(in->values[i].fd);
        in->nvalues = 0;
        for (uint32_t i = 0; i < in->nrefs; i++)
                in->ref[i]->readers--;
        in->nrefs = 0;
        for (uint32_t i = 0; i < in->nmarks; i++)
                flow_mark_put(in->mark[i]);
        in->nmarks = 0;
        segments_release(segments, &in->place);
        in->fn.slot = NULL;
}

static uint64_t raw_value(const struct instance *in)
{
        const struct mapi_slot *s = in->fn.slot;

        if (s == NULL)
                return 0;
        return in->fn.result_size < 8 ? __atomic_load_n((const uint32_t *)s->data, __ATOMIC_RELAXED)
                                      : __atomic_load_n(s->data, __ATOMIC_RELAXED);
}

static uint64_t base_of(const struct instance *in)
{
        return in->fn.slot != NULL && in->fn.def->result.combine == MAPI_COMBINE_SUM
                       ? __atomic_load_n(&in->fn.slot->base, __ATOMIC_RELAXED)
                       : 0;
}

uint64_t instance_u64(const struct instance *in)
{
        return raw_value(in) - base_of(in);
}

static uint64_t raw_before(const struct instance *in, int flow)
{
        return flow == in->flow ? in->before : in->before_device;
}

uint64_t instance_u64_before(const struct instance *in, int flow)
{
        return raw_before(in, flow) - base_of(in);
}

void instance_snapshot_own(struct instance *in)
{
        in->before = raw_value(in);
}

void instance_snapshot(struct instance *in)
{
        in->before = in->before_device = raw_value(in);
}

int instance_reset(struct instance *in, int flow)
{
        struct mapi_slot *s = in->fn.slot;

        if (in->fn.def->reset != NULL) {
                in->fn.def->reset(&in->fn);
                return 0;
        }
        if (s == NULL || in->fn.def->result.kind != MAPI_RESULT_COUNTER ||
            in->fn.def->result.combine != MAPI_COMBINE_SUM || in->fn.result_size != 8)
                return -1;
        /* release: the reader loads it before the value */
        __atomic_store_n(&s->base, raw_before(in, flow), __ATOMIC_RELEASE);
        return 0;
}
