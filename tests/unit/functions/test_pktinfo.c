/* PKTINFO. SPDX-License-Identifier: BSD-2-Clause */
#include "harness.h"

#include <mapi/pktinfo.h>

extern const struct mapi_function mapi_fn_pktinfo;

static void the_latest(void **state)
{
        const uint64_t ts = 0x40ee5c77bc00f7ebu;
        struct harness h;

        for (int info = PKT_TS; info <= PKT_SIZE; info++) {
                harness_init(&h, &mapi_fn_pktinfo);
                h.arg[0].num = info;
                assert_int_equal(harness_start(&h), 0);
                harness_add(&h, "", 0, 42, ts - 9);
                harness_add(&h, "a", 1, 1514, ts);
                harness_add(&h, "", 0, 60, ts + 1);
                assert_int_equal(harness_run(&h, 3), 3);
                assert_true(harness_u64(&h) == (info == PKT_TS ? ts : 1514)); /* wire, not captured */
                assert_int_equal(harness_run(&h, 0), 0);
                assert_true(harness_u64(&h) == (info == PKT_TS ? ts : 1514));
                assert_true(h.fn.slot->stamp == ts);
                harness_fini(&h);
        }
}

static void bad_value(void **state)
{
        struct harness h;

        harness_init(&h, &mapi_fn_pktinfo);
        h.arg[0].num = 2;
        assert_int_equal(harness_start(&h), -7001);
        h.arg[0].num = -1;
        assert_int_equal(harness_start(&h), -7001);
        assert_int_equal(h.err.code, 7001);
        harness_fini(&h);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(the_latest), cmocka_unit_test(bad_value) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
