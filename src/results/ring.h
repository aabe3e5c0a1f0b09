/*
 * Packet rings: one writer (the worker), one reader (a client), any sizes of packets, nothing copied for the reader.
 *
 * Records are struct mapipkt followed by the frame, 8-byte aligned, and contiguous: the data pages are mapped twice in a
 * row, so a record that crosses the end of the ring is still one piece. The writer keeps head and size in memory of its
 * own; of what the reader can write it looks at the tail only, and a tail that cannot be counts as "full".
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef RESULTS_RING_H
#define RESULTS_RING_H

#include "base/arena.h"
#include "results/layout.h"

#include <stdbool.h>

struct ring {
        /* hot, the worker's */
        uint8_t *data; /* size bytes, twice */
        uint64_t size; /* power of two */
        uint64_t head; /* bytes written */
        uint64_t tail; /* the newest tail that made sense */
        struct results_ring_reader *reader;
        struct results_ring *shared;
        uint64_t kept;      /* most bytes unread: all, or what a queue keeps */
        uint32_t record;    /* queues: bytes of a record; 0: packets */
        bool overwrites;    /* queues: the oldest records; otherwise new ones are lost */
        uint64_t published; /* head as the reader knows it */
        uint32_t woken;     /* the sleep that the reader has been woken from */
        /* cold */
        int fd;
        uint32_t generation;
        int event_fd;        /* borrowed: signalled whenever the reader is woken; -1: none */
        size_t mapped_bytes; /* quota taken */
        struct quota *quota;
};

#define RING_RECORD_HEAD 20u /* struct mapipkt up to pkt */

/** Bytes that a packet takes in a ring. */
static inline uint64_t ring_record(uint32_t caplen)
{
        return ((uint64_t)RING_RECORD_HEAD + caplen + 7) & ~(uint64_t)7;
}

/** Makes a ring of at least size_bytes whose public side is `shared` (a slot of kind RESULTS_RING). 0 or -3075/-9000. */
int ring_init(struct ring *r, uint64_t size_bytes, struct results_ring *shared, struct quota *q,
              struct mapi_error *err);

/** What a queue keeps for its reader. */
struct ring_queue {
        uint32_t record; /* bytes of one record, at least 1 */
        uint32_t records;
        bool overwrites; /* when that many are unread: the oldest is lost; otherwise the new one */
};

/** The same for records of one size. The writer never waits for the reader of a queue. */
int ring_init_queue(struct ring *r, const struct ring_queue *what, struct results_ring *shared, struct quota *q,
                    struct mapi_error *err);

/** Bytes that a record takes in a queue. */
static inline uint64_t ring_stride(uint32_t record)
{
        return ((uint64_t)record + 7) & ~(uint64_t)7;
}

/** Appends one record of a queue. False: it is lost, and counted. Readers see it after ring_publish(). */
bool ring_put_record(struct ring *r, const void *record);

/**
 * Replaces the ring by one of twice the size, unread packets included. The worker must not be writing meanwhile; the
 * reader may go on reading the old one. 0 or -9000/-3075: the ring is as it was.
 */
int ring_grow(struct ring *r, struct mapi_error *err);

void ring_fini(struct ring *r);

/** Free bytes, as far as the reader's tail can be believed. */
uint64_t ring_room(struct ring *r);

/** Appends one packet, or counts a drop and returns false. Readers see it after ring_publish(). */
bool ring_put(struct ring *r, const struct mapi_view *v);

/**
 * Shows everything put so far to the reader. Wakes one that waits (ring_reader_waits(), whether it sleeps or polls) if `urgent`,
 * or when a quarter of the ring is full: waking costs a system call, so a reader of a trace is not woken for every batch. Once
 * for each time that it has said so; and without `urgent` it may go on waiting, so somebody must be urgent in the end.
 */
void ring_publish(struct ring *r, bool urgent);

/** No packet will come any more: readers return. */
void ring_finish(struct ring *r);

/** Wakes the reader so that it looks at its flow again: from its futex, and through event_fd if there is one. */
void ring_wake(struct ring *r);

#endif
