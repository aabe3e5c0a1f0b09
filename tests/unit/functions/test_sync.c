/* SYNC. SPDX-License-Identifier: BSD-2-Clause */
#include "harness.h"

extern const struct mapi_function mapi_fn_sync;

static mapi_sel three(struct harness *h)
{
        for (unsigned i = 0; i < 3; i++)
                harness_add(h, "", 0, 60, i);
        return harness_run(h, 5);
}

static void waits_for_all(void **state)
{
        struct harness h;

        harness_init(&h, &mapi_fn_sync);
        h.arg[0].str = "1,2,3";
        h.flows = 3;
        assert_int_equal(harness_start(&h), 0);
        assert_int_equal(three(&h), 0);
        h.flows_begun = 3;
        assert_int_equal(three(&h), 0);
        h.flows_begun = 6;
        assert_int_equal(three(&h), 0);
        h.flows_begun = 7;
        assert_int_equal(three(&h), 5);
        h.flows_begun = 0; /* once is enough */
        assert_int_equal(three(&h), 5);
        assert_int_equal(harness_run(&h, 0), 0);
        harness_fini(&h);
}

static void errors(void **state)
{
        struct harness h;

        harness_init(&h, &mapi_fn_sync);
        assert_int_equal(harness_start(&h), -7001);
        harness_fini(&h);
        harness_init(&h, &mapi_fn_sync);
        h.arg[0].str = "1";
        h.flows = 1;
        h.fail_alloc = 1;
        assert_int_equal(harness_start(&h), -3084);
        harness_fini(&h);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(waits_for_all), cmocka_unit_test(errors) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
