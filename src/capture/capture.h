/*
 * An open device as the engine uses it: a driver, its state, and what it has delivered so far.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef CAPTURE_CAPTURE_H
#define CAPTURE_CAPTURE_H

#include <mapi/driver.h>

struct capture {
        const struct mapi_driver *driver;
        void *state;
        struct mapi_device_facts facts;
        uint64_t packets; /* handed out since it was opened; the worker writes, anybody reads (relaxed) */
};

/** Opens a source. May wait for the head of a trace: never under a lock. Owns src->fd from now on, also when it fails. */
int capture_open(struct capture *c, const struct mapi_driver *driver, const struct mapi_source *src,
                 struct mapi_error *err);

/** Closes; safe on one that never opened. */
void capture_close(struct capture *c);

/** One batch: as mapi_driver.recv. Views with more than MAPI_CAPLEN_MAX bytes never come through. */
int capture_fill(struct capture *c, struct mapi_batch *b, unsigned most, size_t max_bytes,
                 size_t *ret_needed_bytes, struct mapi_error *err);

static inline void capture_release(struct capture *c, struct mapi_batch *b)
{
        c->driver->release(c->state, b);
        b->n = 0;
}

/** What to poll when there was nothing, or -1. */
int capture_fd(const struct capture *c);

/** Received and lost, since it was opened. */
void capture_stats(const struct capture *c, struct mapi_driver_stats *ret);

#endif
