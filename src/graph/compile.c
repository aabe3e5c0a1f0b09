/*
 * All flows of a device to one plan.
 *
 * The flows are laid into a tree whose nodes are selections: a filter leads from one selection to a smaller one, anything
 * else hangs on a node. Equal filters under the same node are one edge, so flows share as long as they begin alike, also
 * past counters, which change no selection. The tree is then written out depth first: all that hangs on a selection is
 * one run of operations, which is skipped as a whole while the selection is empty.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "graph/plan.h"

#include <string.h>

enum { EMIT_BUFFER_BYTES = 256 * 1024 };

struct node;

enum item_kind { ITEM_FILTER, ITEM_MATCH, ITEM_OBSERVE, ITEM_RUN_FILTER, ITEM_SUB };

/** Something on a node: an edge to a child, or an operation. */
struct item {
        struct item *next;
        enum item_kind kind;
        struct instance *fn; /* of a shared edge: the first that asked for it */
        struct node *child;
        struct sub *sub;
        struct item *sharers; /* further instances of a shared edge, for the statistics */
};

struct node {
        uint32_t slot;
        struct item *first, **last;
};

struct compiler {
        struct arena *keep;    /* the plan's */
        struct arena *scratch; /* this compilation's */
        struct graph *g;
        bool count;
        /* the chain being written */
        struct op *op;
        uint32_t nops, ops_max, nslots;
};

/* A step group member as it is found while the tree is built. */
struct pending_member {
        struct pending_member *next;
        const struct graph_flow *flow;
        uint32_t from;
        struct node *at;
        uint32_t group;
};

static struct node *node_new(struct compiler *c)
{
        struct node *n = arena_alloc(c->scratch, sizeof *n);

        if (n != NULL)
                n->last = &n->first;
        return n;
}

static struct item *item_add(struct compiler *c, struct node *n, enum item_kind kind, struct instance *fn)
{
        struct item *it = arena_alloc(c->scratch, sizeof *it);

        if (it == NULL)
                return NULL;
        it->kind = kind;
        it->fn = fn;
        *n->last = it;
        n->last = &it->next;
        return it;
}

static bool values_equal(const struct instance *a, const struct instance *b)
{
        if (a->nvalues != b->nvalues)
                return false;
        for (uint32_t i = 0; i < a->nvalues; i++) {
                const struct mapi_value *x = &a->values[i], *y = &b->values[i];

                if (x->num != y->num || x->u64 != y->u64 || x->fd >= 0 || y->fd >= 0 || (x->str == NULL) != (y->str == NULL) ||
                    (x->str != NULL && strcmp(x->str, y->str) != 0))
                        return false;
        }
        return true;
}

static bool is_sub(const struct instance *in)
{
        return in->fn.def->shape == MAPI_TRANSFORMER || (in->fn.def->traits & MAPI_MODIFIES) != 0;
}

/** Same verdict on every packet, and nothing else that its owner could see: one evaluation serves all. */
static bool is_shareable(const struct instance *in)
{
        const struct mapi_function *def = in->fn.def;

        return (def->traits & MAPI_PURE) != 0 && (def->traits & MAPI_FILTERS) != 0 && def->result.kind == MAPI_RESULT_NONE &&
               !is_sub(in) && in->nrefs == 0 && in->readers == 0;
}

static enum item_kind edge_kind(const struct instance *in)
{
        if (in->filter != NULL)
                return ITEM_FILTER;
        return in->match != NULL ? ITEM_MATCH : ITEM_RUN_FILTER;
}

static bool edge_equal(const struct item *it, const struct instance *in)
{
        if (it->child == NULL || it->kind != edge_kind(in))
                return false;
        if (it->kind == ITEM_FILTER)
                return filter_equal(it->fn->filter, in->filter);
        if (it->kind == ITEM_MATCH)
                return match_equal(it->fn->match, in->match);
        return is_shareable(it->fn) && is_shareable(in) && it->fn->fn.def == in->fn.def && values_equal(it->fn, in);
}

/** The child that this filter leads to, shared with an equal one if there is. */
static struct node *edge(struct compiler *c, struct node *at, struct instance *in)
{
        bool predicate = in->fn.def->shape == MAPI_PREDICATE;
        struct item *it;

        if (predicate || is_shareable(in)) {
                for (it = at->first; it != NULL; it = it->next) {
                        if (!edge_equal(it, in))
                                continue;
                        if (c->count) {
                                struct item *sharer = arena_alloc(c->scratch, sizeof *sharer);

                                if (sharer == NULL)
                                        return NULL;
                                sharer->fn = in;
                                sharer->next = it->sharers;
                                it->sharers = sharer;
                        }
                        return it->child;
                }
        }
        it = item_add(c, at, edge_kind(in), in);
        if (it == NULL)
                return NULL;
        it->child = node_new(c);
        return it->child;
}

static int build_sub(struct compiler *c, const struct graph_flow *f, uint32_t k, bool stepwise, struct sub **ret);

/** Lays functions from..upto of a flow into the tree below *at, which moves along. */
static int lay(struct compiler *c, const struct graph_flow *f, uint32_t from, uint32_t upto, bool stepwise, struct node **at)
{
        for (uint32_t k = from; k < upto; k++) {
                struct instance *in = f->fn[k];
                const struct mapi_function *def = in->fn.def;
                struct item *it;

                if (is_sub(in)) {
                        it = item_add(c, *at, ITEM_SUB, in);
                        return it == NULL ? -1 : build_sub(c, f, k, stepwise, &it->sub);
                }
                if (def->shape == MAPI_PREDICATE || (def->traits & MAPI_FILTERS) != 0) {
                        *at = edge(c, *at, in);
                        if (*at == NULL)
                                return -1;
                } else if (def->run != NULL) {
                        if (item_add(c, *at, ITEM_OBSERVE, in) == NULL)
                                return -1;
                }
        }
        return 0;
}

/* ---- writing out ---------------------------------------------------------------------------------------- */

static struct op *op_add(struct compiler *c, enum op_kind kind, uint32_t in, uint32_t out)
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
        *op = (struct op){.kind = (uint8_t)kind, .in = in, .out = out};
        return op;
}

static int count_op(struct compiler *c, struct instance *fn, uint32_t in, uint32_t out)
{
        struct op *op;

        if (!c->count)
                return 0;
        op = op_add(c, OP_COUNT, in, out);
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

static int write_node(struct compiler *c, struct node *n);

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
        op = op_add(c, OP_FILTERS, n->slot, c->nslots);
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
                op = op_add(c, OP_MATCH, n->slot, it->child->slot);
                if (op == NULL)
                        return -1;
                op->u.match = it->fn->match;
                c->g->facts.patterns++;
                return 0;
        case ITEM_OBSERVE:
                op = op_add(c, OP_OBSERVE, n->slot, n->slot);
                if (op == NULL)
                        return -1;
                op->u.fn = it->fn;
                op->run = it->fn->fn.def->run;
                op->needs = (uint8_t)it->fn->fn.needs;
                return count_op(c, it->fn, n->slot, n->slot);
        case ITEM_RUN_FILTER:
                it->child->slot = c->nslots++;
                op = op_add(c, OP_FILTER, n->slot, it->child->slot);
                if (op == NULL)
                        return -1;
                op->u.fn = it->fn;
                op->run = it->fn->fn.def->run;
                op->needs = (uint8_t)it->fn->fn.needs;
                if (count_edge(c, it, n->slot) < 0)
                        return -1;
                return write_node(c, it->child); /* at once: keeps the flow's own order of operations */
        case ITEM_SUB:
                op = op_add(c, OP_SUB, n->slot, n->slot);
                if (op == NULL)
                        return -1;
                op->u.sub = it->sub;
                op->needs = it->sub->copies ? MAPI_NEED_NOTHING : (uint8_t)it->fn->fn.needs;
                return count_op(c, it->fn, n->slot, n->slot);
        }
        return -1;
}

static int write_node(struct compiler *c, struct node *n)
{
        uint32_t begin = c->nops;

        if (write_filters(c, n) < 0)
                return -1;
        for (struct item *it = n->first; it != NULL; it = it->next)
                if (write_item(c, n, it) < 0)
                        return -1;
        for (struct item *it = n->first; it != NULL; it = it->next) {
                if (it->kind != ITEM_FILTER && it->kind != ITEM_MATCH)
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
static int chain_keep(struct compiler *c, struct chain *ret)
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
                if (is_sub(f->fn[k]))
                        break;
        }
        return 0;
}

/** The rest of one flow from function k on, as a chain of its own. */
static int build_chain(struct compiler *outer, const struct graph_flow *f, uint32_t k, bool stepwise, struct chain *ret)
{
        struct compiler c = {.keep = outer->keep, .scratch = outer->scratch, .g = outer->g, .count = outer->count, .nslots = 1};
        struct node *root = node_new(&c), *at = root;

        if (root == NULL || lay(&c, f, k, f->n, stepwise, &at) < 0 || write_node(&c, root) < 0 || chain_keep(&c, ret) < 0)
                return -1;
        ret->stepwise = stepwise;
        return stepwise ? list_read(outer, f, k, ret) : 0;
}

static int build_sub(struct compiler *c, const struct graph_flow *f, uint32_t k, bool stepwise, struct sub **ret)
{
        struct sub *s = arena_alloc(c->keep, sizeof *s);
        struct instance *in = f->fn[k];

        if (s == NULL)
                return -1;
        s->copies = in->fn.def->shape != MAPI_TRANSFORMER;
        s->emitter.fn = in;
        s->emitter.cap = EMIT_BUFFER_BYTES;
        if (s->emitter.cap < in->fn.emit_caplen)
                s->emitter.cap = in->fn.emit_caplen;
        if (s->emitter.cap < MAPI_CAPLEN_MAX)
                s->emitter.cap = MAPI_CAPLEN_MAX;
        s->emitter.batch = arena_alloc(c->keep, sizeof *s->emitter.batch);
        s->emitter.buf = arena_alloc(c->keep, s->emitter.cap + 8);
        s->emitter.rest = &s->rest;
        if (s->emitter.batch == NULL || s->emitter.buf == NULL || build_chain(c, f, k + 1, stepwise, &s->rest) < 0)
                return -1;
        *ret = s;
        return 0;
}

/* ---- step groups ---------------------------------------------------------------------------------------- */

/** The first function of a flow that is read or reads; a transformer before it takes its place. f->n if there is none. */
static uint32_t first_step(const struct graph_flow *f)
{
        uint32_t sub = f->n;

        for (uint32_t k = 0; k < f->n; k++) {
                if (sub == f->n && is_sub(f->fn[k]))
                        sub = k;
                if (f->fn[k]->nrefs > 0 || f->fn[k]->readers > 0)
                        return sub < k ? sub : k;
        }
        return f->n;
}

static uint32_t group_of(uint32_t *parent, uint32_t i)
{
        while (parent[i] != i)
                i = parent[i] = parent[parent[i]];
        return i;
}

static bool find_flow(const struct graph_flow *flows, uint32_t n, int number, uint32_t *ret)
{
        uint32_t low = 0, high = n;

        while (low < high) {
                uint32_t mid = low + (high - low) / 2;

                if (flows[mid].number == number) {
                        *ret = mid;
                        return true;
                }
                if (flows[mid].number < number)
                        low = mid + 1;
                else
                        high = mid;
        }
        return false;
}

/** Flows that refer to one another, also through a third, are one group: its number is that of its first flow. */
static uint32_t *find_groups(struct compiler *c, const struct graph_flow *flows, uint32_t n)
{
        uint32_t *parent = arena_alloc(c->scratch, (n + 1) * sizeof *parent), to;

        if (parent == NULL)
                return NULL;
        for (uint32_t i = 0; i < n; i++)
                parent[i] = i;
        for (uint32_t i = 0; i < n; i++)
                for (uint32_t k = 0; k < flows[i].n; k++)
                        for (uint32_t r = 0; r < flows[i].fn[k]->nrefs; r++)
                                if (find_flow(flows, n, flows[i].fn[k]->ref[r]->flow, &to)) {
                                        uint32_t a = group_of(parent, i), b = group_of(parent, to);

                                        parent[a > b ? a : b] = a > b ? b : a;
                                }
        return parent;
}

/** One step operation for each group, behind everything that runs by batches. */
static int write_steps(struct compiler *c, struct pending_member *members, uint32_t n_members, uint32_t n_flows,
                       struct chain *top)
{
        top->clear = arena_alloc(c->keep, (n_members + 1) * sizeof *top->clear);
        if (top->clear == NULL)
                return -1;
        for (uint32_t group = 0; group < n_flows && n_members > 0; group++) {
                struct pending_member *m;
                struct step *step;
                struct op *op;
                uint32_t n = 0;

                for (m = members; m != NULL; m = m->next)
                        n += m->group == group;
                if (n == 0)
                        continue;
                step = arena_alloc(c->keep, sizeof *step + n * sizeof step->member[0]);
                op = op_add(c, OP_STEP, 0, 0);
                if (step == NULL || op == NULL)
                        return -1;
                op->u.step = step;
                op->skip = c->nops;
                for (m = members; m != NULL; m = m->next) {
                        if (m->group != group)
                                continue;
                        step->member[step->n].in = m->at->slot;
                        if (m->at->slot != 0)
                                top->clear[top->nclear++] = m->at->slot;
                        if (build_chain(c, m->flow, m->from, true, &step->member[step->n].body) < 0)
                                return -1;
                        step->n++;
                }
                n_members -= n;
                c->g->facts.steps++;
        }
        return 0;
}

/* ---- the whole ------------------------------------------------------------------------------------------- */

/** Rings, sinks and functions with ticks; how many packets of which size may reach each queue for one packet. */
static int collect(struct graph *g)
{
        uint32_t queues = 0, ticks = 0;

        for (uint32_t i = 0; i < g->nflows; i++)
                for (uint32_t k = 0; k < g->flow[i].n; k++) {
                        const struct instance *in = g->flow[i].fn[k];

                        queues += in->ring != NULL || in->sink != NULL;
                        ticks += in->fn.def->tick != NULL;
                }
        g->queue = arena_alloc(g->arena, (queues + 1) * sizeof *g->queue);
        g->tick = arena_alloc(g->arena, (ticks + 1) * sizeof *g->tick);
        if (g->queue == NULL || g->tick == NULL)
                return -1;
        for (uint32_t i = 0; i < g->nflows; i++) {
                uint32_t packets = 1, bytes = 0;

                for (uint32_t k = 0; k < g->flow[i].n; k++) {
                        struct instance *in = g->flow[i].fn[k];

                        if (in->fn.def->shape == MAPI_TRANSFORMER) {
                                packets *= in->fn.emit_count;
                                bytes = in->fn.emit_caplen;
                        }
                        if (in->room_packets == 0) { /* the same in every plan: written once, before a worker sees it */
                                in->room_packets = packets;
                                in->room_bytes = bytes;
                        }
                        if (in->ring != NULL || in->sink != NULL)
                                g->queue[g->nqueues++] = in;
                        if (in->fn.def->tick != NULL)
                                g->tick[g->nticks++] = in;
                }
        }
        g->facts.queues = g->nqueues;
        return 0;
}

static int build_top(struct compiler *c, const struct graph_flow *flows, uint32_t n)
{
        struct pending_member *members = NULL, **last = &members;
        uint32_t n_members = 0, *parent = find_groups(c, flows, n);
        struct node *root = node_new(c);

        if (parent == NULL || root == NULL)
                return -1;
        for (uint32_t i = 0; i < n; i++) {
                uint32_t step = first_step(&flows[i]);
                struct node *at = root;

                if (lay(c, &flows[i], 0, step, false, &at) < 0)
                        return -1;
                if (step < flows[i].n) {
                        struct pending_member *m = arena_alloc(c->scratch, sizeof *m);

                        if (m == NULL)
                                return -1;
                        *m = (struct pending_member){.flow = &flows[i], .from = step, .at = at, .group = group_of(parent, i)};
                        *last = m;
                        last = &m->next;
                        n_members++;
                }
        }
        c->nslots = 1;
        if (write_node(c, root) < 0 || write_steps(c, members, n_members, n, &c->g->top) < 0)
                return -1;
        for (uint32_t i = 0; i < c->nops; i++)
                if (c->op[i].in == 0)
                        c->op[i].skip = c->nops;
        return chain_keep(c, &c->g->top);
}

static void adopt(struct chain *chain, int flow)
{
        for (uint32_t i = 0; i < chain->nops; i++) {
                struct op *op = &chain->op[i];

                if (op->kind == OP_SUB) {
                        struct emitter *e = &op->u.sub->emitter;

                        if (!op->u.sub->copies && (flow == 0 || e->fn->flow == flow))
                                e->fn->emitter = e;
                        adopt(&op->u.sub->rest, flow);
                } else if (op->kind == OP_STEP) {
                        for (uint32_t m = 0; m < op->u.step->n; m++)
                                adopt(&op->u.step->member[m].body, flow);
                }
        }
}

void graph_adopt(struct graph *g, int flow)
{
        adopt(&g->top, flow);
}

int graph_compile(const struct graph_flow *flows, uint32_t n, bool count, struct graph **ret, struct mapi_error *err)
{
        struct compiler c = {.keep = arena_new(NULL), .scratch = arena_new(NULL), .count = count};
        struct graph *g = c.keep == NULL ? NULL : arena_alloc(c.keep, sizeof *g);
        bool ok = false;

        if (g == NULL || c.scratch == NULL)
                goto out;
        c.g = g;
        g->arena = c.keep;
        g->nflows = n;
        g->flow = arena_alloc(c.keep, (n + 1) * sizeof *g->flow);
        if (g->flow == NULL)
                goto out;
        if (n > 0)
                memcpy(g->flow, flows, n * sizeof *flows);
        if (build_top(&c, g->flow, n) < 0 || collect(g) < 0)
                goto out;
        ok = true;
        *ret = g;
out:
        arena_free(&c.scratch);
        if (!ok) {
                arena_free(&c.keep);
                return mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "the plan of %u flows", n);
        }
        return 0;
}

void graph_free(struct graph **pg)
{
        struct graph *g = *pg;
        struct arena *a;

        *pg = NULL;
        if (g == NULL)
                return;
        a = g->arena;
        arena_free(&a);
}
