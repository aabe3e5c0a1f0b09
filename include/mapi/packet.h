/*
 * Packets as functions and drivers see them: views, batches, selections, decoded headers.
 * For authors of functions and drivers; applications need <mapi.h> only.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef MAPI_PACKET_H
#define MAPI_PACKET_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Most packets of one batch; a selection has one bit for each. */
#define MAPI_BATCH_MAX 64u

/** Longest captured packet that the system handles, in bytes (tcpdump's MAXIMUM_SNAPLEN). */
#define MAPI_CAPLEN_MAX 262144u

/**
 * One packet as the driver lent it.
 * Owner    the driver, from recv to release of the batch; who keeps a packet copies it
 * Units    ts is 32.32 fixed point: seconds since 1970-01-01 UTC in the upper half, 2^-32 s in the lower;
 *          caplen and wirelen are bytes, both count the link header
 */
struct mapi_view {
        const uint8_t *data; /* caplen readable bytes, starting with the link header */
        uint64_t ts;
        uint32_t caplen;   /* bytes captured: all that may be read */
        uint32_t wirelen;  /* bytes on the wire; may be smaller than caplen in a damaged trace */
        uint16_t ifindex;  /* number of the capture interface within the device */
        uint16_t linktype; /* DLT_ value of this packet (pcap-linktype(7)) */
        uint32_t reserved;
};

/** Which packets of a batch are still in a flow: bit i stands for view i. */
typedef uint64_t mapi_sel;

#define MAPI_SEL_BIT(i) ((mapi_sel)1 << (i))
#define MAPI_SEL_ALL(n) ((n) >= 64u ? ~(mapi_sel)0 : MAPI_SEL_BIT(n) - 1u)

static inline unsigned mapi_sel_count(mapi_sel s)
{
        return (unsigned)__builtin_popcountll(s);
}

/** Index of the first / last packet of a selection that is not empty. */
static inline unsigned mapi_sel_first(mapi_sel s)
{
        return (unsigned)__builtin_ctzll(s);
}

static inline unsigned mapi_sel_last(mapi_sel s)
{
        return 63u - (unsigned)__builtin_clzll(s);
}

/** Walks the packets of a selection in their order: MAPI_SEL_EACH(i, in) { ... b->pkt[i] ... } */
#define MAPI_SEL_EACH(i, sel)                                                                                     \
        for (mapi_sel mapi_rest_##i = (sel); mapi_rest_##i != 0; mapi_rest_##i &= mapi_rest_##i - 1)              \
                for (unsigned i = mapi_sel_first(mapi_rest_##i), mapi_once_##i = 1; mapi_once_##i;                \
                     mapi_once_##i = 0)

/** How deep headers must be decoded for a function: what it asks for in .needs. */
enum mapi_need {
        MAPI_NEED_NOTHING = 0,
        MAPI_NEED_HEADERS = 1 /* link, VLAN, MPLS, network and transport header: struct mapi_headers */
};

enum mapi_header_flags {
        MAPI_HDR_L3 = 1,           /* l3 and ethertype are known */
        MAPI_HDR_IP4 = 2,          /* a whole IPv4 header of at least 20 bytes is captured */
        MAPI_HDR_IP6 = 4,          /* a whole IPv6 header is captured */
        MAPI_HDR_ARP = 8,          /* ARP or RARP */
        MAPI_HDR_L4 = 16,          /* l4 is known: first fragment, extension headers walked */
        MAPI_HDR_PAYLOAD = 32,     /* the whole transport header is captured: payload is known */
        MAPI_HDR_FRAGMENT = 64,    /* a fragment, first or later */
        MAPI_HDR_FRAG_LATER = 128, /* a fragment with offset > 0: no transport header */
        MAPI_HDR_VLAN = 256,       /* at least one VLAN tag */
        MAPI_HDR_MPLS = 512,       /* at least one MPLS label */
        MAPI_HDR_CUT = 1024        /* decoding met the end of the captured bytes inside a header */
};

/**
 * Where the headers of one packet are. Offsets count bytes from view.data and never exceed caplen;
 * a field is valid only if its flag is set. The ends are cut at caplen: bytes [x, x_end) may be read.
 */
struct mapi_headers {
        uint32_t l3;         /* network header */
        uint32_t l3_payload; /* first byte behind the IP header with its options or extension headers, or of ARP */
        uint32_t l4;         /* transport header */
        uint32_t payload;    /* first byte behind the TCP, UDP, ICMP or SCTP header */
        uint32_t ip_end;     /* end of the network packet by its own length field, at most caplen */
        uint16_t ethertype;  /* EtherType of the network header, host order; 0 if the link has none */
        uint16_t vlan;       /* outermost VLAN tag (TCI), host order */
        uint16_t flags;      /* enum mapi_header_flags */
        uint8_t l4proto;     /* IP protocol number of the transport header */
        uint8_t vlan_tags;   /* how many VLAN tags were skipped */
};

/**
 * Up to MAPI_BATCH_MAX packets on their way through a device's plan. One worker owns it between
 * recv and release. hdr[i] is valid for the packets in .parsed only.
 */
struct mapi_batch {
        uint32_t n; /* views in use */
        uint32_t reserved;
        mapi_sel parsed; /* packets whose headers have been decoded */
        struct mapi_view pkt[MAPI_BATCH_MAX];
        struct mapi_headers hdr[MAPI_BATCH_MAX];
};

/** 32.32 from seconds and nanoseconds (or any fraction of up to 2^32-1 ns), exactly floor(ns * 2^32 / 10^9). */
static inline uint64_t mapi_ts_from_ns(uint64_t seconds, uint32_t ns)
{
        return (seconds << 32) + (((uint64_t)ns << 32) / 1000000000u);
}

static inline uint64_t mapi_ts_from_us(uint64_t seconds, uint32_t us)
{
        return (seconds << 32) + (((uint64_t)us << 32) / 1000000u);
}

/** The rounded inverse: from_us -> to_us and from_ns -> to_ns give the same number back. */
static inline void mapi_ts_to_us(uint64_t ts, uint32_t *ret_seconds, uint32_t *ret_us)
{
        uint64_t us = ((ts & 0xffffffffu) * 1000000u + 0x80000000u) >> 32;

        *ret_seconds = (uint32_t)(ts >> 32) + (us == 1000000u);
        *ret_us = us == 1000000u ? 0 : (uint32_t)us;
}

static inline void mapi_ts_to_ns(uint64_t ts, uint32_t *ret_seconds, uint32_t *ret_ns)
{
        uint64_t ns = ((ts & 0xffffffffu) * 1000000000u + 0x80000000u) >> 32;

        *ret_seconds = (uint32_t)(ts >> 32) + (ns == 1000000000u);
        *ret_ns = ns == 1000000000u ? 0 : (uint32_t)ns;
}

#ifdef __cplusplus
}
#endif
#endif
