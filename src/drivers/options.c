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

/* Whether the bytes up to `end` are this key. */
static int is_key(const char *key, const char *p, const char *end)
{
        return strlen(key) == (size_t)(end - p) && memcmp(key, p, (size_t)(end - p)) == 0;
}

static int take_number(const struct mapi_source *src, const struct drivers_option *o, const char *p,
                       const char *digits, const char *end, struct mapi_error *err)
{
        uint64_t value;

        if (parse_number(digits, end, &value) < 0 || value < o->min || value > o->max)
                return mapi_fail(err, PCAP_OPEN_ERR, "%s: option '%.*s' must be a number from %llu to %llu",
                                 src->name, (int)(end - p), p, (unsigned long long)o->min,
                                 (unsigned long long)o->max);
        *o->value = value;
        return 0;
}

static int take_text(const struct mapi_source *src, struct drivers_text *t, const char *p, const char *end,
                     struct mapi_error *err)
{
        if (t->p != NULL)
                return mapi_fail(err, PCAP_OPEN_ERR, "%s: option '%s' is given twice", src->name, t->key);
        if (p == end)
                return mapi_fail(err, PCAP_OPEN_ERR, "%s: option '%s' has no value", src->name, t->key);
        t->p = p;
        t->bytes = (size_t)(end - p);
        return 0;
}

int drivers_options_parse_texts(const struct mapi_source *src, const struct drivers_option *options, size_t n,
                                struct drivers_text *texts, size_t ntexts, struct mapi_error *err)
{
        const char *p = src->options;

        while (p != NULL && *p != '\0') {
                const char *end = p + strcspn(p, ",;"), *equals = memchr(p, '=', (size_t)(end - p));
                const struct drivers_option *o = NULL;
                struct drivers_text *t = NULL;
                int rc;

                if (equals == NULL)
                        return mapi_fail(err, PCAP_OPEN_ERR, "%s: option '%.*s' is not of the form key=%s",
                                         src->name, (int)(end - p), p, ntexts == 0 ? "number" : "value");
                for (size_t i = 0; i < n; i++)
                        if (is_key(options[i].key, p, equals))
                                o = &options[i];
                for (size_t i = 0; i < ntexts; i++)
                        if (is_key(texts[i].key, p, equals))
                                t = &texts[i];
                if (o == NULL && t == NULL)
                        return mapi_fail(err, PCAP_OPEN_ERR, "%s: unknown option '%.*s'", src->name,
                                         (int)(equals - p), p);
                if (t != NULL) {
                        end = equals + 1 + strcspn(equals + 1, t->comma ? ",;" : ";");
                        rc = take_text(src, t, equals + 1, end, err);
                } else {
                        rc = take_number(src, o, p, equals + 1, end, err);
                }
                if (rc < 0)
                        return rc;
                p = *end != '\0' ? end + 1 : end;
        }
        return 0;
}

int drivers_options_parse(const struct mapi_source *src, const struct drivers_option *options, size_t n,
                          struct mapi_error *err)
{
        return drivers_options_parse_texts(src, options, n, NULL, 0, err);
}
