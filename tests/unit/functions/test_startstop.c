/* STARTSTOP. SPDX-License-Identifier: BSD-2-Clause */
#include "harness.h"

#include <mapi/startstop.h>

#include <time.h>

extern const struct mapi_function mapi_fn_startstop;

#define SECOND ((uint64_t)1 << 32)
#define NOON (1795521600 * SECOND) /* 2026-11-24 12:00:00 UTC */

_Static_assert(sizeof(struct mapi_startstop) == 24 && offsetof(struct mapi_startstop, first_processed) == 8 &&
                       offsetof(struct mapi_startstop, last) == 16,
               "programs count on it");

static int start(struct harness *h, const char *from, const char *to)
{
        harness_init(h, &mapi_fn_startstop);
        h->arg[0].str = from;
        h->arg[1].str = to;
        return harness_start(h);
}

static mapi_sel one(struct harness *h, uint64_t ts)
{
        harness_add(h, "", 0, 60, ts);
        return harness_run(h, 1);
}

static void expect(const struct harness *h, uint64_t first, uint64_t first_processed, uint64_t last)
{
        const struct mapi_startstop *r = harness_record(h);

        assert_true(r->first == first);
        assert_true(r->first_processed == first_processed);
        assert_true(r->last == last);
}

/** Both bounds belong to the span; stop counts from start. */
static void relative(void **state)
{
        const uint64_t t = 1000 * SECOND + 77;
        struct harness h;

        assert_int_equal(start(&h, "+10s", "+5s"), 0);
        assert_int_equal(harness_run(&h, 0), 0);
        expect(&h, 0, 0, 0);
        assert_int_equal(one(&h, t), 0);
        expect(&h, t, 0, 0);
        assert_int_equal(one(&h, t + 10 * SECOND - 1), 0);
        assert_int_equal(one(&h, t - SECOND), 0); /* earlier than the first */
        expect(&h, t, 0, 0);
        harness_add(&h, "", 0, 60, t + 10 * SECOND);
        harness_add(&h, "", 0, 60, t + 9 * SECOND);
        harness_add(&h, "", 0, 60, t + 15 * SECOND);
        harness_add(&h, "", 0, 60, t + 15 * SECOND + 1);
        assert_int_equal(harness_run(&h, 15), 5);
        expect(&h, t, t + 10 * SECOND, t + 15 * SECOND);
        assert_int_equal(one(&h, t + 12 * SECOND), 1); /* time goes back */
        expect(&h, t, t + 10 * SECOND, t + 12 * SECOND);
        assert_int_equal(one(&h, t + 16 * SECOND), 0);
        expect(&h, t, t + 10 * SECOND, t + 12 * SECOND);
        harness_fini(&h);
}

/** The first packet is the first one of the selection, and it may pass. */
static void from_the_beginning(void **state)
{
        struct harness h;

        assert_int_equal(start(&h, "+0s", "+1s"), 0);
        harness_add(&h, "", 0, 60, 1);
        harness_add(&h, "", 0, 60, 9 * SECOND);
        harness_add(&h, "", 0, 60, 10 * SECOND);
        harness_add(&h, "", 0, 60, 10 * SECOND + 1);
        assert_int_equal(harness_run(&h, 14), 6);
        expect(&h, 9 * SECOND, 9 * SECOND, 10 * SECOND);
        harness_fini(&h);

        assert_int_equal(start(&h, "+0", "+0"), 0); /* that time stamp only */
        assert_int_equal(one(&h, 0), 1);            /* also 1970 */
        assert_int_equal(one(&h, 1), 0);
        assert_int_equal(one(&h, 0), 1);
        expect(&h, 0, 0, 0);
        harness_fini(&h);
}

static void absolute(void **state)
{
        struct harness h;

        assert_int_equal(start(&h, "2026-11-24 12:00:00", "2026-11-24 12:00:10"), 0);
        assert_int_equal(one(&h, NOON - 1), 0);
        expect(&h, NOON - 1, 0, 0);
        assert_int_equal(one(&h, NOON), 1);
        assert_int_equal(one(&h, NOON + 10 * SECOND), 1);
        assert_int_equal(one(&h, NOON + 10 * SECOND + 1), 0);
        expect(&h, NOON - 1, NOON, NOON + 10 * SECOND);
        harness_fini(&h);

        assert_int_equal(start(&h, "2026-11-24 12:00:00", "+400s"), 0);
        assert_int_equal(one(&h, NOON - 300 * SECOND), 0);
        assert_int_equal(one(&h, NOON + 400 * SECOND), 1);
        assert_int_equal(one(&h, NOON + 400 * SECOND + 1), 0);
        expect(&h, NOON - 300 * SECOND, NOON + 400 * SECOND, NOON + 400 * SECOND);
        harness_fini(&h);

        assert_int_equal(start(&h, "2026-11-24 12:00:01", "2026-11-24 12:00:00"), 0); /* legal, and empty */
        assert_int_equal(one(&h, NOON), 0);
        assert_int_equal(one(&h, NOON + SECOND), 0);
        expect(&h, NOON, 0, 0);
        harness_fini(&h);
}

/** Sums beyond 64 bits end with time itself. */
static void the_end_of_time(void **state)
{
        struct harness h;

        assert_int_equal(start(&h, "+1s", "+18446744073709551615"), 0);
        assert_int_equal(one(&h, 5 * SECOND), 0);
        assert_int_equal(one(&h, 6 * SECOND), 1);
        assert_int_equal(one(&h, UINT64_MAX), 1);
        harness_fini(&h);
        assert_int_equal(start(&h, "+18446744073709551615", "+1s"), 0);
        assert_int_equal(one(&h, 5 * SECOND), 0);
        assert_int_equal(one(&h, 4 * SECOND), 0);
        assert_int_equal(one(&h, UINT64_MAX), 1);
        harness_fini(&h);
}

static void errors(void **state)
{
        static const char *const wrong[][2] = { { NULL, "+10s" },
                                                { "+10s", NULL },
                                                { NULL, NULL },
                                                { "2026-11-24 12:00:00", NULL },
                                                { "10s", "+10s" },
                                                { "+10s", "10s" },
                                                { "0", "+10s" },
                                                { "+10s", "" },
                                                { "", "+10s" },
                                                { "+", "+10s" },
                                                { "++1s", "+10s" },
                                                { "+-1s", "+10s" },
                                                { "-1s", "+10s" },
                                                { "+1h", "+10s" },
                                                { "+10s", "2026-11-24 12:00:00" },
                                                { "2026-11-24", "+10s" },
                                                { "2026-11-31 12:00:00", "+10s" },
                                                { "+2026-11-24 12:00:00", "+10s" },
                                                { "2026-11-24 12:00:00", "2026-11-24 12:00" } };
        struct harness h;

        for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
                if (start(&h, wrong[i][0], wrong[i][1]) != -7000)
                        fail_msg("row %zu is accepted", i);
                assert_int_equal(h.err.code, 7000);
                harness_fini(&h);
        }
        harness_init(&h, &mapi_fn_startstop);
        h.fail_alloc = 1;
        assert_int_equal(harness_start(&h), -3084);
        harness_fini(&h);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(relative), cmocka_unit_test(from_the_beginning),
                                            cmocka_unit_test(absolute), cmocka_unit_test(the_end_of_time),
                                            cmocka_unit_test(errors) };

        if (setenv("TZ", "UTC0", 1) != 0)
                return 1;
        tzset();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
