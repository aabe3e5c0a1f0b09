/* Packets of one flow's own: emitted by transformers, copied for functions that modify (hot). SPDX-License-Identifier: BSD-2-Clause */
#include "graph/emit.h"
#include "graph/plan.h"

#include "packet/parse.h"

#include <string.h>

/** The collected packets go down the rest of the flow. */
static void flush(struct emitter *e)
{
        struct mapi_batch *b = e->batch;
        uint32_t n = b->n;

        if (n == 0)
                return;
        b->parsed = 0;
        if (e->rest->stepwise) {
                for (uint32_t i = 0; i < n; i++) {
                        chain_snapshot_own(e->rest);
                        chain_run(e->rest, b, MAPI_SEL_BIT(i));
                }
        } else {
                chain_run(e->rest, b, MAPI_SEL_ALL(n));
        }
        b->n = 0;
        e->used = 0;
}

/** A place for one more packet; the batch is sent on first if it is full. */
static uint8_t *place(struct emitter *e, const struct mapi_view *like, uint32_t caplen)
{
        struct mapi_view *v;

        if (e->batch->n == MAPI_BATCH_MAX || e->cap - e->used < caplen)
                flush(e);
        v = &e->batch->pkt[e->batch->n++];
        *v = like != NULL ? *like : (struct mapi_view){ .linktype = e->fn->fn.device->linktype };
        v->data = e->buf + e->used;
        v->caplen = caplen;
        e->used += ((size_t)caplen + 7) & ~(size_t)7;
        return (uint8_t *)(uintptr_t)v->data;
}

uint8_t *emit_packet(struct instance *in, const struct mapi_view *like, uint32_t caplen, uint32_t wirelen,
                     uint64_t ts)
{
        struct emitter *e = in->emitter;
        uint8_t *to;

        if (e == NULL || e->budget == 0 || caplen > in->fn.emit_caplen) {
                in->emit_dropped++;
                return NULL;
        }
        e->budget--;
        to = place(e, like, caplen);
        e->batch->pkt[e->batch->n - 1].wirelen = wirelen;
        e->batch->pkt[e->batch->n - 1].ts = ts;
        return to;
}

void emit_begin(struct instance *in, uint64_t packets)
{
        if (in->emitter != NULL)
                in->emitter->budget = packets;
}

void emit_end(struct instance *in)
{
        if (in->emitter == NULL)
                return;
        flush(in->emitter);
        in->emitter->budget = 0;
}

/** .run over the copies, then the rest of the flow over those that passed. lost: those that a queue has lost already. */
static void run_copies(struct sub *s, mapi_sel lost)
{
        struct emitter *e = &s->emitter;
        struct mapi_batch *b = e->batch;
        struct mapi_fn *fn = &e->fn->fn;
        mapi_sel all = MAPI_SEL_ALL(b->n), out;

        if (b->n == 0)
                return;
        b->parsed = 0;
        if (fn->needs != MAPI_NEED_NOTHING)
                packet_parse(b, all);
        if (s->account != NULL)
                s->account->lost = lost;
        out = fn->def->run(fn, b, all) & all;
        if (!(fn->def->traits & MAPI_FILTERS))
                out = all;
        b->parsed = 0; /* the headers may have been changed */
        if (s->rest.stepwise) {
                MAPI_SEL_EACH (i, out) {
                        chain_snapshot_own(&s->rest);
                        chain_run(&s->rest, b, MAPI_SEL_BIT(i));
                }
        } else if (out != 0) {
                chain_run(&s->rest, b, out);
        }
        b->n = 0;
        e->used = 0;
}

void sub_run(struct sub *s, struct mapi_batch *b, mapi_sel in)
{
        mapi_sel lost_here = s->account != NULL ? s->account->lost : 0, lost = 0; /* the same of the copies */
        struct emitter *e = &s->emitter;
        struct mapi_fn *fn = &e->fn->fn;

        if (!s->copies) {
                emit_begin(e->fn, (uint64_t)mapi_sel_count(in) * fn->emit_count);
                (void)fn->def->run(fn, b, in); /* what it lets through is what it emits */
                emit_end(e->fn);
                return;
        }
        MAPI_SEL_EACH (i, in) {
                const struct mapi_view *v = &b->pkt[i];

                if (e->batch->n == MAPI_BATCH_MAX || e->cap - e->used < v->caplen) {
                        run_copies(s, lost);
                        lost = 0;
                }
                lost |= ((lost_here >> i) & 1) << e->batch->n;
                memcpy(place(e, v, v->caplen), v->data, v->caplen);
        }
        run_copies(s, lost);
        if (s->account != NULL) /* packet by packet, others of this batch are still to come */
                s->account->lost = lost_here;
}
