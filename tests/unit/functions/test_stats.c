/* STATS. SPDX-License-Identifier: BSD-2-Clause */
#include "harness.h"

#include <mapi/stats.h>

extern const struct mapi_function mapi_fn_stats;

#define SECOND ((uint64_t)1 << 32)

static int start(struct harness *h, const char *ticks)
{
        harness_init(h, &mapi_fn_stats);
        h->refs = 1;
        h->arg[0].num = 3;
        h->arg[1].num = 7;
        h->arg[2].str = ticks;
        return harness_start(h);
}

/* One packet as a step group runs it: the source goes from what it was to `value` with this packet. */
static void packet(struct harness *h, uint64_t ts, uint64_t value)
{
        h->ref[0].before = h->ref[0].raw;
        h->ref[0].raw = value;
        harness_add(h, "", 0, 60, ts);
        (void)harness_run(h, 1);
}

static void expect(const struct harness *h, unsigned long long count, long double sum, long double sum2,
                   double min, double max)
{
        const stats_t *r = harness_record(h);

        assert_int_equal(r->count, count);
        assert_true(r->sum == sum);
        assert_true(r->sum2 == sum2);
        assert_true(r->min == min);
        assert_true(r->max == max);
}

static void every_packet(void **state)
{
        static const char *const ticks[] = { "0", NULL };
        struct harness h;

        for (size_t i = 0; i < 2; i++) {
                assert_int_equal(start(&h, ticks[i]), 0);
                expect(&h, 0, 0, 0, 0, 0);
                packet(&h, 1, 60);
                expect(&h, 1, 60, 3600, 60, 60);
                packet(&h, 1, 1514);
                packet(&h, 0, 42);
                expect(&h, 3, 1616, 3600 + 1514.0L * 1514 + 42 * 42, 42, 1514);
                assert_int_equal(h.ref[0].resets, 0);
                harness_fini(&h);
        }
}

static void all_but_the_first(void **state)
{
        struct harness h;

        assert_int_equal(start(&h, "1"), 0);
        packet(&h, 1, 1000);
        expect(&h, 0, 0, 0, 0, 0);
        packet(&h, 2, 5);
        packet(&h, 3, 6);
        expect(&h, 2, 11, 61, 5, 6);
        harness_fini(&h);
}

/* 0 is a value like any other, first or later. */
static void zero_is_a_value(void **state)
{
        struct harness h;

        assert_int_equal(start(&h, "0"), 0);
        packet(&h, 1, 0);
        packet(&h, 2, 7);
        expect(&h, 2, 7, 49, 0, 7);
        harness_fini(&h);
        assert_int_equal(start(&h, "0"), 0);
        packet(&h, 1, 7);
        packet(&h, 2, 0);
        packet(&h, 2, 9);
        expect(&h, 3, 16, 130, 0, 9);
        harness_fini(&h);
}

/* 64 bits times 64 bits do not wrap. */
static void large_values(void **state)
{
        struct harness h;

        assert_int_equal(start(&h, "0"), 0);
        packet(&h, 1, (uint64_t)1 << 63);
        packet(&h, 2, (uint64_t)1 << 63);
        expect(&h, 2, 0x1p64L, 0x1p127L, 0x1p63, 0x1p63);
        harness_fini(&h);
}

/* A counter of packets, sampled each second: the packet that opens a second counts into that one. */
static void periods_of_a_counter(void **state)
{
        struct harness h;
        uint64_t n = 0;

        assert_int_equal(start(&h, "1s"), 0);
        packet(&h, 100 * SECOND + 5, ++n);
        packet(&h, 100 * SECOND + 6, ++n);
        packet(&h, 101 * SECOND + 4, ++n);
        expect(&h, 0, 0, 0, 0, 0);
        packet(&h, 101 * SECOND + 5, ++n); /* exactly on the boundary: opens the second period */
        expect(&h, 1, 3, 9, 3, 3);
        assert_int_equal(mapi_ref_u64(&h.fn, 0), 1);
        packet(&h, 99 * SECOND, ++n); /* back in time is now */
        packet(&h, 102 * SECOND, ++n);
        expect(&h, 1, 3, 9, 3, 3);
        packet(&h, 102 * SECOND + 5, ++n);
        expect(&h, 2, 6, 18, 3, 3);
        assert_int_equal(h.ref[0].resets, 2);
        /* three seconds on: one packet in the one that ends first, then two empty ones */
        packet(&h, 105 * SECOND + 6, ++n);
        expect(&h, 5, 7, 19, 0, 3);
        assert_int_equal(h.ref[0].resets, 3);
        assert_int_equal(mapi_ref_u64(&h.fn, 0), 1);
        harness_fini(&h);
}

/* 68 years of empty milliseconds take no time, and count. */
static void years(void **state)
{
        struct harness h;

        assert_int_equal(start(&h, "1ms"), 0);
        packet(&h, 0, 1);
        packet(&h, ((uint64_t)1 << 31) * SECOND, 2);
        expect(&h, 2147483648000ULL, 1, 1, 0, 1);
        harness_fini(&h);
}

/* What cannot be reset keeps its value through empty periods. */
static void periods_without_reset(void **state)
{
        struct harness h;

        assert_int_equal(start(&h, "1s"), 0);
        h.ref[0].fixed = true;
        packet(&h, 10 * SECOND, 60);
        packet(&h, 13 * SECOND, 1514);
        expect(&h, 3, 180, 10800, 60, 60);
        packet(&h, 14 * SECOND, 42);
        expect(&h, 4, 180 + 1514, 10800 + 1514.0L * 1514, 60, 1514);
        harness_fini(&h);
}

/* Time passes without packets, but not before the first one. */
static void ticks(void **state)
{
        struct harness h;

        assert_int_equal(start(&h, "1s"), 0);
        mapi_fn_stats.tick(&h.fn, 50 * SECOND);
        expect(&h, 0, 0, 0, 0, 0);
        packet(&h, 100 * SECOND, 4);
        h.ref[0].before = h.ref[0].raw;
        mapi_fn_stats.tick(&h.fn, 100 * SECOND + SECOND - 1);
        expect(&h, 0, 0, 0, 0, 0);
        mapi_fn_stats.tick(&h.fn, 101 * SECOND);
        expect(&h, 1, 4, 16, 4, 4);
        mapi_fn_stats.tick(&h.fn, 103 * SECOND);
        expect(&h, 3, 4, 16, 0, 4);
        harness_fini(&h);
        assert_int_equal(start(&h, "0"), 0);
        mapi_fn_stats.tick(&h.fn, 101 * SECOND);
        expect(&h, 0, 0, 0, 0, 0);
        harness_fini(&h);
}

static void reset(void **state)
{
        struct harness h;

        assert_int_equal(start(&h, "0"), 0);
        packet(&h, 1, 5);
        mapi_fn_stats.reset(&h.fn);
        expect(&h, 0, 0, 0, 0, 0);
        packet(&h, 2, 9);
        expect(&h, 1, 9, 81, 9, 9);
        harness_fini(&h);
}

static void errors(void **state)
{
        static const char *const bad[] = { "", "abc", "-1", "0s", "0.0", "00", "1 s", "1h" };
        struct harness h;

        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
                if (start(&h, bad[i]) != -7003)
                        fail_msg("\"%s\" is not refused with 7003", bad[i]);
                harness_fini(&h);
        }
        harness_init(&h, &mapi_fn_stats); /* no such function, or flow */
        assert_int_equal(harness_start(&h), -7001);
        assert_int_equal(h.err.code, 7001);
        harness_fini(&h);
        harness_init(&h, &mapi_fn_stats);
        h.refs = 1;
        h.fail_alloc = 1;
        assert_int_equal(harness_start(&h), -3084);
        harness_fini(&h);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_packet),
                cmocka_unit_test(all_but_the_first),
                cmocka_unit_test(zero_is_a_value),
                cmocka_unit_test(large_values),
                cmocka_unit_test(periods_of_a_counter),
                cmocka_unit_test(years),
                cmocka_unit_test(periods_without_reset),
                cmocka_unit_test(ticks),
                cmocka_unit_test(reset),
                cmocka_unit_test(errors),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
