/*
 * HASHSAMP. The hashes that are expected were computed by another program, from the definition in mapi_stdflib(3).
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "harness.h"

#include "packet/parse.h"

#include <mapi/hashsamp.h>

extern const struct mapi_function mapi_fn_hashsamp;

_Static_assert(sizeof(struct sample) == 40 && offsetof(struct sample, sourceport) == 8 &&
                       offsetof(struct sample, sequence) == 16 && offsetof(struct sample, protocol) == 24 &&
                       offsetof(struct sample, timestamp) == 32,
               "programs count on it");

#define ETH(type) "\2\0\0\0\0\1\2\0\0\0\0\2" type
#define IP4(fragment, protocol, from, to)                                                                         \
        "\x45\0\0\x2c\0\1" fragment "\x40" protocol "\0\0\x0a\0\0" from "\x0a\0\0" to
#define TCP4 IP4("\0\0", "\6", "\1", "\2")
#define DOC "\x20\1\xd\xb8"
#define ZEROS "\0\0\0\0\0\0\0\0\0\0\0"
#define THERE "\x04\xd2\0\x50" /* ports: 1234 -> 80 */
#define BACK "\0\x50\x04\xd2"
#define TCP(ports, flags) ports "\1\2\3\xf4\0\0\0\2\x50" flags "\xff\xff\0\0\0\0"
#define UDP "\0\x0c\0\0abcd" /* behind the ports */
#define BYTES(s) (const uint8_t *)(s), sizeof(s) - 1
#define SEQUENCE 0x010203f4

/* clang-format off */
static const struct packet {
        const uint8_t *bytes;
        uint32_t len;
        int hash; /* mod 1024; -1: has none */
        struct sample sample;
} packets[] = {
        { BYTES(ETH("\x08\0") TCP4 TCP(THERE, "\x18") "abcd"), 110,
          { 0, 0, 1234, 80, SEQUENCE, TCP_ACK | TCP_PSH, 6, 0 } },
        /* the other direction */
        { BYTES(ETH("\x08\0") IP4("\0\0", "\6", "\2", "\1") TCP(BACK, "\2")), 470,
          { 0, 0, 80, 1234, SEQUENCE, TCP_SYN, 6, 0 } },
        { BYTES(ETH("\x08\0") IP4("\0\0", "\x11", "\1", "\2") THERE UDP), 545, { 0, 0, 1234, 80, 0, 0, 17, 0 } },
        /* QinQ */
        { BYTES(ETH("\x88\xa8") "\0\5\x81\0\0\7\x08\0" TCP4 TCP(THERE, "\5")), 110,
          { 0, 0, 1234, 80, SEQUENCE, TCP_RST | TCP_FIN, 6, 0 } },
        /* MPLS; a stack without an end */
        { BYTES(ETH("\x88\x47") "\0\1\2\x40\0\1\3\x40" TCP4 TCP(THERE, "\x12")), 110,
          { 0, 0, 1234, 80, SEQUENCE, TCP_SYN | TCP_ACK, 6, 0 } },
        { BYTES(ETH("\x88\x47") "\0\1\2\x40\0\1\2\x40\0\1\2\x40"), -1, { 0 } },
        /* IPv6; URG, ECE and CWR are not told */
        { BYTES(ETH("\x86\xdd") "\x60\0\0\0\0\x14\6\x40" DOC ZEROS "\1" DOC ZEROS "\2" TCP(THERE, "\xf2")), 767,
          { 0, 0, 1234, 80, SEQUENCE, TCP_SYN | TCP_ACK, 6, 0 } },
        /* with an extension header */
        { BYTES(ETH("\x86\xdd") "\x60\0\0\0\0\x14\0\x40" DOC "\0\1\0\2\0\3\0\4\0\5\0\6"
                "\xfe\x80\0\0\0\0\0\0\0\0\0\0\xab\xcd\0\1" "\x11\0\1\4\0\0\0\0" THERE UDP), 959,
          { 0, 0, 1234, 80, 0, 0, 17, 0 } },
        /* the first fragment; a later one */
        { BYTES(ETH("\x08\0") IP4("\x20\0", "\6", "\1", "\2") TCP(THERE, "\x18")), 110,
          { 0, 0, 1234, 80, SEQUENCE, TCP_ACK | TCP_PSH, 6, 0 } },
        { BYTES(ETH("\x08\0") IP4("\0\1", "\6", "\1", "\2") TCP(THERE, "\x18")), -1, { 0 } },
        /* ICMP, SCTP, ARP, nothing */
        { BYTES(ETH("\x08\0") IP4("\0\0", "\1", "\1", "\2") "\x08\0\0\0\0\1\0\1"), -1, { 0 } },
        { BYTES(ETH("\x08\0") IP4("\0\0", "\x84", "\1", "\2") THERE "\0\0\0\1\0\0\0\0"), -1, { 0 } },
        { BYTES(ETH("\x08\6") "\0\1\x08\0\6\4\0\1\2\0\0\0\0\1\x0a\0\0\1\0\0\0\0\0\0\x0a\0\0\2"), -1, { 0 } },
        { BYTES(""), -1, { 0 } },
        /* cut inside the ports, the sequence number, before and behind the flags */
        { BYTES(ETH("\x08\0") TCP4 "\x04\xd2\0"), -1, { 0 } },
        { BYTES(ETH("\x08\0") TCP4 THERE "\1\2\3"), 110, { 0, 0, 1234, 80, 0, 0, 6, 0 } },
        { BYTES(ETH("\x08\0") TCP4 THERE "\1\2\3\xf4\0\0\0\2\x50"), 110, { 0, 0, 1234, 80, SEQUENCE, 0, 6, 0 } },
        { BYTES(ETH("\x08\0") TCP4 THERE "\1\2\3\xf4\0\0\0\2\x50\x10"), 110,
          { 0, 0, 1234, 80, SEQUENCE, TCP_ACK, 6, 0 } },
};
/* clang-format on */

#define PACKETS (sizeof packets / sizeof packets[0])

static int start(struct harness *h, long long range, long long keep)
{
        harness_init(h, &mapi_fn_hashsamp);
        h->arg[0].num = range;
        h->arg[1].num = keep;
        return harness_start(h);
}

/* Each copy has its own memory, so that a sanitizer sees every read behind the end. */
static mapi_sel run(struct harness *h, const struct packet *p, uint64_t ts)
{
        uint8_t *copy = malloc(p->len > 0 ? p->len : 1);
        mapi_sel out;

        assert_non_null(copy);
        memcpy(copy, p->bytes, p->len);
        harness_add(h, copy, p->len, 1500, ts);
        packet_parse(&h->batch, 1);
        out = harness_run(h, 1);
        free(copy);
        return out;
}

static void hashes(void **state)
{
        struct harness h;

        for (size_t i = 0; i < PACKETS; i++) {
                for (int range = 1; range <= 1024; range++) {
                        mapi_sel want = packets[i].hash >= 0 && packets[i].hash < range;

                        assert_int_equal(start(&h, range, 0), 0);
                        assert_int_equal(h.fn.result_size, 0);
                        if (run(&h, &packets[i], 1) != want)
                                fail_msg("packet %zu, range %d", i, range);
                        assert_int_equal(h.queued, 0);
                        harness_fini(&h);
                }
        }
}

static void samples(void **state)
{
        static const uint8_t address[2][4] = { { 10, 0, 0, 1 }, { 10, 0, 0, 2 } };
        struct harness h;

        for (size_t i = 0; i < PACKETS; i++) {
                struct sample want = packets[i].sample;

                assert_int_equal(start(&h, 1024, i % 2 == 0 ? 1 : -7), 0);
                assert_int_equal(h.fn.result_size, sizeof want);
                (void)run(&h, &packets[i], 0x40ee5c77bc00f7ebu);
                assert_int_equal(h.queued, packets[i].hash >= 0);
                if (h.queued == 1) {
                        const struct sample *s = harness_queued(&h, 0);

                        if (packets[i].bytes[12] != 0x86) { /* IPv4 */
                                memcpy(&want.source_ip, address[packets[i].hash == 470], 4);
                                memcpy(&want.dest_ip, address[packets[i].hash != 470], 4);
                        }
                        want.timestamp = 0x40ee5c77bc00f7ebu;
                        if (memcmp(s, &want, sizeof want) != 0)
                                fail_msg("packet %zu: %x %x %u %u %x %x %u", i, s->source_ip, s->dest_ip,
                                         s->sourceport, s->destport, s->sequence, s->tcp_flags, s->protocol);
                }
                harness_fini(&h);
        }
}

/** Only what is selected; a sample that is lost does not hold the packet back. */
static void selections(void **state)
{
        struct harness h;

        assert_int_equal(start(&h, 546, 1), 0);
        h.queue_room = 2;
        for (unsigned i = 0; i < 3; i++)
                harness_add(&h, packets[i].bytes, packets[i].len, 60, i);
        for (unsigned i = 0; i < 3; i++)
                harness_add(&h, packets[i].bytes, packets[i].len, 60, 10 + i);
        harness_add(&h, packets[12].bytes, packets[12].len, 60, 20);
        packet_parse(&h.batch, 0x7a);
        assert_int_equal(harness_run(&h, 0x7a), 0x3a);
        assert_int_equal(h.queued, 2);
        assert_int_equal(((const struct sample *)harness_queued(&h, 0))->timestamp, 1);
        assert_int_equal(((const struct sample *)harness_queued(&h, 1))->timestamp, 10);
        assert_int_equal(harness_run(&h, 0), 0);
        harness_fini(&h);
}

static void errors(void **state)
{
        static const long long wrong[] = { 0, -1, 1025, 2147483647 };
        struct harness h;

        for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
                assert_int_equal(start(&h, wrong[i], 1), -7001);
                assert_int_equal(h.err.code, 7001);
                harness_fini(&h);
        }
        assert_int_equal(mapi_fn_hashsamp.result.depth, 40);
        assert_int_equal(mapi_fn_hashsamp.result.full, MAPI_OVERRUN_NEWEST);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(hashes), cmocka_unit_test(samples),
                                            cmocka_unit_test(selections), cmocka_unit_test(errors) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
