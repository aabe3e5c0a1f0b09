/* Periods of packet time: boundaries exact to the packet, however many go by. SPDX-License-Identifier: BSD-2-Clause */
#include "functions/period.h"

#include <mapi/function.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static struct period make(const char *text)
{
        struct period p;
        uint64_t ts = 0;

        assert_int_equal(mapi_parse_time(text, &ts), 0);
        period_init(&p, ts);
        return p;
}

/* A packet on the boundary opens the new period, one unit of its clock before it does not; after a million periods too. */
static void exact(void **state)
{
        static const struct {
                const char *text;
                uint64_t us;
        } rows[] = { { "1us", 1 },        { "7us", 7 },      { "1ms", 1000 },     { "10ms", 10000 },
                     { "100ms", 100000 }, { "1s", 1000000 }, { "5m", 300000000 }, { "333333us", 333333 } };
        const uint64_t second = 1089376567, us0 = 456945;

        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                uint64_t steps[] = { 1, 2, 3, 4, 10, 997, 1000000 };
                struct period p = make(rows[i].text);
                uint64_t done = 0;

                assert_int_equal(period_advance(&p, mapi_ts_from_us(second, (uint32_t)us0)), 0);
                for (size_t k = 0; k < sizeof steps / sizeof steps[0]; k++) {
                        uint64_t us = us0 + steps[k] * rows[i].us, ns = us * 1000 - 1;

                        assert_int_equal(period_advance(&p, mapi_ts_from_ns(second + ns / 1000000000,
                                                                            (uint32_t)(ns % 1000000000))),
                                         steps[k] - 1 - done);
                        assert_int_equal(period_advance(&p, mapi_ts_from_us(second + us / 1000000,
                                                                            (uint32_t)(us % 1000000))),
                                         1);
                        assert_int_equal(period_advance(&p, mapi_ts_from_us(second + us / 1000000,
                                                                            (uint32_t)(us % 1000000))),
                                         0);
                        done = steps[k];
                }
        }
}

/* Raw numbers are exact anyway. */
static void raw(void **state)
{
        struct period p = make("10");

        assert_int_equal(period_advance(&p, 1000), 0);
        assert_int_equal(period_advance(&p, 1009), 0);
        assert_int_equal(period_advance(&p, 1010), 1);
        assert_int_equal(period_advance(&p, 1000), 0); /* back in time */
        assert_int_equal(period_advance(&p, 1019), 0);
        assert_int_equal(period_advance(&p, 1045), 3);
        assert_int_equal(period_advance(&p, 1049), 0);
        assert_int_equal(period_advance(&p, 1050), 1);
}

static void extremes(void **state)
{
        struct period p = make("1");

        assert_int_equal(period_advance(&p, 0), 0);
        assert_true(period_advance(&p, UINT64_MAX) == UINT64_MAX);
        assert_int_equal(period_advance(&p, UINT64_MAX), 0);
        p = make("1us");
        assert_int_equal(period_advance(&p, 0), 0);
        assert_true(period_advance(&p, UINT64_MAX) == 4294967296000000 - 1);
        assert_int_equal(period_advance(&p, UINT64_MAX), 0);
        p = make("18446744073709551615");
        assert_int_equal(period_advance(&p, UINT64_MAX - 1), 0);
        assert_int_equal(period_advance(&p, UINT64_MAX), 0);
        p = make("4294967295s");
        assert_int_equal(period_advance(&p, 0), 0);
        assert_int_equal(period_advance(&p, UINT64_MAX), 1);
        assert_int_equal(period_advance(&p, UINT64_MAX), 0);
}

/* Parts of microseconds; where boundaries lie, also those of long ago and of the end of time. */
static void boundaries(void **state)
{
        const uint64_t second = (uint64_t)1 << 32;
        struct period p;

        period_init_us(&p, 1000000, 3);
        assert_int_equal(period_advance(&p, 7), 0);
        assert_int_equal(period_boundary(&p, 1), 7 + 1431655765);
        assert_int_equal(period_boundary(&p, 2), 7 + 2863311530);
        assert_int_equal(period_boundary(&p, 3), 7 + second);
        assert_int_equal(period_advance(&p, 7 + 2863311529), 1);
        assert_int_equal(period_advance(&p, 7 + 1000000 * second), 2999999);
        assert_int_equal(period_boundary(&p, p.done), 7 + 1000000 * second);
        assert_true(period_boundary(&p, UINT64_MAX) == UINT64_MAX);
        period_init_us(&p, 65536, 65536); /* the shortest: 1 us */
        assert_int_equal(period_advance(&p, 0), 0);
        assert_int_equal(period_advance(&p, UINT64_MAX), 4294967296000000 - 1);
        period_init_us(&p, INT32_MAX, 1);
        assert_int_equal(period_advance(&p, 0), 0);
        assert_int_equal(period_advance(&p, 2148 * second), 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(exact), cmocka_unit_test(raw),
                                            cmocka_unit_test(extremes), cmocka_unit_test(boundaries) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
