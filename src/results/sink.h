/*
 * Sinks: bytes on their way to a descriptor. The worker puts whole records into a bounded queue and never waits; a writer
 * thread, which the embedder owns, drains it. A failing write ends the file after its last whole record.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef RESULTS_SINK_H
#define RESULTS_SINK_H

#include "base/arena.h"

#include <mapi/function.h>

#include <stdbool.h>

struct sink {
        /* the worker's */
        uint8_t *data;  /* size bytes of queue; every record behind a length word */
        uint64_t size;  /* power of two */
        uint64_t total; /* bytes of records put, without length words */
        uint64_t head_private;
        uint64_t dropped; /* records that found no room, or came after an error */
        /* shared by worker and writer */
        uint64_t head;
        uint64_t tail;
        uint64_t written;   /* bytes of records that are in the file */
        uint64_t lost;      /* records that had found room and are not in the file, because writing failed */
        uint32_t wake;      /* futex word of the writer thread */
        uint32_t idle;      /* the writer sleeps */
        uint32_t want_room; /* the worker waits for the writer */
        int error;          /* errno of the write that failed, 0 */
        uint32_t abandon;   /* whoever waits for a pipe or the like has waited long enough */
        /* cold */
        int fd; /* owned */
        bool regular;
        struct mapi_fn *fn;
        struct quota *quota;
};

int sink_init(struct sink *s, struct mapi_fn *fn, int fd, uint64_t size_bytes, struct quota *q,
              struct mapi_error *err);
void sink_fini(struct sink *s);

/** Appends one record in up to two parts, or counts a drop and returns false. */
bool sink_put(struct sink *s, const void *a, size_t na, const void *b, size_t nb);

/** Free bytes of the queue. Everything after an error: there is nothing to wait for. */
uint64_t sink_room(const struct sink *s);

/** Bytes that one record of n bytes takes in the queue. */
static inline uint64_t sink_record(uint64_t n)
{
        return (n + 4 + 7) & ~(uint64_t)7;
}

/** Shows the writer what was put, and wakes it if `urgent` or enough has come together. */
void sink_publish(struct sink *s, bool urgent);

/** True when everything put has been written, or never will be. */
bool sink_drained(const struct sink *s);

/**
 * Writes what there is; blocks as long as a file does. A pipe that takes nothing is tried until .abandon is set. The
 * writer thread's.
 * Returns 1 when something was done, 0 when the queue is empty.
 */
int sink_drain(struct sink *s);

#endif
