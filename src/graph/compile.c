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
#include "graph/tree.h"

#include <string.h>

/* A step group member as it is found while the tree is built. */
struct pending_member {
        struct pending_member *next;
        const struct graph_flow *flow;
        uint32_t from;
        struct node *at;
        uint32_t group;
};

/** The first function of a flow that is read or reads; a transformer before it takes its place. f->n if there is none. */
static uint32_t first_step(const struct graph_flow *f)
{
        uint32_t sub = f->n;

        for (uint32_t k = 0; k < f->n; k++) {
                if (sub == f->n && tree_is_sub(f->fn[k]))
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

/** What must be looked at before a member has a packet: its functions that others read, and those that its own read of flows
 *  that are not, or no more, in the plan. */
static int list_read(struct compiler *c, const struct graph_flow *f, uint32_t k, struct chain *body)
{
        uint32_t most = f->n - k, flow;

        for (uint32_t i = k; i < f->n; i++)
                most += f->fn[i]->nrefs;
        body->read = arena_alloc(c->keep, (most + 1) * sizeof *body->read);
        if (body->read == NULL)
                return -1;
        for (; k < f->n; k++) {
                struct instance *in = f->fn[k];

                if (in->readers > 0)
                        body->read[body->nread++] = in;
                for (uint32_t r = 0; r < in->nrefs; r++)
                        if (!find_flow(c->g->flow, c->g->nflows, in->ref[r]->flow, &flow))
                                body->read[body->nread++] = in->ref[r];
        }
        return 0;
}

/** One past the last function that sees packets ahead, from `from` on and before the first with packets of its own. `from`: none. */
static uint32_t lead_end(const struct graph_flow *f, uint32_t from)
{
        uint32_t end = from;

        for (uint32_t k = from; k < f->n && !tree_is_sub(f->fn[k]); k++)
                if (f->fn[k]->fn.ahead != 0)
                        end = k + 1;
        return end;
}

static int write_member(struct compiler *c, const struct graph_flow *f, uint32_t from, struct member *ret)
{
        uint32_t body = lead_end(f, from);

        if (body > from && write_lead(c, f, from, body, &ret->lead, &ret->out) < 0)
                return -1;
        if (write_chain(c, f, body, true, &ret->body) < 0)
                return -1;
        return list_read(c, f, from, &ret->body);
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
                op = write_op(c, OP_STEP, 0, 0);
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
                        if (write_member(c, m->flow, m->from, &step->member[step->n]) < 0)
                                return -1;
                        step->leads |= step->member[step->n++].lead.nops > 0;
                }
                n_members -= n;
                c->g->facts.steps++;
        }
        return 0;
}

/* ---- order ------------------------------------------------------------------------------------------------- */

/** It may pass fewer packets, or others, than it gets: nothing is moved across it. */
static bool is_wall(const struct instance *in)
{
        const struct mapi_function *def = in->fn.def;

        return def->shape == MAPI_PREDICATE || (def->traits & MAPI_FILTERS) != 0 || tree_is_sub(in);
}

/** Where function k that sees packets ahead belongs: before all it reads of its own flow, and as far ahead as it sees the same packets. */
static uint32_t place_ahead(struct instance *const *fn, uint32_t k)
{
        uint32_t to = k;

        for (uint32_t r = 0; r < fn[k]->nrefs; r++)
                for (uint32_t i = 0; i < to; i++)
                        if (fn[i] == fn[k]->ref[r])
                                to = i;
        while (to > 0 && !is_wall(fn[to - 1]) && fn[to - 1]->fn.ahead == 0)
                to--;
        return to;
}

/** The order in which a flow's functions have each packet: that of application, but what sees packets ahead comes ahead. */
static int set_order(struct graph *g, struct graph_flow *f)
{
        struct instance **fn;
        bool any = false;

        for (uint32_t k = 0; k < f->n; k++)
                any |= f->fn[k]->fn.ahead != 0;
        if (!any)
                return 0;
        fn = arena_alloc(g->arena, f->n * sizeof(struct instance *));
        if (fn == NULL)
                return -1;
        memcpy(fn, f->fn, f->n * sizeof(struct instance *));
        for (uint32_t k = 0; k < f->n; k++) {
                struct instance *in = fn[k];
                uint32_t to;

                if (in->fn.ahead == 0)
                        continue;
                to = place_ahead(fn, k);
                memmove(&fn[to + 1], &fn[to], (k - to) * sizeof(struct instance *));
                fn[to] = in;
        }
        f->fn = fn;
        return 0;
}

/* ---- the whole ------------------------------------------------------------------------------------------- */

/** Rings, sinks and functions with ticks; how many packets of which size may reach each queue for one packet. */
static int collect(struct graph *g)
{
        uint32_t queues = 0, records = 0, ticks = 0;

        for (uint32_t i = 0; i < g->nflows; i++)
                for (uint32_t k = 0; k < g->flow[i].n; k++) {
                        const struct instance *in = g->flow[i].fn[k];

                        queues += instance_has_queue(in);
                        records += instance_has_records(in);
                        ticks += in->fn.def->tick != NULL;
                }
        g->queue = arena_alloc(g->arena, (queues + 1) * sizeof *g->queue);
        g->records = arena_alloc(g->arena, (records + 1) * sizeof *g->records);
        g->tick = arena_alloc(g->arena, (ticks + 1) * sizeof *g->tick);
        if (g->queue == NULL || g->records == NULL || g->tick == NULL)
                return -1;
        for (uint32_t i = 0; i < g->nflows; i++) {
                struct flow_account *account = g->flow[i].account;
                uint32_t packets = 1, bytes = 0;
                bool queued = false;

                for (uint32_t k = 0; k < g->flow[i].n; k++) {
                        struct instance *in = g->flow[i].fn[k];

                        if (in->fn.def->shape == MAPI_TRANSFORMER) {
                                packets *= in->fn.emit_count;
                                bytes = in->fn.emit_caplen;
                                account = NULL;
                        }
                        if (in->room_packets == 0) { /* the same in every plan: written before a worker sees it */
                                in->room_packets = packets;
                                in->room_bytes = bytes;
                                in->account = account;
                                in->first_queue = !queued;
                        }
                        if (instance_has_queue(in)) {
                                g->queue[g->nqueues++] = in;
                                queued = true;
                        }
                        if (instance_has_records(in))
                                g->records[g->nrecords++] = in;
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
        struct node *root = tree_node(c);

        if (parent == NULL || root == NULL)
                return -1;
        for (uint32_t i = 0; i < n; i++) {
                uint32_t step = first_step(&flows[i]);
                struct node *at = root;

                if (tree_lay(c, &flows[i], 0, step, false, &at) < 0)
                        return -1;
                if (step < flows[i].n) {
                        struct pending_member *m = arena_alloc(c->scratch, sizeof *m);

                        if (m == NULL)
                                return -1;
                        *m = (struct pending_member){
                                .flow = &flows[i], .from = step, .at = at, .group = group_of(parent, i)
                        };
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
        return write_keep(c, &c->g->top);
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

int graph_compile(const struct graph_flow *flows, uint32_t n, bool count, struct graph **ret,
                  struct mapi_error *err)
{
        struct compiler c = { .keep = arena_new(NULL), .scratch = arena_new(NULL), .count = count };
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
        for (uint32_t i = 0; i < n; i++)
                if (set_order(g, &g->flow[i]) < 0)
                        goto out;
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
