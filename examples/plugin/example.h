/* The layouts of results of the example library, for programs that read them. SPDX-License-Identifier: BSD-2-Clause */
#ifndef EXAMPLE_H
#define EXAMPLE_H

/** PEAK: the period with the most packets; 24 bytes. */
struct example_peak {
        unsigned long long periods; /* that are over, empty ones included */
        unsigned long long packets; /* in the busiest of them, the first of several */
        unsigned long long ts;      /* where it begins: 32.32 since 1970; 0 before a period is over */
};

/** SIGHTING: one packet; 16 bytes. */
struct example_sighting {
        unsigned long long ts; /* its time stamp: 32.32 since 1970 */
        unsigned int wirelen;  /* bytes on the wire */
        unsigned int number;   /* of this packet among those that were seen, from 1 */
};

#endif
