/*
 * Unaligned loads and stores of numbers in either byte order.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef FORMATS_BYTES_H
#define FORMATS_BYTES_H

#include <stdint.h>
#include <string.h>

/* The caller has checked that the bytes are there. `swap`: the bytes are in the other order than this machine's.
   */

static inline uint16_t formats_get16(const uint8_t *p, int swap)
{
        uint16_t v;

        memcpy(&v, p, sizeof(v));
        return swap ? __builtin_bswap16(v) : v;
}

static inline uint32_t formats_get32(const uint8_t *p, int swap)
{
        uint32_t v;

        memcpy(&v, p, sizeof(v));
        return swap ? __builtin_bswap32(v) : v;
}

static inline uint64_t formats_get64(const uint8_t *p, int swap)
{
        uint64_t v;

        memcpy(&v, p, sizeof(v));
        return swap ? __builtin_bswap64(v) : v;
}

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define FORMATS_SWAP_LE 0
#define FORMATS_SWAP_BE 1
#else
#define FORMATS_SWAP_LE 1
#define FORMATS_SWAP_BE 0
#endif

static inline uint16_t formats_get16be(const uint8_t *p)
{
        return formats_get16(p, FORMATS_SWAP_BE);
}

static inline uint64_t formats_get64le(const uint8_t *p)
{
        return formats_get64(p, FORMATS_SWAP_LE);
}

static inline uint32_t formats_get32le(const uint8_t *p)
{
        return formats_get32(p, FORMATS_SWAP_LE);
}

#endif
