/* Time strings: any text, compared with floating point, which knows at least the first 60 bits. SPDX-License-Identifier: BSD-2-Clause */
#include "base/timestr.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static long double unit(const char *name)
{
        static const struct {
                const char *name;
                long double ticks;
        } units[] = { { "", 1 },
                      { "s", 0x1p32L },
                      { "ms", 0x1p32L / 1000 },
                      { "us", 0x1p32L / 1000000 },
                      { "m", 60 * 0x1p32L } };

        for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
                if (strcmp(name, units[i].name) == 0)
                        return units[i].ticks;
        }
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        char *text = malloc(size + 1), *end;
        uint64_t ts = 12345;
        long double about;

        if (text == NULL)
                abort();
        memcpy(text, data, size);
        text[size] = '\0';
        if (timestr_parse(text, &ts) == 0) {
                about = strtold(text, &end);
                about *= unit(end);
                if (!(about >= (long double)ts * (1 - 0x1p-60L) &&
                      about <= ((long double)ts + 1) * (1 + 0x1p-60L)))
                        abort();
        } else if (ts != 12345) {
                abort();
        }
        free(text);
        return 0;
}
