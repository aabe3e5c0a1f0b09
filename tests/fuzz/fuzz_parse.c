/*
 * packet/parse: any bytes on any link type. Byte 0 chooses the link type, bytes 1 and 2 where the packet is cut a second
 * time; the rest is the packet.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "packet/parse.h"

#include <stdlib.h>
#include <string.h>

#define REQUIRE(condition)                                                                                        \
        do {                                                                                                      \
                if (!(condition))                                                                                 \
                        abort();                                                                                  \
        } while (0)

static const uint16_t links[] = { 1, 0, 9, 12, 50, 101, 104, 105, 108, 113, 228, 229, 276, 65535 };

static struct mapi_headers parse(uint16_t link, const uint8_t *data, size_t n)
{
        static struct mapi_batch b;
        uint8_t *copy = malloc(n != 0 ? n : 1);

        REQUIRE(copy != NULL);
        memcpy(copy, data, n);
        b.n = 1;
        b.parsed = 0;
        memset(&b.hdr[0], 0xee, sizeof b.hdr[0]);
        b.pkt[0] = (struct mapi_view){
                .data = n != 0 ? copy : copy + 1, .caplen = (uint32_t)n, .wirelen = (uint32_t)n, .linktype = link
        };
        packet_parse(&b, 1);
        REQUIRE(b.parsed == 1);
        free(copy);
        return b.hdr[0];
}

static void check(const struct mapi_headers *h, uint32_t caplen)
{
        unsigned f = h->flags;
        unsigned ip = MAPI_HDR_IP4 | MAPI_HDR_IP6;

        REQUIRE(h->l3 <= caplen && h->l3_payload <= caplen && h->l4 <= caplen && h->payload <= caplen &&
                h->ip_end <= caplen);
        REQUIRE((f & ip) != ip);
        REQUIRE(!(f & (ip | MAPI_HDR_ARP)) || f & MAPI_HDR_L3);
        REQUIRE(!(f & ip) || !(f & MAPI_HDR_ARP));
        REQUIRE(!(f & MAPI_HDR_L4) || f & ip);
        REQUIRE(!(f & MAPI_HDR_PAYLOAD) || f & MAPI_HDR_L4);
        REQUIRE(!(f & MAPI_HDR_FRAG_LATER) || (f & MAPI_HDR_FRAGMENT && !(f & MAPI_HDR_L4)));
        REQUIRE(!(f & MAPI_HDR_FRAGMENT) || f & ip);
        REQUIRE(!(f & MAPI_HDR_IP4) || h->l3_payload - h->l3 >= 20);
        REQUIRE(!(f & MAPI_HDR_IP6) || h->l3_payload - h->l3 >= 40);
        REQUIRE(!(f & ip) || h->l3_payload <= h->ip_end);
        REQUIRE(!(f & MAPI_HDR_L4) || (h->l4 == h->l3_payload && h->l4 <= h->ip_end));
        REQUIRE(!(f & MAPI_HDR_PAYLOAD) || (h->payload >= h->l4 + 8 && h->payload <= h->ip_end));
        REQUIRE((h->vlan_tags > 0) == ((f & MAPI_HDR_VLAN) != 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct mapi_headers whole, less;
        uint16_t link;
        size_t cut;

        if (size < 3 || size > MAPI_CAPLEN_MAX)
                return 0;
        link = links[data[0] % (sizeof links / sizeof links[0])];
        cut = data[1] | (size_t)data[2] << 8;
        data += 3;
        size -= 3;
        whole = parse(link, data, size);
        check(&whole, (uint32_t)size);
        if (cut > size)
                return 0;
        /* fewer bytes never tell something else, only less */
        less = parse(link, data, cut);
        check(&less, (uint32_t)cut);
        REQUIRE((less.flags & ~(unsigned)whole.flags & ~(unsigned)MAPI_HDR_CUT) == 0);
        REQUIRE(less.flags == whole.flags || less.flags & MAPI_HDR_CUT);
        REQUIRE(!(less.flags & MAPI_HDR_L3) || (less.l3 == whole.l3 && less.ethertype == whole.ethertype));
        REQUIRE(!(less.flags & MAPI_HDR_L4) || (less.l4 == whole.l4 && less.l4proto == whole.l4proto));
        REQUIRE(!(less.flags & MAPI_HDR_PAYLOAD) || less.payload == whole.payload);
        return 0;
}
