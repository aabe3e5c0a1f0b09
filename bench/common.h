/*
 * What the benchmark's programs share: the clock, medians, the line in which a case reports, the filters of case (c).
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/** The filter of case (a), and the first of case (c). */
#define BENCH_FILTER "tcp and dst port 80"
#define BENCH_FLOWS_MAX 1024

static inline double bench_now_s(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/** A case ends with this line: seconds, packets and bytes counted. */
static inline void bench_report(double seconds, unsigned long long packets, unsigned long long bytes)
{
        printf("%.9f %llu %llu\n", seconds, packets, bytes);
}

__attribute__((noreturn)) static inline void bench_die(const char *what, const char *why)
{
        fprintf(stderr, "bench: %s: %s\n", what, why);
        exit(2);
}

static inline int bench_by_size(const void *a, const void *b)
{
        double x = *(const double *)a, y = *(const double *)b;

        return (x > y) - (x < y);
}

/** n: at most 1024. */
static inline double bench_median(const double *values, unsigned n)
{
        double sorted[1024];

        if (n == 0)
                return 0;
        memcpy(sorted, values, n * sizeof(*sorted));
        qsort(sorted, n, sizeof(*sorted), bench_by_size);
        return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

/** The i-th of the different filters. text: 40 bytes. */
static inline void bench_filter(unsigned i, char *text)
{
        static const unsigned known[] = { 80, 443,  22,   53,   25,   110,  143, 993,
                                          21, 8080, 3306, 6881, 5222, 5060, 123, 4500 };
        unsigned count = sizeof(known) / sizeof(known[0]);

        snprintf(text, 40, "tcp and dst port %u", i < count ? known[i] : 32768 + 13 * i);
}

#endif
