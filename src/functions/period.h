/*
 * Periods of packet time: for functions that do something once per interval.
 *
 * The boundaries lie at start + k * period. "10ms" is not a whole number of 2^-32 s, so the period is kept as a fraction:
 * boundaries do not drift, and a packet whose microsecond or nanosecond stamp lies exactly on a boundary belongs to the
 * period that begins there. Any number of periods is passed in one step.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef FUNCTIONS_PERIOD_H
#define FUNCTIONS_PERIOD_H

#include <stdbool.h>
#include <stdint.h>

__extension__ typedef unsigned __int128 period_wide;

struct period {
        period_wide num; /* the period is num / den units of 2^-32 s */
        uint64_t den;    /* at most 65536 * 1000000 */
        bool begun;
        uint64_t start; /* where the first one began, 32.32 */
        uint64_t done;  /* how many are over */
        uint64_t next;  /* where the present one ends */
};

/** Prepares for periods of `ts` (from mapi_parse_time()), which must not be 0. */
static inline void period_init(struct period *p, uint64_t ts)
{
        period_wide us = ((period_wide)ts * 1000000u + 0x80000000u) >> 32;

        *p = (struct period){ .num = ts, .den = 1 };
        if ((uint64_t)((us << 32) / 1000000u) == ts) { /* it was a whole number of microseconds, rounded down */
                p->num = us << 32;
                p->den = 1000000u;
        }
}

/** Prepares for periods of `us` / `parts` microseconds; 1 <= parts <= us, parts <= 65536. */
static inline void period_init_us(struct period *p, uint32_t us, uint32_t parts)
{
        *p = (struct period){ .num = (period_wide)us << 32, .den = (uint64_t)parts * 1000000u };
}

/** Where period k ends, counted from 1: the stamp of that boundary. Only of one that has begun. */
static inline uint64_t period_boundary(const struct period *p, uint64_t k)
{
        period_wide at = p->start + (period_wide)k * p->num / p->den;

        return at > UINT64_MAX ? UINT64_MAX : (uint64_t)at;
}

static inline void period_set_next(struct period *p)
{
        p->next = period_boundary(p, p->done + 1);
}

/**
 * Goes to the time `ts`; the first call begins the first period, time that goes back is the present.
 * Returns  how many periods are over that were not before
 */
static inline uint64_t period_advance(struct period *p, uint64_t ts)
{
        uint64_t done, over;

        if (!p->begun) {
                p->begun = true;
                p->start = ts;
                period_set_next(p);
                return 0;
        }
        if (ts < p->next)
                return 0;
        /* the largest k with start + floor(k * num / den) <= ts */
        done = (uint64_t)((((period_wide)(ts - p->start) + 1) * p->den - 1) / p->num);
        over = done - p->done;
        p->done = done;
        period_set_next(p);
        return over;
}

#endif
