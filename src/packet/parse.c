/*
 * From bytes to struct mapi_headers: link, VLAN tags, MPLS labels, network and transport header.
 *
 * Hot: no allocation, no call that is not inlined. Every byte is read through look(), which knows where the captured
 * bytes end; every loop moves the cursor forward and has a step cap besides.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "packet/parse.h"

#include <stdbool.h>

/* Tags and labels, then extension headers, that are walked in one packet. vlan_tags counts to 255. */
#define STEPS_MAX 255u
#define EXTENSIONS_MAX 32u

/* How many packets ahead the first bytes are fetched into the cache. */
#define PREFETCH_AHEAD 4u

/* pcap-linktype(7); some have a DLT_ and a LINKTYPE_ number. */
enum {
        LINK_NULL = 0,
        LINK_ETHERNET = 1,
        LINK_PPP = 9,
        LINK_DLT_RAW = 12,
        LINK_PPP_SERIAL = 50,
        LINK_RAW = 101,
        LINK_CHDLC = 104,
        LINK_LOOP = 108,
        LINK_SLL = 113,
        LINK_IP4 = 228,
        LINK_IP6 = 229,
        LINK_SLL2 = 276
};

/* EtherTypes. 0 stands for "not known". */
enum {
        TYPE_UNKNOWN = 0,
        TYPE_MIN = 1536, /* below: the length of an 802.3 frame */
        TYPE_IP4 = 0x0800,
        TYPE_ARP = 0x0806,
        TYPE_RARP = 0x8035,
        TYPE_VLAN = 0x8100,
        TYPE_VLAN_AD = 0x88a8,
        TYPE_VLAN_QINQ = 0x9100,
        TYPE_IP6 = 0x86dd,
        TYPE_MPLS = 0x8847,
        TYPE_MPLS_MULTI = 0x8848,
        TYPE_PPPOE = 0x8864
};

enum {
        PROTO_HOPOPT = 0,
        PROTO_ICMP = 1,
        PROTO_TCP = 6,
        PROTO_UDP = 17,
        PROTO_ROUTING = 43,
        PROTO_FRAGMENT = 44,
        PROTO_AH = 51,
        PROTO_ICMP6 = 58,
        PROTO_NONE = 59,
        PROTO_DSTOPT = 60,
        PROTO_SCTP = 132,
        PROTO_MOBILITY = 135
};

/* Where decoding stands. at <= end <= caplen, always. */
struct cursor {
        const uint8_t *data;
        uint32_t at;
        uint32_t end; /* of the innermost packet that has a length field of its own */
        uint32_t caplen;
};

static inline uint32_t be16(const uint8_t *p)
{
        return (uint32_t)p[0] << 8 | p[1];
}

/* The next n bytes, or NULL if there are fewer. */
static inline const uint8_t *look(const struct cursor *c, uint32_t n)
{
        return c->end - c->at >= n ? c->data + c->at : NULL;
}

/* Goes over n bytes that look() has shown. */
static inline void skip(struct cursor *c, uint32_t n)
{
        c->at += n;
}

/* A header is not whole. It is cut only if the captured bytes end here, not just the packet by its own length. */
static inline uint32_t cut(const struct cursor *c, struct mapi_headers *h)
{
        if (c->end == c->caplen)
                h->flags |= MAPI_HDR_CUT;
        return TYPE_UNKNOWN;
}

/* ---- link layers: each leaves the cursor at the network header and returns its EtherType ------------------- */

/* Bare IP: the version is in the first four bits. */
static inline uint32_t link_ip(struct cursor *c, struct mapi_headers *h)
{
        const uint8_t *p = look(c, 1);

        if (p == NULL)
                return cut(c, h);
        return p[0] >> 4 == 4 ? TYPE_IP4 : p[0] >> 4 == 6 ? TYPE_IP6 : TYPE_UNKNOWN;
}

static inline uint32_t link_mpls(struct cursor *c, struct mapi_headers *h)
{
        const uint8_t *p;

        for (unsigned step = 0; step < STEPS_MAX; step++) {
                p = look(c, 4);
                if (p == NULL)
                        return cut(c, h);
                skip(c, 4);
                h->flags |= MAPI_HDR_MPLS;
                if (p[2] & 1) /* bottom of the stack: nothing says what follows */
                        return link_ip(c, h);
        }
        return TYPE_UNKNOWN;
}

/* From the PPP protocol field on, which is one byte long if its lowest bit is set (compressed). */
static inline uint32_t link_ppp_protocol(struct cursor *c, struct mapi_headers *h)
{
        const uint8_t *p = look(c, 1);
        uint32_t protocol;

        if (p == NULL)
                return cut(c, h);
        if (p[0] & 1) {
                protocol = p[0];
                skip(c, 1);
        } else {
                p = look(c, 2);
                if (p == NULL)
                        return cut(c, h);
                protocol = be16(p);
                skip(c, 2);
        }
        switch (protocol) {
        case 0x0021:
                return TYPE_IP4;
        case 0x0057:
                return TYPE_IP6;
        case 0x0281:
        case 0x0283:
                return link_mpls(c, h);
        default:
                return TYPE_UNKNOWN;
        }
}

static inline uint32_t link_pppoe(struct cursor *c, struct mapi_headers *h)
{
        const uint8_t *p = look(c, 6);

        if (p == NULL)
                return cut(c, h);
        if (p[0] != 0x11 || p[1] != 0)
                return TYPE_UNKNOWN;
        skip(c, 6);
        return link_ppp_protocol(c, h);
}

/* LLC: only SNAP with an EtherType in it leads on. */
static inline uint32_t link_llc(struct cursor *c, struct mapi_headers *h)
{
        const uint8_t *p = look(c, 3);
        uint32_t type;

        if (p == NULL)
                return cut(c, h);
        if (p[0] != 0xaa || p[1] != 0xaa || p[2] != 3)
                return TYPE_UNKNOWN;
        p = look(c, 8);
        if (p == NULL)
                return cut(c, h);
        if (p[3] != 0 || p[4] != 0 || (p[5] != 0 && p[5] != 0xf8))
                return TYPE_UNKNOWN;
        type = be16(p + 6);
        if (type < TYPE_MIN)
                return TYPE_UNKNOWN;
        skip(c, 8);
        return type;
}

/* From an EtherType or length field on: tags, labels and PPPoE until a network header. */
static inline uint32_t link_type(struct cursor *c, uint32_t type, struct mapi_headers *h)
{
        const uint8_t *p;

        for (unsigned step = 0; step < STEPS_MAX; step++) {
                switch (type) {
                case TYPE_VLAN:
                case TYPE_VLAN_AD:
                case TYPE_VLAN_QINQ:
                        p = look(c, 4);
                        if (p == NULL)
                                return cut(c, h);
                        if (h->vlan_tags == 0)
                                h->vlan = (uint16_t)be16(p);
                        h->flags |= MAPI_HDR_VLAN;
                        h->vlan_tags++;
                        type = be16(p + 2);
                        skip(c, 4);
                        continue;
                case TYPE_MPLS:
                case TYPE_MPLS_MULTI:
                        return link_mpls(c, h);
                case TYPE_PPPOE:
                        return link_pppoe(c, h);
                default:
                        if (type >= TYPE_MIN)
                                return type;
                        type = link_llc(c, h);
                        if (type == TYPE_UNKNOWN)
                                return TYPE_UNKNOWN;
                        continue;
                }
        }
        return TYPE_UNKNOWN;
}

/* A link header of fixed size with the EtherType at `field`. */
static inline uint32_t link_fixed(struct cursor *c, uint32_t size, uint32_t field, struct mapi_headers *h)
{
        const uint8_t *p = look(c, size);
        uint32_t type;

        if (p == NULL)
                return cut(c, h);
        type = be16(p + field);
        skip(c, size);
        return link_type(c, type, h);
}

/* Linux cooked capture: as above, but small numbers are kinds of frames, not lengths; 4 is 802.2. */
static inline uint32_t link_cooked(struct cursor *c, uint32_t size, uint32_t field, struct mapi_headers *h)
{
        const uint8_t *p = look(c, size);
        uint32_t type;

        if (p == NULL)
                return cut(c, h);
        type = be16(p + field);
        if (type < TYPE_MIN && type != 4)
                return TYPE_UNKNOWN;
        skip(c, size);
        return link_type(c, type, h);
}

/* BSD loopback: an address family, in the byte order of a machine that we do not know. */
static inline uint32_t link_null(struct cursor *c, struct mapi_headers *h)
{
        const uint8_t *p = look(c, 4);
        uint32_t family;

        if (p == NULL)
                return cut(c, h);
        family = p[0] == 0 && p[1] == 0 ? be16(p + 2) : p[2] == 0 && p[3] == 0 ? (uint32_t)p[1] << 8 | p[0] : 0;
        skip(c, 4);
        switch (family) {
        case 2:
                return TYPE_IP4;
        case 10: /* Linux */
        case 24: /* NetBSD, OpenBSD */
        case 28: /* FreeBSD */
        case 30: /* Darwin */
                return TYPE_IP6;
        default:
                return TYPE_UNKNOWN;
        }
}

/* PPP with or without FF 03 in front, or Cisco HDLC (0F 00 or 8F 00, then an EtherType) on the same link. */
static inline uint32_t link_ppp(struct cursor *c, struct mapi_headers *h)
{
        const uint8_t *p = look(c, 2);

        if (p == NULL)
                return cut(c, h);
        if ((p[0] == 0x0f || p[0] == 0x8f) && p[1] == 0)
                return link_fixed(c, 4, 2, h);
        if (p[0] == 0xff && p[1] == 3)
                skip(c, 2);
        return link_ppp_protocol(c, h);
}

/* ---- transport ------------------------------------------------------------------------------------------ */

static inline void transport(struct cursor *c, uint32_t protocol, struct mapi_headers *h)
{
        const uint8_t *p;
        uint32_t size;

        h->l4 = c->at;
        h->flags |= MAPI_HDR_L4;
        switch (protocol) {
        case PROTO_TCP:
                p = look(c, 20);
                if (p == NULL) {
                        cut(c, h);
                        return;
                }
                size = (uint32_t)(p[12] >> 4) * 4;
                if (size < 20)
                        return;
                break;
        case PROTO_UDP:
        case PROTO_ICMP:
        case PROTO_ICMP6:
                size = 8;
                break;
        case PROTO_SCTP:
                size = 12;
                break;
        default:
                return;
        }
        if (look(c, size) == NULL) {
                cut(c, h);
                return;
        }
        h->payload = c->at + size;
        h->flags |= MAPI_HDR_PAYLOAD;
}

/* ---- network -------------------------------------------------------------------------------------------- */

static inline void network_ip4(struct cursor *c, struct mapi_headers *h)
{
        const uint8_t *p = look(c, 20);
        uint32_t size, total, fragment;

        if (p == NULL) {
                cut(c, h);
                return;
        }
        size = (uint32_t)(p[0] & 15) * 4;
        if (p[0] >> 4 != 4 || size < 20)
                return;
        if (look(c, size) == NULL) {
                cut(c, h);
                return;
        }
        h->flags |= MAPI_HDR_IP4;
        total = be16(p + 2);
        if (total != 0 && total < size)
                total = size;
        if (total != 0 && total < c->end - c->at) /* 0: left to the network card by segmentation offload */
                c->end = c->at + total;
        skip(c, size);
        h->ip_end = c->end;
        h->l3_payload = c->at;
        h->l4proto = p[9];
        fragment = be16(p + 6);
        if (fragment & 0x3fff) {
                h->flags |= MAPI_HDR_FRAGMENT;
                if (fragment & 0x1fff) {
                        h->flags |= MAPI_HDR_FRAG_LATER;
                        return;
                }
        }
        transport(c, p[9], h);
}

static inline void network_ip6(struct cursor *c, struct mapi_headers *h)
{
        const uint8_t *p = look(c, 40);
        uint32_t next, length, size;

        if (p == NULL) {
                cut(c, h);
                return;
        }
        if (p[0] >> 4 != 6)
                return;
        h->flags |= MAPI_HDR_IP6;
        length = be16(p + 4);
        next = p[6];
        skip(c, 40);
        /* 0: a jumbogram or segmentation offload, unless there is nothing to come */
        if ((length != 0 || next == PROTO_NONE) && length < c->end - c->at)
                c->end = c->at + length;
        h->ip_end = c->end;
        for (unsigned step = 0; step < EXTENSIONS_MAX; step++) {
                h->l3_payload = c->at;
                h->l4proto = (uint8_t)next;
                switch (next) {
                case PROTO_HOPOPT:
                case PROTO_ROUTING:
                case PROTO_FRAGMENT:
                case PROTO_AH:
                case PROTO_DSTOPT:
                case PROTO_MOBILITY:
                        break;
                case PROTO_NONE:
                        return;
                default:
                        transport(c, next, h);
                        return;
                }
                p = look(c, 8);
                if (p == NULL) {
                        cut(c, h);
                        return;
                }
                size = next == PROTO_FRAGMENT ? 8
                       : next == PROTO_AH     ? (uint32_t)p[1] * 4 + 8
                                              : (uint32_t)p[1] * 8 + 8;
                if (look(c, size) == NULL) {
                        cut(c, h);
                        return;
                }
                skip(c, size);
                if (next == PROTO_FRAGMENT) {
                        h->flags |= MAPI_HDR_FRAGMENT;
                        if (be16(p + 2) & 0xfff8) {
                                h->flags |= MAPI_HDR_FRAG_LATER;
                                h->l3_payload = c->at;
                                h->l4proto = p[0];
                                return;
                        }
                }
                next = p[0];
        }
}

/* ARP has no payload: its "payload" is the message itself. */
static inline void network_arp(struct cursor *c, struct mapi_headers *h)
{
        const uint8_t *p = look(c, 8);
        uint32_t size;

        h->flags |= MAPI_HDR_ARP;
        h->l3_payload = c->at;
        if (p == NULL) {
                cut(c, h);
                return;
        }
        size = 8 + 2 * ((uint32_t)p[4] + p[5]);
        if (look(c, size) == NULL)
                cut(c, h);
        else
                h->ip_end = c->at + size;
}

static inline void network(struct cursor *c, uint32_t type, bool slarp, struct mapi_headers *h)
{
        h->l3 = c->at;
        h->ip_end = c->end;
        h->ethertype = (uint16_t)type;
        h->flags |= MAPI_HDR_L3;
        if (type == TYPE_IP4)
                network_ip4(c, h);
        else if (type == TYPE_IP6)
                network_ip6(c, h);
        else if (type == TYPE_ARP || (type == TYPE_RARP && !slarp))
                network_arp(c, h);
}

static inline void packet(const struct mapi_view *v, struct mapi_headers *ret)
{
        struct mapi_headers h = { 0 };
        struct cursor c = { .data = v->data, .at = 0, .end = v->caplen, .caplen = v->caplen };
        uint32_t type = TYPE_UNKNOWN;

        switch (v->linktype) {
        case LINK_ETHERNET:
                type = link_fixed(&c, 14, 12, &h);
                break;
        case LINK_SLL:
                type = link_cooked(&c, 16, 14, &h);
                break;
        case LINK_SLL2:
                type = link_cooked(&c, 20, 0, &h);
                break;
        case LINK_DLT_RAW:
        case LINK_RAW:
                type = link_ip(&c, &h);
                break;
        case LINK_IP4:
                type = TYPE_IP4;
                break;
        case LINK_IP6:
                type = TYPE_IP6;
                break;
        case LINK_NULL:
        case LINK_LOOP:
                type = link_null(&c, &h);
                break;
        case LINK_CHDLC:
                type = link_fixed(&c, 4, 2, &h);
                break;
        case LINK_PPP:
        case LINK_PPP_SERIAL:
                type = link_ppp(&c, &h);
                break;
        default:
                break;
        }
        if (type != TYPE_UNKNOWN) /* on HDLC the number of RARP means Cisco's SLARP */
                network(&c, type,
                        v->linktype != LINK_ETHERNET && v->linktype != LINK_SLL && v->linktype != LINK_SLL2, &h);
        *ret = h;
}

void packet_parse(struct mapi_batch *b, mapi_sel which)
{
        mapi_sel ahead;

        which &= ~b->parsed;
        ahead = which;
        for (unsigned k = 0; k < PREFETCH_AHEAD; k++)
                ahead &= ahead - 1;
        MAPI_SEL_EACH (i, which) {
                if (ahead != 0) {
                        __builtin_prefetch(b->pkt[mapi_sel_first(ahead)].data);
                        ahead &= ahead - 1;
                }
                packet(&b->pkt[i], &b->hdr[i]);
        }
        b->parsed |= which;
}
