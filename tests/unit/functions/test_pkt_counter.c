/* PKT_COUNTER. SPDX-License-Identifier: BSD-2-Clause */
#include "harness.h"

extern const struct mapi_function mapi_fn_pkt_counter;

static void counts(void **state)
{
        struct harness h;

        harness_init(&h, &mapi_fn_pkt_counter);
        assert_int_equal(harness_start(&h), 0);
        assert_int_equal(harness_run(&h, 0), 0);
        assert_int_equal(harness_u64(&h), 0);
        for (unsigned i = 0; i < 64; i++)
                harness_add(&h, "", 0, 1500, 0);
        assert_true(harness_run(&h, 0x8000000000000005u) == 0x8000000000000005u);
        assert_int_equal(harness_u64(&h), 3);
        for (unsigned i = 0; i < 64; i++)
                harness_add(&h, "", 0, 0, 0);
        assert_true(harness_run(&h, MAPI_SEL_ALL(64)) == MAPI_SEL_ALL(64));
        assert_int_equal(harness_u64(&h), 67);
        harness_fini(&h);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(counts) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
