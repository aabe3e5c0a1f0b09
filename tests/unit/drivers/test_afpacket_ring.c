/*
 * The walk through the blocks of a packet socket: this test is the kernel. First an honest one, then one that writes
 * anything: no byte outside of the ring is touched, which lies between two pages that may not be.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <arpa/inet.h>

#include <linux/if_packet.h>

#include "drivers/afpacket_ring.h"

#define BLOCKS 4u
#define BLOCK_BYTES 8192u
#define HEADROOM 32u
#define DLT_EN10MB 1
#define DLT_LINUX_SLL 113

static struct drivers_ring ring_new(void)
{
        size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = BLOCKS * BLOCK_BYTES;
        uint8_t *p = mmap(NULL, bytes + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        assert_ptr_not_equal(p, MAP_FAILED);
        assert_int_equal(bytes % page, 0);
        assert_int_equal(mprotect(p + page, bytes, PROT_READ | PROT_WRITE), 0);
        return (struct drivers_ring){ .base = p + page,
                                      .block_bytes = BLOCK_BYTES,
                                      .nblocks = BLOCKS,
                                      .snaplen = 65535,
                                      .linktype = DLT_EN10MB };
}

static void ring_free(struct drivers_ring *r)
{
        size_t page = (size_t)sysconf(_SC_PAGESIZE);

        munmap(r->base - page, BLOCKS * BLOCK_BYTES + 2 * page);
}

static struct tpacket_block_desc *block(struct drivers_ring *r, uint32_t i)
{
        return (struct tpacket_block_desc *)(void *)(r->base + (size_t)i * BLOCK_BYTES);
}

static struct tpacket3_hdr *header(struct drivers_ring *r, uint32_t i, uint32_t at)
{
        return (struct tpacket3_hdr *)(void *)(r->base + (size_t)i * BLOCK_BYTES + at);
}

/* Fills a block with n packets of that many bytes, each byte the packet's number, and hands it over. */
static void fill(struct drivers_ring *r, uint32_t i, uint32_t n, uint32_t bytes, uint8_t number)
{
        uint32_t at = sizeof(struct tpacket_block_desc), step = TPACKET_ALIGN(TPACKET3_HDRLEN + HEADROOM + bytes);

        memset(block(r, i), 0xee, BLOCK_BYTES);
        for (uint32_t k = 0; k < n; k++, at += step) {
                struct tpacket3_hdr *h = header(r, i, at);

                assert_true(at + step <= BLOCK_BYTES);
                memset(h, 0, TPACKET3_HDRLEN);
                h->tp_next_offset = k + 1 < n ? step : 0;
                h->tp_sec = 1000 + number;
                h->tp_nsec = 500000000;
                h->tp_snaplen = bytes;
                h->tp_len = bytes + 100;
                h->tp_mac = h->tp_net = TPACKET3_HDRLEN + HEADROOM;
                memset((uint8_t *)h + h->tp_mac, number++, bytes);
        }
        block(r, i)->hdr.bh1.num_pkts = n;
        block(r, i)->hdr.bh1.offset_to_first_pkt = sizeof(struct tpacket_block_desc);
        block(r, i)->hdr.bh1.blk_len = at;
        block(r, i)->hdr.bh1.block_status = TP_STATUS_USER;
}

static int owned_by_kernel(struct drivers_ring *r, uint32_t i)
{
        return block(r, i)->hdr.bh1.block_status == TP_STATUS_KERNEL;
}

/* Packets come in order, whatever the widths; a block goes back after its last view, not before release. */
static void in_order(void **state)
{
        struct drivers_ring r = ring_new();
        struct mapi_view v[64];
        uint8_t next = 0, made = 0;
        size_t needed;

        for (uint32_t round = 0; round < 50; round++) {
                unsigned most = round % 7 + 1;

                for (uint32_t i = 0; i < BLOCKS; i++) {
                        fill(&r, i, 5, 100, made);
                        made = (uint8_t)(made + 5);
                }
                for (uint32_t taken = 0; taken < 5 * BLOCKS;) {
                        unsigned n = drivers_ring_recv(&r, v, most, 100 * most + 99, &needed);

                        assert_int_equal(n, 5 * BLOCKS - taken < most ? 5 * BLOCKS - taken : most);
                        assert_int_equal(needed, 0);
                        for (unsigned k = 0; k < n; k++, next++) {
                                assert_int_equal(v[k].caplen, 100);
                                assert_int_equal(v[k].wirelen, 200);
                                assert_int_equal(v[k].linktype, DLT_EN10MB);
                                assert_true(v[k].ts == ((uint64_t)(1000 + next) << 32 | 0x80000000u));
                                assert_true(v[k].data[0] == next && v[k].data[99] == next);
                        }
                        for (uint32_t i = taken / 5; i < BLOCKS; i++)
                                assert_false(owned_by_kernel(&r, i)); /* lent */
                        taken += n;
                        drivers_ring_release(&r);
                        for (uint32_t i = 0; i < BLOCKS; i++)
                                assert_int_equal(owned_by_kernel(&r, i), i < taken / 5);
                }
                assert_int_equal(drivers_ring_recv(&r, v, 64, SIZE_MAX, &needed), 0);
        }
        assert_int_equal(r.lost, 0);
        ring_free(&r);
}

/* All blocks lent at once: the first one, still marked ours, is not walked again. */
static void whole_ring_lent(void **state)
{
        struct drivers_ring r = ring_new();
        struct mapi_view v[64];
        size_t needed;

        for (uint32_t i = 0; i < BLOCKS; i++)
                fill(&r, i, 2, 50, 0);
        assert_int_equal(drivers_ring_recv(&r, v, 64, SIZE_MAX, &needed), 2 * BLOCKS);
        assert_int_equal(drivers_ring_recv(&r, v, 64, SIZE_MAX, &needed), 0);
        drivers_ring_release(&r);
        for (uint32_t i = 0; i < BLOCKS; i++)
                assert_true(owned_by_kernel(&r, i));
        ring_free(&r);
}

/* A packet that does not fit is neither lost nor written to twice: its tag is put in once. */
static void needs_more_room(void **state)
{
        struct drivers_ring r = ring_new();
        struct mapi_view v[64];
        struct tpacket3_hdr *h;
        size_t needed;

        fill(&r, 0, 2, 60, 7);
        h = header(&r, 0, sizeof(struct tpacket_block_desc));
        h->tp_status = TP_STATUS_VLAN_VALID | TP_STATUS_VLAN_TPID_VALID;
        h->hv1.tp_vlan_tci = 0x2005;
        h->hv1.tp_vlan_tpid = 0x88a8;
        for (unsigned i = 0; i < 3; i++) {
                assert_int_equal(drivers_ring_recv(&r, v, 64, 63, &needed), 0);
                assert_int_equal(needed, 64);
                drivers_ring_release(&r);
                assert_false(owned_by_kernel(&r, 0));
        }
        assert_int_equal(drivers_ring_recv(&r, v, 64, 64, &needed), 1);
        assert_int_equal(needed, 0);
        assert_int_equal(v[0].caplen, 64);
        assert_int_equal(v[0].wirelen, 164);
        assert_memory_equal(v[0].data, "\7\7\7\7\7\7\7\7\7\7\7\7\x88\xa8\x20\x05\7", 17);
        assert_int_equal(v[0].data[63], 7);
        assert_int_equal(drivers_ring_recv(&r, v, 64, 64, &needed), 1);
        assert_int_equal(v[0].caplen, 60);
        assert_int_equal(v[0].data[0], 8);
        ring_free(&r);
}

/* The kernel did not say which kind of tag: the usual one. A cut packet stays within snaplen. */
static void tag_without_kind(void **state)
{
        struct drivers_ring r = ring_new();
        struct mapi_view v[64];
        struct tpacket3_hdr *h;
        size_t needed;

        r.snaplen = 60;
        fill(&r, 0, 1, 60, 7);
        h = header(&r, 0, sizeof(struct tpacket_block_desc));
        h->tp_status = TP_STATUS_VLAN_VALID;
        h->hv1.tp_vlan_tpid = 0x1234;
        assert_int_equal(drivers_ring_recv(&r, v, 64, 60, &needed), 1);
        assert_int_equal(v[0].caplen, 60);
        assert_int_equal(v[0].wirelen, 164);
        assert_memory_equal(v[0].data, "\7\7\7\7\7\7\7\7\7\7\7\7\x81\0\0\0\7", 17);
        ring_free(&r);
}

static void cooked(void **state)
{
        static const uint8_t plain[] = { 0, 3, 3, 4, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 8, 0, 9, 9 };
        static const uint8_t tagged[] = { 0, 3, 3, 4, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 0x81, 0, 0, 5, 8, 0, 10, 10 };
        struct sockaddr_ll from = { .sll_family = AF_PACKET,
                                    .sll_protocol = htons(0x0800),
                                    .sll_ifindex = 0x70007,
                                    .sll_hatype = 0x0304,
                                    .sll_pkttype = 3,
                                    .sll_halen = 6,
                                    .sll_addr = { 1, 2, 3, 4, 5, 6 } };
        struct drivers_ring r = ring_new();
        uint32_t at = sizeof(struct tpacket_block_desc);
        struct mapi_view v[64];
        size_t needed;

        r.cooked = r.numbered = true;
        r.linktype = DLT_LINUX_SLL;
        fill(&r, 0, 2, 40, 9);
        for (unsigned k = 0; k < 2; k++) {
                struct tpacket3_hdr *h = header(&r, 0, at);

                memcpy((uint8_t *)h + TPACKET_ALIGN(sizeof(*h)), &from, sizeof(from));
                if (k == 1) {
                        h->tp_status = TP_STATUS_VLAN_VALID | TP_STATUS_VLAN_TPID_VALID;
                        h->hv1.tp_vlan_tci = 5;
                        h->hv1.tp_vlan_tpid = 0x8100;
                }
                at += h->tp_next_offset;
        }
        assert_int_equal(drivers_ring_recv(&r, v, 64, SIZE_MAX, &needed), 2);
        assert_int_equal(v[0].caplen, 56);
        assert_int_equal(v[0].wirelen, 156);
        assert_int_equal(v[0].linktype, DLT_LINUX_SLL);
        assert_int_equal(v[0].ifindex, 7);
        assert_memory_equal(v[0].data, plain, sizeof(plain));
        assert_int_equal(v[1].caplen, 60);
        assert_int_equal(v[1].wirelen, 160);
        assert_memory_equal(v[1].data, tagged, sizeof(tagged));
        ring_free(&r);
}

/* Each of these offsets leads out of the block: the rest of the block is lost and counted, the next block is read. */
static void out_of_bounds(void **state)
{
        static const struct {
                uint32_t first, next, snaplen;
                uint16_t mac;
                unsigned good; /* packets before the fault */
        } bad[] = {
                { BLOCK_BYTES, 0, 0, 0, 0 },
                { BLOCK_BYTES - TPACKET3_HDRLEN + 1, 0, 0, 0, 0 },
                { UINT32_MAX, 0, 0, 0, 0 },
                { 0, 0, 0, 0, 0 }, /* into the block's own description */
                { 0xffff, UINT32_MAX, 0, 0, 0 },
                { 0xffff, 1, 0, 0, 0 }, /* would never end */
                { 0xffff, 0, 0, 0, 0 },
                { 0xffff, BLOCK_BYTES, 0, 0, 0 },
                { 0xffff, BLOCK_BYTES - 64, 0, 0, 1 }, /* the second header hangs over the end */
                { 0xffff, 0xffff, UINT32_MAX, 0, 0 },
                { 0xffff, 0xffff, BLOCK_BYTES, 0, 0 },
                { 0xffff, 0xffff, 0, UINT16_MAX, 0 },
                { 0xffff, 0xffff, 0, BLOCK_BYTES, 0 },
                { 0xffff, 0xffff, 0, 1, 0 }, /* into the header */
        };
        struct drivers_ring r = ring_new();
        struct mapi_view v[64];
        uint64_t lost = 0;
        size_t needed;

        for (unsigned k = 0; k < sizeof(bad) / sizeof(bad[0]); k++) {
                uint32_t i = 2 * k % BLOCKS;
                struct tpacket3_hdr *h = header(&r, i, sizeof(struct tpacket_block_desc));

                fill(&r, i, 3, 60, 1);
                fill(&r, i + 1, 1, 61, 2);
                if (bad[k].first != 0xffff) {
                        block(&r, i)->hdr.bh1.offset_to_first_pkt = bad[k].first;
                        block(&r, i)->version = 128; /* what a packet at offset 0 would have for tp_next_offset */
                        block(&r, i)->hdr.bh1.seq_num = 100; /* and for tp_mac */
                } else {
                        h->tp_next_offset = bad[k].next != 0xffff ? bad[k].next : h->tp_next_offset;
                        h->tp_snaplen = bad[k].snaplen != 0 ? bad[k].snaplen : h->tp_snaplen;
                        h->tp_mac = bad[k].mac != 0 ? bad[k].mac : h->tp_mac;
                }
                assert_int_equal(drivers_ring_recv(&r, v, 64, SIZE_MAX, &needed), bad[k].good + 1);
                assert_int_equal(v[bad[k].good].caplen, 61);
                assert_int_equal(v[bad[k].good].data[60], 2);
                lost += 3 - bad[k].good;
                assert_int_equal(r.lost, lost);
                drivers_ring_release(&r);
                assert_true(owned_by_kernel(&r, i) && owned_by_kernel(&r, i + 1));
        }
        ring_free(&r);
}

static uint64_t random_state;

static uint32_t random_below(uint32_t n)
{
        random_state ^= random_state << 13;
        random_state ^= random_state >> 7;
        random_state ^= random_state << 17;
        return (uint32_t)(random_state >> 16) % n;
}

static uint32_t random_edge(uint32_t good)
{
        static const uint32_t edges[] = { 0, 1, 16, 48, 67, 68, 84, 0x7fff, 0xffff, BLOCK_BYTES, UINT32_MAX };

        switch (random_below(4)) {
        case 0:
                return edges[random_below(sizeof(edges) / sizeof(edges[0]))];
        case 1:
                return BLOCK_BYTES - random_below(200);
        case 2:
                return random_below(BLOCK_BYTES);
        default:
                return good;
        }
}

/* Anything in the descriptions: views stay inside of the ring, all of their bytes can be read, and every walk ends. */
static void hostile(void **state)
{
        struct drivers_ring r = ring_new();
        struct mapi_view v[64];
        unsigned views = 0, sum = 0;

        random_state = 0x9e3779b97f4a7c15u;
        for (unsigned round = 0; round < 20000; round++) {
                uint32_t at = sizeof(struct tpacket_block_desc), i = random_below(BLOCKS);

                r.cooked = random_below(3) == 0;
                r.numbered = random_below(2) == 0;
                r.snaplen = 64 + random_below(65472);
                fill(&r, i, 10, 200, 1);
                for (unsigned k = 0; k < 10; k++) {
                        struct tpacket3_hdr *h = header(&r, i, at);

                        at += h->tp_next_offset;
                        if (random_below(4) != 0)
                                continue;
                        h->tp_next_offset = random_edge(h->tp_next_offset);
                        h->tp_snaplen = random_edge(h->tp_snaplen);
                        h->tp_mac = (uint16_t)random_edge(h->tp_mac);
                        h->tp_status = random_edge(TP_STATUS_VLAN_VALID);
                        h->tp_nsec = random_edge(0);
                }
                if (random_below(4) == 0)
                        block(&r, i)->hdr.bh1.num_pkts = random_edge(10);
                if (random_below(4) == 0)
                        block(&r, i)->hdr.bh1.offset_to_first_pkt = random_edge(48);
                for (unsigned calls = 0; calls < 8; calls++) {
                        size_t needed, max_bytes = random_below(4000), total = 0;
                        unsigned n = drivers_ring_recv(&r, v, random_below(65), max_bytes, &needed);

                        assert_true(n == 0 || needed == 0);
                        assert_true(needed == 0 || needed > max_bytes);
                        for (unsigned k = 0; k < n; k++) {
                                assert_true(v[k].data >= r.base &&
                                            v[k].data + v[k].caplen <= r.base + BLOCKS * BLOCK_BYTES);
                                assert_true(v[k].caplen <= r.snaplen);
                                for (uint32_t x = 0; x < v[k].caplen; x++)
                                        sum += v[k].data[x];
                                total += v[k].caplen;
                        }
                        assert_true(total <= max_bytes);
                        views += n;
                        drivers_ring_release(&r);
                }
        }
        assert_true(views > 20000 && sum != 0 && r.lost != 0);
        ring_free(&r);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(in_order),        cmocka_unit_test(whole_ring_lent),
                cmocka_unit_test(needs_more_room), cmocka_unit_test(tag_without_kind),
                cmocka_unit_test(cooked),          cmocka_unit_test(out_of_bounds),
                cmocka_unit_test(hostile),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
