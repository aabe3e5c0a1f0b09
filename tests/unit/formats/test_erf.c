/*
 * The ERF reader: frames of all kinds, extension headers, padding, loss, damage, and what is not mistaken for ERF.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "collect.h"

#define TS 0x5f5e100080000001u /* some second of 2020 and a bit more than a half */

static void lead_ethernet(struct build *lead, unsigned extensions)
{
        for (unsigned i = 0; i < extensions; i++) {
                build_8(lead, (uint8_t)((i + 1 < extensions ? 0x80 : 0) | 3));
                build_data(lead, 0xf0, 7);
        }
        build_16(lead, 0); /* offset and padding */
}

static void ethernet(void **state)
{
        static const uint8_t types[] = { 2, 11, 16, 20 };
        struct build b = { 0 };
        struct collect c;

        for (unsigned i = 0; i < 4; i++) {
                struct build lead = { 0 };

                lead_ethernet(&lead, i); /* none to three extension headers */
                build_erf(&b, (uint8_t)(types[i] | (i > 0 ? 0x80 : 0)), (uint8_t)(0x04 | i), TS + i,
                          (uint16_t)(i == 0 ? 5 : 9), &lead, 60, 64, (uint8_t)(10 * i));
                build_free(&lead);
        }
        collect(&c, &b);
        assert_int_equal(c.o.opened, 1);
        assert_int_equal(c.o.end, FORMATS_END);
        assert_int_equal(c.o.linktype, 1);
        assert_int_equal(c.o.snaplen, 65535);
        assert_int_equal(c.o.lost, 5); /* in the other types the field is a colour */
        assert_int_equal(c.n, 4);
        for (unsigned i = 0; i < 4; i++) {
                assert_true(c.view[i].ts == TS + i); /* used as it is */
                assert_int_equal(c.view[i].caplen, 60);
                assert_int_equal(c.view[i].wirelen, 64);
                assert_int_equal(c.view[i].ifindex, i);
                assert_int_equal(c.view[i].linktype, 1);
                expect_data(&c.view[i], (uint8_t)(10 * i));
        }
        collect_free(&c);
        build_free(&b);
}

static void other_frames(void **state)
{
        struct build b = { 0 }, mc = { 0 }, ppp = { 0 };
        struct collect c;

        build_put(&mc, "\1\2\3\4", 4);
        build_put(&ppp, "\xff\x03", 2);              /* the frame itself begins so */
        build_erf(&b, 1, 0, TS, 0, &ppp, 30, 32, 4); /* PPP: 32 bytes with its first two */
        build_erf(&b, 10, 0, TS, 7, NULL, 40, 40, 15);
        build_erf(&b, 17, 0, TS, 7, &mc, 41, 41, 15);
        build_erf(&b, 22, 0, TS, 0, NULL, 42, 42, 0x45);
        build_erf(&b, 5, 0, TS, 3, &mc, 48, 43, 15); /* padded */
        collect(&c, &b);
        assert_int_equal(c.o.end, FORMATS_END);
        assert_int_equal(c.o.linktype, 50);
        assert_int_equal(c.n, 5);
        static const uint16_t linktype[] = { 50, 104, 104, 12, 104 };
        static const uint32_t caplen[] = { 32, 40, 41, 42, 43 };

        for (unsigned i = 0; i < 5; i++) {
                assert_int_equal(c.view[i].linktype, linktype[i]);
                assert_int_equal(c.view[i].caplen, caplen[i]);
                assert_int_equal(c.view[i].wirelen, caplen[i]);
        }
        expect_data(&c.view[2], 15);
        assert_int_equal(c.o.lost, 3);
        collect_free(&c);
        build_free(&b);
        build_free(&mc);
        build_free(&ppp);
}

static void passed_over(void **state)
{
        struct build b = { 0 }, lead = { 0 };
        struct collect c;

        lead_ethernet(&lead, 0);
        build_erf(&b, 27, 0, TS, 0, NULL, 100, 100, 0); /* the capture's description */
        build_erf(&b, 48, 0, TS, 0, NULL, 0, 0, 0);     /* padding */
        build_erf(&b, 2, 0, TS, 0, &lead, 60, 60, 1);
        build_erf(&b, 100, 0, TS, 0, NULL, 10, 10, 0); /* nobody knows */
        build_erf(&b, 2, 0, TS + 1, 0, &lead, 60, 60, 2);
        collect(&c, &b);
        assert_int_equal(c.o.end, FORMATS_END);
        assert_int_equal(c.n, 2);
        assert_int_equal(c.o.skipped, 3);
        expect_data(&c.view[0], 1);
        expect_data(&c.view[1], 2);
        collect_free(&c);
        build_free(&b);
        build_free(&lead);
}

static void damage(void **state)
{
        struct build b = { 0 }, lead = { 0 };
        struct collect c;
        size_t good;

        lead_ethernet(&lead, 0);
        build_erf(&b, 2, 0, TS, 0, &lead, 62, 64, 1); /* 80 bytes */
        good = b.n;
        assert_int_equal(good, 80);

        build_erf(&b, 2, 0, TS, 0, &lead, 62, 64, 1);
        b.bytes[good + 10] = 0;
        b.bytes[good + 11] = 15;
        collect(&c, &b);
        EXPECT_DAMAGE(&c, 1, "ERF record 2 at byte 80: a record length of 15 bytes is impossible");
        collect_free(&c);

        b.bytes[good + 11] = 17; /* not even the padding fits */
        collect(&c, &b);
        EXPECT_DAMAGE(&c, 1, "ERF record 2 at byte 80: a record of 17 bytes is too short for its headers");
        collect_free(&c);

        b.bytes[good + 11] = 23;
        b.bytes[good + 8] = 0x82; /* the extension header does not fit */
        collect(&c, &b);
        EXPECT_DAMAGE(&c, 1, "ERF record 2 at byte 80: a record of 23 bytes is too short for its headers");
        collect_free(&c);

        memset(b.bytes + good + 16, 0xff, 64); /* extension headers without end */
        b.bytes[good + 11] = 80;
        collect(&c, &b);
        EXPECT_DAMAGE(&c, 1, "ERF record 2 at byte 80: a record of 80 bytes is too short for its headers");
        collect_free(&c);

        b.n = good + 40;
        collect(&c, &b);
        EXPECT_DAMAGE(&c, 1, "ERF record 2 at byte 80: the trace ends after 40 of its 80 bytes");
        collect_free(&c);
        b.n = good + 3;
        collect(&c, &b);
        EXPECT_DAMAGE(&c, 1, "ERF record 2 at byte 80: the trace ends after 3 of its 16 bytes of header");
        collect_free(&c);
        b.n = 50; /* inside the first record, which still looks like one */
        collect(&c, &b);
        EXPECT_DAMAGE(&c, 0, "ERF record 1 at byte 0: the trace ends after 50 of its 80 bytes");
        collect_free(&c);
        b.n = 15;
        collect(&c, &b);
        assert_int_equal(c.o.opened, -MAPI_ERROR_FILE);
        build_free(&b);
        build_free(&lead);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(ethernet),
                cmocka_unit_test(other_frames),
                cmocka_unit_test(passed_over),
                cmocka_unit_test(damage),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
