/* THRESHOLD: values of its arguments, and the layout of its results. SPDX-License-Identifier: BSD-2-Clause */
#ifndef MAPI_THRESHOLD_H
#define MAPI_THRESHOLD_H

/* type: how the source's result is read, and when. Unsigned in all cases. */
#define TYPE_CHAR 0               /* its lowest 8 bits */
#define TYPE_INT 1                /* its lowest 32 bits */
#define TYPE_UNSIGNED_LONG_LONG 2 /* all of it */
#define TR_POLL 64                /* or-ed in: once in each timeout instead of at every packet */
#define TR_MW 128                 /* or-ed in: the sum of the increments over a moving window */

/* boundary: what makes an event. Two names for each. */
#define TR_B_EQ 0     /* value == threshold */
#define TR_B_POS 1    /* value > threshold */
#define TR_B_NEG 2    /* value < threshold */
#define TR_B_D_EQ 4   /* value - previous value == threshold */
#define TR_B_D_POS 8  /* value - previous value > threshold */
#define TR_B_D_NEG 16 /* value - previous value < threshold */
#define EQUAL_BOUND 0
#define GT_BOUND 1
#define LT_BOUND 2
#define EQUAL_D_BOUND 4
#define GT_D_BOUND 8
#define LT_D_BOUND 16

/** One event; 16 bytes. */
struct mapi_threshold_event {
        unsigned long long ts;    /* of the packet, or the end of the period; 2^-32 s since 1970 */
        unsigned long long value; /* that was compared, with TR_MW the sum over the window */
};

#endif
