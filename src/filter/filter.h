/*
 * Packet filters: tcpdump expressions compiled to cBPF by libpcap, and sets of them evaluated together.
 *
 * A set is what the graph hands over: all different filters that look at the same selection. Today it runs them one by
 * one with bpf_filter(); an index over the set takes its place behind the same three calls.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef FILTER_FILTER_H
#define FILTER_FILTER_H

#include "base/arena.h"

#include <mapi/function.h>

#include <stdbool.h>

#define FILTER_TEXT_MAX 65536u /* bytes of an expression */

/** A compiled filter; immutable, lives in the arena it was made with. */
struct filter;

/**
 * Compiles an expression for a link type, optimised, netmask 0. May ask the name service: never on the packet path.
 * Errors   1025 with libpcap's sentence, 1027 no handle, 9000 too long, 3084
 */
int filter_compile(struct arena *a, const char *text, uint16_t linktype, uint32_t snaplen,
                   const struct filter **ret, struct mapi_error *err);

/** Same program for the same link type: same verdict on every packet. */
bool filter_equal(const struct filter *a, const struct filter *b);
uint64_t filter_hash(const struct filter *f);

/** The verdict on one packet. A packet of another link type does not match. */
bool filter_match(const struct filter *f, const struct mapi_view *v);

struct filter_set;

/** A set over n different filters, which must outlive it. NULL: no memory. */
const struct filter_set *filter_set_new(struct arena *a, const struct filter *const *filters, uint32_t n);

/** ret_out[i] = the packets of `in` that filter i lets through. Hot. */
void filter_set_run(const struct filter_set *set, const struct mapi_batch *b, mapi_sel in, mapi_sel *ret_out);

#endif
