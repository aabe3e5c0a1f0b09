/* The tree written out as operations. SPDX-License-Identifier: BSD-2-Clause */
#include "graph/tree.h"

#include <string.h>

enum { EMIT_BUFFER_BYTES = MAPI_CAPLEN_MAX };

struct op *write_op(struct compiler *c, enum op_kind kind, uint32_t in, uint32_t out)
{
        struct op *op;

        if (c->nops == c->ops_max) {
                uint32_t max = c->ops_max == 0 ? 32 : 2 * c->ops_max;
                struct op *larger = arena_alloc(c->scratch, max * sizeof *larger);

                if (larger == NULL)
                        return NULL;
                if (c->nops > 0)
                        memcpy(larger, c->op, c->nops * sizeof *larger);
                c->op = larger;
                c->ops_max = max;
        }
        op = &c->op[c->nops++];
        *op = (struct op){ .kind = (uint8_t)kind, .in = in, .out = out };
        return op;
}

static int count_op(struct compiler *c, struct instance *fn, uint32_t in, uint32_t out)
{
        struct op *op;

        if (!c->count)
                return 0;
        op = write_op(c, OP_COUNT, in, out);
        if (op == NULL)
                return -1;
        op->u.fn = fn;
        return 0;
}

static int count_edge(struct compiler *c, const struct item *it, uint32_t in)
{
        if (count_op(c, it->fn, in, it->child->slot) < 0)
                return -1;
        for (const struct item *s = it->sharers; s != NULL; s = s->next)
                if (count_op(c, s->fn, in, it->child->slot) < 0)
                        return -1;
        return 0;
}

/** All filters on a node are one set over neighbouring slots. */
static int write_filters(struct compiler *c, struct node *n)
{
        const struct filter **filters;
        uint32_t count = 0, i = 0;
        struct op *op;

        for (struct item *it = n->first; it != NULL; it = it->next)
                count += it->kind == ITEM_FILTER;
        if (count == 0)
                return 0;
        filters = arena_alloc(c->scratch, count * sizeof *filters);
        op = write_op(c, OP_FILTERS, n->slot, c->nslots);
        if (filters == NULL || op == NULL)
                return -1;
        for (struct item *it = n->first; it != NULL; it = it->next) {
                if (it->kind != ITEM_FILTER)
                        continue;
                filters[i++] = it->fn->filter;
                it->child->slot = c->nslots++;
        }
        op->u.set = filter_set_new(c->keep, filters, count);
        c->g->facts.filters += count;
        return op->u.set == NULL ? -1 : 0;
}

static int write_item(struct compiler *c, struct node *n, struct item *it)
{
        struct op *op;

        switch (it->kind) {
        case ITEM_FILTER:
                return 0; /* in the set */
        case ITEM_MATCH:
                it->child->slot = c->nslots++;
                op = write_op(c, OP_MATCH, n->slot, it->child->slot);
                if (op == NULL)
                        return -1;
                op->u.match = it->fn->match;
                c->g->facts.patterns++;
                return 0;
        case ITEM_OBSERVE:
                op = write_op(c, OP_OBSERVE, n->slot, n->slot);
                if (op == NULL)
                        return -1;
                op->u.fn = it->fn;
                op->run = it->fn->fn.def->run;
                op->needs = (uint8_t)it->fn->fn.needs;
                return count_op(c, it->fn, n->slot, n->slot);
        case ITEM_QUEUE: /* counts by itself */
                op = write_op(c, OP_QUEUE, n->slot, n->slot);
                if (op == NULL)
                        return -1;
                op->u.fn = it->fn;
                op->run = it->fn->fn.def->run;
                op->needs = (uint8_t)it->fn->fn.needs;
                return 0;
        case ITEM_RUN_FILTER:
                it->child->slot = c->nslots++;
                op = write_op(c, OP_FILTER, n->slot, it->child->slot);
                if (op == NULL)
                        return -1;
                op->u.fn = it->fn;
                op->run = it->fn->fn.def->run;
                op->needs = (uint8_t)it->fn->fn.needs;
                return 0;
        case ITEM_SUB:
                op = write_op(c, OP_SUB, n->slot, n->slot);
                if (op == NULL)
                        return -1;
                op->u.sub = it->sub;
                op->needs = it->sub->copies ? MAPI_NEED_NOTHING : (uint8_t)it->fn->fn.needs;
                return count_op(c, it->fn, n->slot, n->slot);
        case ITEM_END:
                op = write_op(c, OP_END, n->slot, n->slot);
                if (op == NULL)
                        return -1;
                op->u.account = it->account;
                return 0;
        }
        return -1;
}

/*
 * The children come behind everything that hangs on the node itself, so that every flow keeps the order of its own functions,
 * also where it shares an edge that another flow has laid first.
 */
int write_node(struct compiler *c, struct node *n)
{
        uint32_t begin = c->nops;

        if (write_filters(c, n) < 0)
                return -1;
        for (struct item *it = n->first; it != NULL; it = it->next)
                if (write_item(c, n, it) < 0)
                        return -1;
        for (struct item *it = n->first; it != NULL; it = it->next) {
                if (it->child == NULL)
                        continue;
                if (count_edge(c, it, n->slot) < 0 || write_node(c, it->child) < 0)
                        return -1;
        }
        for (uint32_t i = begin; i < c->nops; i++)
                if (c->op[i].in == n->slot)
                        c->op[i].skip = c->nops;
        return 0;
}

/** What was written becomes a chain in the plan's memory. */
int write_keep(struct compiler *c, struct chain *ret)
{
        ret->op = arena_alloc(c->keep, (c->nops + 1) * sizeof *ret->op);
        ret->slot = arena_alloc(c->keep, (c->nslots + 1) * sizeof *ret->slot);
        if (ret->op == NULL || ret->slot == NULL)
                return -1;
        if (c->nops > 0)
                memcpy(ret->op, c->op, c->nops * sizeof *ret->op);
        ret->nops = c->nops;
        ret->nslots = c->nslots;
        c->g->facts.operations += c->nops;
        return 0;
}

/** The functions of a chain, which begins with function k and ends with the next one that has packets of its own, that others read. */
static int list_read(struct compiler *c, const struct graph_flow *f, uint32_t k, struct chain *ret)
{
        ret->read = arena_alloc(c->keep, (f->n - k + 1) * sizeof *ret->read);
        if (ret->read == NULL)
                return -1;
        for (; k < f->n; k++) {
                if (f->fn[k]->readers > 0)
                        ret->read[ret->nread++] = f->fn[k];
                if (tree_is_sub(f->fn[k]))
                        break;
        }
        return 0;
}

/** Functions k..upto of one flow, none of them with packets of its own, as a chain; *ret_out: the slot of what passes them. */
int write_lead(struct compiler *outer, const struct graph_flow *f, uint32_t k, uint32_t upto, struct chain *ret,
               uint32_t *ret_out)
{
        struct compiler c = {
                .keep = outer->keep, .scratch = outer->scratch, .g = outer->g, .count = outer->count, .nslots = 1
        };
        struct node *root = tree_node(&c), *at = root;

        ret->clear = arena_alloc(c.keep, sizeof *ret->clear);
        if (root == NULL || ret->clear == NULL || tree_lay(&c, f, k, upto, true, &at) < 0 ||
            write_node(&c, root) < 0 || write_keep(&c, ret) < 0)
                return -1;
        ret->stepwise = true;
        *ret_out = at->slot;
        if (at->slot != 0)
                ret->clear[ret->nclear++] = at->slot;
        return 0;
}

/** The rest of one flow from function k on, as a chain of its own. */
int write_chain(struct compiler *outer, const struct graph_flow *f, uint32_t k, bool stepwise, struct chain *ret)
{
        struct compiler c = {
                .keep = outer->keep, .scratch = outer->scratch, .g = outer->g, .count = outer->count, .nslots = 1
        };
        struct node *root = tree_node(&c), *at = root;

        if (root == NULL || tree_lay(&c, f, k, f->n, stepwise, &at) < 0 || write_node(&c, root) < 0 ||
            write_keep(&c, ret) < 0)
                return -1;
        ret->stepwise = stepwise;
        return 0;
}

int write_sub(struct compiler *c, const struct graph_flow *f, uint32_t k, bool stepwise, struct sub **ret)
{
        struct sub *s = arena_alloc(c->keep, sizeof *s);
        struct instance *in = f->fn[k];

        if (s == NULL)
                return -1;
        s->copies = in->fn.def->shape != MAPI_TRANSFORMER;
        for (uint32_t i = 0; i < k && s->copies; i++)
                if (instance_has_queue(f->fn[i]))
                        s->account = tree_account(f, k);
        s->emitter.fn = in;
        s->emitter.cap = EMIT_BUFFER_BYTES;
        if (s->emitter.cap < in->fn.emit_caplen)
                s->emitter.cap = in->fn.emit_caplen;
        if (s->emitter.cap < MAPI_CAPLEN_MAX)
                s->emitter.cap = MAPI_CAPLEN_MAX;
        s->emitter.batch = arena_alloc(c->keep, sizeof *s->emitter.batch);
        s->emitter.buf = arena_alloc(c->keep, s->emitter.cap + 8);
        s->emitter.rest = &s->rest;
        if (s->emitter.batch == NULL || s->emitter.buf == NULL ||
            write_chain(c, f, k + 1, stepwise, &s->rest) < 0 || (stepwise && list_read(c, f, k + 1, &s->rest) < 0))
                return -1;
        *ret = s;
        return 0;
}
