/*
 * Flows and their plan without an engine: instances are made, compiled and run over packets in memory.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef TESTS_GRAPH_RIG_H
#define TESTS_GRAPH_RIG_H

#include "functions/table.h"
#include "graph/graph.h"
#include "results/ring_reader.h"
#include "shapes.h"

#include <mapi/stats.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { RIG_FLOWS = 64, RIG_FUNCTIONS = 12, RIG_PACKETS = 1000 };

struct rig {
        struct quota quota;
        struct arena *arena;
        struct segments *segments;
        struct mapi_device_facts device;
        uint64_t ring_bytes, sink_bytes;
        struct graph_flow flow[RIG_FLOWS];
        struct instance *fn[RIG_FLOWS][RIG_FUNCTIONS];
        uint32_t flows;
        struct graph *graph;
};

/** The packets of all tests: Ethernet, IPv4, TCP or UDP, all kinds of lengths and ports. */
extern struct mapi_view rig_packet[RIG_PACKETS];

void rig_init(struct rig *r);
void rig_fini(struct rig *r);

/** A new flow; its number is 1 more than the returned index. */
uint32_t rig_flow(struct rig *r);

#define NUM(n)                                                                                                    \
        (struct mapi_value)                                                                                       \
        {                                                                                                         \
                .num = (n), .fd = -1                                                                              \
        }
#define STR(s)                                                                                                    \
        (struct mapi_value)                                                                                       \
        {                                                                                                         \
                .str = (s), .fd = -1                                                                              \
        }

/** Applies a function of stdflib by its name, or a test-only one. Arguments: struct mapi_value ... */
struct instance *rig_apply(struct rig *r, uint32_t flow, const struct mapi_function *def,
                           const struct mapi_value *values, uint32_t n, struct instance *const *refs,
                           uint32_t nrefs);
const struct mapi_function *rig_function(const char *name);

struct instance *rig_plain(struct rig *r, uint32_t flow, const char *name);
struct instance *rig_filter(struct rig *r, uint32_t flow, const char *expression);
struct instance *rig_stats(struct rig *r, uint32_t flow, struct instance *of, const char *ticks);
struct instance *rig_watch(struct rig *r, uint32_t flow, struct instance *a, struct instance *b);
struct instance *rig_one(struct rig *r, uint32_t flow, const struct mapi_function *def, long long number);

/** Compiles (again). Returns what the plan consists of. */
struct graph_facts rig_compile(struct rig *r, bool count);

/* * Runs packets [from, to) in batches of the given width. Every batch has its bytes in memory of their exact
   size. */
void rig_run(struct rig *r, uint32_t from, uint32_t to, uint32_t width);
void rig_finish(struct rig *r);

stats_t rig_stats_of(const struct instance *in);
struct shapes_tally rig_tally(const struct instance *in);
struct shapes_watch rig_watched(const struct instance *in);

#endif
