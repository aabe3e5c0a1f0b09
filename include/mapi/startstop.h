/* STARTSTOP: the layout of its result. SPDX-License-Identifier: BSD-2-Clause */
#ifndef MAPI_STARTSTOP_H
#define MAPI_STARTSTOP_H

/** Time stamps in units of 2^-32 seconds since 1970-01-01 UTC, 0 as long as there was no such packet; 24 bytes. */
struct mapi_startstop {
        unsigned long long first;           /* the first packet that reached the function */
        unsigned long long first_processed; /* the first one that passed */
        unsigned long long last;            /* the latest one that passed */
};

#endif
