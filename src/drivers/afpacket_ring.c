/*
 * The ring of a packet socket; see afpacket_ring.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "drivers/afpacket_ring.h"

#include <stddef.h>
#include <string.h>

#include <linux/if_packet.h>

#define ADDRESSES_BYTES 12u /* of an Ethernet header, in front of the tag */
#define TAG_BYTES 4u
#define TPID_8021Q 0x8100u
#define DLT_EN10MB 1
#define COOKED_PROTOCOL 14u /* offset in a cooked header */
#define COOKED_ADDRESS_BYTES 8u

_Static_assert(DRIVERS_RING_RESERVE >= TAG_BYTES, "the tag goes into the reserve");
_Static_assert(sizeof(((struct sockaddr_ll *)0)->sll_addr) == COOKED_ADDRESS_BYTES, "addresses are copied whole");

/* A packet in its block, before anything has been written. */
struct packet {
        struct tpacket3_hdr h; /* a copy: what has been checked is what is used */
        uint8_t *bytes;        /* h.tp_snaplen of them */
        uint32_t front;        /* bytes to be put in front or in between: cooked header, tag */
        uint32_t caplen;       /* of the view */
        bool tagged;
};

static void put16(uint8_t *p, unsigned v)
{
        p[0] = (uint8_t)(v >> 8);
        p[1] = (uint8_t)v;
}

static uint8_t *block_of(const struct drivers_ring *r, uint32_t number)
{
        return r->base + (size_t)number * r->block_bytes;
}

static uint32_t *status_of(const struct drivers_ring *r, uint32_t number)
{
        return (uint32_t *)(void *)(block_of(r, number) +
                                    offsetof(struct tpacket_block_desc, hdr.bh1.block_status));
}

/* Takes up the next block. False: the kernel has it. */
static bool begin_block(struct drivers_ring *r)
{
        struct tpacket_block_desc d;

        if (r->done == r->nblocks ||
            (__atomic_load_n(status_of(r, r->block), __ATOMIC_ACQUIRE) & TP_STATUS_USER) == 0)
                return false;
        memcpy(&d, block_of(r, r->block), sizeof(d));
        r->left = d.hdr.bh1.num_pkts;
        r->at = d.hdr.bh1.offset_to_first_pkt;
        r->begun = true;
        return true;
}

static void end_block(struct drivers_ring *r)
{
        r->begun = false;
        r->done++;
        if (++r->block == r->nblocks)
                r->block = 0;
}

/* Reads the header at r->at. False: it, or what it speaks of, is not inside of the block. */
static bool read_packet(const struct drivers_ring *r, struct packet *p)
{
        uint8_t *header = block_of(r, r->block) + r->at;
        uint32_t rest;

        if (r->at < sizeof(struct tpacket_block_desc) || r->at > r->block_bytes ||
            r->block_bytes - r->at < TPACKET3_HDRLEN)
                return false;
        rest = r->block_bytes - r->at;
        memcpy(&p->h, header, sizeof(p->h));
        p->tagged = (p->h.tp_status & TP_STATUS_VLAN_VALID) != 0 &&
                    (r->cooked || (r->linktype == DLT_EN10MB && p->h.tp_snaplen >= ADDRESSES_BYTES));
        p->front = (r->cooked ? DRIVERS_RING_COOKED_BYTES : 0) + (p->tagged ? TAG_BYTES : 0);
        if (p->h.tp_mac < TPACKET3_HDRLEN + p->front || p->h.tp_mac > rest || p->h.tp_snaplen > rest - p->h.tp_mac)
                return false;
        if (r->left > 1 && (p->h.tp_next_offset < TPACKET3_HDRLEN || p->h.tp_next_offset > rest))
                return false;
        p->bytes = header + p->h.tp_mac;
        p->caplen = p->h.tp_snaplen + p->front; /* both fit into a block */
        if (p->caplen > r->snaplen)
                p->caplen = r->snaplen;
        return true;
}

/* The cooked header as pcap-linktype(7) has it: direction, hardware type, address, protocol. A tag goes in front of
   the protocol, as if it were in the packet. */
static void put_cooked(uint8_t *to, const struct sockaddr_ll *from, const struct packet *p, unsigned tpid)
{
        put16(to, from->sll_pkttype);
        put16(to + 2, from->sll_hatype);
        put16(to + 4, from->sll_halen);
        memcpy(to + 6, from->sll_addr, COOKED_ADDRESS_BYTES);
        if (p->tagged) {
                put16(to + COOKED_PROTOCOL, tpid);
                put16(to + COOKED_PROTOCOL + 2, p->h.hv1.tp_vlan_tci);
                to += TAG_BYTES;
        }
        memcpy(to + COOKED_PROTOCOL, &from->sll_protocol, 2); /* in network order already */
}

/* Completes the packet in the ring and describes it. Once per packet: it writes into the block. */
static void make_view(const struct drivers_ring *r, const struct packet *p, struct mapi_view *ret)
{
        unsigned tpid = p->h.tp_status & TP_STATUS_VLAN_TPID_VALID ? p->h.hv1.tp_vlan_tpid : TPID_8021Q;
        uint8_t *data = p->bytes - p->front;
        struct sockaddr_ll from = { 0 };

        if (r->cooked || r->numbered)
                memcpy(&from, block_of(r, r->block) + r->at + TPACKET_ALIGN(sizeof(p->h)), sizeof(from));
        if (r->cooked) {
                put_cooked(data, &from, p, tpid);
        } else if (p->tagged) {
                memmove(data, p->bytes, ADDRESSES_BYTES);
                put16(data + ADDRESSES_BYTES, tpid);
                put16(data + ADDRESSES_BYTES + 2, p->h.hv1.tp_vlan_tci);
        }
        *ret = (struct mapi_view){
                .data = data,
                .ts = mapi_ts_from_ns(p->h.tp_sec, p->h.tp_nsec),
                .caplen = p->caplen,
                .wirelen = p->h.tp_len + p->front,
                .ifindex = r->numbered ? (uint16_t)from.sll_ifindex : 0,
                .linktype = r->linktype,
        };
}

unsigned drivers_ring_recv(struct drivers_ring *r, struct mapi_view *views, unsigned most, size_t max_bytes,
                           size_t *ret_needed_bytes)
{
        unsigned n = 0;

        *ret_needed_bytes = 0;
        while (n < most && (r->begun || begin_block(r))) {
                struct packet p;

                if (r->left != 0 && !read_packet(r, &p)) {
                        __atomic_store_n(&r->lost, r->lost + r->left, __ATOMIC_RELAXED);
                        r->left = 0;
                }
                if (r->left != 0) {
                        if (p.caplen > max_bytes) {
                                if (n == 0)
                                        *ret_needed_bytes = p.caplen;
                                break;
                        }
                        max_bytes -= p.caplen;
                        make_view(r, &p, &views[n++]);
                        r->left--;
                        r->at += p.h.tp_next_offset; /* checked, unless this was the last one */
                        if (r->left != 0)
                                __builtin_prefetch(block_of(r, r->block) + r->at);
                }
                if (r->left == 0)
                        end_block(r);
        }
        return n;
}

void drivers_ring_release(struct drivers_ring *r)
{
        for (; r->done != 0; r->done--) {
                uint32_t number = r->block >= r->done ? r->block - r->done : r->block + r->nblocks - r->done;

                __atomic_store_n(status_of(r, number), TP_STATUS_KERNEL, __ATOMIC_RELEASE);
        }
}
