/*
 * The packets of our test traces: one call makes the next frame of an invented but well-formed network.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef TESTS_TRACES_FRAMES_H
#define TESTS_TRACES_FRAMES_H

#include <stddef.h>
#include <stdint.h>

#define FRAME_MAX 2048u /* no frame is longer */

enum frame_protocols {
        FRAME_TCP = 1,
        FRAME_UDP = 2,
        FRAME_ICMP = 4,
        FRAME_ARP = 8,
        FRAME_IP6 = 16,  /* a part of TCP, UDP and ICMP runs over IPv6 */
        FRAME_VLAN = 32, /* a part of all carries one or two VLAN tags */
        FRAME_ODD = 64,  /* fragments, IP options, extension headers */
        FRAME_WORM = 128 /* packets of the tutorial's worm, and a few that only look like it */
};
#define FRAME_ALL 255u

enum frame_sizes { FRAME_SMALL, FRAME_MIXED, FRAME_LARGE };

struct frames;

/** The same arguments give the same frames on every machine. NULL: out of memory. */
struct frames *frames_new(uint64_t seed, unsigned protocols, enum frame_sizes sizes);
void frames_free(struct frames *f);

/** Writes the next Ethernet frame to buf (FRAME_MAX bytes). Returns its length; *ret_l3 is where the link header ends. */
size_t frames_next(struct frames *f, uint8_t *buf, size_t *ret_l3);

/** A random number below n, from the frames' own sequence. */
uint32_t frames_random(struct frames *f, uint32_t n);

#endif
