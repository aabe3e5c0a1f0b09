/* BUCKET: the layout of its results. SPDX-License-Identifier: BSD-2-Clause */
#ifndef MAPI_BUCKET_H
#define MAPI_BUCKET_H

/** What a function's result was at one moment; 16 bytes. */
struct bucket_data {
        unsigned long long
                timestamp; /* the end of the interval, 2^-32 s since 1970; interval "0": that of the packet */
        unsigned long long data;
};

#endif
