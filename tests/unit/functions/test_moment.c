/* Absolute times, local time. SPDX-License-Identifier: BSD-2-Clause */
#include <mapi/function.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#define UTC "UTC0"
#define CENTRAL_EUROPE "CET-1CEST,M3.5.0,M10.5.0/3"
#define NEW_YORK "EST5EDT,M3.2.0,M11.1.0"

static const struct {
        const char *zone, *text;
        uint64_t want; /* seconds */
} good[] = {
        { UTC, "1970-01-01 00:00:00", 0 },
        { UTC, "1970-01-01 00:00:01", 1 },
        { UTC, "1999-12-31 23:59:59", 946684799 },
        { UTC, "2000-02-29 12:00:00", 951825600 },
        { UTC, "2024-02-29 00:00:00", 1709164800 },
        { UTC, "2026-11-24 08:30:07", 1795509007 },
        { UTC, "2038-01-19 03:14:08", 2147483648 },
        { UTC, "2100-02-28 00:00:00", 4107456000 },
        { UTC, "2105-12-31 23:59:59", 4291747199 },
        { CENTRAL_EUROPE, "1970-01-01 01:00:00", 0 },
        { CENTRAL_EUROPE, "2026-01-15 12:00:00", 1768474800 }, /* 11:00 UTC */
        { CENTRAL_EUROPE, "2026-07-15 12:00:00", 1784109600 }, /* 10:00 UTC */
        { CENTRAL_EUROPE, "2026-03-29 01:59:59", 1774745999 },
        { CENTRAL_EUROPE, "2026-03-29 03:00:00", 1774746000 }, /* the hour in between does not exist */
        { NEW_YORK, "2026-01-15 12:00:00", 1768496400 },
        { NEW_YORK, "2026-07-15 12:00:00", 1784131200 },
        { NEW_YORK, "1970-01-01 00:00:00", 18000 },
};

static const char *const bad[] = {
        "",
        "+10s",
        "now",
        "2026-11-24",
        "08:30:00",
        "2026-11-24 08:30",
        "2026-11-24 08:30:0",
        "2026-11-24 08:30:00 ",
        " 2026-11-24 08:30:00",
        "2026-11-24  8:30:00",
        "2026-11-24 8:30:00",
        "2026-11-24T08:30:00",
        "2026-11-24 08:30:00Z",
        "2026-11-24 08:30:00.5",
        "2026-11-24\t08:30:00",
        "2026/11/24 08:30:00",
        "2026-11-24 08-30-00",
        "24-11-2026 08:30:00",
        "26-11-24 08:30:00",
        "+026-11-24 08:30:00",
        "-026-11-24 08:30:00",
        "2026-+1-24 08:30:00",
        "2026-1a-24 08:30:00",
        "1969-12-31 23:59:59",
        "0000-00-00 00:00:00",
        "2106-01-01 00:00:00",
        "9999-12-31 23:59:59",
        "2026-00-24 08:30:00",
        "2026-13-24 08:30:00",
        "2026-11-00 08:30:00",
        "2026-11-31 08:30:00",
        "2026-12-32 08:30:00",
        "2026-02-29 08:30:00",
        "2100-02-29 08:30:00", /* no leap year */
        "2000-02-30 08:30:00",
        "2026-04-31 08:30:00",
        "2026-11-24 24:00:00",
        "2026-11-24 08:60:00",
        "2026-11-24 08:30:60",
        "2026-11-24 08:30:61",
        "\262026-11-24 08:30:00",
};

static void zone(const char *name)
{
        assert_int_equal(setenv("TZ", name, 1), 0);
        tzset();
}

static void exact(void **state)
{
        for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
                uint64_t ts = 12345;

                zone(good[i].zone);
                if (mapi_parse_moment(good[i].text, &ts) != 0)
                        fail_msg("\"%s\" is refused", good[i].text);
                if (ts != good[i].want << 32)
                        fail_msg("\"%s\" in %s is %llu.%llu, not %llu", good[i].text, good[i].zone,
                                 (unsigned long long)(ts >> 32), (unsigned long long)(ts & 0xffffffff),
                                 (unsigned long long)good[i].want);
        }
}

/** Every month has the days that it has. */
static void calendar(void **state)
{
        static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
        char text[] = "2027-00-00 00:00:00";
        uint64_t ts, want = 1798761600; /* 2027-01-01 */

        zone(UTC);
        for (int month = 1; month <= 12; month++) {
                for (int day = 0; day <= 32; day++) {
                        int ok = day >= 1 && day <= days[month - 1];

                        text[5] = (char)('0' + month / 10);
                        text[6] = (char)('0' + month % 10);
                        text[8] = (char)('0' + day / 10);
                        text[9] = (char)('0' + day % 10);
                        assert_int_equal(mapi_parse_moment(text, &ts), ok ? 0 : -7000);
                        if (ok) {
                                assert_true(ts == want << 32);
                                want += 86400;
                        }
                }
        }
}

static void strict(void **state)
{
        uint64_t ts = 12345;

        zone(UTC);
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
                if (mapi_parse_moment(bad[i], &ts) != -7000)
                        fail_msg("\"%s\" is accepted", bad[i]);
        }
        assert_int_equal(mapi_parse_moment(NULL, &ts), -7000);
        zone(CENTRAL_EUROPE);
        assert_int_equal(mapi_parse_moment("1970-01-01 00:59:59", &ts), -7000); /* 1969 in UTC */
        zone(NEW_YORK);
        assert_int_equal(mapi_parse_moment("1969-12-31 23:59:59", &ts), -7000); /* 1970 in UTC */
        assert_int_equal(ts, 12345);                                            /* untouched */
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(exact), cmocka_unit_test(calendar),
                                            cmocka_unit_test(strict) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
