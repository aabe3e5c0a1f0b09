/*
 * The driver that makes packets: they are valid, in order, as many and as large as was asked, and always the same.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "drive.h"

static struct drive run(const char *options, unsigned most, size_t max_bytes)
{
        struct mapi_source src = { .name = "null", .options = options, .fd = -1 };

        return drive_source(&mapi_drv_null, &src, most, max_bytes);
}

static void counts(void **state)
{
        struct drive d = run(NULL, 64, SIZE_MAX), e;

        assert_int_equal(d.packets, 1000000);
        assert_int_equal(d.wirelen, 330 * 1000000ull);
        assert_int_equal(d.facts.linktype, 1);
        assert_int_equal(d.facts.snaplen, 330);
        assert_int_equal(d.facts.offline, 1);
        assert_int_equal(d.stats.received, 1000000);
        d = run("packets=1003,size=60,flows=7", 64, SIZE_MAX);
        assert_int_equal(d.packets, 1003);
        assert_int_equal(d.caplen, 60 * 1003);
        e = run("flows=7,size=60,packets=1003", 5, 199);
        assert_true(e.packets == 1003 && e.hash == d.hash);
        e = run("flows=8,size=60,packets=1003", 5, 199);
        assert_true(e.packets == 1003 && e.hash != d.hash);
        d = run("packets=3,size=65549,flows=2", 64, 65549);
        assert_int_equal(d.caplen, 3 * 65549);
}

static void wrong_options(void **state)
{
        static const char *const wrong[] = { "packets=-1",
                                             "size=59",
                                             "size=65550",
                                             "flows=0",
                                             "flows=65537",
                                             "flow=1",
                                             "flows=65536,size=65549",
                                             "packets=18446744073709551616" };

        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
                struct drive d = run(wrong[i], 64, SIZE_MAX);

                assert_int_equal(d.end, -PCAP_OPEN_ERR);
                assert_non_null(strstr(d.err.text, "null: "));
        }
}

static uint32_t be16(const uint8_t *p)
{
        return (uint32_t)p[0] << 8 | p[1];
}

static uint32_t ones_sum(const uint8_t *p, size_t n)
{
        uint32_t sum = 0;

        for (size_t i = 0; i < n; i++)
                sum += i % 2 == 0 ? (uint32_t)p[i] << 8 : p[i];
        return sum;
}

static uint32_t fold(uint32_t sum)
{
        while (sum >> 16)
                sum = (sum & 0xffff) + (sum >> 16);
        return sum;
}

/* Headers, lengths and checksums by a sum over the whole, which must come out as all ones. */
static void valid_packets(void **state)
{
        static const char *const options[] = { "packets=300,size=60,flows=100", "packets=300,size=61,flows=100",
                                               "packets=300,size=1514,flows=3", "packets=10,size=65549,flows=10" };
        static const unsigned sizes[] = { 60, 61, 1514, 65549 }, flows[] = { 100, 100, 3, 10 };

        for (int k = 0; k < 4; k++) {
                struct mapi_source src = { .name = "null", .options = options[k], .fd = -1 };
                struct mapi_device_facts facts;
                struct mapi_batch b;
                struct mapi_error err;
                size_t needed;
                void *st;
                unsigned number = 0;
                int n;

                assert_int_equal(mapi_drv_null.open(&src, &facts, &st, &err), 0);
                while ((n = mapi_drv_null.recv(st, &b, 64, SIZE_MAX, &needed, &err)) > 0) {
                        for (int i = 0; i < n; i++, number++) {
                                const struct mapi_view *v = &b.pkt[i];
                                const uint8_t *ip = v->data + 14, *l4 = ip + 20;
                                uint32_t l4_bytes = sizes[k] - 34, flow = number % flows[k];
                                int tcp = flow % 2 == 0;

                                assert_true(v->ts == mapi_ts_from_us(1704067200, number));
                                assert_int_equal(v->caplen, sizes[k]);
                                assert_int_equal(v->wirelen, sizes[k]);
                                assert_int_equal(v->linktype, 1);
                                assert_int_equal(be16(v->data + 12), 0x0800);
                                assert_int_equal(ip[0], 0x45);
                                assert_int_equal(be16(ip + 2), sizes[k] - 14);
                                assert_int_equal(ip[15], flow);
                                assert_int_equal(ip[9], tcp ? 6 : 17);
                                assert_int_equal(fold(ones_sum(ip, 20)), 0xffff);
                                assert_int_equal(
                                        fold(ones_sum(ip + 12, 8) + ip[9] + l4_bytes + ones_sum(l4, l4_bytes)),
                                        0xffff);
                                if (tcp)
                                        assert_int_equal(l4[12], 0x50);
                                else
                                        assert_int_equal(be16(l4 + 4), l4_bytes);
                        }
                }
                assert_int_equal(n, MAPI_RECV_END);
                mapi_drv_null.close(st);
        }
}

/* Time goes over a full second, and a source without end has none. */
static void endless(void **state)
{
        struct mapi_source src = { .name = "null", .options = "packets=0,flows=1,size=60", .fd = -1 };
        struct mapi_device_facts facts;
        struct mapi_batch b;
        struct mapi_error err;
        size_t needed;
        void *st;

        assert_int_equal(mapi_drv_null.open(&src, &facts, &st, &err), 0);
        for (unsigned i = 0; i < 2000000 / 64; i++)
                assert_int_equal(mapi_drv_null.recv(st, &b, 64, SIZE_MAX, &needed, &err), 64);
        assert_true(b.pkt[63].ts == mapi_ts_from_us(1704067200 + 1, 999999));
        assert_int_equal(mapi_drv_null.recv(st, &b, 1, 60, &needed, &err), 1);
        assert_true(b.pkt[0].ts == mapi_ts_from_us(1704067200 + 2, 0));
        assert_int_equal(mapi_drv_null.recv(st, &b, 1, 59, &needed, &err), 0);
        assert_int_equal(needed, 60);
        mapi_drv_null.close(st);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(counts),
                cmocka_unit_test(wrong_options),
                cmocka_unit_test(valid_packets),
                cmocka_unit_test(endless),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
