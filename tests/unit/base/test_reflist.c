/* base/reflist: lists of functions and flows. SPDX-License-Identifier: BSD-2-Clause */
#include "base/reflist.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

enum { MOST = 4 };

static void good(void **state)
{
        struct reflist_item item[MOST];

        (void)state;
        assert_int_equal(reflist_parse("1@2", true, item, MOST), 1);
        assert_int_equal(item[0].fid, 1);
        assert_int_equal(item[0].flow, 2);
        assert_int_equal(reflist_parse("3@10,2147483647@1,007@2147483647", true, item, MOST), 3);
        assert_int_equal(item[0].fid, 3);
        assert_int_equal(item[0].flow, 10);
        assert_int_equal(item[1].fid, INT32_MAX);
        assert_int_equal(item[1].flow, 1);
        assert_int_equal(item[2].fid, 7);
        assert_int_equal(item[2].flow, INT32_MAX);
        assert_int_equal(reflist_parse("5,6,7,8", false, item, MOST), 4);
        assert_int_equal(item[3].flow, 8);
        assert_int_equal(item[3].fid, 0);
}

static void bad(void **state)
{
        static const char *const functions[] = { "",
                                                 ",",
                                                 "1",
                                                 "1@",
                                                 "@1",
                                                 "1@2,",
                                                 ",1@2",
                                                 "1@@2",
                                                 "1@2@3",
                                                 " 1@2",
                                                 "1@2 ",
                                                 "1@2, 3@4",
                                                 "0@1",
                                                 "1@0",
                                                 "-1@2",
                                                 "+1@2",
                                                 "1@2;",
                                                 "a@b",
                                                 "1@2147483648",
                                                 "99999999999999999999@1",
                                                 "1@2,1@2,1@2,1@2,1@2" };
        static const char *const flows[] = { "",  ",",  "1,", ",1",  "1,,2",      "1@2",
                                             "0", "-1", " 1", "1 2", "1,2,3,4,5", "2147483648" };
        struct reflist_item item[MOST];

        (void)state;
        for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++)
                if (reflist_parse(functions[i], true, item, MOST) != -1)
                        fail_msg("'%s' is no list of functions", functions[i]);
        for (size_t i = 0; i < sizeof flows / sizeof flows[0]; i++)
                if (reflist_parse(flows[i], false, item, MOST) != -1)
                        fail_msg("'%s' is no list of flows", flows[i]);
        assert_int_equal(reflist_parse(NULL, true, item, MOST), -1);
        assert_int_equal(reflist_parse("1", false, item, 0), -1);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(good), cmocka_unit_test(bad) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
