/* DIST: the layout of its result. SPDX-License-Identifier: BSD-2-Clause */
#ifndef MAPI_DIST_H
#define MAPI_DIST_H

/**
 * A histogram: 24 bytes, then intervals + 1 counters. data[0] counts the values <= min, data[k] those in
 * (min + (k - 1) * interval, min + k * interval]; data[intervals] also those > max.
 */
typedef struct mapi_dist_result {
        unsigned long long min;
        unsigned long long max;
        unsigned long long intervals;
        __extension__ unsigned long long data[0]; /* intervals + 1; neither C89 nor C++ has data[] */
} dist_t;

#endif
