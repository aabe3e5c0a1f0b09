/*
 * How a driver is written: a source of packets, one descriptor, one file. docs/adding-a-driver.md tells it step by step.
 *
 * A driver has no threads, flows or results. One worker calls recv and release in turn; open and close come from the
 * control thread while no worker uses the device; stats may come from another thread at any time.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef MAPI_DRIVER_H
#define MAPI_DRIVER_H

#include <mapi/function.h>
#include <mapi/packet.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Version of everything in this file. 0: may change until the first release. */
#define MAPI_DRIVER_ABI 0

enum mapi_driver_trait {
        MAPI_DRV_OFFLINE = 1, /* a trace: packets wait for us, the end comes */
        MAPI_DRV_NAPS =
                2 /* live, and packets gather while nobody looks: as long as they keep coming, the worker naps for
                                 a moment when recv returns 0 instead of polling fd(), which costs a wake-up for each batch */
};

/** Most descriptors that a source may come with. */
#define MAPI_SOURCE_FDS 64

/** What to open. Strings are borrowed until open returns. */
struct mapi_source {
        const char *name;    /* for messages: path or interface */
        const char *options; /* "key=value,..." or "key=value;..." or NULL; the driver's own */
        int fd;          /* an open descriptor for the driver to own from now on (also when open fails), or -1 */
        const int *more; /* further descriptors, likewise the driver's; what prepare made behind the first one */
        unsigned nmore;
};

/**
 * What became of the packets since open, in 64 bits: seen = received + dropped + if_dropped, exactly. What waits in the
 * kernel or in the driver is not seen yet.
 */
struct mapi_driver_stats {
        uint64_t received;   /* packets handed to us by recv */
        uint64_t dropped;    /* lost between the source and recv (kernel, ring) */
        uint64_t if_dropped; /* lost by the interface itself */
        int down; /* 1: the source delivers nothing at present (interface down or gone); it may come back */
};

/** recv at the end of a trace. */
#define MAPI_RECV_END (-1)

struct mapi_driver {
        unsigned abi; /* MAPI_DRIVER_ABI */
        const char *name;
        const char *help; /* one sentence */
        unsigned traits;

        /**
         * The part of opening that needs rights, for devices that the configuration names: mapid's opener runs it and
         * passes the descriptors to the engine process, where open gets them as src->fd and src->more. It looks at name
         * and options only and reads no packet. open must do the same itself when it gets fd -1.
         * Returns how many descriptors (1 to MAPI_SOURCE_FDS) it put into ret_fds, close-on-exec, or mapi_fail()
         * NULL: open needs no rights
         */
        int (*prepare)(const struct mapi_source *src, int *ret_fds, struct mapi_error *err);

        /**
         * Opens a source and fills *facts (linktype, snaplen, offline).
         * Blocks  at most until the head of the trace has been read: 10 seconds for a pipe without data.
         * Returns 0 and *ret_state, or mapi_fail(): 6155 for a file that cannot be read as a trace, 3200, 1026 ...
         */
        int (*open)(const struct mapi_source *src, struct mapi_device_facts *facts, void **ret_state,
                    struct mapi_error *err);

        /**
         * Fills b->pkt[0..] with up to `most` views (b->n is set by the caller from the result) whose captured bytes
         * add up to at most max_bytes. Never blocks longer than a read of a file does.
         * Returns > 0  that many views; their bytes stay valid until release
         *           0  none now: poll fd() if there is one; or the next packet has more than max_bytes (then
         *              *ret_needed_bytes is its caplen, otherwise 0)
         *   MAPI_RECV_END  the trace is over; every further call says so again
         *         < -1  -code: the trace is damaged here; all packets before it were delivered. As END from now on.
         */
        int (*recv)(void *state, struct mapi_batch *b, unsigned most, size_t max_bytes, size_t *ret_needed_bytes,
                    struct mapi_error *err);

        /** Every view of the last recv is dead now. */
        void (*release)(void *state, struct mapi_batch *b);

        /** From any thread, at any time between open and close. NULL: received is counted by the caller, nothing is ever dropped. */
        void (*stats)(void *state, struct mapi_driver_stats *ret);

        /** A descriptor to poll for input when recv returned 0, or -1. NULL: never has to wait. */
        int (*fd)(void *state);

        /** Frees everything; takes a half-opened state or NULL. */
        void (*close)(void *state);
};

#ifdef __cplusplus
}
#endif
#endif
