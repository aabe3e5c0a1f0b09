/*
 * The replay driver and time: exact due times and time stamps under a clock of ours, which is also set by others.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include <poll.h>
#include <time.h>

#include "replay_play.h"

/* ---- own speed -------------------------------------------------------------------------------------------- */

static void own_speed(void **state)
{
        static const uint32_t us[] = { 0, 250000, 250001, 90250001 };
        static const struct {
                const char *options;
                uint64_t times, divided_by;
        } speeds[] = { { "trace=x", 1, 1 },
                       { "trace=x;speed=1", 1, 1 },
                       { "speed=10;trace=x", 1, 10 },
                       { "speed=0.5,trace=x", 2, 1 },
                       { "speed=.001;loops=0;trace=x", 1000, 1 } };
        struct build b = { 0 };

        build_times(&b, us, 4);
        for (size_t i = 0; i < sizeof(speeds) / sizeof(speeds[0]); i++) {
                void *st = open_bytes(&b, speeds[i].options);
                uint64_t scale = speeds[i].times * 1000;
#define NS(us_) ((us_)*scale / speeds[i].divided_by)

                for (uint64_t round = 0, at = 0; round < 3; round++) {
                        uint64_t gap = NS(90250001ull) / 3;

                        expect_one(st, REAL0 + at, NS(250000));
                        expect_one(st, REAL0 + at + NS(250000), NS(250001) - NS(250000));
                        /* More than a minute of silence is kept. */
                        expect_one(st, REAL0 + at + NS(250001), NS(90250001ull) - NS(250001));
                        at += NS(90250001ull);
                        expect_one(st, REAL0 + at, gap); /* the mean distance lies between two rounds */
                        at += gap;
                }
                mapi_drv_replay.close(st);
        }
        build_free(&b);
}

/* Who comes late gets everything that was due meanwhile, with the times when it was due. */
static void catching_up(void **state)
{
        static const uint32_t us[] = { 0, 100000, 200000, 300000, 400000, 500000, 3000000, 3100000 };
        struct build b = { 0 };
        size_t needed;
        void *st;

        build_times(&b, us, 8);
        st = open_bytes(&b, "trace=x");
        expect_one(st, REAL0, 100 * MS);
        pass(350 * MS); /* 450 ms */
        assert_int_equal(take_some(st, 2, SIZE_MAX, &needed), 2);
        for (unsigned i = 0; i < 2; i++)
                assert_int_equal(batch.pkt[i].ts, ts_of(REAL0 + (1 + i) * 100 * MS));
        assert_int_equal(take_some(st, 64, 62, &needed), 0);
        assert_int_equal(needed, 63);
        assert_int_equal(take_some(st, 64, 63, &needed), 1);
        assert_int_equal(batch.pkt[0].caplen, 63);
        assert_int_equal(take_some(st, 0, 63, &needed), 0);
        assert_int_equal(needed, 0);
        assert_int_equal(take_some(st, 64, 64 + 64, &needed), 1); /* the other one is not due */
        assert_int_equal(batch.pkt[0].ts, ts_of(REAL0 + 400 * MS));
        pass(1050 * MS); /* 1500 ms: the packet of 500 is late by one second exactly */
        assert_int_equal(take(st), 1);
        assert_int_equal(batch.pkt[0].ts, ts_of(REAL0 + 500 * MS));
        assert_int_equal(take(st), 0);
        assert_int_equal(armed, MONO0 + 3000 * MS);
        pass(2500 * MS + 1); /* 4000 ms: and a nanosecond more moves the rest */
        assert_int_equal(take(st), 1);
        assert_int_equal(batch.pkt[0].ts, ts_of(REAL0 + 4000 * MS + 1));
        assert_int_equal(take(st), 0);
        assert_int_equal(armed, MONO0 + 4100 * MS + 1);
        pass(100 * MS);
        expect_one(st, REAL0 + 4100 * MS + 1, 3100 * MS / 7); /* the distances of the trace, not of the lag */
        mapi_drv_replay.close(st);
        build_free(&b);
}

/* Time stamps that go back, and rounds that have no distance at all. */
static void strange_times(void **state)
{
        static const uint32_t back[] = { 500000, 900000, 100000, 0, 700000, 1000000 }, same[] = { 5, 5, 5 },
                              jump[] = { 0, 6000000, 0, 6500000 };
        struct build b = { 0 };
        size_t needed;
        void *st;

        build_times(&b, back, 6);
        st = open_bytes(&b, "trace=x;loops=2");
        for (unsigned round = 0; round < 2; round++) {
                uint64_t at = real;

                expect_one(st, at, 400 * MS);
                assert_int_equal(take(st), 4);
                for (unsigned i = 0; i < 4; i++)
                        assert_int_equal(batch.pkt[i].ts, ts_of(at + 400 * MS));
                assert_int_equal(batch.pkt[3].caplen, 64);
                assert_int_equal(take(st), 0);
                pass(100 * MS);
                expect_one(st, at + 500 * MS, round == 0 ? 100 * MS : 0);
        }
        for (unsigned i = 0; i < 5; i++) { /* a live device does not end */
                pass(SECOND);
                assert_int_equal(take(st), 0);
                assert_int_equal(armed, 0);
        }
        mapi_drv_replay.close(st);
        build_free(&b);

        build_times(&b, same, 3);
        st = open_bytes(&b, "trace=x;speed=4");
        for (unsigned round = 0; round < 3; round++) {
                assert_int_equal(take(st), 3);
                assert_int_equal(batch.pkt[2].ts, ts_of(REAL0 + round * 250 * MS));
                assert_int_equal(take(st), 0);
                assert_int_equal(armed, mono + 250 * MS);
                pass(250 * MS);
        }
        mapi_drv_replay.close(st);
        build_free(&b);

        build_times(&b, same, 1);
        st = open_bytes(&b, "trace=x");
        expect_one(st, REAL0, SECOND);
        expect_one(st, REAL0 + SECOND, SECOND);
        mapi_drv_replay.close(st);
        build_free(&b);

        build_times(&b, jump, 4); /* back by more than a second is not late by more than a second */
        st = open_bytes(&b, "trace=x");
        expect_one(st, REAL0, 6 * SECOND);
        for (unsigned i = 0; i < 2; i++) {
                assert_int_equal(take_some(st, 1, SIZE_MAX, &needed), 1);
                assert_int_equal(batch.pkt[0].ts, ts_of(REAL0 + 6 * SECOND));
        }
        assert_int_equal(take(st), 0);
        assert_int_equal(armed, MONO0 + 6500 * MS);
        mapi_drv_replay.close(st);
        build_free(&b);

        /* From 1970 to the end of all time at the least speed: a sum that must not overflow. */
        build_ng_section(&b);
        build_ng_interface(&b, 1, 0, 9, 0);
        build_ng_packet(&b, 0, 0, 60, 60, 1);
        build_ng_packet(&b, 0, UINT64_MAX, 60, 60, 1);
        st = open_bytes(&b, "trace=x;speed=0.001");
        assert_int_equal(take(st), 1);
        assert_int_equal(take(st), 0);
        assert_int_equal(armed, MONO0 + ((uint64_t)1 << 61));
        mono = armed;
        assert_int_equal(take(st), 1);
        assert_int_equal(take(st), 0);
        assert_int_equal(armed, MONO0 + ((uint64_t)1 << 62));
        mapi_drv_replay.close(st);
        build_free(&b);
}

/* ---- rate and max ----------------------------------------------------------------------------------------- */

static void rate(void **state)
{
        struct build b = { 0 };
        size_t needed;
        void *st;

        build_pcap(&b, 5);
        st = open_bytes(&b, "trace=x;rate=3");
        /* The k-th is due after k / 3 seconds, rounded down, also over the ends of rounds. */
        for (uint64_t k = 0; k < 20; k++)
                expect_one(st, REAL0 + k * SECOND / 3, (k + 1) * SECOND / 3 - k * SECOND / 3);
        pass(SECOND - 1); /* 21, 22 and (nearly) 23 */
        assert_int_equal(take(st), 3);
        for (unsigned i = 0; i < 3; i++) {
                assert_int_equal(batch.pkt[i].ts, ts_of(real));
                assert_int_equal(batch.pkt[i].caplen, 60 + i);
        }
        assert_int_equal(take(st), 0);
        assert_int_equal(armed, MONO0 + 23 * SECOND / 3);
        mono = MONO0 + 23 * SECOND / 3 + SECOND + 1; /* later than a second: from now on anew */
        expect_one(st, real, SECOND / 3);
        mapi_drv_replay.close(st);

        st = open_bytes(&b, "trace=x,rate=1000,loops=400"); /* a path with commas in it */
        mapi_drv_replay.close(st);
        st = open_bytes(&b, "rate=1000,loops=400,trace=x");
        assert_int_equal(take(st), 1);
        pass(SECOND + MS); /* the next one is late by a second exactly */
        for (unsigned left = 1001; left > 0;) {
                unsigned most = left % 3 + 1;
                int n = take_some(st, most, SIZE_MAX, &needed);

                assert_true(n > 0 && (unsigned)n <= left);
                left -= (unsigned)n;
        }
        assert_int_equal(take(st), 0);
        assert_int_equal(armed, MONO0 + SECOND + 2 * MS);
        for (unsigned left = 998; left > 0;) {
                int n;

                pass(MS);
                n = take(st);
                assert_int_equal(n, 1);
                left--;
        }
        assert_int_equal(take(st), 0);
        assert_int_equal(armed, mono + MS);
        pass(MS);
        assert_int_equal(take(st), 0);
        assert_int_equal(armed, 0); /* all rounds are over */
        mapi_drv_replay.close(st);

        st = open_bytes(&b, "rate=1000000000;trace=x");
        assert_int_equal(take(st), 1);
        pass(1);
        assert_int_equal(take(st), 1);
        pass(3);
        assert_int_equal(take(st), 3);
        assert_int_equal(take(st), 0);
        pass(1);
        assert_int_equal(take_some(st, 64, 59, &needed), 0);
        assert_int_equal(needed, 60);
        assert_int_equal(take(st), 1);
        mapi_drv_replay.close(st);
        build_free(&b);
}

static void as_fast_as_possible(void **state)
{
        static const char *const options[] = { "trace=x;speed=max;loops=3", "rate=max,loops=3,trace=x" };
        struct build b = { 0 };
        size_t needed;

        build_pcap(&b, 100);
        for (unsigned i = 0; i < 2; i++) {
                void *st = open_bytes(&b, options[i]);
                unsigned n, batches = 0;

                assert_int_equal(facts.linktype, 1);
                assert_int_equal(facts.snaplen, 65535);
                for (n = 0; n < 300; batches++) {
                        int got = take(st);

                        assert_int_equal(got, n % 100 == 0 ? 64 : 36);
                        for (int k = 0; k < got; k++) {
                                assert_int_equal(batch.pkt[k].ts, ts_of(real));
                                assert_int_equal(batch.pkt[k].caplen, 60 + n % 100 + (unsigned)k);
                                assert_int_equal(batch.pkt[k].data[0], n % 100 + (unsigned)k);
                        }
                        n += (unsigned)got;
                        pass(17);
                }
                assert_int_equal(real_reads, batches); /* one for each */
                assert_int_equal(mono_reads + arms, 0);
                assert_int_equal(take(st), 0);
                assert_int_equal(take_some(st, 64, 0, &needed), 0);
                assert_int_equal(needed, 0);
                mapi_drv_replay.close(st);
        }
        build_free(&b);
}

/* Somebody sets the clock: time stamps follow it forwards, stand still until it has caught up, never go back. */
static void set_clock(void **state)
{
        static const char *const options[] = { "trace=x", "trace=x;rate=1", "trace=x;rate=max" };
        struct build b = { 0 };
        void *late;

        build_pcap_head(&b, 0xa1b2c3d4, 4, 0, 1);
        for (unsigned i = 0; i < 20; i++)
                build_pcap_record(&b, i, 0, 0, 60, 0);
        for (unsigned i = 0; i < 3; i++) {
                void *st = open_bytes(&b, options[i]);
                size_t needed;

                for (unsigned k = 0; k < 100; k++) {
                        static const int64_t step[100] = {
                                [5] = 3600, [10] = -7200,     [14] = 7, [20] = 86400, [30] = -1700000000 - 86400,
                                [40] = 1,   [50] = 1800000000
                        };
                        static uint64_t high, set;

                        if (k == 0)
                                high = set = 0;
                        real += (uint64_t)step[k] * SECOND; /* goes back in the same arithmetic */
                        if (real > REAL0 * 2)
                                real = 0;
                        assert_int_equal(take_some(st, 1, SIZE_MAX, &needed), 1);
                        if (real > high)
                                high = real;
                        assert_int_equal(batch.pkt[0].ts, ts_of(high));
                        set += batch.pkt[0].ts == ts_of(real);
                        if (k == 99)
                                assert_true(set > 50);
                        pass(SECOND);
                }
                mapi_drv_replay.close(st);
        }
        /* Set to 1970, when a packet was due before that. */
        late = open_bytes(&b, "trace=x");
        real = 100 * SECOND;
        expect_one(late, 100 * SECOND, SECOND);
        pass(500 * MS);
        real = 0;
        expect_one(late, 100 * SECOND, 500 * MS);
        real = REAL0;
        expect_one(late, REAL0, SECOND);
        mapi_drv_replay.close(late);

        /* A clock that drifts: below a millisecond the distances stay exact, beyond it the clock is right. */
        for (int way = -1; way <= 1; way += 2) {
                void *st = open_bytes(&b, "trace=x");

                expect_one(st, REAL0, SECOND);
                real += (uint64_t)(way * (int64_t)MS);
                expect_one(st, REAL0 + SECOND, SECOND);
                real += (uint64_t)way;
                expect_one(st, real, SECOND);
                expect_one(st, real, SECOND);
                mapi_drv_replay.close(st);
        }
        build_free(&b);
}

/* The real clock and the real timer. */
static void real_time(void **state)
{
        struct mapi_source src = { .name = "x", .options = "trace=x;rate=500" };
        struct mapi_error err;
        struct build b = { 0 };
        time_t before = time(NULL);
        struct pollfd p = { .events = POLLIN };
        size_t needed;
        uint64_t ts = 0;
        void *st;
        int n;

        build_pcap(&b, 3);
        src.fd = drive_file(b.bytes, b.n);
        assert_int_equal(mapi_drv_replay.open(&src, &facts, &st, &err), 0);
        p.fd = mapi_drv_replay.fd(st);
        assert_int_equal(poll(&p, 1, 0), 0);
        do {
                n = mapi_drv_replay.recv(st, &batch, 64, SIZE_MAX, &needed, &err);
                ts = n > 0 ? batch.pkt[n - 1].ts : ts;
        } while (n > 0);
        assert_int_equal(n, 0);
        assert_int_equal(poll(&p, 1, 60000), 1);
        n = mapi_drv_replay.recv(st, &batch, 64, SIZE_MAX, &needed, &err);
        assert_true(n > 0 && batch.pkt[0].ts >= ts);
        assert_true((time_t)(ts >> 32) >= before && (time_t)(ts >> 32) <= time(NULL) + 1);
        mapi_drv_replay.close(st);
        mapi_drv_replay.close(NULL);
        build_free(&b);
}
int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(own_speed),           cmocka_unit_test(catching_up),
                cmocka_unit_test(strange_times),       cmocka_unit_test(rate),
                cmocka_unit_test(as_fast_as_possible), cmocka_unit_test(set_clock),
                cmocka_unit_test(real_time),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
