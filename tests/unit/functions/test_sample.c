/* SAMPLE. SPDX-License-Identifier: BSD-2-Clause */
#include "harness.h"

#include <mapi/sample.h>

extern const struct mapi_function mapi_fn_sample;

static void begin(struct harness *h, long long value, long long mode)
{
        harness_init(h, &mapi_fn_sample);
        h->arg[0].num = value;
        h->arg[1].num = mode;
        assert_int_equal(harness_start(h), 0);
}

static mapi_sel batch(struct harness *h, unsigned n, mapi_sel in)
{
        for (unsigned i = 0; i < n; i++)
                harness_add(h, "", 0, 60, i);
        return harness_run(h, in);
}

/* The packets n, 2n, ..., whatever the batches. */
static void every_nth(void **state)
{
        static const unsigned sizes[] = { 64, 1, 19, 64, 3, 2, 64, 40 };

        for (long long n = 1; n <= 70; n++) {
                struct harness h;
                uint64_t number = 0;

                begin(&h, n, PERIODIC);
                for (unsigned k = 0; k < 40; k++) {
                        unsigned size = sizes[k % 8];
                        mapi_sel out = batch(&h, size, MAPI_SEL_ALL(size));

                        for (unsigned i = 0; i < size; i++)
                                assert_int_equal(out >> i & 1, ++number % (uint64_t)n == 0);
                }
                harness_fini(&h);
        }
}

static void holes_do_not_count(void **state)
{
        struct harness h;

        begin(&h, 2, PERIODIC);
        assert_int_equal(batch(&h, 8, 0xf1), 0x50); /* of 0 4 5 6 7 the second and the fourth */
        assert_int_equal(batch(&h, 8, 0x00), 0);
        assert_int_equal(batch(&h, 8, 0x80), 0x80);
        harness_fini(&h);
}

/* 893 packets, every 20th: what the original tests say. */
static void the_test_trace(void **state)
{
        struct harness h;
        unsigned passed = 0;

        begin(&h, 20, PERIODIC);
        for (unsigned left = 893; left > 0; left -= left < 64 ? left : 64)
                passed += mapi_sel_count(batch(&h, left < 64 ? left : 64, MAPI_SEL_ALL(left < 64 ? left : 64)));
        assert_int_equal(passed, 44);
        harness_fini(&h);
}

static void odd_values(void **state)
{
        struct harness h;

        begin(&h, 0, PERIODIC);
        assert_int_equal(batch(&h, 8, 0xff), 0xff);
        harness_fini(&h);
        begin(&h, -5, PERIODIC);
        assert_int_equal(batch(&h, 8, 0xff), 0xff);
        harness_fini(&h);
        begin(&h, 3, 1342); /* an unknown mode is PERIODIC */
        assert_int_equal(batch(&h, 8, 0xff), 0x24);
        harness_fini(&h);
        begin(&h, 1122320333, 1342);
        assert_int_equal(batch(&h, 8, 0xff), 0);
        harness_fini(&h);
        harness_init(&h, &mapi_fn_sample); /* so is no mode */
        h.arg[0].num = 4;
        assert_int_equal(harness_start(&h), 0);
        assert_int_equal(batch(&h, 8, 0xff), 0x88);
        harness_fini(&h);
}

/* Each random number decides one packet, and p of 100 of them say yes. */
static void probability_is_exact(void **state)
{
        uint64_t numbers[64];
        struct harness h;

        for (unsigned p = 0; p <= 100; p++) {
                unsigned passed = 0;

                begin(&h, p, PROBABILISTIC);
                for (unsigned k = 0; k < 2; k++) {
                        for (unsigned i = 0; i < 50; i++)
                                numbers[i] = 1000000 + k * 50 + i;
                        h.random = numbers;
                        h.randoms = 0;
                        passed += mapi_sel_count(batch(&h, 50, MAPI_SEL_ALL(50)));
                }
                assert_int_equal(passed, p);
                harness_fini(&h);
        }
}

/* Of the 2^64 numbers the last 16 would favour the small ones: they are drawn again. */
static void no_bias(void **state)
{
        const uint64_t numbers[] = { UINT64_MAX, UINT64_MAX - 15, UINT64_MAX - 16, 0 };
        struct harness h;

        begin(&h, 99, PROBABILISTIC);
        h.random = numbers;
        assert_int_equal(batch(&h, 1, 1), 0); /* UINT64_MAX - 16 is 99 modulo 100 */
        assert_int_equal(h.randoms, 3);
        assert_int_equal(batch(&h, 1, 1), 1);
        harness_fini(&h);
}

static void clamped(void **state)
{
        struct harness h;

        begin(&h, -1, PROBABILISTIC);
        for (unsigned i = 0; i < 10; i++)
                assert_int_equal(batch(&h, 64, MAPI_SEL_ALL(64)), 0);
        harness_fini(&h);
        begin(&h, 0, PROBABILISTIC);
        for (unsigned i = 0; i < 10; i++)
                assert_int_equal(batch(&h, 64, MAPI_SEL_ALL(64)), 0);
        harness_fini(&h);
        begin(&h, 1000, PROBABILISTIC);
        for (unsigned i = 0; i < 10; i++)
                assert_true(batch(&h, 64, MAPI_SEL_ALL(64)) == MAPI_SEL_ALL(64));
        harness_fini(&h);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_nth),
                cmocka_unit_test(holes_do_not_count),
                cmocka_unit_test(the_test_trace),
                cmocka_unit_test(odd_values),
                cmocka_unit_test(probability_is_exact),
                cmocka_unit_test(no_bias),
                cmocka_unit_test(clamped),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
