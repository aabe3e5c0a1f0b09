/* The harness for single functions. SPDX-License-Identifier: BSD-2-Clause */
#include "harness.h"

static struct harness *of(const struct mapi_fn *fn)
{
        return (struct harness *)(uintptr_t)fn;
}

static struct mapi_slot *slot_of(const struct harness *h)
{
        return (struct mapi_slot *)(uintptr_t)h->slot;
}

void harness_init(struct harness *h, const struct mapi_function *def)
{
        memset(h, 0, sizeof *h);
        h->device = (struct mapi_device_facts){ .linktype = 1, .snaplen = 96, .offline = 1 };
        h->fn.def = def;
        h->fn.arg = h->arg;
        h->fn.device = &h->device;
        h->fn.needs = def->needs;
        h->fn.result_size = def->result.size;
        h->sink_arg = -1;
        h->sink_room = sizeof h->sink;
        for (unsigned i = 0; def->args != NULL && def->args[i].letter != 0; i++) {
                h->arg[i].num = def->args[i].def;
                h->arg[i].u64 = (unsigned long long)def->args[i].def;
                h->arg[i].fd = -1;
        }
        if (def->result.kind == MAPI_RESULT_COUNTER || def->result.kind == MAPI_RESULT_RECORD)
                h->fn.slot = slot_of(h);
}

int harness_start(struct harness *h)
{
        return h->fn.def->start != NULL ? h->fn.def->start(&h->fn, &h->err) : 0;
}

void harness_add(struct harness *h, const void *data, uint32_t caplen, uint32_t wirelen, uint64_t ts)
{
        assert_true(h->batch.n < MAPI_BATCH_MAX);
        h->batch.pkt[h->batch.n++] = (struct mapi_view){
                .data = data, .caplen = caplen, .wirelen = wirelen, .ts = ts, .linktype = h->device.linktype
        };
}

mapi_sel harness_run(struct harness *h, mapi_sel in)
{
        mapi_sel out;

        assert_true((in & ~MAPI_SEL_ALL(h->batch.n)) == 0);
        out = h->fn.def->run(&h->fn, &h->batch, in);
        assert_true((out & ~in) == 0);
        if (!(h->fn.def->traits & MAPI_FILTERS) && h->fn.def->shape != MAPI_SINK &&
            h->fn.def->result.kind != MAPI_RESULT_PACKETS) /* these say what found room */
                assert_true(out == in);
        h->batch.n = 0;
        h->batch.parsed = 0;
        return out;
}

uint64_t harness_u64(const struct harness *h)
{
        return slot_of(h)->data[0];
}

int32_t harness_i32(const struct harness *h)
{
        int32_t value;

        memcpy(&value, slot_of(h)->data, sizeof value);
        return value;
}

const void *harness_record(const struct harness *h)
{
        assert_int_equal(slot_of(h)->seq % 2, 0);
        assert_true(sizeof(struct mapi_slot) + h->fn.result_size <= sizeof h->slot);
        return slot_of(h)->data;
}

const void *harness_queued(const struct harness *h, unsigned i)
{
        assert_true(i < h->queued);
        return h->queue + (size_t)i * h->fn.result_size;
}

void harness_fini(struct harness *h)
{
        if (h->fn.def->stop != NULL)
                h->fn.def->stop(&h->fn);
        for (unsigned i = 0; i < h->memories; i++)
                free(h->memory[i]);
        for (size_t i = 0; i < h->literals; i++)
                free((void *)(uintptr_t)h->literal[i].bytes);
        free(h->bpf);
        h->memories = 0;
        h->literals = 0;
        h->bpf = NULL;
}

/* ---- what the engine offers ------------------------------------------------------------------------------- */

void *mapi_fn_alloc(struct mapi_fn *fn, size_t size)
{
        struct harness *h = of(fn);
        void *p;

        if (h->fail_alloc)
                return NULL;
        p = calloc(1, size);
        assert_non_null(p);
        assert_true(h->memories < sizeof h->memory / sizeof h->memory[0]);
        h->memory[h->memories++] = p;
        return p;
}

int mapi_predicate_bpf(struct mapi_fn *fn, const char *expression, struct mapi_error *err)
{
        struct harness *h = of(fn);

        assert_null(h->bpf);
        if (strcmp(expression, "no filter") == 0)
                return mapi_fail(err, PCAP_BPF_ERR, "syntax error");
        h->bpf = strdup(expression);
        return 0;
}

int mapi_predicate_literals(struct mapi_fn *fn, const struct mapi_literal *lit, size_t n, uint32_t offset,
                            uint32_t depth, struct mapi_error *err)
{
        struct harness *h = of(fn);

        assert_int_equal(h->literals, 0);
        if (n > HARNESS_LITERALS)
                return mapi_fail(err, MAPI_LIMIT_ERROR, "%zu", n);
        for (size_t i = 0; i < n; i++) {
                uint8_t *copy = malloc(lit[i].len);

                assert_non_null(copy);
                memcpy(copy, lit[i].bytes, lit[i].len);
                h->literal[i] = (struct mapi_literal){ .bytes = copy, .len = lit[i].len };
        }
        h->literals = n;
        h->offset = offset;
        h->depth = depth;
        return 0;
}

int mapi_sink_open(struct mapi_fn *fn, unsigned arg, struct mapi_error *err)
{
        struct harness *h = of(fn);

        if (h->arg[arg].fd < 0)
                return mapi_fail(err, MAPI_ERROR_FILE, "no file");
        h->sink_arg = (int)arg;
        return 0;
}

int mapi_sink_put(struct mapi_fn *fn, const void *a, size_t na, const void *b, size_t nb)
{
        struct harness *h = of(fn);

        assert_true(h->sink_arg >= 0);
        if (na + nb > h->sink_room - h->sink_used)
                return 0;
        memcpy(h->sink + h->sink_used, a, na);
        if (nb != 0)
                memcpy(h->sink + h->sink_used + na, b, nb);
        h->sink_used += na + nb;
        return 1;
}

uint64_t mapi_sink_total(const struct mapi_fn *fn)
{
        return of(fn)->sink_used;
}

int mapi_queue_put(struct mapi_fn *fn, const void *record)
{
        struct harness *h = of(fn);

        assert_int_equal(h->fn.def->result.kind, MAPI_RESULT_QUEUE);
        assert_true(fn->result_size > 0); /* 0: there is no queue */
        if (h->queue_room != 0 && h->queued == h->queue_room)
                return 0;
        assert_true((h->queued + (size_t)1) * fn->result_size <= sizeof h->queue);
        memcpy(h->queue + (size_t)h->queued++ * fn->result_size, record, fn->result_size);
        return 1;
}

mapi_sel mapi_ring_put(struct mapi_fn *fn, const struct mapi_batch *b, mapi_sel in)
{
        (void)b;
        of(fn)->ring = in;
        of(fn)->ring_puts++;
        return in & ~of(fn)->ring_full;
}

uint64_t mapi_random(struct mapi_fn *fn)
{
        struct harness *h = of(fn);
        uint64_t n = h->randoms++;

        if (h->random != NULL)
                return h->random[n];
        n = (n + 1) * 0xd1342543de82ef95u; /* any well mixed sequence does */
        n = (n ^ n >> 29) * 0xaf251af3b0f025b5u;
        return n ^ n >> 32;
}

unsigned mapi_ref_count(const struct mapi_fn *fn)
{
        return of(fn)->refs;
}

static struct harness_ref *ref_of(const struct mapi_fn *fn, unsigned i)
{
        assert_true(i < of(fn)->refs && i < HARNESS_REFS);
        return &of(fn)->ref[i];
}

const struct mapi_function *mapi_ref_function(const struct mapi_fn *fn, unsigned i)
{
        return ref_of(fn, i)->def;
}

uint64_t mapi_ref_u64(const struct mapi_fn *fn, unsigned i)
{
        return ref_of(fn, i)->raw - ref_of(fn, i)->base;
}

uint64_t mapi_ref_before(const struct mapi_fn *fn, unsigned i)
{
        return ref_of(fn, i)->before - ref_of(fn, i)->base;
}

size_t mapi_ref_read(const struct mapi_fn *fn, unsigned i, void *to, size_t size)
{
        const struct harness_ref *r = ref_of(fn, i);
        uint64_t value = (fn->ahead ? r->before : r->raw) - r->base;
        const void *bytes = r->record != NULL ? r->record : &value;
        size_t there = r->record != NULL ? r->record_size : sizeof value;

        if (size > 0)
                memcpy(to, bytes, size < there ? size : there);
        return there;
}

void mapi_ref_reset(struct mapi_fn *fn, unsigned i)
{
        struct harness_ref *r = ref_of(fn, i);

        r->resets++;
        if (!r->fixed)
                r->base = r->before;
}

unsigned mapi_ref_flow_count(const struct mapi_fn *fn)
{
        return of(fn)->flows;
}

int mapi_ref_flow_begun(const struct mapi_fn *fn, unsigned i)
{
        assert_true(i < of(fn)->flows);
        return (of(fn)->flows_begun >> i & 1) != 0;
}
