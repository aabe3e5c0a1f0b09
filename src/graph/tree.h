/* The tree that flows are laid into, and what is written from it. Inside src/graph. SPDX-License-Identifier: BSD-2-Clause */
#ifndef GRAPH_TREE_H
#define GRAPH_TREE_H

#include "graph/plan.h"

struct node;

enum item_kind { ITEM_FILTER, ITEM_MATCH, ITEM_OBSERVE, ITEM_QUEUE, ITEM_RUN_FILTER, ITEM_SUB, ITEM_END };

/** Something on a node: an edge to a child, or an operation. */
struct item {
        struct item *next;
        enum item_kind kind;
        struct instance *fn; /* of a shared edge: the first that asked for it */
        struct node *child;
        struct sub *sub;
        struct flow_account *account; /* ITEM_END */
        struct item *sharers;         /* further instances of a shared edge, for the statistics */
};

struct node {
        uint32_t slot;
        struct item *first, **last;
        struct item **edge; /* its shareable edges by hash, open addressing */
        uint32_t edges, edge_slots;
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

struct node *tree_node(struct compiler *c);

/** Needs packets of its own: a transformer, or a function that modifies. */
bool tree_is_sub(const struct instance *in);

/** The flow's account, as long as its packets are those of the device: up to its first transformer. Otherwise NULL. */
struct flow_account *tree_account(const struct graph_flow *f, uint32_t k);

/** Lays functions from..upto of a flow into the tree below *at, which moves along. 0, or -1: no memory. */
int tree_lay(struct compiler *c, const struct graph_flow *f, uint32_t from, uint32_t upto, bool stepwise,
             struct node **at);

/** Writes all operations of a node and what hangs on it. 0, or -1. */
int write_node(struct compiler *c, struct node *n);

/** Appends one operation to the chain that is being written; valid until the next one. NULL: no memory. */
struct op *write_op(struct compiler *c, enum op_kind kind, uint32_t in, uint32_t out);

/** What was written becomes a chain in the plan's memory. 0, or -1. */
int write_keep(struct compiler *c, struct chain *ret);

/** The rest of one flow from function k on, as a chain of its own. 0, or -1. */
int write_chain(struct compiler *outer, const struct graph_flow *f, uint32_t k, bool stepwise, struct chain *ret);
int write_lead(struct compiler *outer, const struct graph_flow *f, uint32_t k, uint32_t upto, struct chain *ret,
               uint32_t *ret_out);

/** Function k of a flow with packets of its own, and the rest of the flow. 0, or -1. */
int write_sub(struct compiler *c, const struct graph_flow *f, uint32_t k, bool stepwise, struct sub **ret);

#endif
