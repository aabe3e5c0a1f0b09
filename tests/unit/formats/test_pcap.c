/*
 * The pcap reader: every magic number in both byte orders, exact times, and every place where a file can be
 * broken.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "collect.h"

static const uint32_t fractions[] = { 0, 1, 2, 499999, 500000, 999998, 999999 };

#define N_FRACTIONS (sizeof(fractions) / sizeof(fractions[0]))

static void all_magics(void **state)
{
        static const struct {
                uint32_t magic;
                int nano, extra; /* bytes of record header */
        } kinds[] = { { 0xa1b2c3d4, 0, 0 }, { 0xa1b23c4d, 1, 0 }, { 0xa1b2cd34, 0, 8 } };

        for (int k = 0; k < 3; k++) {
                for (int big = 0; big < 2; big++) {
                        struct build b = { .big = big };
                        struct collect c;

                        build_pcap_head(&b, kinds[k].magic, 4, 1500, 1);
                        for (unsigned i = 0; i < N_FRACTIONS; i++) {
                                build_32(&b, 0xfffffff0u + i);
                                build_32(&b,
                                         fractions[i] * (kinds[k].nano ? 1000u : 1u) + (kinds[k].nano ? i : 0));
                                build_32(&b, 10 + i);
                                build_32(&b, 100 + i);
                                build_data(&b, 0, (size_t)kinds[k].extra);
                                build_data(&b, (uint8_t)(i * 3), 10 + i);
                        }
                        collect(&c, &b);
                        assert_int_equal(c.o.opened, 1);
                        assert_int_equal(c.o.end, FORMATS_END);
                        assert_int_equal(c.o.linktype, 1);
                        assert_int_equal(c.o.snaplen, 1500);
                        assert_int_equal(c.n, N_FRACTIONS);
                        for (unsigned i = 0; i < c.n; i++) {
                                uint32_t seconds, fraction;

                                assert_int_equal(c.view[i].caplen, 10 + i);
                                assert_int_equal(c.view[i].wirelen, 100 + i);
                                assert_int_equal(c.view[i].linktype, 1);
                                assert_int_equal(c.view[i].ifindex, 0);
                                expect_data(&c.view[i], (uint8_t)(i * 3));
                                if (kinds[k].nano)
                                        mapi_ts_to_ns(c.view[i].ts, &seconds, &fraction);
                                else
                                        mapi_ts_to_us(c.view[i].ts, &seconds, &fraction);
                                assert_int_equal(seconds, 0xfffffff0u + i);
                                assert_int_equal(fraction, fractions[i] * (kinds[k].nano ? 1000u : 1u) +
                                                                   (kinds[k].nano ? i : 0));
                        }
                        collect_free(&c);
                        build_free(&b);
                }
        }
}

/* The fraction is floor(n * 2^32 / unit), and comes back for every microsecond and for many nanoseconds. */
static void exact_times(void **state)
{
        uint32_t s, f;

        assert_true(mapi_ts_from_us(7, 500000) == (7ull << 32 | 0x80000000u));
        assert_true(mapi_ts_from_us(7, 1) == (7ull << 32 | 4294));
        assert_true(mapi_ts_from_ns(7, 1) == (7ull << 32 | 4));
        assert_true(mapi_ts_from_ns(7, 999999999) == (7ull << 32 | 4294967291u));
        for (uint32_t us = 0; us < 1000000; us++) {
                mapi_ts_to_us(mapi_ts_from_us(1700000000, us), &s, &f);
                if (s != 1700000000 || f != us)
                        fail_msg("%u us became %u.%06u", us, s, f);
        }
        for (uint32_t ns = 0; ns < 1000000000; ns += 997) {
                mapi_ts_to_ns(mapi_ts_from_ns(1700000000, ns), &s, &f);
                if (s != 1700000000 || f != ns)
                        fail_msg("%u ns became %u.%09u", ns, s, f);
        }
}

static void odd_headers(void **state)
{
        static const struct {
                uint32_t snaplen, network, expect_snaplen;
                uint16_t expect_linktype;
        } heads[] = {
                { 0, 1, MAPI_CAPLEN_MAX, 1 },
                { 0xffffffff, 1, MAPI_CAPLEN_MAX, 1 },
                { MAPI_CAPLEN_MAX + 1, 1, MAPI_CAPLEN_MAX, 1 },
                { MAPI_CAPLEN_MAX, 0xf4000071, MAPI_CAPLEN_MAX, 113 }, /* the upper half is not the link type */
                { 96, 101, 96, 12 },                                   /* LINKTYPE_RAW is DLT_RAW */
        };

        for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
                struct build b = { 0 };
                struct collect c;

                build_pcap_head(&b, 0xa1b2c3d4, 4, heads[i].snaplen, heads[i].network);
                collect(&c, &b); /* a header alone is a good, empty trace */
                assert_int_equal(c.o.opened, 1);
                assert_int_equal(c.o.end, FORMATS_END);
                assert_int_equal(c.n, 0);
                assert_int_equal(c.o.snaplen, heads[i].expect_snaplen);
                assert_int_equal(c.o.linktype, heads[i].expect_linktype);
                build_free(&b);
        }
}

static void odd_lengths(void **state)
{
        struct build b = { 0 };
        struct collect c;

        build_pcap_head(&b, 0xa1b2c3d4, 4, 100, 1);
        build_pcap_record(&b, 1, 0, 60, 20, 1);   /* more captured than there was: as it is */
        build_pcap_record(&b, 2, 0, 0, 70, 2);    /* nothing captured */
        build_pcap_record(&b, 3, 0, 101, 500, 3); /* longer than snaplen: cut, as libpcap does */
        build_pcap_record(&b, 4, 0, 0, 0, 4);
        collect(&c, &b);
        assert_int_equal(c.o.end, FORMATS_END);
        assert_int_equal(c.n, 4);
        assert_int_equal(c.view[0].caplen, 60);
        assert_int_equal(c.view[0].wirelen, 20);
        assert_int_equal(c.view[1].caplen, 0);
        assert_int_equal(c.view[1].wirelen, 70);
        assert_int_equal(c.view[2].caplen, 100);
        assert_int_equal(c.view[2].wirelen, 500);
        expect_data(&c.view[2], 3);
        assert_int_equal(c.view[3].wirelen, 0);
        assert_true(c.view[3].ts == 4ull << 32);
        collect_free(&c);
        build_free(&b);
}

/* In the first versions of the format the lengths were the other way round; in 2.3 the smaller one is what was
   captured. */
static void old_versions(void **state)
{
        for (uint16_t minor = 2; minor <= 3; minor++) {
                struct build b = { 0 };
                struct collect c;

                build_pcap_head(&b, 0xa1b2c3d4, minor, 0, 1);
                build_32(&b, 1);
                build_32(&b, 0);
                build_32(&b, 90);
                build_32(&b, 30);
                build_data(&b, 5, 30);
                collect(&c, &b);
                assert_int_equal(c.n, 1);
                assert_int_equal(c.o.end, FORMATS_END);
                assert_int_equal(c.view[0].caplen, 30);
                assert_int_equal(c.view[0].wirelen, 90);
                expect_data(&c.view[0], 5);
                collect_free(&c);
                build_free(&b);
        }
}

/* A file may be cut at any byte: everything before is delivered, and only a cut between records is a normal end.
   */
static void cut_everywhere(void **state)
{
        struct build b = { 0 };
        size_t ends[4] = { 24 };

        build_pcap(&b, 0);
        for (unsigned i = 0; i < 3; i++) {
                build_pcap_record(&b, i, 0, 5 + i, 50, 0);
                ends[i + 1] = b.n;
        }
        for (size_t n = 1; n <= b.n; n++) {
                struct build cut = { .bytes = b.bytes, .n = n };
                struct collect c;
                unsigned whole = 0;

                collect(&c, &cut);
                if (n < 24) {
                        assert_int_equal(c.o.opened, -MAPI_ERROR_FILE);
                        assert_int_equal(c.n, 0);
                        continue;
                }
                while (whole < 3 && ends[whole + 1] <= n)
                        whole++;
                assert_int_equal(c.n, whole);
                assert_int_equal(c.o.end, ends[whole] == n ? FORMATS_END : -MAPI_TRACE_DAMAGED);
                if (n == 24 + 21 + 3)
                        assert_string_equal(c.o.why,
                                            "pcap record 2 at byte 45: the trace ends after 3 of its 16 bytes "
                                            "of header");
                if (n == 24 + 21 + 17)
                        assert_string_equal(c.o.why, "pcap record 2 at byte 45: the trace ends after 17 of its 22 "
                                                     "bytes");
                collect_free(&c);
        }
        build_free(&b);
}

static void cut_head(void **state)
{
        struct build b = { 0 };
        struct collect c;

        build_pcap(&b, 0);
        b.n = 23;
        collect(&c, &b);
        EXPECT_REFUSED(&c, "it ends inside the file header of a pcap trace (23 of 24 bytes)");
        b.n = 3;
        collect(&c, &b);
        EXPECT_REFUSED(&c, "3 bytes cannot be a trace");
        b.n = 0;
        collect(&c, &b);
        EXPECT_REFUSED(&c, "it is empty");
        b.n = 24;
        b.bytes[4] = 9;
        collect(&c, &b);
        EXPECT_REFUSED(&c, "it is a pcap trace of the unknown version 9.4");
        build_free(&b);
}

static void impossible_caplen(void **state)
{
        static const uint32_t caplens[] = { MAPI_CAPLEN_MAX + 1, 0x7fffffff, 0xfffffff0, 0xffffffff };

        for (size_t i = 0; i < sizeof(caplens) / sizeof(caplens[0]); i++) {
                struct build b = { 0 };
                struct collect c;
                char text[200];

                build_pcap_head(&b, 0xa1b2c3d4, 4, 65535, 1);
                build_pcap_record(&b, 1, 0, 4, 4, 0);
                build_pcap_record(&b, 2, 0, 4, 4, 0);
                build_32(&b, 3);
                build_32(&b, 0);
                build_32(&b, caplens[i]);
                build_32(&b, 60);
                build_data(&b, 0, 100);
                collect(&c, &b);
                snprintf(text, sizeof(text),
                         "pcap record 3 at byte 64: a captured length of %u bytes is impossible (at most 262144)",
                         caplens[i]);
                EXPECT_DAMAGE(&c, 2, text);
                collect_free(&c);
                build_free(&b);
        }
}

static void longest_record(void **state)
{
        struct build b = { 0 };
        struct collect c;

        build_pcap_head(&b, 0xa1b2c3d4, 4, 0, 1);
        build_pcap_record(&b, 1, 0, MAPI_CAPLEN_MAX, MAPI_CAPLEN_MAX, 9);
        build_pcap_record(&b, 2, 0, 1, 1, 7);
        collect(&c, &b);
        assert_int_equal(c.n, 2);
        assert_int_equal(c.o.end, FORMATS_END);
        assert_int_equal(c.view[0].caplen, MAPI_CAPLEN_MAX);
        expect_data(&c.view[0], 9);
        expect_data(&c.view[1], 7);
        collect_free(&c);
        build_free(&b);
}

/* A loopback trace from a machine of the other byte order: the family is turned to ours, nothing else is. */
static void swapped_null_link(void **state)
{
        for (int big = 0; big < 2; big++) {
                struct build b = { .big = big };
                struct collect c;
                uint32_t family;

                build_pcap_head(&b, 0xa1b2c3d4, 4, 65535, 0);
                build_32(&b, 1);
                build_32(&b, 0);
                build_32(&b, 8);
                build_32(&b, 8);
                build_32(&b, 2);
                build_data(&b, 20, 4);
                build_pcap_record(&b, 1, 0, 3, 3, 1); /* too short for a family */
                collect(&c, &b);
                assert_int_equal(c.n, 2);
                memcpy(&family, c.view[0].data, 4);
                assert_int_equal(family, 2);
                assert_int_equal(c.view[0].data[4], 20);
                expect_data(&c.view[1], 1);
                collect_free(&c);
                build_free(&b);
        }
}

static void not_a_trace(void **state)
{
        static const char *const others[] = {
                "#!/bin/sh\necho hello, this is a text and not a trace at all, whatever it may look like\n",
                "12345678\nabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz",
                "\177ELF\x02\x01\x01 and so on and on",
                "\x89PNG\r\n\x1a\n    and so on and on and on",
        };

        for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
                struct build b = { 0 };
                struct collect c;
                char text[200];

                build_put(&b, others[i], strlen(others[i]));
                collect(&c, &b);
                snprintf(text, sizeof(text),
                         "its first bytes are %02x %02x %02x %02x: not a trace that can be read "
                         "(pcap, pcapng or ERF)",
                         b.bytes[0], b.bytes[1], b.bytes[2], b.bytes[3]);
                EXPECT_REFUSED(&c, text);
                build_free(&b);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(all_magics),     cmocka_unit_test(exact_times),
                cmocka_unit_test(odd_headers),    cmocka_unit_test(odd_lengths),
                cmocka_unit_test(old_versions),   cmocka_unit_test(cut_everywhere),
                cmocka_unit_test(cut_head),       cmocka_unit_test(impossible_caplen),
                cmocka_unit_test(longest_record), cmocka_unit_test(swapped_null_link),
                cmocka_unit_test(not_a_trace),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
