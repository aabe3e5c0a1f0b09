/* base/arena: alignment, zeroes, limits to the byte, everything given back.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "base/arena.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

enum { PAGE = 4096 };

static bool all_zero(const uint8_t *p, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (p[i] != 0)
                        return false;
        return true;
}

/* Blocks of many sizes: aligned, zeroed although their neighbours are not, and apart from one another. */
static void blocks(void **state)
{
        static uint8_t *block[600];
        static size_t size[600];
        struct arena *a = arena_new(NULL);

        assert_non_null(a);
        for (unsigned i = 0; i < 600; i++) {
                size[i] = i % 7 == 6 ? 4000 + (size_t)i * 37 : i;
                block[i] = arena_alloc(a, size[i]);
                assert_non_null(block[i]);
                assert_int_equal((uintptr_t)block[i] % (size[i] >= PAGE ? 64 : 16), 0);
                assert_true(all_zero(block[i], size[i]));
                memset(block[i], (int)(i % 255 + 1), size[i]);
        }
        for (unsigned i = 0; i < 600; i++)
                for (size_t k = 0; k < size[i]; k++)
                        assert_int_equal(block[i][k], i % 255 + 1);
        arena_free(&a);
        assert_null(a);
        arena_free(&a);
}

static void empty_blocks_differ(void **state)
{
        struct arena *a = arena_new(NULL);
        void *x = arena_alloc(a, 0), *y = arena_alloc(a, 0);

        assert_non_null(x);
        assert_ptr_not_equal(x, y);
        arena_free(&a);
}

static void copies(void **state)
{
        struct arena *a = arena_new(NULL);
        char *s = arena_strndup(a, "abcdef", 3), *none = arena_strndup(a, "x", 0);

        assert_string_equal(s, "abc");
        assert_string_equal(none, "");
        arena_free(&a);
}

static void quota_is_exact(void **state)
{
        struct quota q = { .limit_bytes = 100 };

        assert_int_equal(quota_take(&q, 60), 0);
        assert_int_equal(quota_take(&q, 41), -1);
        assert_int_equal(q.used_bytes, 60);
        assert_int_equal(quota_take(&q, 40), 0);
        assert_int_equal(quota_take(&q, 1), -1);
        assert_int_equal(quota_take(&q, 0), 0);
        assert_int_equal(quota_take(&q, SIZE_MAX), -1); /* no overflow */
        assert_int_equal(quota_take(&q, SIZE_MAX - 50), -1);
        assert_int_equal(q.used_bytes, 100);
        quota_give(&q, 100);
        assert_int_equal(q.used_bytes, 0);
        assert_int_equal(quota_take(NULL, SIZE_MAX), 0);
        quota_give(NULL, SIZE_MAX);
}

static void arena_under_quota(void **state)
{
        struct quota q = { .limit_bytes = PAGE - 1 };
        struct arena *a = arena_new(&q), *b;

        assert_null(a);
        assert_int_equal(q.used_bytes, 0);
        q.limit_bytes = 3 * PAGE;
        a = arena_new(&q);
        assert_non_null(a);
        assert_int_equal(q.used_bytes, PAGE);
        while (arena_alloc(a, 16) != NULL) { /* what is taken is counted, and never more than the limit */
                assert_true(q.used_bytes <= q.limit_bytes);
                assert_int_equal(q.used_bytes, arena_size(a));
        }
        assert_int_equal(q.used_bytes, 2 * PAGE); /* it doubles, and a fourth page would be beyond the limit */
        b = arena_new(&q);
        assert_non_null(b);
        assert_null(arena_new(&q));
        arena_free(&b);
        assert_int_equal(q.used_bytes, 2 * PAGE);
        assert_null(arena_alloc(a, 2 * PAGE));
        assert_int_equal(q.used_bytes, 2 * PAGE); /* refused: nothing taken */
        arena_free(&a);
        assert_int_equal(q.used_bytes, 0);
}

/* It doubles while it is small and grows by 1 MiB later: memory is at most twice what was asked for. */
static void growth(void **state)
{
        struct quota q = { .limit_bytes = SIZE_MAX };
        struct arena *a = arena_new(&q);
        size_t asked = 0, before;

        for (unsigned i = 0; i < 100000; i++) {
                before = arena_size(a);
                assert_non_null(arena_alloc(a, 64));
                asked += 64;
                assert_true(arena_size(a) - before <= (1u << 20));
                if (asked > PAGE)
                        assert_true(arena_size(a) <= 2 * asked + 2 * PAGE);
        }
        assert_int_equal(q.used_bytes, arena_size(a));
        before = arena_size(a);
        assert_non_null(arena_alloc(a, 10u << 20)); /* larger than any chunk: one of its own */
        assert_true(arena_size(a) - before >= 10u << 20);
        assert_true(arena_size(a) - before <= (10u << 20) + 2 * PAGE);
        arena_free(&a);
        assert_int_equal(q.used_bytes, 0);
}

static void huge_requests(void **state)
{
        static const size_t huge[] = { SIZE_MAX,         SIZE_MAX - 1,     SIZE_MAX - 15,
                                       SIZE_MAX / 2,     SIZE_MAX / 4 + 1, SIZE_MAX / 4,
                                       SIZE_MAX / 4 - 1, (size_t)1 << 60,  (size_t)1 << 50 };
        struct quota q = { .limit_bytes = SIZE_MAX };
        struct arena *a = arena_new(&q);
        void *p;

        for (unsigned i = 0; i < sizeof huge / sizeof huge[0]; i++) {
                assert_null(arena_alloc(a, huge[i]));
                assert_int_equal(q.used_bytes, PAGE);
        }
        p = arena_alloc(a, 8); /* and it still works */
        assert_non_null(p);
        arena_free(&a);
        assert_int_equal(q.used_bytes, 0);
}

static void *take_and_give(void *argument)
{
        struct quota *q = argument;
        uintptr_t bad = 0;

        for (unsigned i = 0; i < 20000; i++) {
                if (quota_take(q, 30) < 0)
                        continue;
                bad += atomic_load(&q->used_bytes) > q->limit_bytes;
                quota_give(q, 30);
        }
        return (void *)bad;
}

static void quota_of_several_threads(void **state)
{
        struct quota q = { .limit_bytes = 100 };
        pthread_t thread[4];

        for (unsigned i = 0; i < 4; i++)
                assert_int_equal(pthread_create(&thread[i], NULL, take_and_give, &q), 0);
        for (unsigned i = 0; i < 4; i++) {
                void *bad;

                assert_int_equal(pthread_join(thread[i], &bad), 0);
                assert_null(bad);
        }
        assert_int_equal(q.used_bytes, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(blocks),        cmocka_unit_test(empty_blocks_differ),
                cmocka_unit_test(copies),        cmocka_unit_test(quota_is_exact),
                cmocka_unit_test(growth),        cmocka_unit_test(arena_under_quota),
                cmocka_unit_test(huge_requests), cmocka_unit_test(quota_of_several_threads),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
