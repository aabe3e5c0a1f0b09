/* DIST. SPDX-License-Identifier: BSD-2-Clause */
#include "harness.h"

#include <mapi/dist.h>

extern const struct mapi_function mapi_fn_dist;

static int start(struct harness *h, const char *min, const char *max, const char *interval)
{
        harness_init(h, &mapi_fn_dist);
        h->refs = 1;
        h->arg[2].str = min;
        h->arg[3].str = max;
        h->arg[4].str = interval;
        return harness_start(h);
}

static void packet(struct harness *h, uint64_t value)
{
        h->ref[0].raw = value;
        harness_add(h, "", 0, 60, 1);
        assert_int_equal(harness_run(h, 1), 1);
}

static void expect(const struct harness *h, const unsigned long long *slots, size_t n)
{
        const dist_t *r = harness_record(h);

        assert_int_equal(r->intervals, n - 1);
        for (size_t i = 0; i < n; i++)
                if (r->data[i] != slots[i])
                        fail_msg("slot %zu has %llu, not %llu", i, r->data[i], slots[i]);
}

/* (100, 110], (110, 120], (120, 125]: the last one is shorter. */
static void slots(void **state)
{
        static const unsigned long long want[] = { 3, 3, 2, 5 }, none[] = { 0, 0, 0, 0 };
        static const uint64_t values[] = { 0, 99, 100, 101, 109, 110, 111, 120, 121, 124, 125, 126, UINT64_MAX };
        struct harness h;

        assert_int_equal(start(&h, "100", "125", "10"), 0);
        assert_int_equal(sizeof(dist_t), 24);
        assert_int_equal(h.fn.result_size, 24 + 4 * 8);
        for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
                packet(&h, values[i]);
        expect(&h, want, 4);
        assert_int_equal(((const dist_t *)harness_record(&h))->min, 100);
        assert_int_equal(((const dist_t *)harness_record(&h))->max, 125);
        mapi_fn_dist.reset(&h.fn);
        expect(&h, none, 4);
        assert_int_equal(((const dist_t *)harness_record(&h))->max, 125);
        packet(&h, 120);
        assert_int_equal(((const dist_t *)harness_record(&h))->data[2], 1);
        harness_fini(&h);
}

/* Each packet counts once, also those of one batch; one interval only; times; the ends of the numbers. */
static void edges(void **state)
{
        static const unsigned long long two[] = { 0, 2 }, end[] = { 1, 0, 1 };
        struct harness h;

        assert_int_equal(start(&h, "0", "7", "7"), 0);
        h.ref[0].raw = 1;
        for (int i = 0; i < 3; i++)
                harness_add(&h, "", 0, 60, 1);
        assert_int_equal(harness_run(&h, 5), 5);
        expect(&h, two, 2);
        harness_fini(&h);
        assert_int_equal(start(&h, "1ms", "+10ms", "1ms"), 0);
        packet(&h, 0);
        /* 1 ms is rounded down, so ten of them are not quite 10 ms */
        assert_int_equal(((const dist_t *)harness_record(&h))->intervals, 10);
        assert_int_equal(((const dist_t *)harness_record(&h))->min, 4294967);
        harness_fini(&h);
        assert_int_equal(start(&h, "0", "18446744073709551615", "9223372036854775808"), 0);
        packet(&h, UINT64_MAX);
        packet(&h, 0);
        expect(&h, end, 3);
        harness_fini(&h);
}

/* Before the first packet: an empty distribution, as soon as there is memory for it. */
static void before(void **state)
{
        static const unsigned long long none[] = { 0, 0, 0 };
        struct harness h;

        for (int i = 0; i < 2; i++) {
                assert_int_equal(start(&h, "0", "2", "1"), 0);
                if (i == 0)
                        mapi_fn_dist.tick(&h.fn, 1);
                else
                        assert_int_equal(harness_run(&h, 0), 0);
                expect(&h, none, 3);
                harness_fini(&h);
        }
}

static void errors(void **state)
{
        static const struct {
                const char *min, *max, *interval;
                int code;
        } rows[] = {
                { NULL, "10", "1", 7003 },
                { "x", "10", "1", 7003 },
                { "-1", "10", "1", 7003 },
                { "", "10", "1", 7003 },
                { "0", NULL, "1", 7004 },
                { "0", "1h", "1", 7004 },
                { "0", "10", NULL, 7005 },
                { "0", "10", "0", 7005 },
                { "0", "10", "0s", 7005 },
                { "0", "10", "-1", 7005 },
                { "11", "10", "1", 7000 },
                { "0", "10", "11", 7004 },
                { "10", "10", "1", 7004 },
                { "0", "1048577", "1", 7005 },
                { "0", "18446744073709551615", "1", 7005 },
                { "0", "1048576", "1", 0 },
        };
        struct harness h;

        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                if (start(&h, rows[i].min, rows[i].max, rows[i].interval) != -rows[i].code)
                        fail_msg("row %zu: %s", i, h.err.text);
                harness_fini(&h);
        }
        harness_init(&h, &mapi_fn_dist);
        assert_int_equal(harness_start(&h), -7001);
        harness_fini(&h);
        harness_init(&h, &mapi_fn_dist);
        h.fail_alloc = 1;
        assert_int_equal(harness_start(&h), -3084);
        harness_fini(&h);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(slots), cmocka_unit_test(edges),
                                            cmocka_unit_test(before), cmocka_unit_test(errors) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
