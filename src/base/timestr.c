/* Time strings to 32.32 fixed point, in integers only. SPDX-License-Identifier: BSD-2-Clause */
#include "base/timestr.h"

#include <stddef.h>
#include <string.h>

/* Digits behind the point that count: more cannot change the result unless it lies that close to a whole unit. */
#define FRACTION_DIGITS 25

__extension__ typedef unsigned __int128 wide;

/* One unit is mul / div units of 2^-32 s. */
static const struct unit {
        const char *name;
        uint64_t mul;
        uint64_t div;
} units[] = {
        { "", 1, 1 },
        { "s", (uint64_t)1 << 32, 1 },
        { "ms", (uint64_t)1 << 32, 1000 },
        { "us", (uint64_t)1 << 32, 1000000 },
        { "m", (uint64_t)60 << 32, 1 },
};

int timestr_parse(const char *text, uint64_t *ret_ts)
{
        const struct unit *unit = NULL;
        uint64_t whole = 0;
        wide fraction = 0, scale = 1;
        int digits = 0;
        wide ticks, rest;

        if (text == NULL)
                return -1;
        if (*text == '+')
                text++;
        for (; *text >= '0' && *text <= '9'; text++, digits++) {
                if (__builtin_mul_overflow(whole, (uint64_t)10, &whole) ||
                    __builtin_add_overflow(whole, (uint64_t)(*text - '0'), &whole))
                        return -1;
        }
        if (digits == 0)
                return -1;
        if (*text == '.') {
                text++;
                for (digits = 0; *text >= '0' && *text <= '9'; text++, digits++) {
                        if (digits < FRACTION_DIGITS) {
                                fraction = fraction * 10 + (wide)(*text - '0');
                                scale *= 10;
                        }
                }
                if (digits == 0)
                        return -1;
        }
        for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
                if (strcmp(text, units[i].name) == 0)
                        unit = &units[i];
        }
        if (unit == NULL)
                return -1;
        /* (whole + fraction / scale) * mul / div: what the whole part leaves over goes on with the fraction. The widest
           intermediate values are 2^64 * 2^38 and 10^25 * 2^38. */
        ticks = (wide)whole * unit->mul / unit->div;
        rest = (wide)whole * unit->mul % unit->div;
        ticks += (rest * scale + fraction * unit->mul) / (unit->div * scale);
        if (ticks > UINT64_MAX)
                return -1;
        *ret_ts = (uint64_t)ticks;
        return 0;
}
