/* Time strings, exactly. SPDX-License-Identifier: BSD-2-Clause */
#include <mapi/function.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const struct {
        const char *text;
        uint64_t want;
} good[] = {
        { "0", 0 },
        { "1", 1 },
        { "+1", 1 },
        { "007", 7 },
        { "16777217", 16777217 }, /* more than a float holds */
        { "18446744073709551615", UINT64_MAX },
        { "18446744073709551615.999", UINT64_MAX },
        { "1.9", 1 },
        { "0s", 0 },
        { "1s", 4294967296 },
        { "+10s", 42949672960 },
        { "0.5s", 2147483648 },
        { "1.50s", 6442450944 },
        { "0.000000000232830643653s", 0 },
        { "0.000000000232830643654s", 1 }, /* 2^-32 is ...653869... */
        { "1ms", 4294967 },
        { "10ms", 42949672 },
        { "1.8ms", 7730941 }, /* 4294967.296 + 3435973.8368 */
        { "1000ms", 4294967296 },
        { "0.001ms", 4294 },
        { "1us", 4294 },
        { "1000000us", 4294967296 },
        { "999999us", 4294963001 },
        { "0.5us", 2147 },
        { "1m", 257698037760 },
        { "5m", 1288490188800 },
        { "0.5m", 128849018880 },
        { "71582788m", 71582788 * (uint64_t)257698037760 },
        { "4294967295s", 18446744069414584320u },
        { "4294967295.999999999767169357s", UINT64_MAX },
        { "4294967295999ms", 18446744073705256648u },
        { "0.000000000000000000000000000000000000000000000000001s", 0 },
};

static const char *const bad[] = {
        "",
        "+",
        "++1",
        "-1",
        "-25s",
        "abc",
        "s",
        "ms",
        ".",
        ".5",
        "5.",
        "5.s",
        "1.2.3",
        "1 s",
        " 1s",
        "1s ",
        "1S",
        "1sec",
        "1min",
        "1h",
        "1e3",
        "0x10",
        "1,5s",
        "inf",
        "nan",
        "1s1s",
        "+ 1s",
        "1ns",
        "1mss",
        "18446744073709551616",
        "99999999999999999999999",
        "4294967296s",
        "4294967296000ms",
        "71582789m",
        "18446744073709551615s",
        "18446744073709551615m",
        "\xb2s",
        "1\xc2\xb5s",
};

static void exact(void **state)
{
        for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
                uint64_t ts = 12345;

                if (mapi_parse_time(good[i].text, &ts) != 0)
                        fail_msg("\"%s\" is refused", good[i].text);
                if (ts != good[i].want)
                        fail_msg("\"%s\" is %llu, not %llu", good[i].text, (unsigned long long)ts,
                                 (unsigned long long)good[i].want);
        }
}

static void strict(void **state)
{
        uint64_t ts = 12345;

        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
                if (mapi_parse_time(bad[i], &ts) != -7000)
                        fail_msg("\"%s\" is accepted", bad[i]);
        }
        assert_int_equal(mapi_parse_time(NULL, &ts), -7000);
        assert_int_equal(ts, 12345); /* untouched */
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(exact), cmocka_unit_test(strict) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
