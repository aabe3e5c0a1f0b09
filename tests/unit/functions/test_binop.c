/* BINOP. SPDX-License-Identifier: BSD-2-Clause */
#include "harness.h"

#include <mapi/binop.h>

extern const struct mapi_function mapi_fn_binop;

static uint64_t result(long long type, uint64_t first, uint64_t second)
{
        struct harness h;
        uint64_t r;

        harness_init(&h, &mapi_fn_binop);
        h.refs = 2;
        h.arg[0].num = type;
        assert_int_equal(harness_start(&h), 0);
        assert_int_equal(harness_u64(&h), 0);
        h.ref[0].raw = 77; /* an empty selection reads nothing */
        h.ref[1].raw = 5;
        assert_int_equal(harness_run(&h, 0), 0);
        assert_int_equal(harness_u64(&h), 0);
        h.ref[0].raw = first;
        h.ref[1].raw = second;
        harness_add(&h, "", 0, 60, 1);
        assert_int_equal(harness_run(&h, 1), 1);
        r = harness_u64(&h);
        assert_int_equal(h.ref[0].resets + h.ref[1].resets, 0);
        harness_fini(&h);
        return r;
}

static void both(void **state)
{
        assert_int_equal(result(BINOP_ADD, 40, 2), 42);
        assert_int_equal(result(BINOP_SUB, 40, 2), 38);
        assert_true(result(BINOP_SUB, 2, 40) == UINT64_MAX - 37); /* modulo 2^64 */
        assert_true(result(BINOP_ADD, UINT64_MAX, 2) == 1);
}

static void errors(void **state)
{
        struct harness h;

        for (unsigned refs = 0; refs < 2; refs++) {
                harness_init(&h, &mapi_fn_binop);
                h.refs = refs;
                assert_int_equal(harness_start(&h), -7002);
                harness_fini(&h);
        }
        assert_int_equal(mapi_fn_binop.args[0].min, 0); /* whoever applies it checks the range: 7001 */
        assert_int_equal(mapi_fn_binop.args[0].max, 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(both), cmocka_unit_test(errors) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
