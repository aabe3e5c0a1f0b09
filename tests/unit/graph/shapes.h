/*
 * Test-only functions, one of each shape and a few that do what they should not. Their results show what they were
 * given.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef TESTS_GRAPH_SHAPES_H
#define TESTS_GRAPH_SHAPES_H

#include <mapi/function.h>

/** The five shapes: T_HAS, T_TALLY, T_TRIPLE, T_WATCH, T_LINES. Ends with NULL. */
extern const struct mapi_function *const shapes[];

/** Predicate: packets that contain the bytes of argument 1. */
extern const struct mapi_function shapes_has;

/** Observer with a record: struct shapes_tally. */
extern const struct mapi_function shapes_tally;
struct shapes_tally {
        uint64_t packets;
        uint64_t caplen, wirelen;
        uint64_t bytes;  /* a checksum of all captured bytes, in their order */
        uint64_t order;  /* a checksum of all time stamps, in their order */
        uint64_t parsed; /* packets with an IP header */
        uint64_t finishes;
};

/* * Transformer: three packets for one, and one more at the end. The wire length tells which: + 0, 1, 2; at
   the end 9. */
extern const struct mapi_function shapes_triple;

/** Reader of two functions, with a record: struct shapes_watch. */
extern const struct mapi_function shapes_watch;
struct shapes_watch {
        uint64_t packets;
        uint64_t together; /* packets that did not come one by one */
        uint64_t now[2];   /* sums of what the two had at each packet */
        uint64_t before[2];
        uint64_t ticks;
};

/** Sink: a line for each packet, and a last one at the end. Result: bytes that are in the file. */
extern const struct mapi_function shapes_lines;

/* Not among the five: */

/** Modifies: adds 1 to every captured byte. If its argument is 2, lets only packets of an even wire length pass. */
extern const struct mapi_function shapes_bump;

/** Pure filter with code of its own: caplen % argument 1 == argument 2. */
extern const struct mapi_function shapes_pass;

/** Stateful filter: every n-th packet. */
extern const struct mapi_function shapes_every;

/** Transformer: declares 2 packets of 100 bytes, tries 5 of 10 bytes and one of 101. */
extern const struct mapi_function shapes_greedy;

/** Transformer: argument 1 packets of argument 2 bytes at the end, in as many calls. */
extern const struct mapi_function shapes_flood;

/** A ring and a filter in one, which is not allowed. */
extern const struct mapi_function shapes_jam;

/** Predicate that hands over nothing. */
extern const struct mapi_function shapes_none;

/** Instances that have been started and not stopped. */
extern int shapes_alive;

#endif
