/* filter/set: the answer equals bpf_filter() on the same bytes, packet by packet.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "filter/filter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pcap/pcap.h>
#include <cmocka.h>

enum { ETHER = 1, SLL = 113, FILTERS = 90, PACKETS = 64, ROUNDS = 300 };

static uint64_t random_state = 1;

static uint64_t next_random(void)
{
        random_state = random_state * 6364136223846793005u + 1442695040888963407u;
        return random_state >> 24;
}

static struct arena *arena;
static const struct filter *filters[FILTERS];
static struct bpf_program reference[FILTERS]; /* compiled here, without our code */

/* Small numbers, so that random packets often match. */
static void text_of(unsigned i, char *ret, size_t size)
{
        switch (i % 9) {
        case 0:
                (void)snprintf(ret, size, "port %u", i % 4);
                break;
        case 1:
                (void)snprintf(ret, size, "tcp dst port %u", i % 4);
                break;
        case 2:
                (void)snprintf(ret, size, "udp src portrange %u-%u", i % 3, i % 3 + 2);
                break;
        case 3:
                (void)snprintf(ret, size, "src host 10.0.0.%u or ip6", i % 4);
                break;
        case 4:
                (void)snprintf(ret, size, "net 10.0.0.0/31 and not udp port %u", i % 4);
                break;
        case 5:
                (void)snprintf(ret, size, "vlan %u and ip", i % 4);
                break;
        case 6:
                (void)snprintf(ret, size, "tcp[tcpflags] & %u != 0", 1u << i % 5);
                break;
        case 7:
                (void)snprintf(ret, size, "len > %u or ether[%u] = %u", 40 + i, i % 30, i % 4);
                break;
        default:
                (void)snprintf(ret, size, "ip[8] * %u < ip[9] + %u", i % 5, i);
        }
}

static int setup(void **state)
{
        pcap_t *dead = pcap_open_dead(ETHER, 2000);

        arena = arena_new(NULL);
        if (arena == NULL || dead == NULL)
                return -1;
        for (unsigned i = 0; i < FILTERS; i++) {
                struct mapi_error err;
                char text[128];

                text_of(i, text, sizeof text);
                if (pcap_compile(dead, &reference[i], text, 1, 0) < 0 ||
                    filter_compile(arena, NULL, text, ETHER, 2000, &filters[i], &err) < 0)
                        return -1;
        }
        pcap_close(dead);
        return 0;
}

static int teardown(void **state)
{
        for (unsigned i = 0; i < FILTERS; i++)
                pcap_freecode(&reference[i]);
        arena_free(&arena);
        return 0;
}

/* Mostly plausible packets, cut anywhere, in memory of exactly their size. */
static void make_packet(struct mapi_view *v)
{
        static const uint16_t types[] = { 0x0800, 0x86dd, 0x8100, 0x0806, 0x8847 };
        uint8_t p[128];
        uint32_t caplen = (uint32_t)(next_random() % 4 == 0 ? next_random() % sizeof p : sizeof p);
        uint16_t type = types[next_random() % 8 % 5];
        uint32_t l3 = 14;
        uint8_t *copy;

        for (unsigned i = 0; i < sizeof p; i++)
                p[i] = (uint8_t)(next_random() % 4);
        p[12] = (uint8_t)(type >> 8);
        p[13] = (uint8_t)type;
        if (type == 0x8100) {
                p[16] = 8;
                p[17] = 0;
                l3 = 18;
        }
        p[l3] = type == 0x86dd ? 0x60 : (uint8_t)(0x45 + next_random() % 2);
        p[l3 + 6] = 0;
        p[l3 + 7] = (uint8_t)(next_random() % 8 == 0);
        p[l3 + 9] = next_random() % 2 ? 6 : 17;
        p[l3 + 33] = (uint8_t)next_random(); /* TCP flags */
        for (unsigned i = 0; i < 8; i += 4)
                p[l3 + 12 + i] = 10;
        copy = malloc(caplen > 0 ? caplen : 1);
        assert_non_null(copy);
        memcpy(copy, p, caplen);
        *v = (struct mapi_view){ .data = copy,
                                 .caplen = caplen,
                                 .wirelen = (uint32_t)(caplen + next_random() % 3 * 20),
                                 .linktype = next_random() % 16 == 0 ? SLL : ETHER };
}

static void same_as_reference(void **state)
{
        static struct mapi_batch b;
        const struct filter_set *set = filter_set_new(arena, filters, FILTERS);
        unsigned long yes[FILTERS] = { 0 }, no[FILTERS] = { 0 };

        assert_non_null(set);
        for (unsigned round = 0; round < ROUNDS; round++) {
                mapi_sel in = round % 3 == 0 ? ~(mapi_sel)0 : next_random() | next_random() << 32,
                         out[FILTERS + 1];

                b.n = PACKETS;
                for (unsigned p = 0; p < PACKETS; p++)
                        make_packet(&b.pkt[p]);
                for (unsigned i = 0; i <= FILTERS; i++)
                        out[i] = 0xdeadbeefdeadbeefu;
                filter_set_run(set, &b, in, out);
                for (unsigned i = 0; i < FILTERS; i++) {
                        mapi_sel expected = 0;

                        for (unsigned p = 0; p < PACKETS; p++) {
                                const struct mapi_view *v = &b.pkt[p];

                                if (v->linktype == ETHER &&
                                    bpf_filter(reference[i].bf_insns, v->data, v->wirelen, v->caplen) != 0)
                                        expected |= MAPI_SEL_BIT(p);
                                assert_int_equal(filter_match(filters[i], v), expected >> p & 1);
                        }
                        expected &= in;
                        assert_true(out[i] == expected);
                        yes[i] += mapi_sel_count(expected);
                        no[i] += mapi_sel_count(in & ~expected);
                }
                assert_true(out[FILTERS] == 0xdeadbeefdeadbeefu);
                for (unsigned p = 0; p < PACKETS; p++)
                        free((void *)(uintptr_t)b.pkt[p].data);
        }
        for (unsigned i = 0; i < FILTERS; i++)
                assert_true(yes[i] > 0 && no[i] > 0); /* the packets say something about every filter */
}

static void sets_of_few(void **state)
{
        const struct filter_set *none = filter_set_new(arena, NULL, 0), *one = filter_set_new(arena, filters, 1);
        static struct mapi_batch b;
        mapi_sel out = 77;

        assert_non_null(none);
        assert_non_null(one);
        filter_set_run(none, &b, 0, &out);
        assert_int_equal(out, 77);
        filter_set_run(one, &b, 0, &out);
        assert_int_equal(out, 0);
}

static void no_memory(void **state)
{
        struct quota q = { .limit_bytes = 4096 };
        struct arena *a = arena_new(&q);

        assert_null(filter_set_new(a, filters, 1u << 16));
        arena_free(&a);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(same_as_reference),
                cmocka_unit_test(sets_of_few),
                cmocka_unit_test(no_memory),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
