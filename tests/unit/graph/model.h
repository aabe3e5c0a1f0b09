/*
 * What must become of packets, computed slowly: packet by packet, flow by flow, function by function, without selections,
 * sharing or batches. The same flows are made in a rig, and both must agree to the packet.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef TESTS_GRAPH_MODEL_H
#define TESTS_GRAPH_MODEL_H

#include "rig.h"

struct model_function {
        char letter;
        unsigned a, b;       /* its numbers */
        uint64_t state;      /* T_EVERY: packets so far */
        uint64_t counted;    /* PKT_COUNTER */
        uint64_t size, used; /* of a queue */
        uint32_t *record;    /* records of a ring: first .. last */
        size_t first, last, max;
        bool outstanding;         /* the reader has the first one in its hands */
        bool failed;              /* the file */
        uint64_t packets, passed; /* queues: given, and found room */
        struct instance *in;
        struct ring_reader reader;
        int fd;
};

struct model_flow {
        struct model_function fn[RIG_FUNCTIONS];
        uint32_t n;
        bool connected;
        uint64_t given, delivered, filtered, dropped_ring, dropped_file;
        struct flow_account account; /* the real one */
};

struct model {
        struct rig rig;
        struct model_flow flow[RIG_FLOWS];
};

void model_init(struct model *m);
void model_fini(struct model *m);

/**
 * A new flow from a word for each function:
 *   c PKT_COUNTER   t u BPF_FILTER "tcp" "udp"   l300 BPF_FILTER "greater 300"   h T_HAS "needle"   e3 T_EVERY 3
 *   p3,1 T_PASS 3 1   m M T_BUMP 1 and 2   x T_TRIPLE   s2,1 STATS of function 1 of flow 2
 *   b4096 TO_BUFFER with a ring of that size   f4096 T_LINES with a queue of that size, F4096 the same to a full disk
 * It is connected from the next model_compile() on.
 */
uint32_t model_flow(struct model *m, const char *words);

/** The plan of the connected flows, anew. */
void model_compile(struct model *m, bool count);

/** Runs packets [from, to) in batches of this width through both, and compares. */
void model_run(struct model *m, uint32_t from, uint32_t to, uint32_t width);

/** Hands out up to n records of a ring, and compares how many there were. */
void model_read(struct model *m, uint32_t flow, uint32_t k, uint32_t n);

/** Writes what is in the queue of a file. */
void model_drain(struct model *m, uint32_t flow, uint32_t k);

#endif
