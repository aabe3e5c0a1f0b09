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

#define FILTER_TEXT_MAX 65536u     /* bytes of an expression */
#define FILTER_PROGRAM_MAX 131072u /* instructions */

/** A compiled filter; immutable, lives in the arena it was made with. */
struct filter;

struct bpf_insn;

/** Instructions in memory of malloc; whoever gets them frees them with free(). */
struct filter_program {
        struct bpf_insn *insns;
        uint32_t n;
};

/** Who turns expressions into instructions: mapid asks a process with limits. Any thread; may take its time. 0 or -code. */
struct filter_compiler {
        int (*compile)(void *context, const char *text, uint16_t linktype, uint32_t snaplen,
                       struct filter_program *ret, struct mapi_error *err);
        void *context;
};

/**
 * An expression to instructions by libpcap, in this thread: optimised, netmask 0. May ask the name service, and may take very
 * long (hundreds of hosts: seconds, and gigabytes).
 * Errors   1025 with libpcap's sentence, 1027 no handle, 9000 too long, 3084
 */
int filter_translate(const char *text, uint16_t linktype, uint32_t snaplen, struct filter_program *ret,
                     struct mapi_error *err);

/** A filter for a link type, by this compiler or (NULL) here. What it hands over is checked. Errors as above, or the compiler's. */
int filter_compile(struct arena *a, const struct filter_compiler *compiler, const char *text, uint16_t linktype,
                   uint32_t snaplen, const struct filter **ret, struct mapi_error *err);

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
