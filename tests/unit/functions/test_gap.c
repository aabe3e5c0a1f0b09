/* GAP. SPDX-License-Identifier: BSD-2-Clause */
#include "harness.h"

extern const struct mapi_function mapi_fn_gap;

static void gaps(void **state)
{
        struct harness h;

        harness_init(&h, &mapi_fn_gap);
        assert_int_equal(harness_start(&h), 0);
        harness_add(&h, "", 0, 60, 1000);
        (void)harness_run(&h, 1);
        assert_int_equal(harness_u64(&h), 0); /* the first */
        harness_add(&h, "", 0, 60, 1007);
        (void)harness_run(&h, 1);
        assert_int_equal(harness_u64(&h), 7); /* across batches */
        harness_add(&h, "", 0, 60, 1010);
        harness_add(&h, "", 0, 60, 1015);
        harness_add(&h, "", 0, 60, 1021);
        (void)harness_run(&h, 5);
        assert_int_equal(harness_u64(&h), 11); /* the one in between was filtered */
        harness_add(&h, "", 0, 60, 900);
        (void)harness_run(&h, 1);
        assert_int_equal(harness_u64(&h), 0); /* back in time */
        harness_add(&h, "", 0, 60, 950);
        (void)harness_run(&h, 1);
        assert_int_equal(harness_u64(&h), 50); /* to the previous packet, not to the latest time */
        (void)harness_run(&h, 0);
        assert_int_equal(harness_u64(&h), 50);
        harness_add(&h, "", 0, 60, UINT64_MAX);
        (void)harness_run(&h, 1);
        assert_true(harness_u64(&h) == UINT64_MAX - 950);
        harness_fini(&h);
}

/* A first packet at time 0 is a packet. */
static void time_zero(void **state)
{
        struct harness h;

        harness_init(&h, &mapi_fn_gap);
        assert_int_equal(harness_start(&h), 0);
        harness_add(&h, "", 0, 60, 0);
        harness_add(&h, "", 0, 60, 5);
        (void)harness_run(&h, 3);
        assert_int_equal(harness_u64(&h), 5);
        harness_fini(&h);
}

static void no_memory(void **state)
{
        struct harness h;

        harness_init(&h, &mapi_fn_gap);
        h.fail_alloc = 1;
        assert_int_equal(harness_start(&h), -3084);
        harness_fini(&h);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(gaps), cmocka_unit_test(time_zero),
                                            cmocka_unit_test(no_memory) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
