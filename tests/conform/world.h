/*
 * A whole engine in one thread for the conformance tests: a session, a device whose batches are as wide as the test wants, and
 * a flow with one function of which nothing is known but its descriptor.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef TESTS_CONFORM_WORLD_H
#define TESTS_CONFORM_WORLD_H

#include "session/session.h"

#include <mapi/driver.h>

/** Packets for a device: each in memory of exactly its size, so that a read behind it is seen. */
struct world_packets {
        struct mapi_view *pkt;
        size_t n, max;
        uint16_t linktype;
};

void world_packets_add(struct world_packets *p, const uint8_t *data, uint32_t caplen, uint32_t wirelen,
                       uint64_t ts);
void world_packets_free(struct world_packets *p);

/** All packets of a trace. */
struct world_packets world_packets_of(const char *path);

struct world {
        struct engine *engine;
        struct session *session;
        struct device *device;
        struct flow *flow;
        int fd, fid;   /* of the function under test */
        char file[64]; /* of a w argument; "" if there is none */
};

/** An engine and a session with all function libraries and the test-only one, limited to memory_bytes. */
void world_open(struct world *w, size_t memory_bytes);

/** A device that hands out the packets in batches of at most `width`. They are borrowed. */
void world_device(struct world *w, const struct world_packets *p, unsigned width);

/** Sample arguments for a schema: 0, or a code if `break_at` (counted from 0) is to be wrong or missing. */
int world_apply(struct world *w, const struct mapi_function *def, const char *library, int break_at,
                struct mapi_error *err);

/** Steps until the trace is over; files are drained, rings are read into *ret (appended; may be NULL). */
void world_run(struct world *w, unsigned steps_max);

/** Everything that the function has to show: its result, its packets, its file. */
struct world_outcome {
        uint8_t *bytes;
        size_t n;
};
struct world_outcome world_outcome(struct world *w);

/** Closes flow, device, session, engine. */
void world_close(struct world *w);

/** Descriptors that this process has open. */
int world_descriptors(void);

/** Every function that there is, of all libraries and the test-only ones: number i, or NULL. */
const struct mapi_function *world_function(unsigned i, const char **ret_library);

#endif
