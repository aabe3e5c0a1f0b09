/*
 * Runs a reader over a built trace and keeps copies of its packets, after having fed it in every way that must
 * not matter.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef TESTS_UNIT_FORMATS_COLLECT_H
#define TESTS_UNIT_FORMATS_COLLECT_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "../../fuzz/trace_feed.h"

#include "build.h"

#define COLLECT_MAX 16

struct collect {
        struct feed_outcome o;
        unsigned n;
        struct mapi_view view[COLLECT_MAX]; /* .data is a copy */
};

static void collect_one(const struct mapi_view *v, void *arg)
{
        struct collect *c = arg;
        uint8_t *copy = malloc(v->caplen + 1);

        assert_non_null(copy);
        memcpy(copy, v->data, v->caplen);
        if (c->n == COLLECT_MAX)
                fail_msg("more than %d packets", COLLECT_MAX);
        c->view[c->n] = *v;
        c->view[c->n++].data = copy;
}

static inline void collect_free(struct collect *c)
{
        while (c->n > 0)
                free((void *)(uintptr_t)c->view[--c->n].data);
}

/* How the trace comes: in one piece, and in small ones with narrow batches. */
static inline void collect(struct collect *ret, const struct build *b)
{
        static const size_t chunks[] = { 1, 3, 16, 61, 4096 };
        struct feed_way way = { .open = formats_open,
                                .chunk = b->n + 1,
                                .most = MAPI_BATCH_MAX,
                                .max_bytes = SIZE_MAX,
                                .each = collect_one,
                                .arg = ret };

        *ret = (struct collect){ 0 };
        ret->o = feed_run(b->bytes, b->n, &way);
        way.each = NULL;
        for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++) {
                for (unsigned most = 1; most <= 4; most++) {
                        struct feed_outcome o;

                        if (b->n / chunks[i] > 4096)
                                continue;
                        way.chunk = chunks[i];
                        way.most = most;
                        way.max_bytes = most * 70;
                        o = feed_run(b->bytes, b->n, &way);
                        assert_int_equal(o.packets, ret->o.packets);
                        assert_true(o.hash == ret->o.hash);
                        assert_int_equal(o.end, ret->o.end);
                        assert_string_equal(o.why, ret->o.why);
                        assert_int_equal(o.linktype, ret->o.linktype);
                }
        }
}

/* Data of build_data(). */
static inline void expect_data(const struct mapi_view *v, uint8_t seed)
{
        for (uint32_t i = 0; i < v->caplen; i++)
                assert_int_equal(v->data[i], (uint8_t)(seed + i));
}

#define EXPECT_DAMAGE(c, count, text)                                                                             \
        do {                                                                                                      \
                assert_int_equal((c)->o.opened, 1);                                                               \
                assert_int_equal((c)->o.end, -MAPI_TRACE_DAMAGED);                                                \
                assert_int_equal((c)->n, count);                                                                  \
                assert_string_equal((c)->o.why, text);                                                            \
        } while (0)

#define EXPECT_REFUSED(c, text)                                                                                   \
        do {                                                                                                      \
                assert_int_equal((c)->o.opened, -MAPI_ERROR_FILE);                                                \
                assert_int_equal((c)->n, 0);                                                                      \
                assert_string_equal((c)->o.why, text);                                                            \
        } while (0)

#endif
