/*
 * The shared-memory contract between the engine, which writes, and clients, which map it read-only.
 *
 * A segment is a sealed memfd of fixed size: header, directory, then 64-byte lines that hold the slots. A session that
 * needs more gets another segment, never a larger one. A packet ring is a memfd of its own: one page that belongs to the
 * reader, then the data; the writer's side of it is a slot in a segment. docs/DESIGN.md has the picture.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef RESULTS_LAYOUT_H
#define RESULTS_LAYOUT_H

#include <mapi/function.h>

#include <assert.h>
#include <stdint.h>

#define RESULTS_MAGIC 0x3149504du /* "MPI1" */
#define RESULTS_VERSION 1u
#define RESULTS_LINE 64u
#define RESULTS_PAGE 4096u

struct results_header {
        uint32_t magic;
        uint32_t version;
        uint64_t size_bytes;
        uint32_t entries; /* length of the directory */
        uint32_t entries_offset;
        uint32_t lines_offset;
        uint32_t unused[9];
};
static_assert(sizeof(struct results_header) == 64, "one line");

/** What an entry of the directory describes. 0: free. */
enum results_kind {
        RESULTS_FREE = 0,
        RESULTS_FLOW = 1,    /* struct results_flow */
        RESULTS_COUNTER = 2, /* struct mapi_slot with one word of 4 or 8 bytes for each worker */
        RESULTS_RECORD = 3,  /* struct mapi_slot with a struct for each worker */
        RESULTS_RING = 4     /* struct results_ring */
};

struct results_entry {
        uint32_t kind; /* written last, with release */
        int32_t flow;
        int32_t fid;         /* 0 for RESULTS_FLOW */
        uint32_t size;       /* bytes of one result */
        uint32_t offset;     /* of the first worker's slot, from the start of the segment, a multiple of 64 */
        uint32_t stride;     /* from one worker's slot to the next */
        uint32_t workers;    /* slots */
        uint32_t combine;    /* enum mapi_combine */
        uint32_t generation; /* counts reuses of this entry */
        uint32_t unused[7];
};
static_assert(sizeof(struct results_entry) == 64, "one line");

/** How a flow stands. Written by its device's worker and by the control thread before and after it. */
struct results_flow {
        uint32_t status; /* enum mapi_flow_status */
        int32_t error;   /* code of <mapi/errors.h>, 0: none */
        uint64_t end_s;  /* seconds since 1970 when it finished, 0 before */
        uint64_t unused[6];
};
static_assert(sizeof(struct results_flow) == 64, "one line");

/** The writer's side of a packet ring. head counts bytes since the ring was made and never goes back. */
struct results_ring {
        uint64_t head;
        uint64_t dropped;    /* packets lost because the ring was full */
        uint64_t size_bytes; /* of the data, a power of two */
        uint32_t generation; /* counts up when the ring has been replaced by a larger one */
        uint32_t wake;       /* futex word of the reader: changes when it should look again */
        uint32_t finished;   /* no packet will come any more */
        uint32_t
                want_room; /* not 0: the worker waits, for the n-th time: kick it once when half of the ring is free */
        /* queues, whose records are of one size and may be overwritten before they are read; otherwise 0 */
        uint32_t record; /* bytes of a record, which takes a multiple of 8 */
        uint32_t unused;
        uint64_t kept;  /* most bytes that are kept for the reader */
        uint64_t claim; /* head, once the record that is being written is in it: what it lies on is lost */
};
static_assert(sizeof(struct results_ring) == 64, "one line");

/** The first page of a ring's memfd: the reader's side, writable by the client. The writer trusts nothing in it. */
struct results_ring_reader {
        uint64_t tail;    /* bytes consumed */
        uint32_t waiting; /* not 0: the reader sleeps on results_ring.wake, for the n-th time */
        uint32_t unused;
};

static_assert(sizeof(struct mapi_slot) == 32, "half a line, then the data");

#endif
