/*
 * The plan of a device: the chains of all its connected flows, compiled into one list of operations.
 *
 * Compiling is cold and happens on the control thread; the result is never changed, except for the scratch memory in it,
 * which belongs to the one worker that runs it. A selection (mapi_sel) is the only thing that flows along the edges.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef GRAPH_GRAPH_H
#define GRAPH_GRAPH_H

#include "graph/instance.h"

/** One connected flow, as the engine hands it over. */
struct graph_flow {
        int number;
        uint32_t n;
        struct instance *const *fn;   /* in the order of application */
        void *owner;                  /* the caller's */
        struct flow_account *account; /* what becomes of its packets; NULL: nobody wants to know */
};

struct graph;

/** The caller's part of a plan: its first member. */
struct graph_head {
        struct graph *next;  /* for a list of retired plans */
        uint64_t generation; /* to tell plans apart: addresses are used again */
};

static inline struct graph_head *graph_head(struct graph *g)
{
        return (struct graph_head *)g;
}

/**
 * Compiles a plan from the flows, which must be in the order of their numbers and outlive it.
 * count    true: operations count packets in and out of every function
 * Returns  0, or -3084
 */
int graph_compile(const struct graph_flow *flows, uint32_t n, bool count, struct graph **ret,
                  struct mapi_error *err);

/** Frees the plan (not the instances). No worker may be using it. */
void graph_free(struct graph **g);

/* ---- the worker's calls ---------------------------------------------------------------------------------- */

/**
 * Makes the transformers emit into this plan's buffers: of all flows (0) when the worker takes up the plan, or of one
 * flow that has left the worker's plan and is finished by the control thread.
 */
void graph_adopt(struct graph *g, int flow);

/** Runs the plan over a batch. Hot. */
void graph_run(struct graph *g, struct mapi_batch *b);

/** Time has come to `now` without packets. */
void graph_tick(struct graph *g, uint64_t now);

/** How many packets with how many captured bytes fit into every queue of the plan even if all of them match. */
void graph_room(struct graph *g, unsigned *ret_packets, size_t *ret_bytes);

/**
 * There was no room for a packet of `bytes` captured bytes: asks the readers of the full queues to kick the worker when half
 * of the queue is free, and wakes readers of this plan that sleep on other rings, so that they can ask for a larger one.
 * Returns false when there is room after all: try again at once.
 */
bool graph_want_room(struct graph *g, size_t bytes);

/** Wakes the readers of this plan that sleep: the worker waits for something, and they may be able to help. */
void graph_wake_sleepers(struct graph *g);

/** The worker goes on: no kicks needed. */
void graph_have_room(struct graph *g);

/** Shows what was put into rings and sinks. urgent: nothing more will come for a while, wake whoever sleeps. */
void graph_publish(struct graph *g, bool urgent);

/**
 * The end of the packets for one flow: calls .finish of its functions in order, as far as there is room for what they emit.
 * flow     index in the plan
 * Returns  true when all have finished; false: no room, call again after a kick
 */
bool graph_finish_flow(struct graph *g, uint32_t flow, enum mapi_finish why, bool wait_for_room);

/** Flows of the plan, and who owns one. */
uint32_t graph_flows(const struct graph *g);
void *graph_flow_owner(const struct graph *g, uint32_t flow);

/** Asks the writers of a flow's sinks to kick the worker when they have written everything. */
void graph_want_drain(struct graph *g, uint32_t flow);

/** No packet will come any more into the rings of a flow. */
void graph_finish_rings(struct graph *g, uint32_t flow);

/* ---- for looking at ------------------------------------------------------------------------------------ */

struct graph_facts {
        uint32_t operations;
        uint32_t filters; /* different ones, after sharing */
        uint32_t patterns;
        uint32_t steps; /* step groups */
        uint32_t queues;
};

void graph_facts(const struct graph *g, struct graph_facts *ret);

#endif
