/* STATS: the layout of its result. SPDX-License-Identifier: BSD-2-Clause */
#ifndef MAPI_STATS_H
#define MAPI_STATS_H

/** Statistics over another function's result; 64 bytes on x86-64. */
typedef struct mapi_stats_result {
        unsigned long long count; /* samples taken */
        long double sum;
        long double sum2; /* sum of the squares */
        double max;
        double min;
} stats_t;

#endif
