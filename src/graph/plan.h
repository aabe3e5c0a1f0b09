/* What a plan consists of, inside src/graph. SPDX-License-Identifier: BSD-2-Clause */
#ifndef GRAPH_PLAN_H
#define GRAPH_PLAN_H

#include "graph/graph.h"

#include <assert.h>

enum op_kind {
        OP_FILTERS, /* a set of filters: slots out .. out+n-1 */
        OP_MATCH,   /* one group of payload patterns */
        OP_OBSERVE, /* .run, everything passes */
        OP_QUEUE,   /* the same of a function with a ring or a sink: .run says which packets found room */
        OP_FILTER,  /* .run, its selection goes to slot out */
        OP_SUB,     /* a function that needs packets of its own: transformers, and functions that modify */
        OP_STEP,    /* a step group: packet by packet over several flows */
        OP_COUNT,   /* function statistics */
        OP_END      /* a flow ends here: what comes as far is delivered */
};

struct sub;
struct step;

/** One operation. If its input is empty, everything up to `skip` hangs on it and is empty too. */
struct op {
        uint8_t kind;
        uint8_t needs; /* enum mapi_need */
        uint16_t unused;
        uint32_t in;
        uint32_t out;
        uint32_t skip;
        union {
                const struct filter_set *set;
                const struct match *match;
                struct instance *fn;
                struct sub *sub;
                struct step *step;
                struct flow_account *account;
        } u;
        mapi_sel (*run)(struct mapi_fn *fn, struct mapi_batch *b, mapi_sel in);
};
static_assert(sizeof(struct op) == 32, "two operations share a cache line");

/** Operations and the selections they work on. */
struct chain {
        struct op *op;
        mapi_sel *slot;
        uint32_t nops;
        uint32_t nslots;
        uint32_t nclear; /* slots that a step group reads: they must be right even where the writer was skipped */
        uint32_t *clear;
        bool stepwise;  /* packets must go one by one */
        uint32_t nread; /* its instances that others read */
        struct instance **read;
};

/** Packets of one flow's own: what a transformer emits, or copies for a function that modifies; then the rest of its flow. */
struct emitter {
        struct instance *fn;
        struct mapi_batch *batch;
        uint8_t *buf;
        size_t used, cap;
        uint64_t budget; /* packets that may still be emitted by the call under way */
        struct chain *rest;
};

struct sub {
        struct emitter emitter;
        struct chain rest;
        bool copies; /* MODIFIES: .run gets copies; otherwise it emits */
        struct flow_account
                *account; /* copies behind a queue of the flow: what it lost stays lost; otherwise NULL */
};

/**
 * One flow of a step group, from the first function that is read or reads. What sees packets ahead of the functions that it reads
 * is in the lead: all leads have a packet before the first body.
 */
struct member {
        uint32_t in;  /* slot of the outer chain */
        uint32_t out; /* of the lead: what goes on to the body */
        bool on;      /* the packet under way has passed the lead */
        struct chain lead;
        struct chain body;
};

struct step {
        uint32_t n;
        bool leads; /* there are any */
        struct member member[];
};

struct graph {
        struct graph_head head; /* first */
        struct arena *arena;
        struct chain top;
        uint32_t nflows;
        struct graph_flow *flow;
        uint32_t nqueues; /* instances with a ring or a sink */
        struct instance **queue;
        uint32_t nrecords; /* instances with a queue of records, which nobody waits for */
        struct instance **records;
        uint32_t nticks; /* instances with .tick */
        struct instance **tick;
        struct graph_facts facts;
};

/** Runs a chain over the packets `all` of a batch. Hot. */
void chain_run(const struct chain *c, struct mapi_batch *b, mapi_sel all);

/** A new packet begins for a chain that is run packet by packet: one that its flow has emitted. */
static inline void chain_snapshot_own(const struct chain *c)
{
        for (uint32_t i = 0; i < c->nread; i++)
                instance_snapshot_own(c->read[i]);
}

/** A new packet of the device begins for a member of a step group. */
static inline void chain_snapshot(const struct chain *c)
{
        for (uint32_t i = 0; i < c->nread; i++)
                instance_snapshot(c->read[i]);
}

/** Runs a function over private copies of the packets, then the rest of its flow. */
void sub_run(struct sub *s, struct mapi_batch *b, mapi_sel in);

#endif
