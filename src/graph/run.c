/* Plan times batch (hot). SPDX-License-Identifier: BSD-2-Clause */
#include "graph/plan.h"

#include "graph/emit.h"
#include "packet/parse.h"

static mapi_sel run_match(const struct match *m, const struct mapi_batch *b, mapi_sel in)
{
        mapi_sel out = 0;

        MAPI_SEL_EACH (i, in)
                out |= (mapi_sel)match_test(m, b->pkt[i].data, b->pkt[i].caplen) << i;
        return out;
}

/** The lead of a member, if it has one, for one packet. What goes on to the body. */
static mapi_sel run_lead(const struct member *m, struct mapi_batch *b, mapi_sel one)
{
        if (m->lead.nops == 0)
                return one;
        chain_run(&m->lead, b, one);
        return m->lead.slot[m->out];
}

/** Every packet goes through all flows of the group before the next one comes. */
static void run_step(struct step *s, const mapi_sel *slot, struct mapi_batch *b)
{
        mapi_sel any = 0;

        for (uint32_t m = 0; m < s->n; m++)
                any |= slot[s->member[m].in];
        MAPI_SEL_EACH (i, any) {
                for (uint32_t m = 0; m < s->n; m++)
                        chain_snapshot(&s->member[m].body);
                for (uint32_t m = 0; m < s->n && s->leads; m++)
                        s->member[m].on = (slot[s->member[m].in] & MAPI_SEL_BIT(i)) != 0 &&
                                          run_lead(&s->member[m], b, MAPI_SEL_BIT(i)) != 0;
                for (uint32_t m = 0; m < s->n; m++)
                        if (s->leads ? s->member[m].on : (slot[s->member[m].in] & MAPI_SEL_BIT(i)) != 0)
                                chain_run(&s->member[m].body, b, MAPI_SEL_BIT(i));
        }
}

static void count(struct instance *in, mapi_sel given, mapi_sel passed)
{
        __atomic_store_n(&in->packets, in->packets + mapi_sel_count(given), __ATOMIC_RELAXED);
        __atomic_store_n(&in->passed, in->passed + mapi_sel_count(passed), __ATOMIC_RELAXED);
}

/** A function with a ring or a sink. Everything passes, but what found no room is lost to the flow. */
static void run_queue(const struct op *op, struct mapi_batch *b, mapi_sel in)
{
        struct instance *q = op->u.fn;
        struct flow_account *a = q->account;
        mapi_sel lost = in & ~op->run(&q->fn, b, in);

        count(q, in, in & ~lost);
        if (a == NULL)
                return;
        if (q->first_queue)
                a->lost = 0;
        lost &= ~a->lost; /* only what no queue before has lost */
        if (__builtin_expect(lost == 0, 1))
                return;
        a->lost |= lost;
        *(q->ring != NULL ? &a->dropped_ring : &a->dropped_file) += mapi_sel_count(lost);
}

void chain_run(const struct chain *c, struct mapi_batch *b, mapi_sel all)
{
        const struct op *op = c->op, *end = c->op + c->nops;
        mapi_sel *slot = c->slot;

        for (uint32_t i = 0; i < c->nclear; i++)
                slot[c->clear[i]] = 0;
        slot[0] = all;
        while (op < end) {
                mapi_sel in = slot[op->in];

                if (in == 0) {
                        op = c->op + op->skip;
                        continue;
                }
                if (op->needs != MAPI_NEED_NOTHING && (in & ~b->parsed) != 0)
                        packet_parse(b, in & ~b->parsed);
                switch ((enum op_kind)op->kind) {
                case OP_FILTERS:
                        filter_set_run(op->u.set, b, in, slot + op->out);
                        break;
                case OP_MATCH:
                        slot[op->out] = run_match(op->u.match, b, in);
                        break;
                case OP_OBSERVE:
                        (void)op->run(&op->u.fn->fn, b, in); /* everything passes */
                        break;
                case OP_QUEUE:
                        run_queue(op, b, in);
                        break;
                case OP_FILTER:
                        slot[op->out] = op->run(&op->u.fn->fn, b, in) & in;
                        break;
                case OP_SUB:
                        sub_run(op->u.sub, b, in);
                        break;
                case OP_STEP:
                        run_step(op->u.step, slot, b);
                        break;
                case OP_COUNT:
                        count(op->u.fn, in, slot[op->out]);
                        break;
                case OP_END:
                        op->u.account->delivered += mapi_sel_count(in & ~op->u.account->lost);
                        break;
                }
                op++;
        }
}

void graph_run(struct graph *g, struct mapi_batch *b)
{
        chain_run(&g->top, b, MAPI_SEL_ALL(b->n));
}

void graph_tick(struct graph *g, uint64_t now)
{
        for (uint32_t i = 0; i < g->nticks; i++) {
                struct instance *in = g->tick[i];

                for (uint32_t r = 0; r < in->nrefs; r++)
                        instance_snapshot(in->ref[r]);
                emit_begin(in, in->fn.emit_count);
                in->fn.def->tick(&in->fn, now);
                emit_end(in);
        }
}
