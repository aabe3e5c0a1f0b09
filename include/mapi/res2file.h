/* RES2FILE: values of its first argument, the formats. SPDX-License-Identifier: BSD-2-Clause */
#ifndef MAPI_RES2FILE_H
#define MAPI_RES2FILE_H

#define R2F_RAW 0    /* its length as unsigned long, then its bytes */
#define R2F_ULLSTR 1 /* a number */
#define R2F_ULLSEC 2 /* a time of 2^-32 s, as seconds with 12 decimals */
#define R2F_STATS 3  /* a stats_t: count, sum, sum2, min and max */

#endif
