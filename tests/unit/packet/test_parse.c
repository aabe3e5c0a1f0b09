/* packet/parse: one hand-made packet of each kind, whole and cut at every byte. SPDX-License-Identifier: BSD-2-Clause */
#include "packet/parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Headers in hex, blanks are ignored. */
#define MACS "020000000001 020000000002 "
#define ETH(type) MACS type " "
#define IP4(length, fragment, protocol) "4500 " length " 0001 " fragment " 40 " protocol " 0000 0a000001 0a000002 "
#define IP6(length, next)                                                                                         \
        "60000000 " length " " next " 40 20010db8 00000000 00000000 00000001 20010db8 00000000 00000000 "         \
        "00000002 "
#define TCP "04d2 0050 00000001 00000002 5018 ffff 0000 0000 "
#define UDP "04d2 0035 000c 0000 "
#define ICMP "0800 0000 0001 0001 "
#define SCTP "04d2 0050 00000001 00000000 "
#define DATA "61626364 " /* abcd */

#define L3 MAPI_HDR_L3
#define V4 (MAPI_HDR_L3 | MAPI_HDR_IP4)
#define V6 (MAPI_HDR_L3 | MAPI_HDR_IP6)
#define ALL (MAPI_HDR_L4 | MAPI_HDR_PAYLOAD)

enum {
        DLT_NULL_ = 0,
        ETHER = 1,
        PPP = 9,
        RAW12 = 12,
        PPP50 = 50,
        RAW = 101,
        CHDLC = 104,
        LOOP = 108,
        SLL = 113,
        IPV4 = 228,
        IPV6 = 229,
        SLL2 = 276
};

struct row {
        const char *name;
        uint16_t link;
        const char *hex;
        struct mapi_headers h; /* expected; offsets count only with their flag */
};

/* clang-format off */
static const struct row rows[] = {
        { "TCP over IPv4", ETHER, ETH("0800") IP4("002c", "4000", "06") TCP DATA,
          { 14, 34, 34, 54, 58, 0x0800, 0, V4 | ALL, 6, 0 } },
        { "padding behind the IP packet is not payload", ETHER, ETH("0800") IP4("0028", "0000", "06") TCP "000000000000",
          { 14, 34, 34, 54, 54, 0x0800, 0, V4 | ALL, 6, 0 } },
        { "UDP over IPv4", ETHER, ETH("0800") IP4("0020", "0000", "11") UDP DATA,
          { 14, 34, 34, 42, 46, 0x0800, 0, V4 | ALL, 17, 0 } },
        { "ICMP", ETHER, ETH("0800") IP4("0020", "0000", "01") ICMP DATA,
          { 14, 34, 34, 42, 46, 0x0800, 0, V4 | ALL, 1, 0 } },
        { "SCTP", ETHER, ETH("0800") IP4("0024", "0000", "84") SCTP DATA,
          { 14, 34, 34, 46, 50, 0x0800, 0, V4 | ALL, 132, 0 } },
        { "GRE: a transport header of no known size", ETHER, ETH("0800") IP4("001c", "0000", "2f") "0000 0800 " DATA,
          { 14, 34, 34, 0, 42, 0x0800, 0, V4 | MAPI_HDR_L4, 47, 0 } },
        { "IPv4 options", ETHER, ETH("0800") "4700 0028 0001 0000 40 11 0000 0a000001 0a000002 94040000 01010101 " UDP DATA,
          { 14, 42, 42, 50, 54, 0x0800, 0, V4 | ALL, 17, 0 } },
        { "TCP options", ETHER, ETH("0800") IP4("0030", "0000", "06") "04d2 0050 00000001 00000002 6002 ffff 0000 0000 020405b4 " DATA,
          { 14, 34, 34, 58, 62, 0x0800, 0, V4 | ALL, 6, 0 } },
        { "TCP header length 4", ETHER, ETH("0800") IP4("002c", "0000", "06") "04d2 0050 00000001 00000002 4018 ffff 0000 0000 " DATA,
          { 14, 34, 34, 0, 58, 0x0800, 0, V4 | MAPI_HDR_L4, 6, 0 } },
        { "IPv4 total length 0: segmentation offload", ETHER, ETH("0800") IP4("0000", "0000", "06") TCP DATA,
          { 14, 34, 34, 54, 58, 0x0800, 0, V4 | ALL, 6, 0 } },
        { "IPv4 total length below its header", ETHER, ETH("0800") IP4("0010", "0000", "11") UDP DATA,
          { 14, 34, 34, 0, 34, 0x0800, 0, V4 | MAPI_HDR_L4, 17, 0 } },
        { "IPv4 total length in the middle of TCP is not a cut", ETHER, ETH("0800") IP4("001e", "0000", "06") TCP DATA,
          { 14, 34, 34, 0, 44, 0x0800, 0, V4 | MAPI_HDR_L4, 6, 0 } },
        { "IPv4 header length 4", ETHER, ETH("0800") "4400 0020 0001 0000 40 11 0000 0a000001 0a000002 " UDP DATA,
          { 14, 0, 0, 0, 0, 0x0800, 0, L3, 0, 0 } },
        { "IPv4 EtherType, other version", ETHER, ETH("0800") "7500 0020 0001 0000 40 11 0000 0a000001 0a000002 " UDP DATA,
          { 14, 0, 0, 0, 0, 0x0800, 0, L3, 0, 0 } },
        { "first fragment", ETHER, ETH("0800") IP4("0020", "2000", "11") UDP DATA,
          { 14, 34, 34, 42, 46, 0x0800, 0, V4 | ALL | MAPI_HDR_FRAGMENT, 17, 0 } },
        { "later fragment", ETHER, ETH("0800") IP4("0020", "00b9", "11") UDP DATA,
          { 14, 34, 0, 0, 46, 0x0800, 0, V4 | MAPI_HDR_FRAGMENT | MAPI_HDR_FRAG_LATER, 17, 0 } },
        { "TCP over IPv6", ETHER, ETH("86dd") IP6("0018", "06") TCP DATA,
          { 14, 54, 54, 74, 78, 0x86dd, 0, V6 | ALL, 6, 0 } },
        { "ICMPv6", ETHER, ETH("86dd") IP6("000c", "3a") "8000 0000 0001 0001 " DATA,
          { 14, 54, 54, 62, 66, 0x86dd, 0, V6 | ALL, 58, 0 } },
        { "IPv6: hop-by-hop, routing, destination, AH, mobility", ETHER, ETH("86dd") IP6("004c", "00")
          "2b00 0000 00000000 " "3c00 0000 00000000 " "3301 0000 00000000 00000000 00000000 "
          "8704 0000 00000001 00000001 000000000000000000000000 " "1100 0000 00000000 " UDP DATA,
          { 14, 118, 118, 126, 130, 0x86dd, 0, V6 | ALL, 17, 0 } },
        { "IPv6 first fragment", ETHER, ETH("86dd") IP6("0014", "2c") "1100 0001 00000007 " UDP DATA,
          { 14, 62, 62, 70, 74, 0x86dd, 0, V6 | ALL | MAPI_HDR_FRAGMENT, 17, 0 } },
        { "IPv6 later fragment", ETHER, ETH("86dd") IP6("0014", "2c") "1100 0b50 00000007 " UDP DATA,
          { 14, 62, 0, 0, 74, 0x86dd, 0, V6 | MAPI_HDR_FRAGMENT | MAPI_HDR_FRAG_LATER, 17, 0 } },
        { "IPv6 without next header, padded", ETHER, ETH("86dd") IP6("0000", "3b") "0000",
          { 14, 54, 0, 0, 54, 0x86dd, 0, V6, 59, 0 } },
        { "IPv6 payload length 0: segmentation offload", ETHER, ETH("86dd") IP6("0000", "06") TCP DATA,
          { 14, 54, 54, 74, 78, 0x86dd, 0, V6 | ALL, 6, 0 } },
        { "IPv6 EtherType, other version", ETHER, ETH("86dd") "4500 0028 0001 0000 40 06 0000 0a000001 0a000002 " TCP,
          { 14, 0, 0, 0, 0, 0x86dd, 0, L3, 0, 0 } },
        { "ARP, padded", ETHER, ETH("0806") "0001 0800 06 04 0001 020000000001 0a000001 000000000000 0a000002 00000000",
          { 14, 14, 0, 0, 42, 0x0806, 0, L3 | MAPI_HDR_ARP, 0, 0 } },
        { "RARP", ETHER, ETH("8035") "0001 0800 06 04 0003 020000000001 00000000 020000000001 00000000",
          { 14, 14, 0, 0, 42, 0x8035, 0, L3 | MAPI_HDR_ARP, 0, 0 } },
        { "unknown EtherType", ETHER, ETH("88cc") "0207 04",
          { 14, 0, 0, 0, 0, 0x88cc, 0, L3, 0, 0 } },
        { "VLAN", ETHER, ETH("8100") "6123 0800 " IP4("0020", "0000", "11") UDP DATA,
          { 18, 38, 38, 46, 50, 0x0800, 0x6123, V4 | ALL | MAPI_HDR_VLAN, 17, 1 } },
        { "QinQ, three tags", ETHER, ETH("88a8") "0064 9100 00c8 8100 012c 86dd " IP6("000c", "11") UDP DATA,
          { 26, 66, 66, 74, 78, 0x86dd, 0x0064, V6 | ALL | MAPI_HDR_VLAN, 17, 3 } },
        { "VLAN with an 802.3 SNAP frame in it", ETHER, ETH("8100") "0001 0028 aaaa03 000000 0800 " IP4("0020", "0000", "11") UDP DATA,
          { 26, 46, 46, 54, 58, 0x0800, 1, V4 | ALL | MAPI_HDR_VLAN, 17, 1 } },
        { "MPLS, two labels, IPv4", ETHER, ETH("8847") "00010040 00020140 " IP4("0020", "0000", "11") UDP DATA,
          { 22, 42, 42, 50, 54, 0x0800, 0, V4 | ALL | MAPI_HDR_MPLS, 17, 0 } },
        { "MPLS multicast, IPv6", ETHER, ETH("8848") "00020140 " IP6("000c", "11") UDP DATA,
          { 18, 58, 58, 66, 70, 0x86dd, 0, V6 | ALL | MAPI_HDR_MPLS, 17, 0 } },
        { "MPLS with something else", ETHER, ETH("8847") "00020140 00000000 " MACS,
          { 0, 0, 0, 0, 0, 0, 0, MAPI_HDR_MPLS, 0, 0 } },
        { "VLAN, then MPLS", ETHER, ETH("8100") "0005 8847 00020140 " IP4("0020", "0000", "11") UDP DATA,
          { 22, 42, 42, 50, 54, 0x0800, 5, V4 | ALL | MAPI_HDR_VLAN | MAPI_HDR_MPLS, 17, 1 } },
        { "PPPoE session", ETHER, ETH("8864") "1100 0001 0022 0021 " IP4("0020", "0000", "11") UDP DATA,
          { 22, 42, 42, 50, 54, 0x0800, 0, V4 | ALL, 17, 0 } },
        { "PPPoE session, IPv6", ETHER, ETH("8864") "1100 0001 0036 0057 " IP6("000c", "11") UDP DATA,
          { 22, 62, 62, 70, 74, 0x86dd, 0, V6 | ALL, 17, 0 } },
        { "PPPoE, LCP", ETHER, ETH("8864") "1100 0001 000a c021 09010008 00000000", { .flags = 0 } },
        { "PPPoE discovery in a session frame", ETHER, ETH("8864") "11a7 0001 0000", { .flags = 0 } },
        { "802.3 SNAP", ETHER, MACS "0028 aaaa03 000000 0800 " IP4("0020", "0000", "11") UDP DATA,
          { 22, 42, 42, 50, 54, 0x0800, 0, V4 | ALL, 17, 0 } },
        { "802.3 SNAP, not an EtherType", ETHER, MACS "000c aaaa03 00000c 2000 00000000", { .flags = 0 } },
        { "802.3 spanning tree", ETHER, MACS "0026 424203 0000000000", { .flags = 0 } },
        { "SLL", SLL, "0000 0001 0006 020000000001 0000 0800 " IP4("0020", "0000", "11") UDP DATA,
          { 16, 36, 36, 44, 48, 0x0800, 0, V4 | ALL, 17, 0 } },
        { "SLL, VLAN", SLL, "0000 0001 0006 020000000001 0000 8100 0007 86dd " IP6("000c", "11") UDP DATA,
          { 20, 60, 60, 68, 72, 0x86dd, 7, V6 | ALL | MAPI_HDR_VLAN, 17, 1 } },
        { "SLL, 802.2 SNAP", SLL, "0000 0001 0006 020000000001 0000 0004 aaaa03 000000 0800 " IP4("0020", "0000", "11") UDP DATA,
          { 24, 44, 44, 52, 56, 0x0800, 0, V4 | ALL, 17, 0 } },
        { "SLL, frame without protocol", SLL, "0000 0001 0006 020000000001 0000 0001 ffff", { .flags = 0 } },
        { "SLL2", SLL2, "0800 0000 00000002 0001 00 06 0200000000010000 " IP4("0020", "0000", "11") UDP DATA,
          { 20, 40, 40, 48, 52, 0x0800, 0, V4 | ALL, 17, 0 } },
        { "SLL2, ARP", SLL2, "0806 0000 00000002 0001 00 06 0200000000010000 0001 0800 06 04 0001 020000000001 0a000001 000000000000 0a000002",
          { 20, 20, 0, 0, 48, 0x0806, 0, L3 | MAPI_HDR_ARP, 0, 0 } },
        { "raw IPv4", RAW, IP4("0020", "0000", "11") UDP DATA, { 0, 20, 20, 28, 32, 0x0800, 0, V4 | ALL, 17, 0 } },
        { "raw IPv6", RAW12, IP6("000c", "11") UDP DATA, { 0, 40, 40, 48, 52, 0x86dd, 0, V6 | ALL, 17, 0 } },
        { "raw, neither", RAW, "00112233", { .flags = 0 } },
        { "IPv4 link", IPV4, IP4("0020", "0000", "11") UDP DATA, { 0, 20, 20, 28, 32, 0x0800, 0, V4 | ALL, 17, 0 } },
        { "IPv6 link", IPV6, IP6("000c", "11") UDP DATA, { 0, 40, 40, 48, 52, 0x86dd, 0, V6 | ALL, 17, 0 } },
        { "loopback, little-endian", DLT_NULL_, "02000000 " IP4("0020", "0000", "11") UDP DATA,
          { 4, 24, 24, 32, 36, 0x0800, 0, V4 | ALL, 17, 0 } },
        { "loopback, big-endian", DLT_NULL_, "0000001e " IP6("000c", "11") UDP DATA,
          { 4, 44, 44, 52, 56, 0x86dd, 0, V6 | ALL, 17, 0 } },
        { "loopback, Linux", DLT_NULL_, "0a000000 " IP6("000c", "11") UDP DATA,
          { 4, 44, 44, 52, 56, 0x86dd, 0, V6 | ALL, 17, 0 } },
        { "OpenBSD loopback", LOOP, "00000018 " IP6("000c", "11") UDP DATA,
          { 4, 44, 44, 52, 56, 0x86dd, 0, V6 | ALL, 17, 0 } },
        { "loopback, unknown family", LOOP, "00000011 " IP4("0020", "0000", "11"), { .flags = 0 } },
        { "Cisco HDLC", CHDLC, "0f00 0800 " IP4("0020", "0000", "11") UDP DATA,
          { 4, 24, 24, 32, 36, 0x0800, 0, V4 | ALL, 17, 0 } },
        { "Cisco HDLC, MPLS", CHDLC, "0f00 8847 00020140 " IP4("0020", "0000", "11") UDP DATA,
          { 8, 28, 28, 36, 40, 0x0800, 0, V4 | ALL | MAPI_HDR_MPLS, 17, 0 } },
        { "SLARP is not RARP", CHDLC, "8f00 8035 00000002 00000001 00000000 ffff0000",
          { 4, 0, 0, 0, 0, 0x8035, 0, L3, 0, 0 } },
        { "PPP", PPP, "0021 " IP4("0020", "0000", "11") UDP DATA, { 2, 22, 22, 30, 34, 0x0800, 0, V4 | ALL, 17, 0 } },
        { "PPP, address and control", PPP, "ff03 0057 " IP6("000c", "11") UDP DATA,
          { 4, 44, 44, 52, 56, 0x86dd, 0, V6 | ALL, 17, 0 } },
        { "PPP, compressed protocol", PPP, "21 " IP4("0020", "0000", "11") UDP DATA,
          { 1, 21, 21, 29, 33, 0x0800, 0, V4 | ALL, 17, 0 } },
        { "PPP, MPLS", PPP, "ff03 0281 00020140 " IP4("0020", "0000", "11") UDP DATA,
          { 8, 28, 28, 36, 40, 0x0800, 0, V4 | ALL | MAPI_HDR_MPLS, 17, 0 } },
        { "PPP, Cisco HDLC in it", PPP, "0f00 0800 " IP4("0020", "0000", "11") UDP DATA,
          { 4, 24, 24, 32, 36, 0x0800, 0, V4 | ALL, 17, 0 } },
        { "PPP, LCP", PPP50, "ff03 c021 01010004", { .flags = 0 } },
        { "unsupported link type", 105, ETH("0800") IP4("0020", "0000", "11") UDP DATA, { .flags = 0 } },
};
/* clang-format on */

static int digit(char c)
{
        return c <= '9' ? c - '0' : c - 'a' + 10;
}

static uint32_t from_hex(const char *hex, uint8_t *out, size_t size)
{
        uint32_t n = 0;

        for (; *hex != '\0'; hex++) {
                if (*hex == ' ')
                        continue;
                assert_true(n < size);
                out[n++] = (uint8_t)(digit(hex[0]) << 4 | digit(hex[1]));
                hex++;
        }
        return n;
}

/* Parses a copy that ends where its memory ends, so that a sanitizer sees every byte too many. */
static struct mapi_headers parse(uint16_t link, const uint8_t *bytes, uint32_t caplen)
{
        static struct mapi_batch b;
        uint8_t *copy = malloc(caplen != 0 ? caplen : 1);

        assert_non_null(copy);
        memcpy(copy, bytes, caplen);
        memset(&b, 0xee, sizeof b);
        b.n = 1;
        b.parsed = 0;
        b.pkt[0] = (struct mapi_view){
                .data = caplen != 0 ? copy : copy + 1, .caplen = caplen, .wirelen = caplen, .linktype = link
        };
        packet_parse(&b, 1);
        free(copy);
        assert_int_equal(b.parsed, 1);
        return b.hdr[0];
}

static void check_row(const struct row *r, const struct mapi_headers *got, const struct mapi_headers *want)
{
        unsigned ip = MAPI_HDR_IP4 | MAPI_HDR_IP6 | MAPI_HDR_ARP;

#define SAME(flag, field)                                                                                         \
        if ((want->flags & (flag)) && got->field != want->field)                                                  \
        fail_msg("%s: " #field " is %u, not %u", r->name, (unsigned)got->field, (unsigned)want->field)
        if (got->flags != want->flags)
                fail_msg("%s: flags are %#x, not %#x", r->name, got->flags, want->flags);
        SAME(L3, l3);
        SAME(L3, ethertype);
        SAME(ip, l3_payload);
        SAME(ip, ip_end);
        SAME(MAPI_HDR_IP4 | MAPI_HDR_IP6, l4proto);
        SAME(MAPI_HDR_L4, l4);
        SAME(MAPI_HDR_PAYLOAD, payload);
        SAME(MAPI_HDR_VLAN, vlan);
        if (got->vlan_tags != want->vlan_tags)
                fail_msg("%s: %u VLAN tags, not %u", r->name, got->vlan_tags, want->vlan_tags);
}

static void whole_packets(void **state)
{
        uint8_t bytes[256];

        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                uint32_t n = from_hex(rows[i].hex, bytes, sizeof bytes);
                struct mapi_headers h = parse(rows[i].link, bytes, n);

                check_row(&rows[i], &h, &rows[i].h);
        }
}

/* What a cut packet says is true of the whole one, and nothing lies behind its end. */
static void cut_everywhere(void **state)
{
        uint8_t bytes[256];

        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                const struct row *r = &rows[i];
                uint32_t n = from_hex(r->hex, bytes, sizeof bytes);
                struct mapi_headers full = parse(r->link, bytes, n);

                for (uint32_t caplen = 0; caplen < n; caplen++) {
                        struct mapi_headers h = parse(r->link, bytes, caplen);

                        if (h.flags & ~(unsigned)MAPI_HDR_CUT & ~(unsigned)full.flags)
                                fail_msg("%s, cut at %u: flags %#x, but %#x whole", r->name, caplen, h.flags,
                                         full.flags);
                        if (h.flags != full.flags && !(h.flags & MAPI_HDR_CUT))
                                fail_msg("%s, cut at %u: flags %#x without CUT", r->name, caplen, h.flags);
                        assert_true(h.l3 <= caplen && h.l3_payload <= caplen && h.l4 <= caplen);
                        assert_true(h.payload <= caplen && h.ip_end <= caplen);
                        if (h.flags & (MAPI_HDR_IP4 | MAPI_HDR_IP6))
                                assert_true(h.l3 < h.l3_payload && h.l3_payload <= h.ip_end);
                        if (h.flags & MAPI_HDR_PAYLOAD)
                                assert_true(h.l4 < h.payload && h.payload <= h.ip_end);
                }
        }
}

/* The last byte of a header decides. */
static void cut_at_the_edge(void **state)
{
        static const struct {
                uint32_t caplen;
                unsigned flags;
        } want[] = {
                { 0, MAPI_HDR_CUT },
                { 13, MAPI_HDR_CUT },
                { 14, L3 | MAPI_HDR_CUT },
                { 33, L3 | MAPI_HDR_CUT },
                { 34, V4 | MAPI_HDR_L4 | MAPI_HDR_CUT },
                { 53, V4 | MAPI_HDR_L4 | MAPI_HDR_CUT },
                { 54, V4 | ALL },
                { 57, V4 | ALL },
        };
        uint8_t bytes[256];

        (void)from_hex(rows[0].hex, bytes, sizeof bytes);
        for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
                struct mapi_headers h = parse(ETHER, bytes, want[i].caplen);

                assert_int_equal(h.flags, want[i].flags);
                if (h.flags & MAPI_HDR_IP4)
                        assert_int_equal(h.ip_end, want[i].caplen);
        }
}

/* Packets that could keep a decoder busy end soon, and a tag too many is not a packet type. */
static void endless(void **state)
{
        static uint8_t bytes[70000];
        struct mapi_headers h;

        memcpy(bytes, "\2\0\0\0\0\1\2\0\0\0\0\2\x81\0", 14);
        for (uint32_t i = 14; i + 4 <= sizeof bytes; i += 4)
                memcpy(bytes + i, "\0\1\x81\0", 4);
        h = parse(ETHER, bytes, sizeof bytes);
        assert_int_equal(h.flags, MAPI_HDR_VLAN);
        assert_int_equal(h.vlan_tags, 255);

        memset(bytes + 12, 0, sizeof bytes - 12);
        memcpy(bytes + 12, "\x88\x47", 2); /* no label is the bottom one */
        h = parse(ETHER, bytes, sizeof bytes);
        assert_int_equal(h.flags, MAPI_HDR_MPLS);

        memset(bytes, 0, sizeof bytes); /* hop-by-hop headers without end */
        bytes[0] = 0x60;
        bytes[4] = 0xff;
        h = parse(RAW, bytes, 40 + 0xff00); /* the end of the captured bytes, where CUT is, is not reached */
        assert_int_equal(h.flags, V6);
}

/* Only what was asked for is decoded, and nothing twice. */
static void selections(void **state)
{
        static struct mapi_batch b;
        uint8_t bytes[256];
        uint32_t n = from_hex(rows[0].hex, bytes, sizeof bytes);

        b.n = MAPI_BATCH_MAX;
        for (unsigned i = 0; i < MAPI_BATCH_MAX; i++)
                b.pkt[i] = (struct mapi_view){ .data = bytes, .caplen = n, .wirelen = n, .linktype = ETHER };
        packet_parse(&b, MAPI_SEL_BIT(3) | MAPI_SEL_BIT(63));
        assert_int_equal(b.parsed, MAPI_SEL_BIT(3) | MAPI_SEL_BIT(63));
        assert_int_equal(b.hdr[3].payload, 54);
        assert_int_equal(b.hdr[63].payload, 54);
        assert_int_equal(b.hdr[4].flags, 0);
        b.hdr[3].payload = 1;
        packet_parse(&b, MAPI_SEL_ALL(64));
        assert_true(b.parsed == MAPI_SEL_ALL(64));
        assert_int_equal(b.hdr[3].payload, 1);
        for (unsigned i = 4; i < MAPI_BATCH_MAX; i++)
                assert_int_equal(b.hdr[i].payload, 54);
        packet_parse(&b, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(whole_packets),   cmocka_unit_test(cut_everywhere),
                cmocka_unit_test(cut_at_the_edge), cmocka_unit_test(endless),
                cmocka_unit_test(selections),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
