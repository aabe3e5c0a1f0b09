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

/** Every packet goes through all flows of the group before the next one comes. */
static void run_step(const struct step *s, const mapi_sel *slot, struct mapi_batch *b)
{
        mapi_sel any = 0;

        for (uint32_t m = 0; m < s->n; m++)
                any |= slot[s->member[m].in];
        MAPI_SEL_EACH (i, any) {
                for (uint32_t m = 0; m < s->n; m++)
                        chain_snapshot(&s->member[m].body);
                for (uint32_t m = 0; m < s->n; m++)
                        if (slot[s->member[m].in] & MAPI_SEL_BIT(i))
                                chain_run(&s->member[m].body, b, MAPI_SEL_BIT(i));
        }
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
                        op->u.fn->packets += mapi_sel_count(in);
                        op->u.fn->passed += mapi_sel_count(slot[op->out]);
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
