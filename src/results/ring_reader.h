/*
 * Packet rings, the reader's side. Nothing here waits or allocates; the client decides what to do when a ring is empty.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef RESULTS_RING_READER_H
#define RESULTS_RING_READER_H

#include "results/layout.h"

#include <stdbool.h>
#include <stddef.h>

struct ring_reader {
        const struct results_ring *shared; /* the writer's side, mapped read-only */
        struct results_ring_reader *mine;  /* our page of the ring */
        uint8_t *data;
        uint64_t size;
        uint64_t tail; /* consumed */
        uint64_t next; /* end of the record that is handed out; == tail if none is */
        uint64_t head; /* the writer's head as we last saw it */
        uint32_t generation;
        uint32_t kicked; /* the wish for room that has been answered */
        uint32_t sleeps;
        uint64_t dropped; /* queues: what the writer has lost so far, as we last saw it */
};

/** Maps the ring of fd, which is of the given generation, in place of the one mapped before. The descriptor may be closed afterwards.
 *  0, or -1 (no memory, or a size that cannot be): the reader is as it was. */
int ring_reader_map(struct ring_reader *r, int fd, uint64_t size, uint32_t generation);
void ring_reader_unmap(struct ring_reader *r);

enum ring_state {
        RING_PACKET = 1,    /* *ret_record is the next record */
        RING_EMPTY = 0,     /* nothing yet */
        RING_FINISHED = -1, /* nothing, and nothing will come */
        RING_REPLACED = -2, /* map the newer generation first */
        RING_DAMAGED = -3   /* the writer's numbers make no sense */
};

/** Gives back the record handed out before and hands out the next one: 8-byte aligned, contiguous, struct mapipkt. */
enum ring_state ring_reader_next(struct ring_reader *r, void **ret_record);

/**
 * Queues: copies the next record, `size` bytes, and consumes it. *ret_lost: records that were lost since the call before,
 * older ones than this (overwritten) or newer ones (not taken); written in any case.
 */
enum ring_state ring_reader_take(struct ring_reader *r, void *to, uint32_t size, uint64_t *ret_lost);

/**
 * Announces that the reader is about to sleep on .wake, or to poll the event descriptor of its flow; whoever puts something
 * into the ring after this wakes it, once.
 *
 * For a reader that polls: when ring_reader_next() says RING_EMPTY it
 *     1. makes the descriptor unreadable (event_clear()),
 *     2. announces itself here,
 *     3. looks once more at all rings of its flow (ring_reader_news()): if one has something, it makes the descriptor readable
 *        again (event_signal()) or reads on: there is one for all of them, and step 1 may have taken another ring's wake-up,
 *     4. and may poll then.
 * At RING_FINISHED it leaves the descriptor as it is, readable for good. There is no ring_reader_awake() for it: an announcement
 * that has been answered means nothing, until the next one.
 */
static inline void ring_reader_waits(struct ring_reader *r)
{
        if (++r->sleeps == 0)
                r->sleeps = 1;
        __atomic_store_n(&r->mine->waiting, r->sleeps, __ATOMIC_SEQ_CST);
}

/** There is something to look at that the reader has not been told yet: packets, a larger ring, or the end. */
static inline bool ring_reader_news(const struct ring_reader *r)
{
        return __atomic_load_n(&r->shared->head, __ATOMIC_SEQ_CST) != r->next ||
               __atomic_load_n(&r->shared->finished, __ATOMIC_SEQ_CST) != 0 ||
               __atomic_load_n(&r->shared->generation, __ATOMIC_SEQ_CST) != r->generation;
}

static inline void ring_reader_awake(struct ring_reader *r)
{
        __atomic_store_n(&r->mine->waiting, 0, __ATOMIC_SEQ_CST);
}

/** The writer waits for room, half of the ring is free, and it has not been kicked for that yet: time to do it. */
static inline bool ring_reader_should_kick(struct ring_reader *r)
{
        uint32_t wish = __atomic_load_n(&r->shared->want_room, __ATOMIC_RELAXED);

        if (__builtin_expect(wish == 0 || wish == r->kicked, 1) || r->head - r->tail > r->size / 2)
                return false;
        r->kicked = wish;
        return true;
}

#endif
