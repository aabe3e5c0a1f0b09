/* Flows into the tree of selections; what is equal is shared. SPDX-License-Identifier: BSD-2-Clause */
#include "graph/tree.h"

#include <string.h>

struct node *tree_node(struct compiler *c)
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

                if (x->num != y->num || x->u64 != y->u64 || x->fd >= 0 || y->fd >= 0 ||
                    (x->str == NULL) != (y->str == NULL) || (x->str != NULL && strcmp(x->str, y->str) != 0))
                        return false;
        }
        return true;
}

bool tree_is_sub(const struct instance *in)
{
        return in->fn.def->shape == MAPI_TRANSFORMER || (in->fn.def->traits & MAPI_MODIFIES) != 0;
}

struct flow_account *tree_account(const struct graph_flow *f, uint32_t k)
{
        for (uint32_t i = 0; i < k; i++)
                if (f->fn[i]->fn.def->shape == MAPI_TRANSFORMER)
                        return NULL;
        return f->account;
}

/** Same verdict on every packet, and nothing else that its owner could see: one evaluation serves all. */
static bool is_shareable(const struct instance *in)
{
        const struct mapi_function *def = in->fn.def;

        return (def->traits & MAPI_PURE) != 0 && (def->traits & MAPI_FILTERS) != 0 &&
               def->result.kind == MAPI_RESULT_NONE && !tree_is_sub(in) && in->nrefs == 0 && in->readers == 0;
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
        return is_shareable(it->fn) && is_shareable(in) && it->fn->fn.def == in->fn.def &&
               values_equal(it->fn, in);
}

static uint64_t edge_hash(const struct instance *in)
{
        if (in->filter != NULL)
                return filter_hash(in->filter);
        return in->match != NULL ? match_key(in->match) : (uint64_t)(uintptr_t)in->fn.def * 0x9e3779b97f4a7c15u;
}

/** The place of an equal edge, or the free one where it belongs. The table has free places. */
static struct item **edge_place(const struct node *n, const struct instance *in)
{
        uint32_t i = (uint32_t)(edge_hash(in) >> 32) & (n->edge_slots - 1);

        while (n->edge[i] != NULL && !edge_equal(n->edge[i], in))
                i = (i + 1) & (n->edge_slots - 1);
        return &n->edge[i];
}

/** Room for one more edge: at most half of the table is in use. */
static int edges_grow(struct compiler *c, struct node *n)
{
        struct item **old = n->edge;
        uint32_t slots = n->edge_slots;

        if (2 * (n->edges + 1) <= slots)
                return 0;
        n->edge_slots = slots == 0 ? 8 : 2 * slots;
        n->edge = arena_alloc(c->scratch, n->edge_slots * sizeof *n->edge);
        if (n->edge == NULL)
                return -1;
        for (uint32_t i = 0; i < slots; i++)
                if (old[i] != NULL)
                        *edge_place(n, old[i]->fn) = old[i];
        return 0;
}

/** One more flow on a shared edge; only the statistics need to know. */
static int edge_share(struct compiler *c, struct item *it, struct instance *in)
{
        struct item *sharer;

        if (!c->count)
                return 0;
        sharer = arena_alloc(c->scratch, sizeof *sharer);
        if (sharer == NULL)
                return -1;
        sharer->fn = in;
        sharer->next = it->sharers;
        it->sharers = sharer;
        return 0;
}

/** The child that this filter leads to, shared with an equal one if there is. NULL: no memory. */
static struct node *edge(struct compiler *c, struct node *at, struct instance *in)
{
        struct item **place = NULL, *it;

        if (in->fn.def->shape == MAPI_PREDICATE || is_shareable(in)) {
                if (edges_grow(c, at) < 0)
                        return NULL;
                place = edge_place(at, in);
                if (*place != NULL)
                        return edge_share(c, *place, in) < 0 ? NULL : (*place)->child;
        }
        it = item_add(c, at, edge_kind(in), in);
        if (it == NULL)
                return NULL;
        it->child = tree_node(c);
        if (place != NULL && it->child != NULL) {
                *place = it;
                at->edges++;
        }
        return it->child;
}

/** What has come as far as function k of a flow is delivered, if it is still a packet of the device. */
static int lay_end(struct compiler *c, struct node *at, const struct graph_flow *f, uint32_t k)
{
        struct flow_account *account = tree_account(f, k);
        struct item *it;

        if (account == NULL)
                return 0;
        it = item_add(c, at, ITEM_END, NULL);
        if (it == NULL)
                return -1;
        it->account = account;
        return 0;
}

/** Lays functions from..upto of a flow into the tree below *at, which moves along. */
int tree_lay(struct compiler *c, const struct graph_flow *f, uint32_t from, uint32_t upto, bool stepwise,
             struct node **at)
{
        for (uint32_t k = from; k < upto; k++) {
                struct instance *in = f->fn[k];
                const struct mapi_function *def = in->fn.def;
                struct item *it;

                if (tree_is_sub(in)) {
                        if (def->shape == MAPI_TRANSFORMER && lay_end(c, *at, f, k) < 0)
                                return -1;
                        it = item_add(c, *at, ITEM_SUB, in);
                        return it == NULL ? -1 : write_sub(c, f, k, stepwise, &it->sub);
                }
                if (def->shape == MAPI_PREDICATE || (def->traits & MAPI_FILTERS) != 0) {
                        *at = edge(c, *at, in);
                        if (*at == NULL)
                                return -1;
                } else if (def->run != NULL) {
                        if (item_add(c, *at, instance_has_queue(in) ? ITEM_QUEUE : ITEM_OBSERVE, in) == NULL)
                                return -1;
                }
        }
        return upto == f->n ? lay_end(c, *at, f, upto) : 0;
}
