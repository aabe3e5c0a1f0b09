/*
 * The ring of a packet socket (TPACKET_V3) as memory: blocks that the kernel fills and we give back, packets in them
 * as views. No system call is made here, so that a test can be the kernel.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef DRIVERS_AFPACKET_RING_H
#define DRIVERS_AFPACKET_RING_H

#include <stdbool.h>

#include <mapi/packet.h>

/** Bytes that PACKET_RESERVE must keep free in front of each packet: room for a VLAN tag. */
#define DRIVERS_RING_RESERVE 4u

#define DRIVERS_RING_COOKED_BYTES 16u /* the header that we put in front of packets without one */

struct drivers_ring {
        uint8_t *base; /* nblocks times block_bytes, shared with the kernel */
        uint32_t block_bytes, nblocks;
        uint32_t snaplen;  /* most bytes of a view */
        uint16_t linktype; /* DLT_ of all views */
        bool cooked;       /* packets come without link header: write a cooked one */
        bool numbered;     /* views get the number of their interface */

        /* The walk; only recv and release touch it. */
        uint32_t block; /* the one under way, or the next */
        bool begun;     /* .left and .at are about it */
        uint32_t left;  /* its packets that have not been handed out */
        uint32_t at;    /* where the next one's header is in it */
        uint32_t done;  /* blocks before it whose last view is out, but which the kernel has not got back */
        uint64_t lost;  /* packets in blocks that made no sense; other threads read it */
};

/**
 * Fills views with up to `most` packets of at most max_bytes together. A view lives until drivers_ring_release().
 * What the blocks say about themselves is believed only as far as it stays inside of the block.
 * Returns how many; 0 with *ret_needed_bytes set if the next packet has more than max_bytes
 */
unsigned drivers_ring_recv(struct drivers_ring *r, struct mapi_view *views, unsigned most, size_t max_bytes,
                           size_t *ret_needed_bytes);

/** Gives the blocks back to the kernel whose views have all been handed out. Every view is dead now. */
void drivers_ring_release(struct drivers_ring *r);

#endif
