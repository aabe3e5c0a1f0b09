/* Lists of references. SPDX-License-Identifier: BSD-2-Clause */
#include "base/reflist.h"

#include <limits.h>

/** A number from 1 on; *text moves behind it. */
static int number(const char **text, int *ret)
{
        const char *c = *text;
        long long n = 0;

        for (; *c >= '0' && *c <= '9' && n <= INT_MAX; c++)
                n = n * 10 + (*c - '0');
        if (n < 1 || n > INT_MAX)
                return -1;
        *text = c;
        *ret = (int)n;
        return 0;
}

int reflist_parse(const char *text, bool with_functions, struct reflist_item *ret, size_t max)
{
        size_t n = 0;

        if (text == NULL)
                return -1;
        for (;; text++) {
                struct reflist_item item = { 0 };

                if (with_functions && (number(&text, &item.fid) < 0 || *text++ != '@'))
                        return -1;
                if (number(&text, &item.flow) < 0 || n == max)
                        return -1;
                ret[n++] = item;
                if (*text == '\0')
                        return (int)n;
                if (*text != ',')
                        return -1;
        }
}
