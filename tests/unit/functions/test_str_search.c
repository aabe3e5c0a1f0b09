/* STR_SEARCH: its arguments; the pattern language has a test of its own. SPDX-License-Identifier: BSD-2-Clause */
#include "harness.h"

#include <limits.h>

extern const struct mapi_function mapi_fn_str_search;

static int start(struct harness *h, const char *pattern, long long offset, long long depth)
{
        harness_init(h, &mapi_fn_str_search);
        h->arg[0].str = pattern;
        h->arg[1].num = offset;
        h->arg[2].num = depth;
        return harness_start(h);
}

static void hands_over(void **state)
{
        struct harness h;

        assert_int_equal(start(&h, "www", 0, 1500), 0);
        assert_int_equal(h.literals, 1);
        assert_int_equal(h.literal[0].len, 3);
        assert_memory_equal(h.literal[0].bytes, "www", 3);
        assert_int_equal(h.offset, 0);
        assert_int_equal(h.depth, 1500);
        harness_fini(&h);

        assert_int_equal(start(&h, "ab|||63 64 65|", 54, 3), 0);
        assert_int_equal(h.literals, 2);
        assert_memory_equal(h.literal[1].bytes, "cde", 3);
        assert_int_equal(h.offset, 54);
        assert_int_equal(h.depth, 3);
        harness_fini(&h);

        assert_int_equal(start(&h, "abcd", 0, 23412), 0);
        harness_fini(&h);
        assert_int_equal(start(&h, "abcd", INT_MAX, INT_MAX), 0);
        harness_fini(&h);
}

static void defaults(void **state)
{
        struct harness h;

        harness_init(&h, &mapi_fn_str_search);
        h.arg[0].str = "x";
        assert_int_equal(harness_start(&h), 0);
        assert_int_equal(h.offset, 0);
        assert_int_equal(h.depth, 0);
        harness_fini(&h);
}

static void errors(void **state)
{
        static const struct {
                const char *pattern;
                int offset, depth, rc;
        } rows[] = {
                { NULL, 0, 0, -7001 },      { "", 0, 0, -7001 },         { "a", -1, 0, -7002 },
                { "a", INT_MIN, 0, -7002 }, { "a", 0, -1, -7003 },       { "|41", 0, 0, -3503 },
                { "abcd", 0, 3, -3504 },    { "ab||abcd", 0, 3, -3504 }, { "abcd||ab", 0, 3, -3504 },
                { "||", 0, 0, -3505 },      { "|4|", 0, 0, -7001 },
        };
        struct harness h;

        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                assert_int_equal(start(&h, rows[i].pattern, rows[i].offset, rows[i].depth), rows[i].rc);
                assert_int_equal(h.err.code, -rows[i].rc);
                assert_int_equal(h.literals, 0);
                harness_fini(&h);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(hands_over), cmocka_unit_test(defaults),
                                            cmocka_unit_test(errors) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
