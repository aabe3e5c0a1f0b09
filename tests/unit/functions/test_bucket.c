/* BUCKET. SPDX-License-Identifier: BSD-2-Clause */
#include "harness.h"

#include <mapi/bucket.h>

extern const struct mapi_function mapi_fn_bucket;

#define SECOND ((uint64_t)1 << 32)

static int start(struct harness *h, const char *interval, long long reset)
{
        harness_init(h, &mapi_fn_bucket);
        h->refs = 1;
        h->arg[2].str = interval;
        h->arg[3].num = reset;
        return harness_start(h);
}

/* One packet as a step group runs it: the source goes from what it was to `value` with this packet. */
static void packet(struct harness *h, uint64_t ts, uint64_t value)
{
        h->ref[0].before = h->ref[0].raw;
        h->ref[0].raw = value;
        harness_add(h, "", 0, 60, ts);
        assert_int_equal(harness_run(h, 1), 1);
}

static void expect(const struct harness *h, unsigned i, uint64_t timestamp, uint64_t data)
{
        const struct bucket_data *r = harness_queued(h, i);

        assert_int_equal(sizeof *r, 16);
        if (r->timestamp != timestamp || r->data != data)
                fail_msg("record %u: %llu at %llu, not %llu at %llu", i, r->data, r->timestamp,
                         (unsigned long long)data, (unsigned long long)timestamp);
}

/* The packet that opens an interval counts into that one; the value first, then the empty intervals. */
static void periodic(void **state)
{
        struct harness h;

        for (int reset = 0; reset < 2; reset++) {
                assert_int_equal(start(&h, "1s", reset), 0);
                assert_int_equal(h.fn.ahead, 1);
                packet(&h, 100 * SECOND + 5, 1);
                packet(&h, 101 * SECOND + 4, 2);
                assert_int_equal(h.queued, 0);
                packet(&h, 101 * SECOND + 5, 3);
                assert_int_equal(h.queued, 1);
                packet(&h, 50 * SECOND, 4); /* back in time is now */
                packet(&h, 105 * SECOND + 6, 5);
                assert_int_equal(h.queued, 5);
                expect(&h, 0, 101 * SECOND + 5, 2);
                expect(&h, 1, 102 * SECOND + 5, reset ? 2 : 4);
                expect(&h, 2, 103 * SECOND + 5, reset ? 0 : 4);
                expect(&h, 3, 104 * SECOND + 5, reset ? 0 : 4);
                expect(&h, 4, 105 * SECOND + 5, reset ? 0 : 4);
                assert_int_equal(h.ref[0].resets, reset ? 2 : 0);
                packet(&h, 106 * SECOND + 5, 6);
                expect(&h, 5, 106 * SECOND + 5, reset ? 1 : 5);
                harness_fini(&h);
        }
}

/* The end of interval k, counted from 1, of microseconds. */
static uint64_t boundary(uint64_t first, uint64_t k)
{
        return first + (k / 1000000) * SECOND + (k % 1000000) * SECOND / 1000000;
}

/* 68 years of microseconds: the newest of the empty ones, and the value in front of them all. */
static void years(void **state)
{
        uint64_t first = mapi_ts_from_us(1000, 3), last = mapi_ts_from_us(2000001000, 7);
        struct harness h;

        assert_int_equal(start(&h, "1us", 1), 0);
        packet(&h, first, 9);
        packet(&h, last, 10);
        assert_int_equal(h.queued, 1000);
        expect(&h, 0, boundary(first, 1), 9);
        for (unsigned i = 1; i < 1000; i++)
                expect(&h, i, boundary(first, 2000000000000004 - 999 + i), 0);
        packet(&h, mapi_ts_from_us(2000001000, 8), 11); /* and goes on from there */
        assert_int_equal(h.queued, 1001);
        expect(&h, 1000, boundary(first, 2000000000000005), 1);
        harness_fini(&h);
}

static void each_packet(void **state)
{
        struct harness h;

        for (int reset = 0; reset < 2; reset++) {
                assert_int_equal(start(&h, "0", reset), 0);
                assert_int_equal(h.fn.ahead, 0);
                packet(&h, 7, 60);
                packet(&h, 5, 100);
                assert_int_equal(h.queued, 2);
                expect(&h, 0, 7, 60);
                expect(&h, 1, 5, reset ? 40 : 100);
                mapi_fn_bucket.tick(&h.fn, 100 * SECOND);
                assert_int_equal(harness_run(&h, 0), 0);
                assert_int_equal(h.queued, 2);
                harness_fini(&h);
        }
}

static void never(void **state)
{
        struct harness h;

        assert_int_equal(start(&h, "-1", 1), 0);
        packet(&h, 7, 60);
        packet(&h, 90 * SECOND, 60);
        mapi_fn_bucket.tick(&h.fn, 100 * SECOND);
        assert_int_equal(h.queued, 0);
        assert_int_equal(h.ref[0].resets, 0);
        harness_fini(&h);
}

/* A silent device: time passes, but not before the first packet. */
static void ticks(void **state)
{
        struct harness h;

        assert_int_equal(start(&h, "100ms", 1), 0);
        mapi_fn_bucket.tick(&h.fn, 50 * SECOND);
        assert_int_equal(h.queued, 0);
        packet(&h, 100 * SECOND, 4);
        h.ref[0].before = h.ref[0].raw;
        mapi_fn_bucket.tick(&h.fn, 100 * SECOND + SECOND / 10 - 1);
        assert_int_equal(h.queued, 0);
        mapi_fn_bucket.tick(&h.fn, 100 * SECOND + SECOND / 10);
        mapi_fn_bucket.tick(&h.fn, 100 * SECOND + SECOND / 2);
        assert_int_equal(h.queued, 5);
        expect(&h, 0, 100 * SECOND + SECOND / 10, 4);
        expect(&h, 1, 100 * SECOND + SECOND / 5, 0);
        expect(&h, 4, 100 * SECOND + SECOND / 2, 0);
        harness_fini(&h);
}

static void errors(void **state)
{
        static const struct {
                const char *interval;
                long long reset;
                int code;
        } rows[] = { { NULL, 0, 7000 },   { "", 0, 7003 },    { "abc", 0, 7003 }, { "0s", 0, 7003 },
                     { "-25s", 0, 7003 }, { "1 s", 0, 7003 }, { "1s", 2, 7000 },  { "1s", -1, 7000 },
                     { "0", 2, 7000 },    { "-1", 7, 7000 },  { "1s", 0, 0 },     { "+1.5s", 1, 0 } };
        struct harness h;

        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                if (start(&h, rows[i].interval, rows[i].reset) != -rows[i].code)
                        fail_msg("row %zu: %s", i, h.err.text);
                harness_fini(&h);
        }
        harness_init(&h, &mapi_fn_bucket);
        assert_int_equal(harness_start(&h), -7001);
        harness_fini(&h);
        harness_init(&h, &mapi_fn_bucket);
        h.fail_alloc = 1;
        assert_int_equal(harness_start(&h), -3084);
        harness_fini(&h);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(periodic),    cmocka_unit_test(years),
                                            cmocka_unit_test(each_packet), cmocka_unit_test(never),
                                            cmocka_unit_test(ticks),       cmocka_unit_test(errors) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
