/*
 * Literal patterns, one memmem() per literal. The literals are sorted by length, so the search ends at the first one
 * that is longer than the window.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "match/match.h"

#include <stdlib.h>
#include <string.h>

struct match {
        uint32_t offset;
        uint32_t depth;
        uint64_t key;
        size_t n;
        struct mapi_literal lit[]; /* by length, then by content; no two are equal */
};

static int compare(const void *a, const void *b)
{
        const struct mapi_literal *x = a, *y = b;

        if (x->len != y->len)
                return x->len < y->len ? -1 : 1;
        return memcmp(x->bytes, y->bytes, x->len);
}

/* FNV-1a, 64 bit. */
static uint64_t mix(uint64_t key, const void *data, size_t n)
{
        const uint8_t *p = data;

        for (size_t i = 0; i < n; i++)
                key = (key ^ p[i]) * 0x100000001b3u;
        return key;
}

static int check(const struct mapi_literal *lit, size_t n, size_t *ret_bytes, struct mapi_error *err)
{
        size_t bytes = 0;

        if (n == 0)
                return mapi_fail(err, MFUNCT_INVALID_ARGUMENT, "there is nothing to search for");
        if (n > MATCH_LITERALS_MAX)
                return mapi_fail(err, MAPI_LIMIT_ERROR,
                                 "a search pattern may have at most %u alternatives, not %zu", MATCH_LITERALS_MAX,
                                 n);
        for (size_t i = 0; i < n; i++) {
                if (lit[i].len == 0)
                        return mapi_fail(err, MFUNCT_INVALID_ARGUMENT, "alternative %zu is empty", i + 1);
                if (lit[i].len > MATCH_BYTES_MAX - bytes)
                        return mapi_fail(err, MAPI_LIMIT_ERROR, "a search pattern may have at most %u bytes",
                                         MATCH_BYTES_MAX);
                bytes += lit[i].len;
        }
        *ret_bytes = bytes;
        return 0;
}

int match_new(struct arena *a, const struct mapi_literal *lit, size_t n, uint32_t offset, uint32_t depth,
              const struct match **ret, struct mapi_error *err)
{
        struct match *m;
        uint8_t *copy;
        size_t bytes = 0, unique = 0;
        int rc = check(lit, n, &bytes, err);

        if (rc < 0)
                return rc;
        m = arena_alloc(a, sizeof *m + n * sizeof m->lit[0] + bytes);
        if (m == NULL)
                return mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "for a search pattern of %zu bytes", bytes);
        copy = (uint8_t *)&m->lit[n];
        for (size_t i = 0; i < n; i++) {
                memcpy(copy, lit[i].bytes, lit[i].len);
                m->lit[i] = (struct mapi_literal){ .bytes = copy, .len = lit[i].len };
                copy += lit[i].len;
        }
        qsort(m->lit, n, sizeof m->lit[0], compare);
        for (size_t i = 0; i < n; i++) {
                if (unique == 0 || compare(&m->lit[unique - 1], &m->lit[i]) != 0)
                        m->lit[unique++] = m->lit[i];
        }
        m->n = unique;
        m->offset = offset;
        m->depth = depth;
        m->key = mix(mix(0xcbf29ce484222325u, &offset, sizeof offset), &depth, sizeof depth);
        for (size_t i = 0; i < unique; i++) {
                m->key = mix(m->key, &m->lit[i].len, sizeof m->lit[i].len);
                m->key = mix(m->key, m->lit[i].bytes, m->lit[i].len);
        }
        *ret = m;
        return 0;
}

bool match_test(const struct match *m, const uint8_t *data, uint32_t caplen)
{
        uint32_t window;

        if (caplen <= m->offset)
                return false;
        window = caplen - m->offset;
        if (m->depth != 0 && m->depth < window)
                window = m->depth;
        for (size_t i = 0; i < m->n && m->lit[i].len <= window; i++) {
                if (memmem(data + m->offset, window, m->lit[i].bytes, m->lit[i].len) != NULL)
                        return true;
        }
        return false;
}

uint64_t match_key(const struct match *m)
{
        return m->key;
}

bool match_equal(const struct match *a, const struct match *b)
{
        if (a == b)
                return true;
        if (a->key != b->key || a->n != b->n || a->offset != b->offset || a->depth != b->depth)
                return false;
        for (size_t i = 0; i < a->n; i++) {
                if (compare(&a->lit[i], &b->lit[i]) != 0)
                        return false;
        }
        return true;
}
