/*
 * Segments, the engine's side: makes them, hands out slots, takes them back. Control thread only.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef RESULTS_SEGMENT_H
#define RESULTS_SEGMENT_H

#include "base/arena.h"
#include "results/layout.h"

/** All segments of one session. */
struct segments;

struct segments *segments_new(struct quota *q);
void segments_free(struct segments **s);

/** Where a slot is: enough for a client to map and find it. */
struct segment_place {
        uint32_t segment; /* number within the session */
        uint32_t entry;   /* index in its directory */
        uint32_t generation;
        void *mem; /* the first worker's slot, writable here */
};

/**
 * A zeroed slot of `size` bytes for each worker, entered in a directory. For counters and records `size` is that of the
 * result; the slot's head comes on top.
 * Returns 0, or -3084/-9000.
 */
int segments_alloc(struct segments *s, enum results_kind kind, int flow, int fid, uint32_t size, uint32_t workers,
                   enum mapi_combine combine, struct segment_place *ret, struct mapi_error *err);

/** Takes a slot back; *place is emptied. Safe on an empty one. */
void segments_release(struct segments *s, struct segment_place *place);

/** Descriptor (borrowed) and size of a segment, to be passed to the client. -1: no such segment. */
int segments_fd(const struct segments *s, uint32_t segment, size_t *ret_size);

#endif
