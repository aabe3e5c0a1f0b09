/* THRESHOLD. SPDX-License-Identifier: BSD-2-Clause */
#include "harness.h"

#include <mapi/threshold.h>

extern const struct mapi_function mapi_fn_threshold;

#define SECOND ((uint64_t)1 << 32)

struct values {
        long long type;
        unsigned long long threshold;
        long long boundary, timeout, divider, count;
};

static int start(struct harness *h, const struct values *v)
{
        harness_init(h, &mapi_fn_threshold);
        h->refs = 1;
        h->arg[0].num = v->type;
        h->arg[3].u64 = v->threshold;
        h->arg[4].num = v->boundary;
        h->arg[5].num = v->timeout;
        h->arg[6].num = v->divider;
        h->arg[7].num = v->count;
        return harness_start(h);
}

/* One packet as a step group runs it: the source goes from what it was to `value` with this packet. */
static void packet(struct harness *h, uint64_t ts, uint64_t value)
{
        h->ref[0].before = h->ref[0].raw;
        h->ref[0].raw = value;
        harness_add(h, "", 0, 60, ts);
        assert_int_equal(harness_run(h, 1), 1);
}

static void expect(const struct harness *h, unsigned i, uint64_t ts, uint64_t value)
{
        const struct mapi_threshold_event *r = harness_queued(h, i);

        assert_int_equal(sizeof *r, 16);
        if (r->ts != ts || r->value != value)
                fail_msg("event %u: %llu at %llu, not %llu at %llu", i, r->value, r->ts, (unsigned long long)value,
                         (unsigned long long)ts);
}

/* Each boundary at every packet of the same sequence. */
static void boundaries(void **state)
{
        static const uint64_t values[] = { 10, 12, 22, 22, 9, 19 };
        static const struct {
                long long boundary;
                const char *events; /* at which packets */
        } rows[] = { { TR_B_EQ, "#....." },   { TR_B_POS, ".###.#" },   { TR_B_NEG, "....#." },
                     { TR_B_D_EQ, "..#..#" }, { TR_B_D_POS, "......" }, { TR_B_D_NEG, ".#.##." } };
        struct harness h;

        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                unsigned n = 0;

                assert_int_equal(start(&h, &(struct values){ 2, 10, rows[i].boundary, 0, 0, 0 }), 0);
                assert_int_equal(h.fn.ahead, 0);
                for (unsigned k = 0; k < 6; k++) {
                        packet(&h, 100 + k, values[k]);
                        n += rows[i].events[k] == '#';
                        if (h.queued != n)
                                fail_msg("boundary %lld, packet %u", rows[i].boundary, k);
                        if (rows[i].events[k] == '#')
                                expect(&h, n - 1, 100 + k, values[k]);
                }
                harness_fini(&h);
        }
        assert_int_equal(start(&h, &(struct values){ 2, 9, TR_B_D_POS, 0, 0, 0 }), 0);
        packet(&h, 1, 5);
        packet(&h, 2, 14);
        packet(&h, 3, 24);
        assert_int_equal(h.queued, 1);
        expect(&h, 0, 3, 24);
        assert_int_equal(EQUAL_BOUND | GT_BOUND | LT_BOUND << 8 | EQUAL_D_BOUND << 8 | GT_D_BOUND << 8 |
                                 LT_D_BOUND << 8,
                         0x1e01);
        harness_fini(&h);
}

static void types(void **state)
{
        static const struct {
                long long type;
                uint64_t value;
        } rows[] = { { TYPE_CHAR, 0x22 }, { TYPE_INT, 0xffffff22u }, { TYPE_UNSIGNED_LONG_LONG, 0x7ffffff22u } };
        struct harness h;

        for (size_t i = 0; i < 3; i++) {
                assert_int_equal(start(&h, &(struct values){ rows[i].type, rows[i].value, 0, 0, 0, 0 }), 0);
                packet(&h, 1, 0x7ffffff22u);
                assert_int_equal(h.queued, 1);
                expect(&h, 0, 1, rows[i].value);
                harness_fini(&h);
        }
}

/* After an event nothing for a second; after two events nothing at all, and packets pass. */
static void rest_and_count(void **state)
{
        struct harness h;

        assert_int_equal(start(&h, &(struct values){ 2, 3, TR_B_POS, 1000000, 0, 2 }), 0);
        packet(&h, 10 * SECOND, 3);
        packet(&h, 10 * SECOND + 1, 4);
        packet(&h, 11 * SECOND, 5);
        packet(&h, 9 * SECOND, 5); /* back in time is the same rest */
        assert_int_equal(h.queued, 1);
        packet(&h, 11 * SECOND + 1, 6);
        assert_int_equal(h.queued, 2);
        expect(&h, 0, 10 * SECOND + 1, 4);
        expect(&h, 1, 11 * SECOND + 1, 6);
        packet(&h, 20 * SECOND, 7);
        assert_int_equal(h.queued, 2);
        assert_int_equal(harness_run(&h, 0), 0);
        harness_fini(&h);
}

static void polled(void **state)
{
        struct harness h;

        assert_int_equal(start(&h, &(struct values){ 2 | TR_POLL, 10, TR_B_POS, 500000, 0, 3 }), 0);
        assert_int_equal(h.fn.ahead, 1);
        mapi_fn_threshold.tick(&h.fn, 5 * SECOND);
        packet(&h, 100 * SECOND, 20);
        packet(&h, 100 * SECOND + SECOND / 4, 5);
        packet(&h, 100 * SECOND + SECOND / 2, 30); /* opens the second period: the first ended with 5 */
        assert_int_equal(h.queued, 0);
        packet(&h, 101 * SECOND + 3, 31);
        assert_int_equal(h.queued, 1);
        expect(&h, 0, 101 * SECOND, 30);
        h.ref[0].before = h.ref[0].raw;
        mapi_fn_threshold.tick(&h.fn, 101 * SECOND + SECOND / 2 - 1);
        assert_int_equal(h.queued, 1);
        mapi_fn_threshold.tick(&h.fn, 1000000 * SECOND); /* of a long silence: the first and the newest */
        assert_int_equal(h.queued, 3);
        expect(&h, 1, 101 * SECOND + SECOND / 2, 31);
        expect(&h, 2, 1000000 * SECOND, 31);
        mapi_fn_threshold.tick(&h.fn, 1000001 * SECOND); /* that was the third */
        packet(&h, 1000002 * SECOND, 32);
        assert_int_equal(h.queued, 3);
        harness_fini(&h);
}

/* A window of 3 s, three polls in it: increments 5, 2, 0, 7, then silence. */
static void window(void **state)
{
        struct harness h;

        assert_int_equal(start(&h, &(struct values){ 2 | TR_MW, 6, TR_B_POS, 3000000, 3, 0 }), 0);
        assert_int_equal(h.fn.ahead, 1);
        h.ref[0].raw = 1000; /* what was before does not count */
        packet(&h, 10 * SECOND, 1005);
        packet(&h, 11 * SECOND, 1007); /* 5 */
        packet(&h, 12 * SECOND, 1007); /* 2: 7 in all, but the window is not complete */
        assert_int_equal(h.queued, 0);
        packet(&h, 13 * SECOND, 1014); /* 0: 7 */
        assert_int_equal(h.queued, 1);
        expect(&h, 0, 13 * SECOND, 7);
        packet(&h, 14 * SECOND, 1014); /* 7: 9 */
        expect(&h, 1, 14 * SECOND, 9);
        packet(&h, 15 * SECOND, 1014); /* 7 */
        expect(&h, 2, 15 * SECOND, 7);
        packet(&h, 16 * SECOND, 1015); /* 7 */
        packet(&h, 17 * SECOND, 1015); /* 1 */
        assert_int_equal(h.queued, 4);
        packet(&h, 17 * SECOND + 1, 1115);
        h.ref[0].before = h.ref[0].raw;
        mapi_fn_threshold.tick(&h.fn, 19 * SECOND); /* 0 + 1 + 100, then 1 + 100 + 0 */
        assert_int_equal(h.queued, 6);
        expect(&h, 4, 18 * SECOND, 101);
        expect(&h, 5, 19 * SECOND, 101);
        mapi_fn_threshold.tick(&h.fn, 2000000000 * SECOND);
        assert_int_equal(h.queued, 7); /* at 20: 100; at the newest: 0 */
        expect(&h, 6, 20 * SECOND, 100);
        h.ref[0].before = 50; /* set back by somebody: 50 since then */
        mapi_fn_threshold.tick(&h.fn, 2000000001 * SECOND);
        assert_int_equal(h.queued, 8);
        expect(&h, 7, 2000000001 * SECOND, 50);
        harness_fini(&h);
        assert_int_equal(start(&h, &(struct values){ TYPE_CHAR | TR_MW, 2, TR_B_EQ, 1000000, 1, 0 }), 0);
        h.ref[0].raw = 1000; /* 232 */
        packet(&h, 10 * SECOND, 1002);
        packet(&h, 11 * SECOND, 1002);
        assert_int_equal(h.queued, 1);
        harness_fini(&h);
}

/* A poll period that is no whole number of microseconds does not drift. */
static void thirds(void **state)
{
        struct harness h;

        assert_int_equal(start(&h, &(struct values){ 2 | TR_MW, 0, TR_B_EQ, 1000000, 3, 0 }), 0);
        packet(&h, 0, 0);
        for (uint64_t third = 1; third <= 30; third++)
                packet(&h, (third * SECOND + 2) / 3, 0); /* the first unit that is not before the boundary */
        assert_int_equal(h.queued, 28);
        expect(&h, 27, 10 * SECOND, 0);
        expect(&h, 26, 29 * SECOND / 3, 0);
        harness_fini(&h);
}

static void errors(void **state)
{
        static const struct {
                struct values v;
                int code;
        } rows[] = {
                { { 3, 0, 0, 0, 0, 0 }, 7001 },
                { { 63, 0, 0, 0, 0, 0 }, 7001 },
                { { 2 | 64 | 128, 0, 0, 1000, 1, 0 }, 7001 },
                { { 2 | 256, 0, 0, 0, 0, 0 }, 7001 },
                { { -1, 0, 0, 0, 0, 0 }, 7001 },
                { { 2, 0, 3, 0, 0, 0 }, 7005 },
                { { 2, 0, 32, 0, 0, 0 }, 7005 },
                { { 2, 0, -1, 0, 0, 0 }, 7005 },
                { { 2, 0, 0, -1, 0, 0 }, 7011 },
                { { 2 | 64, 0, 0, 0, 0, 0 }, 7011 },
                { { 2 | 128, 0, 0, -5, 1, 0 }, 7011 },
                { { 2 | 128, 0, 0, 1000, 0, 0 }, 7000 },
                { { 2 | 128, 0, 0, 1000000, 65537, 0 }, 7000 },
                { { 2 | 128, 0, 0, 10, 11, 0 }, 7000 },
                { { 2, 0, 0, 0, 0, -1 }, 7000 },
                { { 2 | 128, 0, 0, INT32_MAX, 65536, INT32_MAX }, 0 },
                { { 2 | 64, 0, 0, 1, -7, 0 }, 0 },
                { { 2, 0, 0, 0, -7, 0 }, 0 },
        };
        struct harness h;

        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                if (start(&h, &rows[i].v) != -rows[i].code)
                        fail_msg("row %zu: %s", i, h.err.text);
                harness_fini(&h);
        }
        harness_init(&h, &mapi_fn_threshold);
        assert_int_equal(harness_start(&h), -7002);
        harness_fini(&h);
        harness_init(&h, &mapi_fn_threshold);
        h.refs = 1;
        h.fail_alloc = 1;
        assert_int_equal(harness_start(&h), -3084);
        harness_fini(&h);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(boundaries),     cmocka_unit_test(types),
                                            cmocka_unit_test(rest_and_count), cmocka_unit_test(polled),
                                            cmocka_unit_test(window),         cmocka_unit_test(thirds),
                                            cmocka_unit_test(errors) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
