/*
 * The oracle's reader: written plainly from the description of the formats, slow and bounded.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "reader.h"

#include <string.h>

#include <pcap/dlt.h>

static uint32_t get32(const struct reader *r, size_t at)
{
        const uint8_t *p = r->file + at;
        uint32_t little = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;

        return r->swapped ? __builtin_bswap32(little) : little; /* swapped: big-endian */
}

static uint16_t get16(const struct reader *r, size_t at)
{
        const uint8_t *p = r->file + at;

        return (uint16_t)(r->swapped ? p[0] << 8 | p[1] : p[1] << 8 | p[0]);
}

static int damaged(struct reader *r, const char *why)
{
        r->damage = why;
        return 0;
}

/* A LINKTYPE_ of a file is the DLT_ of the same number, except for those where systems disagree (pcap-linktype(7)). */
static uint16_t to_dlt(uint32_t linktype)
{
        switch (linktype & 0xffffu) {
        case 9:
                return DLT_PPP;
        case 100:
                return DLT_ATM_RFC1483;
        case 101:
                return DLT_RAW;
        case 102:
                return DLT_SLIP_BSDOS;
        case 103:
                return DLT_PPP_BSDOS;
        }
        return (uint16_t)linktype;
}

/* ---- pcap ------------------------------------------------------------------------------------------------- */

static int open_pcap(struct reader *r, uint32_t magic)
{
        if (r->size < 24) {
                r->damage = "cut inside the file header";
                return -1;
        }
        if (get16(r, 4) != 2) {
                r->damage = "an unknown version";
                return -1;
        }
        r->record_head = magic == 0xa1b2cd34u ? 24 : 16; /* Kuznetsov's format has eight bytes more */
        r->snaplens[0] = get32(r, 16);
        r->linktypes[0] = to_dlt(get32(r, 20));
        r->interfaces = 1;
        r->at = 24;
        return 0;
}

static int next_pcap(struct reader *r, struct packet *ret)
{
        size_t left = r->size - r->at;

        if (left == 0)
                return 0;
        if (left < r->record_head)
                return damaged(r, "cut inside a packet's header");
        ret->caplen = get32(r, r->at + 8);
        ret->wirelen = get32(r, r->at + 12);
        ret->linktype = r->linktypes[0];
        if (ret->caplen > READER_CAPLEN_MAX)
                return damaged(r, "a packet longer than any packet");
        if (ret->caplen > left - r->record_head)
                return damaged(r, "cut inside a packet");
        ret->data = r->file + r->at + r->record_head;
        r->at += r->record_head + ret->caplen;
        return 1;
}

/* ---- pcapng ----------------------------------------------------------------------------------------------- */

/* Enters a section: its header says the byte order of all that follows. */
static int begin_section(struct reader *r)
{
        const uint8_t *p = r->file + r->at;
        static const uint8_t little[4] = { 0x4d, 0x3c, 0x2b, 0x1a }, big[4] = { 0x1a, 0x2b, 0x3c, 0x4d };

        if (r->size - r->at < 28)
                return -1;
        if (memcmp(p + 8, little, 4) == 0)
                r->swapped = 0;
        else if (memcmp(p + 8, big, 4) == 0)
                r->swapped = 1;
        else
                return -1;
        r->interfaces = 0;
        return 0;
}

static int packet_block(struct reader *r, uint32_t type, size_t body, uint32_t body_len, struct packet *ret)
{
        uint32_t interface, head;

        if (type == 3) { /* simple packet: of the first interface, cut at its snap length */
                if (body_len < 4 || r->interfaces == 0)
                        return -1;
                interface = 0;
                head = 4;
                ret->wirelen = get32(r, body);
                ret->caplen = ret->wirelen;
                if (r->snaplens[0] != 0 && ret->caplen > r->snaplens[0])
                        ret->caplen = r->snaplens[0];
        } else { /* enhanced, or the obsolete packet block */
                if (body_len < 20)
                        return -1;
                interface = type == 6 ? get32(r, body) : get16(r, body);
                head = 20;
                ret->caplen = get32(r, body + 12);
                ret->wirelen = get32(r, body + 16);
        }
        if (interface >= r->interfaces || ret->caplen > body_len - head || ret->caplen > READER_CAPLEN_MAX)
                return -1;
        ret->linktype = r->linktypes[interface];
        ret->data = r->file + body + head;
        return 0;
}

static int next_ng(struct reader *r, struct packet *ret)
{
        while (r->at < r->size) {
                size_t left = r->size - r->at;
                uint32_t type, len;

                if (left < 12)
                        return damaged(r, "cut inside a block's header");
                type = get32(r, r->at);
                if (type == 0x0a0d0d0au && begin_section(r) < 0)
                        return damaged(r, "a section header that is none");
                len = get32(r, r->at + 4);
                if (len < 12 || len % 4 != 0 || len > left)
                        return damaged(r, "a block of an impossible length");
                if (get32(r, r->at + len - 4) != len)
                        return damaged(r, "a block whose two lengths differ");
                if (type == 1) {
                        if (len < 20 || r->interfaces == READER_INTERFACES_MAX)
                                return damaged(r, "an interface that is none, or too many of them");
                        r->linktypes[r->interfaces] = to_dlt(get16(r, r->at + 8));
                        r->snaplens[r->interfaces++] = get32(r, r->at + 12);
                }
                if (type == 6 || type == 3 || type == 2) {
                        if (packet_block(r, type, r->at + 8, len - 12, ret) < 0)
                                return damaged(r, "a packet that does not fit its block");
                        r->at += len;
                        return 1;
                }
                r->at += len;
        }
        return 0;
}

int reader_open(struct reader *r, const uint8_t *file, size_t size)
{
        static const uint32_t magics[] = { 0xa1b2c3d4u, 0xa1b23c4du, 0xa1b2cd34u };
        unsigned i;

        memset(r, 0, sizeof(*r));
        r->file = file;
        r->size = size;
        if (size < 4) {
                r->damage = "no file header";
                return -1;
        }
        if (get32(r, 0) == 0x0a0d0d0au) {
                r->ng = 1;
                if (begin_section(r) < 0)
                        r->damage = "a section header that is none";
                return r->damage == NULL ? 0 : -1;
        }
        for (r->swapped = 0; r->swapped < 2; r->swapped++)
                for (i = 0; i < 3; i++)
                        if (get32(r, 0) == magics[i])
                                return open_pcap(r, magics[i]);
        r->damage = "not a trace";
        return -1;
}

int reader_next(struct reader *r, struct packet *ret)
{
        if (r->damage != NULL)
                return 0;
        return r->ng ? next_ng(r, ret) : next_pcap(r, ret);
}
