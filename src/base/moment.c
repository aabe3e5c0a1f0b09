/* Absolute times to 32.32 fixed point. SPDX-License-Identifier: BSD-2-Clause */
#include "base/moment.h"

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

/* '0' stands for a digit, everything else for itself. */
static const char form[] = "0000-00-00 00:00:00";

static bool leap_year(int year)
{
        return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int days_of(int year, int month)
{
        static const char days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

        return month == 2 && leap_year(year) ? 29 : days[month - 1];
}

static int number(const char *digits, size_t n)
{
        int value = 0;

        for (size_t i = 0; i < n; i++)
                value = value * 10 + (digits[i] - '0');
        return value;
}

int moment_parse(const char *text, uint64_t *ret_ts)
{
        struct tm tm = { .tm_isdst = -1 }; /* whether it is summer time is for the time zone to say */
        int year, month;
        time_t t;

        if (text == NULL)
                return -1;
        for (size_t i = 0; i < sizeof form; i++) { /* the 0 at the end included */
                if (form[i] == '0' ? text[i] < '0' || text[i] > '9' : text[i] != form[i])
                        return -1;
        }
        year = number(text, 4);
        month = number(text + 5, 2);
        tm.tm_mday = number(text + 8, 2);
        tm.tm_hour = number(text + 11, 2);
        tm.tm_min = number(text + 14, 2);
        tm.tm_sec = number(text + 17, 2);
        if (year < 1970 || year > 2105 || month < 1 || month > 12 || tm.tm_mday < 1 ||
            tm.tm_mday > days_of(year, month) || tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 59)
                return -1;
        tm.tm_year = year - 1900;
        tm.tm_mon = month - 1;
        t = mktime(&tm);
        if (t < 0 || t > (time_t)UINT32_MAX)
                return -1;
        *ret_ts = (uint64_t)t << 32;
        return 0;
}
