/* BPF_FILTER. SPDX-License-Identifier: BSD-2-Clause */
#include "harness.h"

extern const struct mapi_function mapi_fn_bpf_filter;

static int start(struct harness *h, const char *expression)
{
        harness_init(h, &mapi_fn_bpf_filter);
        h->arg[0].str = expression;
        return harness_start(h);
}

static void hands_over(void **state)
{
        struct harness h;

        assert_int_equal(start(&h, "tcp and port 80"), 0);
        assert_string_equal(h.bpf, "tcp and port 80");
        assert_null(mapi_fn_bpf_filter.run);
        assert_int_equal(mapi_fn_bpf_filter.shape, MAPI_PREDICATE);
        harness_fini(&h);
}

static void errors(void **state)
{
        struct harness h;

        assert_int_equal(start(&h, NULL), -7001);
        assert_int_equal(h.err.code, 7001);
        assert_int_equal(start(&h, ""), -7001);
        assert_int_equal(start(&h, "no filter"), -1025);
        assert_int_equal(h.err.code, 1025);
        harness_fini(&h);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(hands_over), cmocka_unit_test(errors) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
