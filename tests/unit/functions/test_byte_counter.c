/* BYTE_COUNTER. SPDX-License-Identifier: BSD-2-Clause */
#include "harness.h"

extern const struct mapi_function mapi_fn_byte_counter;

static void counts_the_wire(void **state)
{
        struct harness h;

        harness_init(&h, &mapi_fn_byte_counter);
        assert_int_equal(harness_start(&h), 0);
        harness_add(&h, "", 0, 1514, 0);
        harness_add(&h, "", 0, 1000000, 0);
        harness_add(&h, "abcd", 4, 60, 0); /* wire, not captured */
        assert_int_equal(harness_run(&h, 5), 5);
        assert_int_equal(harness_u64(&h), 1574);
        for (unsigned i = 0; i < 64; i++)
                harness_add(&h, "", 0, 0xffffffff, 0);
        (void)harness_run(&h, MAPI_SEL_ALL(64));
        assert_true(harness_u64(&h) == 1574 + 64 * (uint64_t)0xffffffff);
        harness_fini(&h);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(counts_the_wire) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
