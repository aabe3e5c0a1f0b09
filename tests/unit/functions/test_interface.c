/* INTERFACE. SPDX-License-Identifier: BSD-2-Clause */
#include "harness.h"

extern const struct mapi_function mapi_fn_interface;

static mapi_sel passing(long long port, mapi_sel in)
{
        static const uint16_t ifindex[] = { 0, 1, 2, 1, 65535, 0, 4 };
        struct harness h;
        mapi_sel out;

        harness_init(&h, &mapi_fn_interface);
        h.arg[0].num = port;
        assert_int_equal(harness_start(&h), 0);
        for (unsigned i = 0; i < sizeof ifindex / sizeof ifindex[0]; i++) {
                harness_add(&h, "", 0, 60, i);
                h.batch.pkt[i].ifindex = ifindex[i];
        }
        out = harness_run(&h, in);
        harness_fini(&h);
        return out;
}

static void ports(void **state)
{
        assert_int_equal(passing(0, 0x7f), 0x21);
        assert_int_equal(passing(1, 0x7f), 0x0a);
        assert_int_equal(passing(1, 0x77), 0x02);
        assert_int_equal(passing(1, 0), 0);
        assert_int_equal(passing(3, 0x7f), 0);
        assert_int_equal(passing(65535, 0x7f), 0x10);
        assert_int_equal(passing(65536, 0x7f), 0); /* not 0 */
        assert_int_equal(passing(65537, 0x7f), 0); /* not 1 */
        assert_int_equal(passing(2147483647, 0x7f), 0);
}

static void errors(void **state)
{
        static const long long wrong[] = { -1, -65536, -2147483647 - 1 };
        struct harness h;

        for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
                harness_init(&h, &mapi_fn_interface);
                h.arg[0].num = wrong[i];
                assert_int_equal(harness_start(&h), -7000);
                assert_int_equal(h.err.code, 7000);
                harness_fini(&h);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(ports), cmocka_unit_test(errors) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
