/* The bounded sender: what is to be sent, what became of it. SPDX-License-Identifier: BSD-2-Clause */
#ifndef BENCH_SENDER_H
#define BENCH_SENDER_H

#include <stddef.h>
#include <stdint.h>

#define SENDER_BYTES_MIN 60u   /* without the four of the checksum */
#define SENDER_BYTES_MAX 1514u /* and what fits into one page of a live frame */
#define SENDER_PORTS_MAX 1024u
#define SENDER_PORT_AT 36u /* where the UDP destination port is in the frame */
#define SENDER_PORT 9000u  /* the first one */

/** What is to be sent: `packets` frames of `bytes`, the i-th one to port SENDER_PORT + i % ports. */
struct sender_order {
        const char *interface;
        int index;
        uint64_t packets;
        uint64_t rate;   /* packets/s, 0: as fast as possible */
        uint32_t ports;  /* a power of two */
        uint64_t end_ns; /* CLOCK_MONOTONIC: nothing is sent behind it */
        const uint8_t *frame;
        uint32_t bytes;
};

struct sender_done {
        uint64_t packets;
        double seconds; /* from the first to the last */
};

/**
 * Sends as XDP live frames (kernel 5.18 and newer): the kernel makes them and runs a program of ours on each, which decides
 * when it goes out.
 * Returns 0, or -1 with errno: the kernel cannot, or we may not; nothing has been sent
 */
int sender_xdp(const struct sender_order *o, struct sender_done *ret);

/** Sends through a packet socket, past the queue of the interface. Returns 0, or -1 with errno. */
int sender_socket(const struct sender_order *o, struct sender_done *ret);

#endif
