/* match: windows, alternatives, limits, equality. SPDX-License-Identifier: BSD-2-Clause */
#include "match/match.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define LIT(text)                                                                                                 \
        {                                                                                                         \
                .bytes = (const uint8_t *)(text), .len = sizeof(text) - 1                                         \
        }
#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static int setup(void **state)
{
        *state = arena_new(NULL);
        return *state != NULL ? 0 : -1;
}

static int teardown(void **state)
{
        struct arena *a = *state;

        arena_free(&a);
        return 0;
}

static const struct match *make(void **state, const struct mapi_literal *lit, size_t n, uint32_t offset,
                                uint32_t depth)
{
        const struct match *m = NULL;

        assert_int_equal(match_new(*state, lit, n, offset, depth, &m, NULL), 0);
        assert_non_null(m);
        return m;
}

/* In a copy that ends with its memory. */
static bool test(const struct match *m, const char *text)
{
        size_t n = strlen(text);
        uint8_t *copy = malloc(n != 0 ? n : 1);
        bool found;

        assert_non_null(copy);
        memcpy(copy, text, n);
        found = match_test(m, copy, (uint32_t)n);
        free(copy);
        return found;
}

static void one_literal(void **state)
{
        const struct mapi_literal lit[] = { LIT("www") };
        const struct match *m = make(state, lit, 1, 0, 0);

        assert_true(test(m, "www"));
        assert_true(test(m, "....www"));
        assert_true(test(m, "www...."));
        assert_false(test(m, "ww"));
        assert_false(test(m, ""));
        assert_false(test(m, "wwWww w"));
}

static void windows(void **state)
{
        const struct mapi_literal lit[] = { LIT("abc") };
        const struct match *from2 = make(state, lit, 1, 2, 0), *depth4 = make(state, lit, 1, 2, 4),
                           *depth2 = make(state, lit, 1, 0, 2), *far = make(state, lit, 1, 0xffffffff, 0xffffffff);

        assert_false(test(from2, ".abc"));
        assert_true(test(from2, "..abc"));
        assert_true(test(from2, "......abc"));
        assert_false(test(from2, "ab"));
        assert_false(test(from2, "a"));
        /* the window is bytes 2 to 5; the pattern lies wholly inside */
        assert_true(test(depth4, "..abc"));
        assert_true(test(depth4, "...abc"));
        assert_false(test(depth4, "....abc"));
        assert_false(test(depth4, ".abc...."));
        assert_false(test(depth2, "abc"));
        assert_false(test(far, "abc"));
}

/* One alternative that cannot fit must not hide the others. */
static void alternatives(void **state)
{
        const struct mapi_literal lit[] = { LIT("a much longer one"), LIT("xy"), LIT("long") };
        const struct mapi_literal same[] = { LIT("cd"), LIT("ef"), LIT("ab") };
        const struct match *m = make(state, lit, COUNT(lit), 0, 4);

        assert_true(test(m, "long"));
        assert_true(test(m, "..xy"));
        assert_true(test(m, "xy"));
        assert_false(test(m, "a much longer one"));
        assert_false(test(m, "...xy"));
        m = make(state, same, COUNT(same), 0, 0);
        assert_true(test(m, "ab"));
        assert_true(test(m, "cd"));
        assert_true(test(m, "ef"));
}

static void bytes_of_all_values(void **state)
{
        uint8_t all[256];
        const struct mapi_literal lit[] = { { .bytes = all, .len = 256 } };
        const struct match *m;

        for (unsigned i = 0; i < 256; i++)
                all[i] = (uint8_t)i;
        m = make(state, lit, 1, 0, 0);
        assert_true(match_test(m, all, 256));
        assert_false(match_test(m, all, 255));
        all[200] = 0; /* the pattern is a copy */
        assert_false(match_test(m, all, 256));
}

static void equality(void **state)
{
        const struct mapi_literal ab[] = { LIT("a"), LIT("bb") }, ba[] = { LIT("bb"), LIT("a"), LIT("a") },
                                  ac[] = { LIT("a"), LIT("bc") }, a[] = { LIT("a") }, abb[] = { LIT("abb") };
        const struct match *m = make(state, ab, 2, 1, 9);

        assert_true(match_equal(m, m));
        assert_true(match_equal(m, make(state, ab, 2, 1, 9)));
        assert_true(match_key(m) == match_key(make(state, ab, 2, 1, 9)));
        assert_true(match_equal(m, make(state, ba, 3, 1, 9))); /* order and repetition mean nothing */
        assert_true(match_key(m) == match_key(make(state, ba, 3, 1, 9)));
        assert_false(match_equal(m, make(state, ab, 2, 0, 9)));
        assert_false(match_equal(m, make(state, ab, 2, 1, 8)));
        assert_false(match_equal(m, make(state, ac, 2, 1, 9)));
        assert_false(match_equal(m, make(state, a, 1, 1, 9)));
        assert_false(match_equal(m, make(state, abb, 1, 1, 9)));
        assert_false(match_key(m) == match_key(make(state, abb, 1, 1, 9)));
}

static void limits(void **state)
{
        static uint8_t big[MATCH_BYTES_MAX + 1];
        static struct mapi_literal many[MATCH_LITERALS_MAX + 1];
        struct mapi_literal two[] = { { .bytes = big, .len = MATCH_BYTES_MAX }, { .bytes = big, .len = 1 } };
        const struct match *m = NULL;
        struct mapi_error err;

        assert_int_equal(match_new(*state, two, 1, 0, 0, &m, &err), 0);
        m = NULL;
        assert_int_equal(match_new(*state, two, 2, 0, 0, &m, &err), -9000);
        assert_int_equal(err.code, 9000);
        two[1].len = SIZE_MAX;
        assert_int_equal(match_new(*state, two, 2, 0, 0, &m, &err), -9000);
        for (size_t i = 0; i <= MATCH_LITERALS_MAX; i++)
                many[i] = (struct mapi_literal){ .bytes = big, .len = 1 };
        assert_int_equal(match_new(*state, many, MATCH_LITERALS_MAX + 1, 0, 0, &m, &err), -9000);
        assert_int_equal(match_new(*state, many, 0, 0, 0, &m, &err), -7000);
        many[1].len = 0;
        assert_int_equal(match_new(*state, many, 2, 0, 0, &m, &err), -7000);
        assert_null(m); /* untouched on failure */
        many[1].len = 1;
        assert_int_equal(match_new(*state, many, MATCH_LITERALS_MAX, 0, 0, &m, &err), 0);
}

static void no_memory(void **state)
{
        struct quota q = { .limit_bytes = 0 };
        const struct mapi_literal lit[] = { LIT("a") };
        static uint8_t big[MATCH_BYTES_MAX];
        const struct mapi_literal large[] = { { .bytes = big, .len = sizeof big } };
        const struct match *m = NULL;
        struct arena *a;

        (void)state;
        q.limit_bytes = 32768; /* room for an arena, but not for this */
        a = arena_new(&q);
        if (a == NULL)
                skip();
        (void)match_new(a, lit, 1, 0, 0, &m, NULL);
        m = NULL;
        assert_int_equal(match_new(a, large, 1, 0, 0, &m, NULL), -3084);
        assert_null(m);
        arena_free(&a);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(one_literal),         cmocka_unit_test(windows),  cmocka_unit_test(alternatives),
                cmocka_unit_test(bytes_of_all_values), cmocka_unit_test(equality), cmocka_unit_test(limits),
                cmocka_unit_test(no_memory),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
