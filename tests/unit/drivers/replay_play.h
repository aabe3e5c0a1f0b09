/*
 * The replay driver under a clock of ours, which stands still until a test lets time pass.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef TESTS_UNIT_DRIVERS_REPLAY_PLAY_H
#define TESTS_UNIT_DRIVERS_REPLAY_PLAY_H

#include <dirent.h>

#include "drive.h"

#include "drivers/replay.h"

#define SECOND 1000000000ull
#define MS 1000000ull

#define REFUSED "the file cannot be used: "
#define NOT_OPENED "the capture device cannot be opened: "

/* ---- a clock of ours -------------------------------------------------------------------------------------- */

#define MONO0 (5000 * SECOND)
#define REAL0 (1700000000 * SECOND)

static uint64_t mono, real, armed;
static unsigned mono_reads, real_reads, arms;

static inline uint64_t test_mono(void)
{
        mono_reads++;
        return mono;
}

static inline uint64_t test_real(void)
{
        real_reads++;
        return real;
}

static inline void test_arm(int timer_fd, uint64_t due_ns)
{
        assert_true(fcntl(timer_fd, F_GETFD) & FD_CLOEXEC);
        armed = due_ns;
        arms++;
}

static const struct replay_clock test_clock = { test_mono, test_real, test_arm };

/* Time goes by on both clocks. */
static inline void pass(uint64_t ns)
{
        mono += ns;
        real += ns;
}

static inline uint64_t ts_of(uint64_t real_ns)
{
        return mapi_ts_from_ns(real_ns / SECOND, (uint32_t)(real_ns % SECOND));
}

/* ---- helpers ---------------------------------------------------------------------------------------------- */

static inline unsigned open_descriptors(void)
{
        DIR *dir = opendir("/proc/self/fd");
        unsigned n = 0;

        assert_non_null(dir);
        while (readdir(dir) != NULL)
                n++;
        closedir(dir);
        return n;
}

static struct mapi_device_facts facts;
static struct mapi_batch batch;

static inline void *open_source(const struct mapi_source *src)
{
        struct mapi_error err = { 0 };
        void *state = NULL;

        facts = (struct mapi_device_facts){ .offline = 7, .link_speed = 7 };
        if (mapi_drv_replay.open(src, &facts, &state, &err) != 0)
                fail_msg("%s", err.text);
        assert_int_equal(facts.offline, 0);
        assert_int_equal(facts.link_speed, 0);
        drivers_replay_set_clock(state, &test_clock);
        mono = MONO0;
        real = REAL0;
        armed = arms = mono_reads = real_reads = 0;
        return state;
}

static inline void *open_bytes(const struct build *b, const char *options)
{
        struct mapi_source src = { .name = "replay0", .options = options, .fd = drive_file(b->bytes, b->n) };

        return open_source(&src);
}

static inline int take_some(void *state, unsigned most, size_t max_bytes, size_t *ret_needed)
{
        struct mapi_driver_stats before, after;
        struct mapi_error err;
        int n;

        mapi_drv_replay.stats(state, &before);
        *ret_needed = 99;
        n = mapi_drv_replay.recv(state, &batch, most, max_bytes, ret_needed, &err);
        assert_true(n >= 0 && (unsigned)n <= most);
        mapi_drv_replay.stats(state, &after);
        assert_int_equal(after.received, before.received + (unsigned)n);
        assert_true(after.dropped == 0 && after.if_dropped == 0 && after.down == 0);
        return n;
}

static inline int take(void *state)
{
        size_t needed;
        int n = take_some(state, 64, SIZE_MAX, &needed);

        assert_int_equal(needed, 0);
        return n;
}

/* Exactly one packet is due now, with that time stamp; then nothing until `next_ns` from now (0: for ever). */
static inline void expect_one(void *state, uint64_t real_ns, uint64_t next_ns)
{
        uint64_t next = next_ns == 0 ? 0 : mono + next_ns;

        assert_int_equal(take(state), 1);
        assert_int_equal(batch.pkt[0].ts, ts_of(real_ns));
        assert_int_equal(take(state), 0);
        assert_int_equal(armed, next);
        if (next_ns > 1) {
                pass(next_ns - 1);
                assert_int_equal(take(state), 0);
                pass(1);
        }
}

static inline void expect_refused(const struct mapi_source *src, int code, const char *text)
{
        struct mapi_device_facts untouched = { .snaplen = 77 };
        unsigned before = open_descriptors() - (src->fd >= 0) - src->nmore;
        struct mapi_error err = { 0 };
        void *state = &err;

        assert_int_equal(mapi_drv_replay.open(src, &untouched, &state, &err), -code);
        assert_ptr_equal(state, &err);
        assert_int_equal(untouched.snaplen, 77);
        assert_int_equal(err.code, code);
        assert_string_equal(err.text, text);
        assert_int_equal(open_descriptors(), before);
}

/* A microsecond trace of packets at these times, in microseconds; the i-th has 60 + i bytes. */
static inline void build_times(struct build *b, const uint32_t *us, unsigned n)
{
        build_pcap_head(b, 0xa1b2c3d4, 4, 65535, 1);
        for (unsigned i = 0; i < n; i++)
                build_pcap_record(b, 1000 + us[i] / 1000000, us[i] % 1000000, 60 + i, 100, (uint8_t)i);
}

#endif
