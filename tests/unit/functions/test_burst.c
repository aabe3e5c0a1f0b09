/* BURST. SPDX-License-Identifier: BSD-2-Clause */
#include "harness.h"

#include <mapi/burst.h>

#include <limits.h>

extern const struct mapi_function mapi_fn_burst;

_Static_assert(sizeof(burst_category_t) == 5 * sizeof(long) &&
                       offsetof(burst_category_t, gap_bytes) == 3 * sizeof(long) &&
                       offsetof(burst_category_t, gaps) == 4 * sizeof(long),
               "programs count on it");

/* min, max, step; iftime, late, early; link speed. */
static int start(struct harness *h, const int values[7])
{
        int rc;

        harness_init(h, &mapi_fn_burst);
        for (int i = 0; i < 7; i++)
                h->arg[i].num = values[i];
        rc = harness_start(h);
        return rc;
}

static void add(struct harness *h, uint64_t ns, uint32_t wirelen)
{
        harness_add(h, "", 0, wirelen, mapi_ts_from_ns(1000000000 + ns / 1000000000, (uint32_t)(ns % 1000000000)));
}

static void one(struct harness *h, uint64_t ns, uint32_t wirelen)
{
        add(h, ns, wirelen);
        (void)harness_run(h, 1);
}

static void expect(const struct harness *h, const burst_category_t *want, size_t n)
{
        const burst_category_t *r = harness_record(h);

        assert_int_equal(h->fn.result_size, n * sizeof *r);
        for (size_t i = 0; i < n; i++) {
                if (memcmp(&r[i], &want[i], sizeof *r) != 0)
                        fail_msg("category %zu is %lu %lu %lu %lu %lu", i, r[i].bytes, r[i].packets, r[i].bursts,
                                 r[i].gap_bytes, r[i].gaps);
        }
}

static const int common[7] = { 100, 1000, 300, 160, 10, 5, 1000 }; /* a byte takes 8 ns */

/** Both ends of the window belong to it; sizes lie below min, in three steps, from max on. */
static void bursts_and_gaps(void **state)
{
        struct harness h;

        assert_int_equal(start(&h, common), 0);
        assert_int_equal(harness_run(&h, 0), 0);
        one(&h, 0, 100);                                     /* ends at 800: the next one is due at 960 */
        one(&h, 955, 100);                                   /* early enough; ends at 1755, next 1915 */
        one(&h, 1925, 150);                                  /* late enough; ends at 3125, next 3285 */
        expect(&h, (const burst_category_t[5]){ { 0 } }, 5); /* an unfinished burst is not visible */
        assert_int_equal(h.fn.slot->seq, 0);
        one(&h, 3296, 1000); /* too late by 1: a gap of 171 ns; ends at 11296, next 11456 */
        expect(&h, (const burst_category_t[5]){ { 0, 0, 0, 21, 1 }, { 350, 3, 1, 0, 0 } }, 5);
        one(&h, 11450, 60); /* too early by 1: a gap of 154 ns; ends at 11930 */
        expect(&h,
               (const burst_category_t[5]){
                       { 0, 0, 0, 40, 2 }, { 350, 3, 1, 0, 0 }, { 0 }, { 0 }, { 1000, 1, 1, 0, 0 } },
               5);
        one(&h, 11930 + 8 * 650, 64); /* at 17130, ends at 17642 */
        expect(&h,
               (const burst_category_t[5]){ { 60, 1, 1, 40, 2 },
                                            { 350, 3, 1, 0, 0 },
                                            { 0, 0, 0, 650, 1 },
                                            { 0 },
                                            { 1000, 1, 1, 0, 0 } },
               5);
        one(&h, 5, 100); /* back in time: now, inside of the packet before; ends at 17930 */
        expect(&h,
               (const burst_category_t[5]){ { 124, 2, 2, 40, 3 },
                                            { 350, 3, 1, 0, 0 },
                                            { 0, 0, 0, 650, 1 },
                                            { 0 },
                                            { 1000, 1, 1, 0, 0 } },
               5);
        one(&h, 17930 + 160, 600);       /* the present did not go back: in time. Ends at 22890 */
        one(&h, 22890 + 8 * 999 + 7, 1); /* a gap one byte short of max; ends at 30897 */
        one(&h, 30897 + 8000, 1);        /* 1000 bytes, just max; ends at 38905 */
        expect(&h,
               (const burst_category_t[5]){ { 125, 3, 3, 40, 3 },
                                            { 350, 3, 1, 0, 0 },
                                            { 0, 0, 0, 650, 1 },
                                            { 700, 2, 1, 999, 1 },
                                            { 1000, 1, 1, 1000, 1 } },
               5);
        mapi_fn_burst.reset(&h.fn);
        expect(&h, (const burst_category_t[5]){ { 0 } }, 5);
        one(&h, 38905 + 160 + 8, 99); /* that burst goes on; ends at 39865 */
        one(&h, 2000000000, 1);
        expect(&h,
               (const burst_category_t[5]){ { 0 }, { 100, 2, 1, 0, 0 }, { 0 }, { 0 }, { 0, 0, 0, 249995016, 1 } },
               5);
        harness_fini(&h);
}

/** The boundaries of the categories, and a step that does not go into the range. */
static void categories(void **state)
{
        static const struct {
                int values[7];
                unsigned n;
                uint32_t wirelen;
                unsigned where;
        } row[] = {
                { { 0, 10000, 1000, 1600, 123040, 123040, 100 }, 12, 0, 1 }, /* none is below 0 */
                { { 0, 10000, 1000, 1600, 123040, 123040, 100 }, 12, 999, 1 },
                { { 0, 10000, 1000, 1600, 123040, 123040, 100 }, 12, 1000, 2 },
                { { 0, 10000, 1000, 1600, 123040, 123040, 100 }, 12, 9999, 10 },
                { { 0, 10000, 1000, 1600, 123040, 123040, 100 }, 12, 10000, 11 },
                { { 0, 10000, 1000, 1600, 123040, 123040, 100 }, 12, UINT32_MAX, 11 },
                { { 10, 35, 10, 0, 0, 0, 1 }, 4, 9, 0 },
                { { 10, 35, 10, 0, 0, 0, 1 }, 4, 29, 2 },
                { { 10, 35, 10, 0, 0, 0, 1 }, 4, 30, 3 },
                { { 10, 35, 10, 0, 0, 0, 1 }, 4, 35, 3 },
                { { 10, 10, 1, 0, 0, 0, 1 }, 2, 9, 0 },
                { { 10, 10, 1, 0, 0, 0, 1 }, 2, 10, 1 },
                { { 10, 20, 2147483647, 0, 0, 0, 1 }, 2, 15, 1 },
                { { 2147483647, 2147483647, 1, 0, 0, 0, 1 }, 2, 15, 0 },
        };
        struct harness h;

        for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
                const burst_category_t *r;

                assert_int_equal(start(&h, row[i].values), 0);
                assert_int_equal(h.fn.result_size, row[i].n * sizeof(burst_category_t));
                one(&h, 0, row[i].wirelen);
                one(&h, (uint64_t)100000 * 1000000000, 1);
                r = harness_record(&h);
                for (unsigned k = 0; k < row[i].n; k++) {
                        if (r[k].bursts != (k == row[i].where) || r[k].bytes != r[k].bursts * row[i].wirelen)
                                fail_msg("row %zu, category %u: %lu bursts", i, k, r[k].bursts);
                }
                harness_fini(&h);
        }
}

/** Back to back, in traces with microseconds: 12 us are not a whole number of 2^-32 s, and yet nothing is early. */
static void microseconds(void **state)
{
        static const int values[7] = { 0, 1000, 1000, 0, 0, 0, 1000 };
        const burst_category_t *r;
        struct harness h;

        assert_int_equal(start(&h, values), 0);
        for (uint32_t i = 0; i < 5000; i++) {
                harness_add(&h, "", 0, 1500, mapi_ts_from_us(1700000000, 7 + i * 12));
                if (h.batch.n == 50)
                        (void)harness_run(&h, MAPI_SEL_ALL(50));
        }
        r = harness_record(&h);
        assert_int_equal(r[0].bursts + r[1].bursts + r[2].bursts, 0);
        harness_add(&h, "", 0, 1500, mapi_ts_from_us(1700000001, 0));
        (void)harness_run(&h, 1);
        assert_int_equal(r[2].bytes, 5000 * 1500);
        assert_int_equal(r[2].packets, 5000);
        assert_int_equal(r[2].bursts, 1);
        assert_int_equal(r[2].gaps, 1);
        assert_int_equal(r[2].gap_bytes, (1000000 - 7 - 60000) * 125);
        harness_fini(&h);
}

/** Gaps of a century at the highest speed end with what the counter holds. */
static void extremes(void **state)
{
        static const int values[7] = { 0, 2147483647, 2147483647, 2147483647, 2147483647, 2147483647, 2147483647 };
        const burst_category_t *r;
        struct harness h;

        assert_int_equal(start(&h, values), 0);
        assert_int_equal(h.fn.result_size, 3 * sizeof *r);
        harness_add(&h, "", 0, UINT32_MAX, 0);
        harness_add(&h, "", 0, 0, (uint64_t)4 << 32); /* less than 2 * 2147483647 ns after it */
        harness_add(&h, "", 0, 7, UINT64_MAX);
        harness_add(&h, "", 0, 7, 0); /* the present: too early, that packet has not ended */
        (void)harness_run(&h, 15);
        r = harness_record(&h);
        assert_int_equal(r[2].bytes, UINT32_MAX);
        assert_int_equal(r[2].packets, 2);
        assert_int_equal(r[2].bursts, 1);
        assert_int_equal(r[2].gaps, 1);
        assert_true(r[2].gap_bytes == ULONG_MAX);
        assert_memory_equal(&r[1], (&(burst_category_t){ 7, 1, 1, 0, 1 }), sizeof *r);
        harness_fini(&h);
}

/** Batches of any width give the same, and what is not selected does not exist. */
static void widths(void **state)
{
        static const unsigned width[] = { 1, 2, 7, 63, 64 };
        static uint8_t first[5 * sizeof(burst_category_t)];
        struct harness h;

        for (size_t w = 0; w < sizeof width / sizeof width[0]; w++) {
                uint64_t ns = 0, x = 1;
                mapi_sel sel = 0;

                assert_int_equal(start(&h, common), 0);
                for (unsigned i = 0; i < 4000; i++) {
                        uint32_t len = (uint32_t)(x >> 40) % 400;

                        if ((x >> 33) % 5 != 0) {
                                sel |= MAPI_SEL_BIT(h.batch.n);
                                add(&h, ns, len);
                                ns += 8 * len + 140 + (x >> 50) % 40; /* the next one: some in time, some not */
                        } else {
                                add(&h, (x >> 20) % 4000000, 1500);
                        }
                        x = x * 6364136223846793005u + 1442695040888963407u;
                        if (h.batch.n == width[w] || i == 3999) {
                                (void)harness_run(&h, sel);
                                sel = 0;
                        }
                }
                if (w == 0)
                        memcpy(first, harness_record(&h), sizeof first);
                assert_memory_equal(first, harness_record(&h), sizeof first);
                assert_true(((const burst_category_t *)harness_record(&h))[1].bursts > 100);
                harness_fini(&h);
        }
}

static void errors(void **state)
{
        static const struct {
                int values[7];
                int code;
        } wrong[] = {
                { { -1, 1000, 300, 160, 10, 5, 1000 }, 7001 },
                { { 1001, 1000, 300, 160, 10, 5, 1000 }, 7002 },
                { { 0, -1, 300, 160, 10, 5, 1000 }, 7002 },
                { { 100, 1000, 0, 160, 10, 5, 1000 }, 7003 },
                { { 100, 1000, -1, 160, 10, 5, 1000 }, 7003 },
                { { 0, 2147483647, 1, 160, 10, 5, 1000 }, 7003 }, /* 80 GiB */
                { { 0, 26213, 1, 160, 10, 5, 1000 }, 7003 }, /* 26215 categories, 40 bytes more than 1 MiB holds */
                { { 100, 1000, 300, -1, 10, 5, 1000 }, 7004 },
                { { 100, 1000, 300, 160, -1, 5, 1000 }, 7005 },
                { { 100, 1000, 300, 160, 10, -1, 1000 }, 7011 },
                { { 100, 1000, 300, 160, 10, 5, 0 }, 7000 },
                { { 100, 1000, 300, 160, 10, 5, -1000 }, 7000 },
        };
        struct harness h;

        for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
                int rc = start(&h, wrong[i].values);

                if (rc != -wrong[i].code || h.err.code != wrong[i].code)
                        fail_msg("row %zu: %d %s", i, rc, h.err.text);
                harness_fini(&h);
        }
        assert_int_equal(start(&h, (const int[7]){ 0, 26212, 1, 0, 0, 0, 1 }), 0); /* as many as can be */
        assert_int_equal(h.fn.result_size, 26214 * sizeof(burst_category_t));
        harness_fini(&h);
        harness_init(&h, &mapi_fn_burst);
        h.fail_alloc = 1;
        assert_int_equal(harness_start(&h), -3084);
        harness_fini(&h);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(bursts_and_gaps), cmocka_unit_test(categories),
                                            cmocka_unit_test(microseconds),    cmocka_unit_test(extremes),
                                            cmocka_unit_test(widths),          cmocka_unit_test(errors) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
