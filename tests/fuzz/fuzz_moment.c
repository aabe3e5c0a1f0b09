/* Absolute times: any text; what is accepted is found again by counting days. SPDX-License-Identifier: BSD-2-Clause */
#include "base/moment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int leap(int year)
{
        return year % 400 == 0 || (year % 4 == 0 && year % 100 != 0);
}

/* Seconds since 1970 as the text that stands for them, UTC. */
static void write_moment(uint64_t seconds, char *text, size_t size)
{
        static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
        int day = (int)(seconds / 86400), rest = (int)(seconds % 86400), year = 1970, month = 0;

        for (; day >= 365 + leap(year); year++)
                day -= 365 + leap(year);
        for (; day >= days[month] + (month == 1 && leap(year)); month++)
                day -= days[month] + (month == 1 && leap(year));
        (void)snprintf(text, size, "%04d-%02d-%02d %02d:%02d:%02d", year, month + 1, day + 1, rest / 3600,
                       rest / 60 % 60, rest % 60);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static int zone_set;
        char *text = malloc(size + 1), again[80];
        uint64_t ts = 12345;

        if (text == NULL)
                abort();
        if (!zone_set && setenv("TZ", "UTC0", 1) != 0)
                abort();
        zone_set = 1;
        memcpy(text, data, size);
        text[size] = '\0';
        if (moment_parse(text, &ts) == 0) {
                write_moment(ts >> 32, again, sizeof again);
                if ((ts & 0xffffffff) != 0 || strcmp(text, again) != 0)
                        abort();
        } else if (ts != 12345) {
                abort();
        }
        free(text);
        return 0;
}
