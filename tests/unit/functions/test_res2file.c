/* RES2FILE. SPDX-License-Identifier: BSD-2-Clause */
#include "harness.h"

#include <mapi/res2file.h>
#include <mapi/stats.h>

#include <errno.h>
#include <locale.h>
#include <stdio.h>

extern const struct mapi_function mapi_fn_res2file, mapi_fn_pkt_counter, mapi_fn_pktinfo, mapi_fn_stats,
        mapi_fn_bucket;

#define SECOND ((uint64_t)1 << 32)

static void init(struct harness *h, const char *formats, const char *interval, long long reset)
{
        harness_init(h, &mapi_fn_res2file);
        h->refs = 1;
        for (const char *c = formats; c != NULL && *c != '\0'; c++)
                h->refs += *c == ',';
        for (unsigned i = 0; i < HARNESS_REFS; i++)
                h->ref[i].def = i == 0 ? &mapi_fn_pkt_counter : &mapi_fn_pktinfo;
        for (unsigned i = 1; i < HARNESS_REFS; i++)
                h->ref[i].fixed = true;
        h->arg[0].str = formats;
        h->arg[1].str = "...";
        h->arg[2].str = "TEST";
        h->arg[3].str = "x.res";
        h->arg[3].fd = 100;
        h->arg[4].str = interval;
        h->arg[5].num = reset;
}

static void start(struct harness *h, const char *formats, const char *interval, long long reset)
{
        init(h, formats, interval, reset);
        assert_int_equal(harness_start(h), 0);
        assert_int_equal(h->sink_arg, 3);
        assert_int_equal(harness_i32(h), 1);
}

/* One packet as a step group runs it. Returns whether it found room. */
static bool packet(struct harness *h, uint64_t ts, uint64_t count, uint64_t size)
{
        for (unsigned i = 0; i < HARNESS_REFS; i++)
                h->ref[i].before = h->ref[i].raw;
        h->ref[0].raw = count;
        h->ref[1].raw = size;
        h->ref[2].raw = ts;
        harness_add(h, "", 0, 60, ts);
        return harness_run(h, 1) == 1;
}

static void expect(const struct harness *h, const char *text)
{
        if (h->sink_used != strlen(text) || memcmp(h->sink, text, h->sink_used) != 0)
                fail_msg("the file is\n%.*s\nnot\n%s", (int)h->sink_used, (const char *)h->sink, text);
}

static void every_packet(void **state)
{
        struct harness h;

        start(&h, "1,1,2", "0", 0);
        assert_int_equal(h.fn.ahead, 0);
        expect(&h, "TEST\n");
        assert_true(packet(&h, mapi_ts_from_us(1089376567, 456945), 1, 60));
        assert_true(packet(&h, SECOND / 2, 18446744073709551615u, 0));
        assert_int_equal(harness_run(&h, 0), 0);
        assert_int_equal(mapi_fn_res2file.finish(&h.fn, MAPI_FINISH_END), 0);
        expect(&h, "TEST\n1 60 1089376567.456944999984 \n18446744073709551615 0 0.500000000000 \n");
        harness_fini(&h);
        start(&h, "1", "0", 1);
        (void)packet(&h, 1, 100, 0);
        (void)packet(&h, 2, 130, 0);
        expect(&h, "TEST\n100 \n30 \n");
        harness_fini(&h);
}

/* As printf() rounds: 12 decimals of values around a whole number. */
static void seconds(void **state)
{
        static const uint64_t values[] = { 0,          1,          1 << 19,    3 << 19,
                                           UINT32_MAX, UINT64_MAX, SECOND + 3, 123456789012345678u };
        struct harness h;

        for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
                char want[64];

                (void)snprintf(want, sizeof want, "TEST\n%.12Lf \n", (long double)values[i] / 4294967296.0L);
                start(&h, "2", "0", 0);
                (void)packet(&h, 1, values[i], 0);
                expect(&h, want);
                harness_fini(&h);
        }
}

static void periodic(void **state)
{
        struct harness h;

        for (int reset = 0; reset < 2; reset++) {
                start(&h, "1,1,2", "5s", reset);
                assert_int_equal(h.fn.ahead, 1);
                (void)packet(&h, 100 * SECOND, 1, 60);
                (void)packet(&h, 104 * SECOND, 2, 61);
                (void)packet(&h, 105 * SECOND, 3, 62); /* opens the second interval */
                (void)packet(&h, 90 * SECOND, 4, 63);
                (void)packet(&h, 121 * SECOND, 5, 64);
                assert_int_equal(mapi_fn_res2file.finish(&h.fn, MAPI_FINISH_END), 0);
                expect(&h, reset ? "TEST\n2 61 104.000000000000 \n2 63 90.000000000000 \n0 0 0 \n0 0 0 \n"
                                 : "TEST\n2 61 104.000000000000 \n4 63 90.000000000000 \n4 63 90.000000000000 \n"
                                   "4 63 90.000000000000 \n");
                assert_int_equal(h.ref[0].resets, reset ? 2 : 0);
                assert_int_equal(h.ref[2].resets, reset ? 2 : 0);
                harness_fini(&h);
        }
}

static void ticks(void **state)
{
        struct harness h;

        start(&h, "1", "100ms", 1);
        mapi_fn_res2file.tick(&h.fn, 99 * SECOND);
        (void)packet(&h, 100 * SECOND, 4, 60);
        h.ref[0].before = h.ref[0].raw;
        mapi_fn_res2file.tick(&h.fn, 100 * SECOND + SECOND / 10 - 1);
        expect(&h, "TEST\n");
        mapi_fn_res2file.tick(&h.fn, 100 * SECOND + SECOND / 4);
        expect(&h, "TEST\n4 \n0 \n");
        harness_fini(&h);
}

static void at_the_end(void **state)
{
        struct harness h;

        for (int why = MAPI_FINISH_END; why <= MAPI_FINISH_CLOSE; why++) {
                start(&h, "1,1", "-1", 1);
                (void)packet(&h, 100 * SECOND, 4, 60);
                (void)packet(&h, 200 * SECOND, 5, 61);
                mapi_fn_res2file.tick(&h.fn, 300 * SECOND);
                expect(&h, "TEST\n");
                assert_int_equal(mapi_fn_res2file.finish(&h.fn, (enum mapi_finish)why), 0);
                assert_int_equal(mapi_fn_res2file.finish(&h.fn, MAPI_FINISH_CLOSE), 0);
                expect(&h, "TEST\n5 61 \n");
                harness_fini(&h);
        }
}

static void records(void **state)
{
        const stats_t r = { .count = 893, .sum = 283464, .sum2 = 309175572, .max = 1514, .min = 42 };
        unsigned long size = sizeof r;
        uint64_t value = 7;
        uint8_t want[5 + 8 + sizeof r + 8 + 8 + 3];
        const stats_t large = { .count = UINT64_MAX, .sum = -0x1p16383L, .max = 0x1p1023, .min = -0x1p1023 };
        struct harness h;

        for (int raw = 0; raw < 2; raw++) {
                init(&h, raw ? "0,0,1" : "3,1,1", "0", 0);
                h.ref[0].def = &mapi_fn_stats;
                h.ref[0].record = &r;
                h.ref[0].record_size = sizeof r;
                assert_int_equal(harness_start(&h), 0);
                (void)packet(&h, 1, 0, 7);
                if (!raw)
                        expect(&h, "TEST\n893  283464.000000 309175572.000000 42.000000 1514.000000 7 1 \n");
                memcpy(want, "TEST\n", 5);
                memcpy(want + 5, &size, 8);
                memcpy(want + 13, &r, sizeof r);
                memcpy(want + 13 + sizeof r, &(unsigned long){ 8 }, 8);
                memcpy(want + 21 + sizeof r, &value, 8);
                memcpy(want + 29 + sizeof r, "1 \n", 3);
                if (raw) {
                        assert_int_equal(h.sink_used, sizeof want);
                        assert_memory_equal(h.sink, want, sizeof want);
                }
                harness_fini(&h);
        }
        init(&h, "3,3", "0", 0); /* more digits than a line has room for: cut, nothing else happens */
        for (unsigned i = 0; i < 2; i++) {
                h.ref[i].def = &mapi_fn_stats;
                h.ref[i].record = &large;
                h.ref[i].record_size = sizeof large;
        }
        assert_int_equal(harness_start(&h), 0);
        (void)packet(&h, 1, 0, 7);
        assert_int_equal(h.sink_used, 5 + 512 + 512 + 1);
        assert_int_equal(h.sink[5 + 1024], '\n');
        harness_fini(&h);
}

/* Raw results in an empty interval stay readable: their length, and zeros. */
static void raw_and_empty(void **state)
{
        static const uint8_t zero[17 + 3] = { 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, '0', ' ', '\n' };
        struct harness h;

        start(&h, "0,1", "1s", 1);
        (void)packet(&h, 10 * SECOND, 4, 60);
        (void)packet(&h, 12 * SECOND, 5, 61);
        assert_int_equal(h.sink_used, 5 + 16 + 4 + 19);
        assert_int_equal(h.sink[5 + 8], 4);
        assert_memory_equal(h.sink + 5 + 20, zero, 19);
        harness_fini(&h);
}

/* 10000 empty lines at most, no more at once than a packet has room for, the rest with those that follow. */
static void long_gap(void **state)
{
        struct harness h;
        size_t after;

        start(&h, "1,1,1", "1us", 1);
        (void)packet(&h, 1000 * SECOND, 4, 60);
        assert_true(packet(&h, 2000000000 * SECOND, 5, 61));
        assert_true(h.sink_used <= 5 + 65536 && h.sink_used > 60000);
        assert_memory_equal(h.sink + 5, "4 60 4294967296000 \n0 0 0 \n", 27);
        after = h.sink_used;
        assert_true(packet(&h, 2000000000 * SECOND, 6, 62));
        assert_true(h.sink_used > after);
        assert_int_equal(h.sink_used, 5 + 20 + 10000 * 7);
        assert_memory_equal(h.sink + h.sink_used - 8, "\n0 0 0 \n", 8);
        assert_true(packet(&h, 2000000000 * SECOND, 6, 62));
        assert_int_equal(h.sink_used, 5 + 20 + 10000 * 7);
        harness_fini(&h);
        start(&h, "1,1,1", "1us", 1); /* the next line comes behind all of them */
        (void)packet(&h, 1000 * SECOND, 4, 60);
        assert_true(packet(&h, 2000000000 * SECOND, 5, 61));
        assert_true(packet(&h, 2000000000 * SECOND + 5000, 6, 62));
        assert_int_equal(h.sink_used, 5 + 20 + 10000 * 7 + 26);
        assert_memory_equal(h.sink + h.sink_used - 33, "0 0 0 \n1 61 8589934592000000000 \n", 33);
        harness_fini(&h);
        start(&h, "1,1,1", "1us", 0); /* the same, and the end comes before the next packet */
        (void)packet(&h, 1000 * SECOND, 4, 60);
        assert_true(packet(&h, 2000000000 * SECOND, 5, 61));
        h.sink_used = 0;
        for (int calls = 0; mapi_fn_res2file.finish(&h.fn, MAPI_FINISH_END) != 0; calls++) {
                assert_true(h.sink_used <= 65536 && calls < 4);
                h.sink_used = 0;
        }
        assert_memory_equal(h.sink, "4 60 4294967296000 \n4 60 ", 25);
        harness_fini(&h);
}

/* A full queue on a live device is a drop of this packet; owed lines do not come later out of turn. */
static void full_queue(void **state)
{
        struct harness h;

        start(&h, "1", "1s", 1);
        h.sink_room = 5 + 3;
        assert_true(packet(&h, 10 * SECOND, 4, 60));
        assert_false(packet(&h, 12 * SECOND, 5, 60));
        expect(&h, "TEST\n4 \n");
        assert_true(packet(&h, 12 * SECOND + 1, 6, 60));
        h.sink_room = 4096;
        assert_true(packet(&h, 13 * SECOND, 7, 60));
        expect(&h, "TEST\n4 \n2 \n");
        harness_fini(&h);
        start(&h, "1", "0", 0);
        h.sink_room = 5 + 2;
        assert_false(packet(&h, 10 * SECOND, 4, 60));
        harness_fini(&h);
        init(&h, "1", "0", 0);
        h.sink_room = 4; /* not even the header */
        assert_int_equal(harness_start(&h), -6155);
        harness_fini(&h);
}

static void write_error(void **state)
{
        struct harness h;

        start(&h, "1", "0", 0);
        mapi_fn_res2file.drained(&h.fn, 0, ENOSPC);
        assert_int_equal(harness_i32(&h), -28);
        mapi_fn_res2file.drained(&h.fn, 5, 0); /* room again */
        assert_int_equal(harness_i32(&h), 1);
        harness_fini(&h);
}

/* Programs may have decimal commas: not so the file. */
static void decimal_comma(void **state)
{
        static const char *const names[] = { "de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "nl_NL.UTF-8" };
        const stats_t r = { .count = 1, .sum = 0.5L, .sum2 = 0.25L, .max = 0.5, .min = 0.5 };
        const char *found = NULL;
        struct harness h;

        for (size_t i = 0; i < sizeof names / sizeof names[0] && found == NULL; i++)
                found = setlocale(LC_ALL, names[i]);
        init(&h, "3", "0", 0);
        h.ref[0].def = &mapi_fn_stats;
        h.ref[0].record = &r;
        h.ref[0].record_size = sizeof r;
        assert_int_equal(harness_start(&h), 0);
        (void)packet(&h, 1, 0, 0);
        expect(&h, "TEST\n1  0.500000 0.250000 0.500000 0.500000 \n");
        harness_fini(&h);
        (void)setlocale(LC_ALL, "C");
}

static void errors(void **state)
{
        static const struct {
                const char *formats;
                unsigned refs;
                const char *interval;
                int code;
        } rows[] = {
                { NULL, 1, "0", 7001 },  { "", 1, "0", 7001 },     { "1", 2, "0", 7001 },
                { "1,1", 1, "0", 7001 }, { "4", 1, "0", 7002 },    { "-1", 1, "0", 7002 },
                { "1x", 1, "0", 7002 },  { "1,", 2, "0", 7002 },   { ",1", 2, "0", 7002 },
                { "10", 1, "0", 7002 },  { "1, 1", 2, "0", 7002 }, { "3", 1, "0", 7002 },
                { "PKT", 1, "0", 7002 }, { "1", 0, "0", 7002 },    { "1", 1, NULL, 7005 },
                { "1", 1, "", 7005 },    { "1", 1, "0s", 7005 },   { "1", 1, "-25s", 7005 },
                { "1", 1, "5 s", 7005 }, { "1,2,0", 3, "+5s", 0 },
        };
        struct harness h;

        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                init(&h, rows[i].formats, rows[i].interval, 0);
                h.refs = rows[i].refs;
                if (harness_start(&h) != -rows[i].code)
                        fail_msg("row %zu: %s", i, h.err.text);
                harness_fini(&h);
        }
        for (char format = '0'; format <= '3'; format++) { /* a record is no number, a queue is neither */
                char text[2] = { format, '\0' };
                const stats_t r = { .count = 1 };

                for (int queue = 0; queue < 2; queue++) {
                        init(&h, text, "0", 0);
                        h.ref[0].def = queue ? &mapi_fn_bucket : &mapi_fn_stats;
                        h.ref[0].record = &r;
                        h.ref[0].record_size = sizeof r;
                        assert_int_equal(harness_start(&h),
                                         !queue && (format == '0' || format == '3') ? 0 : -7002);
                        harness_fini(&h);
                }
        }
        init(&h, "0", "0", 0); /* too long for a line */
        h.ref[0].record = &h;
        h.ref[0].record_size = 16377;
        assert_int_equal(harness_start(&h), -7002);
        harness_fini(&h);
        init(&h, "9", "x", 0); /* the file comes first */
        h.arg[3].fd = -1;
        assert_int_equal(harness_start(&h), -6155);
        harness_fini(&h);
        init(&h, "1", "0", 0);
        h.arg[2].str = NULL;
        assert_int_equal(harness_start(&h), -7003);
        harness_fini(&h);
        init(&h, "1", "0", 0);
        h.fail_alloc = 1;
        assert_int_equal(harness_start(&h), -3084);
        harness_fini(&h);
        assert_int_equal(mapi_fn_res2file.args[5].min, 0); /* whoever applies it checks the range: 7011 */
        assert_int_equal(mapi_fn_res2file.args[5].max, 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_packet),  cmocka_unit_test(seconds),       cmocka_unit_test(periodic),
                cmocka_unit_test(ticks),         cmocka_unit_test(at_the_end),    cmocka_unit_test(records),
                cmocka_unit_test(raw_and_empty), cmocka_unit_test(long_gap),      cmocka_unit_test(full_queue),
                cmocka_unit_test(write_error),   cmocka_unit_test(decimal_comma), cmocka_unit_test(errors),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
