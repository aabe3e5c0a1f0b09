/*
 * Builds traces byte by byte for the tests of readers and drivers.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef TESTS_UNIT_FORMATS_BUILD_H
#define TESTS_UNIT_FORMATS_BUILD_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/** Bytes that grow; numbers are put in the byte order that `big` says. */
struct build {
        uint8_t *bytes;
        size_t n;
        size_t room; /* bytes allocated */
        int big;
};

static inline void build_put(struct build *b, const void *bytes, size_t n)
{
        if (n > SIZE_MAX / 4) /* a mistake of the caller, and some compilers see it where it is not */
                abort();
        if (b->n + n + 1 > b->room) {
                b->room = 2 * (b->n + n) + 64;
                b->bytes = realloc(b->bytes, b->room);
                if (b->bytes == NULL)
                        abort();
        }
        if (n != 0)
                memcpy(b->bytes + b->n, bytes, n);
        b->n += n;
}

static inline void build_number(struct build *b, uint64_t v, size_t size)
{
        uint8_t out[8];

        for (size_t i = 0; i < size; i++)
                out[b->big ? size - 1 - i : i] = (uint8_t)(v >> (8 * i));
        build_put(b, out, size);
}

static inline void build_8(struct build *b, uint8_t v)
{
        build_number(b, v, 1);
}

static inline void build_16(struct build *b, uint16_t v)
{
        build_number(b, v, 2);
}

static inline void build_32(struct build *b, uint32_t v)
{
        build_number(b, v, 4);
}

static inline void build_64(struct build *b, uint64_t v)
{
        build_number(b, v, 8);
}

/** n bytes that tell their place: seed, seed + 1, ... */
static inline void build_data(struct build *b, uint8_t seed, size_t n)
{
        for (size_t i = 0; i < n; i++)
                build_8(b, (uint8_t)(seed + i));
}

static inline void build_free(struct build *b)
{
        free(b->bytes);
        *b = (struct build){ 0 };
}

/* ---- pcap --------------------------------------------------------------------------------------------- */

static inline void build_pcap_head(struct build *b, uint32_t magic, uint16_t minor, uint32_t snaplen,
                                   uint32_t network)
{
        build_32(b, magic);
        build_16(b, 2);
        build_16(b, minor);
        build_32(b, 0);
        build_32(b, 0);
        build_32(b, snaplen);
        build_32(b, network);
}

static inline void build_pcap_record(struct build *b, uint32_t seconds, uint32_t fraction, uint32_t caplen,
                                     uint32_t wirelen, uint8_t seed)
{
        build_32(b, seconds);
        build_32(b, fraction);
        build_32(b, caplen);
        build_32(b, wirelen);
        build_data(b, seed, caplen);
}

/** A microsecond trace of n packets, the i-th of 60 + i bytes, one second apart. */
static inline void build_pcap(struct build *b, unsigned n)
{
        build_pcap_head(b, 0xa1b2c3d4, 4, 65535, 1);
        for (unsigned i = 0; i < n; i++)
                build_pcap_record(b, 1000000000 + i, i, 60 + i, 1000 + i, (uint8_t)i);
}

/* ---- pcapng ------------------------------------------------------------------------------------------- */

static inline void build_ng_block(struct build *b, uint32_t type, const struct build *body)
{
        static const uint8_t zeros[4] = { 0 };
        size_t padding = (4 - body->n % 4) % 4;
        uint32_t total = (uint32_t)(12 + body->n + padding);

        build_32(b, type);
        build_32(b, total);
        build_put(b, body->bytes, body->n);
        build_put(b, zeros, padding);
        build_32(b, total);
}

static inline void build_ng_section(struct build *b)
{
        struct build body = { .big = b->big };

        build_32(&body, 0x1a2b3c4d);
        build_16(&body, 1);
        build_16(&body, 0);
        build_64(&body, UINT64_MAX);
        build_ng_block(b, 0x0a0d0d0a, &body);
        build_free(&body);
}

/** resolution < 0: no such option. */
static inline void build_ng_interface(struct build *b, uint16_t linktype, uint32_t snaplen, int resolution,
                                      int64_t offset)
{
        struct build body = { .big = b->big };

        build_16(&body, linktype);
        build_16(&body, 0);
        build_32(&body, snaplen);
        build_16(&body, 2); /* a name, to be passed over */
        build_16(&body, 3);
        build_put(&body, "eth", 4);
        if (resolution >= 0) {
                build_16(&body, 9);
                build_16(&body, 1);
                build_8(&body, (uint8_t)resolution);
                build_data(&body, 0, 3);
        }
        if (offset != 0) {
                build_16(&body, 14);
                build_16(&body, 8);
                build_64(&body, (uint64_t)offset);
        }
        build_32(&body, 0);
        build_ng_block(b, 1, &body);
        build_free(&body);
}

static inline void build_ng_packet(struct build *b, uint32_t interface, uint64_t ticks, uint32_t caplen,
                                   uint32_t wirelen, uint8_t seed)
{
        struct build body = { .big = b->big };

        build_32(&body, interface);
        build_32(&body, (uint32_t)(ticks >> 32));
        build_32(&body, (uint32_t)ticks);
        build_32(&body, caplen);
        build_32(&body, wirelen);
        build_data(&body, seed, caplen);
        build_ng_block(b, 6, &body);
        build_free(&body);
}

/* ---- ERF ---------------------------------------------------------------------------------------------- */

/** One record; lead: bytes between the header and the frame (extension headers and padding come from the caller).
 *  */
static inline void build_erf(struct build *b, uint8_t type, uint8_t flags, uint64_t ts, uint16_t loss,
                             const struct build *lead, uint16_t caplen, uint16_t wirelen, uint8_t seed)
{
        size_t lead_bytes = lead != NULL ? lead->n : 0;

        b->big = 0;
        build_64(b, ts);
        b->big = 1;
        build_8(b, type);
        build_8(b, flags);
        build_16(b, (uint16_t)(16 + lead_bytes + caplen));
        build_16(b, loss);
        build_16(b, wirelen);
        if (lead_bytes != 0)
                build_put(b, lead->bytes, lead_bytes);
        build_data(b, seed, caplen);
}

#endif
