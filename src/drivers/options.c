/*
 * The option string of a source; see options.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "drivers/options.h"

#include <string.h>

/* Decimal digits up to `end`, nothing else. 0 or -1. */
static int parse_number(const char *p, const char *end, uint64_t *ret)
{
        uint64_t v = 0;

        if (p == end)
                return -1;
        for (; p < end; p++) {
                if (*p < '0' || *p > '9' || __builtin_mul_overflow(v, (uint64_t)10, &v) ||
                    __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
                        return -1;
        }
        *ret = v;
        return 0;
}

int drivers_options_parse(const struct mapi_source *src, const struct drivers_option *options, size_t n,
                          struct mapi_error *err)
{
        const char *p = src->options;

        while (p != NULL && *p != '\0') {
                const char *end = p + strcspn(p, ",;"), *equals = memchr(p, '=', (size_t)(end - p));
                const struct drivers_option *o = NULL;
                uint64_t value;

                if (equals == NULL)
                        return mapi_fail(err, PCAP_OPEN_ERR, "%s: option '%.*s' is not of the form key=number",
                                         src->name, (int)(end - p), p);
                for (size_t i = 0; i < n; i++)
                        if (strlen(options[i].key) == (size_t)(equals - p) &&
                            memcmp(options[i].key, p, (size_t)(equals - p)) == 0)
                                o = &options[i];
                if (o == NULL)
                        return mapi_fail(err, PCAP_OPEN_ERR, "%s: unknown option '%.*s'", src->name,
                                         (int)(equals - p), p);
                if (parse_number(equals + 1, end, &value) < 0 || value < o->min || value > o->max)
                        return mapi_fail(err, PCAP_OPEN_ERR,
                                         "%s: option '%.*s' must be a number from %llu to %llu", src->name,
                                         (int)(end - p), p, (unsigned long long)o->min,
                                         (unsigned long long)o->max);
                *o->value = value;
                p = *end != '\0' ? end + 1 : end;
        }
        return 0;
}
