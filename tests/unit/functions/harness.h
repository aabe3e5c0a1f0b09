/*
 * Runs one function without an engine: what <mapi/function.h> promises to functions, in its simplest form, and everything
 * that the function did is left to be looked at.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef TESTS_FUNCTIONS_HARNESS_H
#define TESTS_FUNCTIONS_HARNESS_H

#include <mapi/function.h>

#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define HARNESS_LITERALS 16
#define HARNESS_REFS 4
#define HARNESS_SINK_BYTES 131072
#define HARNESS_QUEUE_BYTES 20480

/** A function that is read. */
struct harness_ref {
        const struct mapi_function *def;
        uint64_t raw, before, base; /* its value, that before the packet, what was reset */
        const void *record;         /* its result as bytes; NULL: the value */
        size_t record_size;
        bool fixed; /* it cannot be reset */
        unsigned resets;
};

struct harness {
        struct mapi_fn fn; /* first */
        struct mapi_value arg[MAPI_ARGS_MAX];
        struct mapi_device_facts device;
        struct mapi_batch batch;
        struct mapi_error err;
        alignas(64) uint8_t slot[2048];
        void *memory[16];
        unsigned memories;
        int fail_alloc; /* 1: the next mapi_fn_alloc() fails */

        char *bpf;                                     /* mapi_predicate_bpf(): the expression */
        struct mapi_literal literal[HARNESS_LITERALS]; /* mapi_predicate_literals() */
        size_t literals;
        uint32_t offset, depth;

        int sink_arg; /* mapi_sink_open(): its argument, -1 not opened */
        uint8_t sink[HARNESS_SINK_BYTES];
        size_t sink_used;
        size_t sink_room; /* bytes that the queue takes */

        alignas(64) uint8_t queue[HARNESS_QUEUE_BYTES]; /* mapi_queue_put(): the records, one behind the other */
        unsigned queued;
        unsigned queue_room; /* records that it takes; 0: as many as there are bytes for */

        mapi_sel ring;      /* packets of the latest mapi_ring_put() */
        mapi_sel ring_full; /* packets that find no room there */
        unsigned ring_puts;

        const uint64_t *random; /* what mapi_random() gives, in turn; NULL: a sequence of its own */
        uint64_t randoms;

        unsigned refs;
        struct harness_ref ref[HARNESS_REFS];
        unsigned flows; /* of an R list; those in the mask have begun */
        unsigned flows_begun;
};

/** Arguments take their defaults, the device is an Ethernet with a snaplen of 96. */
void harness_init(struct harness *h, const struct mapi_function *def);

/** Calls .start and then gives the function its slot, if its result needs one. */
int harness_start(struct harness *h);

/** Appends a packet to the batch. */
void harness_add(struct harness *h, const void *data, uint32_t caplen, uint32_t wirelen, uint64_t ts);

/** Runs the batch and empties it. */
mapi_sel harness_run(struct harness *h, mapi_sel in);

/** The counter; the record. */
uint64_t harness_u64(const struct harness *h);
int32_t harness_i32(const struct harness *h);
const void *harness_record(const struct harness *h);

/** The i-th record that was put into the queue, from 0 on. */
const void *harness_queued(const struct harness *h, unsigned i);

void harness_fini(struct harness *h);

#endif
