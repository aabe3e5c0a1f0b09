/* BURST: the layout of its result, an array. SPDX-License-Identifier: BSD-2-Clause */
#ifndef MAPI_BURST_H
#define MAPI_BURST_H

/** Bursts and gaps of one category of sizes; 40 bytes where long has 64 bits. */
typedef struct mapi_burst_category {
        unsigned long bytes;     /* on the wire, of the bursts of this size */
        unsigned long packets;   /* of these bursts */
        unsigned long bursts;    /* how many they are */
        unsigned long gap_bytes; /* that would have fitted into the gaps of this size */
        unsigned long gaps;      /* how many they are */
} burst_category_t;

#endif
