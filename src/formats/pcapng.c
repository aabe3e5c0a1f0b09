/*
 * Reads the blocks of pcapng files: sections in either byte order, interfaces with their own clocks and link
 * types.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include <stdlib.h>

#include "formats/bytes.h"
#include "formats/format.h"
#include "formats/linktype.h"

enum block {
        BLOCK_INTERFACE = 1,
        BLOCK_PACKET_OLD = 2,
        BLOCK_PACKET_SIMPLE = 3,
        BLOCK_PACKET = 6,
        BLOCK_SECTION = 0x0a0d0d0a
};

#define BLOCK_HEAD 8u /* type, total length */
#define BLOCK_MIN 12u /* and the total length again at the end */
#define SECTION_MIN 28u
#define INTERFACE_MIN 20u
#define PACKET_MIN 32u /* of the old packet block as well */
#define PACKET_DATA 28u
#define SIMPLE_MIN 16u
#define SIMPLE_DATA 12u

#define BYTE_ORDER_MAGIC 0x1a2b3c4du

#define OPT_END 0
#define OPT_IF_TSRESOL 9
#define OPT_IF_TSOFFSET 14

#define INTERFACES_MAX 4096u /* of a section; the table is allocated once, by open */

enum clock { CLOCK_US = 0, CLOCK_NS, CLOCK_DECIMAL, CLOCK_BINARY };

struct formats_interface {
        uint64_t unit;   /* CLOCK_DECIMAL: ticks per second */
        uint64_t divide; /* CLOCK_DECIMAL: ticks are first divided by this, for more than 10^19 per second */
        int64_t offset;  /* seconds to be added */
        uint32_t snaplen;
        uint16_t linktype;
        uint8_t clock; /* enum clock */
        uint8_t shift; /* CLOCK_BINARY: 2^shift ticks per second */
};

/* 32.32 from a count of the interface's ticks. */
static uint64_t interface_time(const struct formats_interface *i, uint64_t ticks)
{
        uint64_t ts;

        switch ((enum clock)i->clock) {
        case CLOCK_US:
                ts = mapi_ts_from_us(ticks / 1000000u, (uint32_t)(ticks % 1000000u));
                break;
        case CLOCK_NS:
                ts = mapi_ts_from_ns(ticks / 1000000000u, (uint32_t)(ticks % 1000000000u));
                break;
        case CLOCK_BINARY:
                if (i->shift <= 32)
                        ts = ticks << (32 - i->shift);
                else
                        ts = i->shift < 96 ? ticks >> (i->shift - 32) : 0;
                break;
        case CLOCK_DECIMAL:
        default:
                ticks /= i->divide;
                ts = ((ticks / i->unit) << 32) +
                     (uint64_t)(((unsigned __int128)(ticks % i->unit) << 32) / i->unit);
                break;
        }
        return ts + ((uint64_t)i->offset << 32);
}

static void interface_set_clock(struct formats_interface *i, uint8_t resolution)
{
        unsigned exponent = resolution & 0x7f;

        if (resolution & 0x80) {
                i->clock = CLOCK_BINARY;
                i->shift = (uint8_t)exponent;
        } else if (exponent == 6) {
                i->clock = CLOCK_US;
        } else if (exponent == 9) {
                i->clock = CLOCK_NS;
        } else {
                i->clock = CLOCK_DECIMAL;
                i->unit = 1;
                i->divide = 1;
                for (unsigned e = 0; e < exponent && e < 19; e++)
                        i->unit *= 10;
                /* 64 bits of ticks hold less than 10^20 of them: beyond 10^38 per second nothing is left. */
                for (unsigned e = 19; e < exponent && e < 38; e++)
                        i->divide *= 10;
        }
}

static int want(struct formats_reader *r, size_t bytes)
{
        r->need_bytes = bytes;
        return 0;
}

/* Passes over the block being skipped as far as there are bytes. 1 done, 0 more needed, -9002. */
static int skip_on(struct formats_reader *r, struct formats_window *w)
{
        size_t avail = formats_avail(w);
        size_t n = avail < r->skip_left ? avail : r->skip_left;

        w->p += n;
        r->skip_left -= (uint32_t)n;
        if (r->skip_left != 0)
                return want(r, 1);
        if (formats_avail(w) < 4)
                return want(r, 4);
        if (formats_get32(w->p, r->swapped) != r->skip_total)
                return formats_damage(r, formats_offset(w), "a block of %u bytes says %u at its end",
                                      r->skip_total, formats_get32(w->p, r->swapped));
        w->p += 4;
        r->skip_total = 0;
        return 1;
}

/* The checks that all blocks share, on one that must be in memory as a whole. 1 good, 0 more needed, -9002. */
static int check_block(struct formats_reader *r, const struct formats_window *w, uint32_t total, uint32_t min,
                       int swap)
{
        uint32_t again;

        if (total < min || total % 4 != 0 || total > FORMATS_RECORD_MAX)
                return formats_damage(r, formats_offset(w),
                                      "a length of %u bytes is impossible for a block of type %u", total,
                                      formats_get32(w->p, swap));
        if (formats_avail(w) < total)
                return want(r, total);
        again = formats_get32(w->p + total - 4, swap);
        if (again != total)
                return formats_damage(r, formats_offset(w), "a block of %u bytes says %u at its end", total,
                                      again);
        return 1;
}

static int read_section(struct formats_reader *r, struct formats_window *w)
{
        uint32_t magic = formats_get32(w->p + BLOCK_HEAD, 0), total;
        int swap = magic != BYTE_ORDER_MAGIC, rc;

        if (formats_get32(w->p + BLOCK_HEAD, swap) != BYTE_ORDER_MAGIC)
                return formats_damage(r, formats_offset(w), "a section begins with the unknown byte order %08x",
                                      magic);
        total = formats_get32(w->p + 4, swap);
        rc = check_block(r, w, total, SECTION_MIN, swap);
        if (rc <= 0)
                return rc;
        /* 1.2 was written by mistake by some programs and means 1.0. */
        if (formats_get16(w->p + 12, swap) != 1 ||
            (formats_get16(w->p + 14, swap) != 0 && formats_get16(w->p + 14, swap) != 2))
                return formats_damage(r, formats_offset(w), "a section of the unknown pcapng version %u.%u",
                                      formats_get16(w->p + 12, swap), formats_get16(w->p + 14, swap));
        r->swapped = swap;
        r->interface_base += r->interfaces;
        r->interfaces = 0;
        w->p += total;
        return 1;
}

/* Options that tell the clock of an interface. 0, or -9002. */
static int read_options(struct formats_reader *r, const struct formats_window *w, const uint8_t *p, size_t left,
                        struct formats_interface *i)
{
        while (left >= 4) {
                uint16_t code = formats_get16(p, r->swapped), length = formats_get16(p + 2, r->swapped);
                size_t padded = ((size_t)length + 3) & ~(size_t)3;

                p += 4;
                left -= 4;
                if (code == OPT_END)
                        break;
                if (padded > left)
                        return formats_damage(r, formats_offset(w),
                                              "option %u of an interface is longer than its block", code);
                if (code == OPT_IF_TSRESOL && length == 1)
                        interface_set_clock(i, *p);
                else if (code == OPT_IF_TSOFFSET && length == 8)
                        i->offset = (int64_t)formats_get64(p, r->swapped);
                p += padded;
                left -= padded;
        }
        return 0;
}

static int read_interface(struct formats_reader *r, struct formats_window *w, uint32_t total)
{
        struct formats_interface new = { .clock = CLOCK_US };
        int rc = check_block(r, w, total, INTERFACE_MIN, r->swapped);

        if (rc <= 0)
                return rc;
        if (r->interfaces >= INTERFACES_MAX)
                return formats_damage(r, formats_offset(w), "more than %u interfaces in a section",
                                      INTERFACES_MAX);
        new.linktype = formats_dlt_from_linktype(formats_get16(w->p + 8, r->swapped));
        new.snaplen = formats_get32(w->p + 12, r->swapped);
        if (new.snaplen == 0 || new.snaplen > MAPI_CAPLEN_MAX)
                new.snaplen = MAPI_CAPLEN_MAX;
        rc = read_options(r, w, w->p + 16, total - INTERFACE_MIN, &new);
        if (rc < 0)
                return rc;
        r->interface[r->interfaces++] = new;
        w->p += total;
        return 1;
}

/* A block that holds no packet. 1 passed, 0 more needed, -9002. */
static __attribute__((noinline)) int read_other(struct formats_reader *r, struct formats_window *w)
{
        uint32_t type, total;

        if (r->skip_total != 0)
                return skip_on(r, w);
        if (formats_avail(w) < BLOCK_MIN)
                return want(r, BLOCK_MIN);
        if (formats_get32(w->p, 0) == BLOCK_SECTION) /* the same number in either byte order */
                return read_section(r, w);
        type = formats_get32(w->p, r->swapped);
        total = formats_get32(w->p + 4, r->swapped);
        if (type == BLOCK_INTERFACE)
                return read_interface(r, w, total);
        if (total < BLOCK_MIN || total % 4 != 0)
                return formats_damage(r, formats_offset(w),
                                      "a length of %u bytes is impossible for a block of type %u", total, type);
        r->skipped++;
        r->skip_total = total;
        r->skip_left = total - 4;
        return skip_on(r, w);
}

static int is_packet(uint32_t type)
{
        return type == BLOCK_PACKET || type == BLOCK_PACKET_SIMPLE || type == BLOCK_PACKET_OLD;
}

/* Reads the packet block of `total` bytes at w->p into *v. 1 read (w->p not yet moved), 0 more needed, -9002. */
static inline int read_packet(struct formats_reader *r, const struct formats_window *w, uint32_t type,
                              uint32_t total, struct mapi_view *v)
{
        const struct formats_interface *i;
        const uint8_t *p = w->p;
        uint32_t number = 0, data, caplen;
        int swap = r->swapped, rc;

        rc = check_block(r, w, total, type == BLOCK_PACKET_SIMPLE ? SIMPLE_MIN : PACKET_MIN, swap);
        if (rc <= 0)
                return rc;
        if (type == BLOCK_PACKET)
                number = formats_get32(p + 8, swap);
        else if (type == BLOCK_PACKET_OLD)
                number = formats_get16(p + 8, swap);
        if (number >= r->interfaces)
                return formats_damage(r, formats_offset(w),
                                      "a packet of interface %u, but %u interface%s described", number,
                                      r->interfaces, r->interfaces == 1 ? " is" : "s are");
        i = &r->interface[number];
        if (type == BLOCK_PACKET_SIMPLE) {
                data = SIMPLE_DATA;
                v->ts = 0; /* it has none */
                v->wirelen = formats_get32(p + 8, swap);
                caplen = v->wirelen < i->snaplen ? v->wirelen : i->snaplen;
        } else {
                data = PACKET_DATA;
                v->ts = interface_time(i,
                                       (uint64_t)formats_get32(p + 12, swap) << 32 | formats_get32(p + 16, swap));
                caplen = formats_get32(p + 20, swap);
                v->wirelen = formats_get32(p + 24, swap);
        }
        if (caplen > MAPI_CAPLEN_MAX)
                return formats_damage(r, formats_offset(w),
                                      "a captured length of %u bytes is impossible (at most %u)", caplen,
                                      MAPI_CAPLEN_MAX);
        if (caplen > total - data - 4)
                return formats_damage(r, formats_offset(w), "a captured length of %u bytes in a block of %u bytes",
                                      caplen, total);
        v->data = p + data;
        v->caplen = caplen;
        number += r->interface_base;
        v->ifindex = (uint16_t)(number <= UINT16_MAX ? number : UINT16_MAX);
        v->linktype = i->linktype;
        v->reserved = 0;
        return 1;
}

static int pcapng_read(struct formats_reader *r, struct formats_window *w, struct mapi_view *pkt, unsigned most,
                       size_t max_bytes)
{
        size_t left = max_bytes;
        unsigned n = 0;
        int rc = 0;

        r->need_bytes = 0;
        r->next_caplen = 0;
        while (n < most) {
                struct mapi_view *v = &pkt[n];
                uint32_t type, total;

                if (r->skip_total != 0 || formats_avail(w) < BLOCK_MIN ||
                    !is_packet(type = formats_get32(w->p, r->swapped))) {
                        rc = read_other(r, w);
                        if (rc <= 0)
                                break;
                        continue;
                }
                total = formats_get32(w->p + 4, r->swapped);
                rc = read_packet(r, w, type, total, v);
                if (rc <= 0)
                        break;
                if (v->caplen > left) {
                        r->next_caplen = v->caplen;
                        rc = 0;
                        break;
                }
                if (r->swapped && v->linktype == FORMATS_DLT_NULL)
                        formats_swap_null(v, 1);
                left -= v->caplen;
                w->p += total;
                r->records++;
                n++;
        }
        return n != 0 ? (int)n : rc <= 0 ? rc : 0;
}

/* Reads on until the first interface is known, or until it is clear that packets or damage come before it. */
int formats_pcapng_open(struct formats_reader *r, struct formats_window *w, int eof)
{
        if (r->read == NULL) {
                int rc;

                r->name = "pcapng";
                r->header_bytes = BLOCK_MIN;
                rc = formats_avail(w) < BLOCK_MIN ? want(r, BLOCK_MIN) : read_section(r, w);
                if (rc == 0 && eof)
                        return formats_refuse(
                                r, "it ends inside the file header of a pcapng trace (%zu of %zu bytes)",
                                formats_avail(w), r->need_bytes);
                if (rc == 0)
                        return 0;
                if (rc < 0) /* read_section has said why */
                        return -MAPI_ERROR_FILE;
                if (r->interface == NULL)
                        r->interface = calloc(INTERFACES_MAX, sizeof(*r->interface));
                if (r->interface == NULL) {
                        (void)formats_refuse(r, "no memory for its interfaces");
                        return -MAPID_MEM_ALLOCATION_ERROR;
                }
                r->snaplen = MAPI_CAPLEN_MAX; /* interfaces with longer packets may follow at any place */
                r->linktype = FORMATS_DLT_EN10MB;
                r->read = pcapng_read;
        }
        while (r->interfaces == 0) {
                int rc;

                if (r->skip_total == 0 && formats_avail(w) >= BLOCK_MIN &&
                    is_packet(formats_get32(w->p, r->swapped)))
                        return 1; /* damage, for read to report */
                rc = read_other(r, w);
                if (rc < 0 || (rc == 0 && eof))
                        return 1;
                if (rc == 0)
                        return 0;
        }
        r->linktype = r->interface[0].linktype;
        return 1;
}
