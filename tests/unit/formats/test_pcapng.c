/*
 * The pcapng reader: sections of both byte orders, interfaces with clocks of their own, all packet blocks, all
 * damage.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "collect.h"

static void put_simple(struct build *b, uint32_t wirelen, uint32_t caplen, uint8_t seed)
{
        struct build body = { .big = b->big };

        build_32(&body, wirelen);
        build_data(&body, seed, caplen);
        build_ng_block(b, 3, &body);
        build_free(&body);
}

static void put_old(struct build *b, uint16_t interface, uint64_t ticks, uint32_t caplen, uint32_t wirelen,
                    uint8_t seed)
{
        struct build body = { .big = b->big };

        build_16(&body, interface);
        build_16(&body, 77); /* drops */
        build_32(&body, (uint32_t)(ticks >> 32));
        build_32(&body, (uint32_t)ticks);
        build_32(&body, caplen);
        build_32(&body, wirelen);
        build_data(&body, seed, caplen);
        build_ng_block(b, 2, &body);
        build_free(&body);
}

static void put_unknown(struct build *b, uint32_t type, size_t n)
{
        struct build body = { .big = b->big };

        build_data(&body, 0, n);
        build_ng_block(b, type, &body);
        build_free(&body);
}

static void blocks_and_interfaces(void **state)
{
        for (int big = 0; big < 2; big++) {
                struct build b = { .big = big };
                struct collect c;

                build_ng_section(&b);
                put_unknown(&b, 4, 40); /* before the first interface */
                build_ng_interface(&b, 1, 96, -1, 0);
                build_ng_interface(&b, 101, 0, 9, 0);
                build_ng_packet(&b, 0, 1600000000123456, 61, 600, 1);
                put_unknown(&b, 0x80000bad, 70001);
                build_ng_packet(&b, 1, 1600000000123456789, 62, 62, 2);
                put_simple(&b, 500, 96, 3); /* cut at the first interface's snaplen */
                put_simple(&b, 33, 33, 4);
                put_old(&b, 1, 5000000001, 64, 640, 5);
                build_ng_interface(&b, 113, 0, 6, 0); /* in the middle */
                build_ng_packet(&b, 2, 7, 0, 9, 6);
                collect(&c, &b);
                assert_string_equal(c.o.why, "");
                assert_int_equal(c.o.end, FORMATS_END);
                assert_int_equal(c.n, 6);
                assert_int_equal(c.o.linktype, 1);
                assert_int_equal(c.o.snaplen, MAPI_CAPLEN_MAX);
                assert_int_equal(c.o.skipped, 2);

                assert_true(c.view[0].ts == mapi_ts_from_us(1600000000, 123456));
                assert_true(c.view[1].ts == mapi_ts_from_ns(1600000000, 123456789));
                assert_true(c.view[2].ts == 0 && c.view[3].ts == 0); /* simple blocks have no time */
                assert_true(c.view[4].ts == mapi_ts_from_ns(5, 1));
                assert_true(c.view[5].ts == mapi_ts_from_us(0, 7));
                static const uint32_t caplen[] = { 61, 62, 96, 33, 64, 0 },
                                      wirelen[] = { 600, 62, 500, 33, 640, 9 };
                static const uint16_t ifindex[] = { 0, 1, 0, 0, 1, 2 }, linktype[] = { 1, 12, 1, 1, 12, 113 };

                for (unsigned i = 0; i < c.n; i++) {
                        assert_int_equal(c.view[i].caplen, caplen[i]);
                        assert_int_equal(c.view[i].wirelen, wirelen[i]);
                        assert_int_equal(c.view[i].ifindex, ifindex[i]);
                        assert_int_equal(c.view[i].linktype, linktype[i]);
                        expect_data(&c.view[i], (uint8_t)(i + 1));
                }
                collect_free(&c);
                build_free(&b);
        }
}

/* Files may be glued together; each section has its own byte order and interfaces. */
static void sections(void **state)
{
        struct build b = { 0 };
        struct collect c;

        build_ng_section(&b);
        build_ng_interface(&b, 1, 0, -1, 0);
        build_ng_packet(&b, 0, 1, 10, 10, 1);
        b.big = 1;
        build_ng_section(&b);
        build_ng_interface(&b, 113, 0, 9, 0);
        build_ng_interface(&b, 1, 0, 9, 0);
        build_ng_packet(&b, 0, 1000, 11, 11, 2);
        b.big = 0;
        build_ng_section(&b);
        build_ng_interface(&b, 0, 0, 3, 0);
        build_ng_packet(&b, 0, 1500, 12, 12, 3);
        collect(&c, &b);
        assert_int_equal(c.o.end, FORMATS_END);
        assert_int_equal(c.n, 3);
        assert_true(c.view[0].ts == mapi_ts_from_us(0, 1) && c.view[1].ts == mapi_ts_from_us(0, 1));
        assert_true(c.view[2].ts == (1ull << 32 | 0x80000000u));
        assert_int_equal(c.view[0].ifindex, 0);
        assert_int_equal(c.view[1].ifindex, 1);
        assert_int_equal(c.view[2].ifindex, 3);
        assert_int_equal(c.view[1].linktype, 113);
        for (unsigned i = 0; i < 3; i++)
                expect_data(&c.view[i], (uint8_t)(i + 1));
        collect_free(&c);
        build_free(&b);
}

static void resolutions(void **state)
{
        static const struct {
                int resolution;
                int64_t offset;
                uint64_t ticks, expect;
        } clocks[] = {
                { 6, 0, 1000001, 1ull << 32 | 4294 },
                { 0, 0, 12, 12ull << 32 },
                { 1, 0, 125, 12ull << 32 | 0x80000000u },
                { 3, 100, 2500, 102ull << 32 | 0x80000000u },
                { 3, -2, 2500, 0x80000000u },
                { 9, 0, 1999999999, 1ull << 32 | 4294967291u },
                { 12, 0, 1500000000000, 1ull << 32 | 0x80000000u },
                { 19, 0, 15000000000000000000u, 1ull << 32 | 0x80000000u },
                { 20, 0, 15000000000000000000u, 0x26666666u }, /* 0.15 s */
                { 38, 0, UINT64_MAX, 0 },
                { 127, 0, UINT64_MAX, 0 },
                { 0x80, 0, 12, 12ull << 32 },
                { 0x80 | 1, 0, 3, 1ull << 32 | 0x80000000u },
                { 0x80 | 32, 5, 0x180000000, 6ull << 32 | 0x80000000u },
                { 0x80 | 33, 0, 0x300000001, 1ull << 32 | 0x80000000u },
                { 0x80 | 63, 0, 0xc000000000000000u, 1ull << 32 | 0x80000000u },
                { 0x80 | 64, 0, 0xc000000000000000u, 0xc0000000u },
                { 0x80 | 95, 0, UINT64_MAX, 1 },
                { 0x80 | 127, 0, UINT64_MAX, 0 },
        };

        for (size_t i = 0; i < sizeof(clocks) / sizeof(clocks[0]); i++) {
                struct build b = { 0 };
                struct collect c;

                build_ng_section(&b);
                build_ng_interface(&b, 1, 0, clocks[i].resolution, clocks[i].offset);
                build_ng_packet(&b, 0, clocks[i].ticks, 4, 4, 0);
                collect(&c, &b);
                assert_int_equal(c.n, 1);
                if (c.view[0].ts != clocks[i].expect)
                        fail_msg("resolution %d: %llx, not %llx", clocks[i].resolution,
                                 (unsigned long long)c.view[0].ts, (unsigned long long)clocks[i].expect);
                collect_free(&c);
                build_free(&b);
        }
}

/* What every test of damage begins with: one good packet; the damage begins at byte 28 + 32 + 36. */
static void good_start(struct build *b)
{
        build_ng_section(b);
        build_ng_interface(b, 1, 0, -1, 0); /* 32 bytes */
        build_ng_packet(b, 0, 1, 4, 4, 0);  /* 36 bytes */
}

static void bad_block(const uint32_t *words, size_t n, const char *why)
{
        struct build b = { 0 };
        struct collect c;
        char text[240];

        good_start(&b);
        for (size_t i = 0; i < n; i++)
                build_32(&b, words[i]);
        collect(&c, &b);
        snprintf(text, sizeof(text), "pcapng record 2 at byte 96: %s", why);
        EXPECT_DAMAGE(&c, 1, text);
        collect_free(&c);
        build_free(&b);
}

#define BAD(why, ...)                                                                                             \
        do {                                                                                                      \
                static const uint32_t words[] = { __VA_ARGS__ };                                                  \
                bad_block(words, sizeof(words) / sizeof(words[0]), why);                                          \
        } while (0)

static void bad_lengths(void **state)
{
        BAD("a length of 0 bytes is impossible for a block of type 6", 6, 0, 0, 0, 0, 0, 0, 0);
        BAD("a length of 28 bytes is impossible for a block of type 6", 6, 28, 0, 0, 0, 0, 28);
        BAD("a length of 33 bytes is impossible for a block of type 6", 6, 33, 0, 0, 0, 0, 0, 33, 33);
        BAD("a length of 4294967292 bytes is impossible for a block of type 6", 6, 0xfffffffc, 0, 0, 0);
        BAD("a length of 12 bytes is impossible for a block of type 3", 3, 12, 12);
        BAD("a length of 28 bytes is impossible for a block of type 2", 2, 28, 0, 0, 0, 0, 28);
        BAD("a length of 16 bytes is impossible for a block of type 1", 1, 16, 1, 16);
        BAD("a length of 8 bytes is impossible for a block of type 99", 99, 8, 8, 8);
        BAD("a length of 14 bytes is impossible for a block of type 99", 99, 14, 14, 14);
        BAD("a length of 24 bytes is impossible for a block of type 168627466", 0x0a0d0d0a, 24, 0x1a2b3c4d, 1, 0,
            24);
        BAD("a block of 36 bytes says 40 at its end", 6, 36, 0, 0, 0, 4, 4, 0, 40);
        BAD("a block of 20 bytes says 0 at its end", 1, 20, 1, 0, 0);
        BAD("a block of 28 bytes says 29 at its end", 0x0a0d0d0a, 28, 0x1a2b3c4d, 1, 0, 0, 29);
        BAD("a captured length of 5 bytes in a block of 36 bytes", 6, 36, 0, 0, 0, 5, 5, 0, 36);
        BAD("a captured length of 8 bytes in a block of 36 bytes", 2, 36, 0, 0, 0, 8, 8, 0, 36);
        BAD("a captured length of 9 bytes in a block of 20 bytes", 3, 20, 9, 0, 20);
        BAD("a captured length of 4294967295 bytes is impossible (at most 262144)", 6, 36, 0, 0, 0, 0xffffffff, 5,
            0, 36);
        BAD("a packet of interface 1, but 1 interface is described", 6, 36, 1, 0, 0, 4, 4, 0, 36);
        BAD("a section begins with the unknown byte order 11223344", 0x0a0d0d0a, 28, 0x11223344, 1, 0, 0, 28);
        BAD("a section of the unknown pcapng version 2.0", 0x0a0d0d0a, 28, 0x1a2b3c4d, 2, 0, 0, 28);
        BAD("option 9 of an interface is longer than its block", 1, 24, 1, 0, 9 | 1 << 16, 24);
}

/* Here the wrong length stands behind bytes that were passed over before. */
static void bad_end_of_skipped(void **state)
{
        struct build b = { 0 };
        struct collect c;

        good_start(&b);
        put_unknown(&b, 99, 1000);
        b.bytes[b.n - 4] ^= 1;
        collect(&c, &b);
        EXPECT_DAMAGE(&c, 1, "pcapng record 2 at byte 1104: a block of 1012 bytes says 1013 at its end");
        collect_free(&c);
        b.n -= 100;
        collect(&c, &b);
        EXPECT_DAMAGE(&c, 1, "pcapng record 2 at byte 1008: the trace ends inside a block of 1012 bytes");
        collect_free(&c);
        build_free(&b);
}

static void cut_everywhere(void **state)
{
        struct build b = { 0 };

        good_start(&b);
        build_ng_packet(&b, 0, 2, 8, 8, 0); /* 40 bytes */
        for (size_t n = 4; n <= b.n; n++) {
                struct build cut = { .bytes = b.bytes, .n = n };
                struct collect c;

                collect(&c, &cut);
                if (n < 28) {
                        assert_int_equal(c.o.opened, -MAPI_ERROR_FILE);
                        assert_non_null(strstr(c.o.why, "it ends inside the file header of a pcapng trace"));
                        continue;
                }
                assert_int_equal(c.o.opened, 1);
                assert_int_equal(c.n, n == 136 ? 2 : n >= 96 ? 1 : 0);
                assert_int_equal(c.o.end,
                                 n == 28 || n == 60 || n == 96 || n == 136 ? FORMATS_END : -MAPI_TRACE_DAMAGED);
                if (n == 130)
                        assert_string_equal(c.o.why,
                                            "pcapng record 2 at byte 96: the trace ends after 34 of its 40 bytes");
                collect_free(&c);
        }
        build_free(&b);
}

static void bad_head(void **state)
{
        struct build b = { 0 };
        struct collect c;

        build_ng_section(&b);
        b.bytes[8] = 0;
        collect(&c, &b);
        EXPECT_REFUSED(&c, "pcapng record 1 at byte 0: a section begins with the unknown byte order 1a2b3c00");
        build_free(&b);

        /* A packet before any interface, or damage: the trace opens, and reading says so. */
        build_ng_section(&b);
        build_ng_packet(&b, 0, 1, 4, 4, 0);
        collect(&c, &b);
        EXPECT_DAMAGE(&c, 0,
                      "pcapng record 1 at byte 28: a packet of interface 0, but 0 interfaces are described");
        build_free(&b);
}

static void swapped_null_link(void **state)
{
        for (int big = 0; big < 2; big++) {
                struct build b = { .big = big }, body = { .big = big };
                struct collect c;
                uint32_t family;

                build_ng_section(&b);
                build_ng_interface(&b, 0, 0, -1, 0);
                build_32(&body, 4);
                build_32(&body, 30); /* the family of a simple packet block */
                build_ng_block(&b, 3, &body);
                collect(&c, &b);
                assert_int_equal(c.n, 1);
                memcpy(&family, c.view[0].data, 4);
                assert_int_equal(family, 30);
                collect_free(&c);
                build_free(&b);
                build_free(&body);
        }
}

static void many_interfaces(void **state)
{
        struct build b = { 0 };
        struct feed_way way = { .open = formats_open, .chunk = SIZE_MAX, .most = 64, .max_bytes = SIZE_MAX };
        struct feed_outcome o;

        build_ng_section(&b);
        for (unsigned i = 0; i < 4097; i++) {
                static const uint32_t words[5] = { 1, 20, 1, 0, 20 };

                for (int k = 0; k < 5; k++)
                        build_32(&b, words[k]);
        }
        b.n -= 20;
        o = feed_run(b.bytes, b.n, &way);
        assert_int_equal(o.end, FORMATS_END);
        b.n += 20;
        o = feed_run(b.bytes, b.n, &way);
        assert_int_equal(o.end, -MAPI_TRACE_DAMAGED);
        assert_string_equal(o.why, "pcapng record 1 at byte 81948: more than 4096 interfaces in a section");
        build_free(&b);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(blocks_and_interfaces),
                cmocka_unit_test(sections),
                cmocka_unit_test(resolutions),
                cmocka_unit_test(bad_lengths),
                cmocka_unit_test(bad_end_of_skipped),
                cmocka_unit_test(cut_everywhere),
                cmocka_unit_test(bad_head),
                cmocka_unit_test(swapped_null_link),
                cmocka_unit_test(many_interfaces),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
