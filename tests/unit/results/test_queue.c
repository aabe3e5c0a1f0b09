/* Queues of records: in order, whole, and what is lost is counted. SPDX-License-Identifier: BSD-2-Clause */
#include "results/reader.h"
#include "results/ring.h"
#include "results/ring_reader.h"
#include "results/segment.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

/* A record that shows if it is torn; 20 bytes, so that it is padded. */
struct record {
        uint32_t number[5];
};

struct fixture {
        struct quota quota;
        struct segments *segments;
        struct segment_place place;
        struct results_map map;
        struct ring ring;
        struct ring_reader reader;
};

static void fixture_init(struct fixture *x, uint32_t records, bool overwrites)
{
        struct ring_queue what = { .record = sizeof(struct record), .records = records, .overwrites = overwrites };
        struct results_ref ref;

        *x = (struct fixture){ .quota.limit_bytes = 64u << 20 };
        x->segments = segments_new(NULL);
        assert_int_equal(segments_alloc(x->segments, RESULTS_RING, 1, 1, sizeof(struct results_ring), 1,
                                        MAPI_COMBINE_SERIAL, &x->place, NULL),
                         0);
        assert_int_equal(ring_init_queue(&x->ring, &what, x->place.mem, &x->quota, NULL), 0);
        x->map.mem = mmap(NULL, 256 * 1024, PROT_READ, MAP_SHARED, segments_fd(x->segments, 0, &x->map.size), 0);
        assert_true(x->map.mem != MAP_FAILED);
        assert_int_equal(results_find(&x->map, x->place.entry, 1, 1, &ref), 0);
        x->reader.shared = (const struct results_ring *)ref.slot;
        assert_int_equal(ring_reader_map(&x->reader, x->ring.fd, x->ring.size, 0), 0);
}

static void fixture_fini(struct fixture *x)
{
        ring_reader_unmap(&x->reader);
        ring_fini(&x->ring);
        assert_int_equal(x->quota.used_bytes, 0);
        munmap((void *)(uintptr_t)x->map.mem, x->map.size);
        segments_free(&x->segments);
}

static bool put(struct fixture *x, uint32_t number)
{
        struct record r = { { number, number, number, number, number } };

        return ring_put_record(&x->ring, &r);
}

static void expect(struct fixture *x, uint32_t number, uint64_t lost)
{
        struct record r = { { 0 } };
        uint64_t n = 4711;

        assert_int_equal(ring_reader_take(&x->reader, &r, sizeof r, &n), RING_PACKET);
        assert_int_equal(r.number[0], number);
        assert_int_equal(r.number[4], number);
        assert_int_equal(n, lost);
}

static void expect_none(struct fixture *x, enum ring_state state, uint64_t lost)
{
        uint64_t n = 4711;
        struct record r;

        assert_int_equal(ring_reader_take(&x->reader, &r, sizeof r, &n), state);
        assert_int_equal(n, lost);
}

static void in_order(void **state)
{
        struct fixture x;

        (void)state;
        fixture_init(&x, 10, true);
        expect_none(&x, RING_EMPTY, 0);
        for (uint32_t i = 0; i < 5; i++)
                assert_true(put(&x, i));
        expect_none(&x, RING_EMPTY, 0); /* nobody has shown them */
        ring_publish(&x.ring, true);
        for (uint32_t i = 0; i < 5; i++)
                expect(&x, i, 0);
        expect_none(&x, RING_EMPTY, 0);
        assert_true(put(&x, 5));
        ring_finish(&x.ring);
        expect(&x, 5, 0); /* the end comes behind the last record */
        expect_none(&x, RING_FINISHED, 0);
        fixture_fini(&x);
}

static void oldest_is_overwritten(void **state)
{
        struct fixture x;

        (void)state;
        fixture_init(&x, 10, true);
        for (uint32_t i = 0; i < 10; i++)
                assert_true(put(&x, i));
        ring_publish(&x.ring, true);
        expect(&x, 0, 0); /* ten are kept */
        for (uint32_t i = 10; i < 1000; i++)
                assert_true(put(&x, i));
        /* Not shown yet, but they lie on what was: all that is shown is gone. */
        expect_none(&x, RING_EMPTY, 9);
        ring_publish(&x.ring, true);
        expect(&x, 990, 980);
        for (uint32_t i = 991; i < 1000; i++)
                expect(&x, i, 0);
        expect_none(&x, RING_EMPTY, 0);
        fixture_fini(&x);
}

static void newest_is_lost(void **state)
{
        struct fixture x;

        (void)state;
        fixture_init(&x, 10, false);
        for (uint32_t i = 0; i < 13; i++)
                assert_int_equal(put(&x, i), i < 10);
        ring_publish(&x.ring, true);
        expect(&x, 0, 3);
        expect(&x, 1, 0);
        assert_true(put(&x, 13));
        assert_true(put(&x, 14));
        assert_false(put(&x, 15));
        ring_publish(&x.ring, true);
        expect(&x, 2, 1);
        for (uint32_t i = 3; i < 10; i++)
                expect(&x, i, 0);
        expect(&x, 13, 0);
        expect(&x, 14, 0);
        expect_none(&x, RING_EMPTY, 0);
        fixture_fini(&x);
}

/** Numbers that no writer of ours writes: an answer, never a bad access. */
static void nonsense(void **state)
{
        struct results_ring *shared;
        struct fixture x;

        (void)state;
        fixture_init(&x, 10, true);
        shared = x.place.mem;
        assert_true(put(&x, 0));
        ring_publish(&x.ring, true);
        shared->kept = x.ring.size * 2;
        expect_none(&x, RING_DAMAGED, 0);
        shared->kept = 7;
        expect_none(&x, RING_DAMAGED, 0);
        shared->kept = 0;
        expect_none(&x, RING_DAMAGED, 0);
        shared->kept = 240;
        shared->head = 5;
        expect_none(&x, RING_DAMAGED, 0);
        shared->head = 24;
        expect(&x, 0, 0);
        shared->head = 0;
        expect_none(&x, RING_DAMAGED, 0);
        shared->head = 48;
        shared->claim = UINT64_MAX;
        expect_none(&x, RING_EMPTY, 1);
        fixture_fini(&x);
}

/* ---- a writer that does not wait, and a reader that is never fast enough ------------------------------------------------ */

enum { RECORDS = 300000 };

static void *writer(void *context)
{
        struct fixture *x = context;

        for (uint32_t i = 0; i < RECORDS; i++) {
                (void)put(x, i);
                if (i % 7 == 0)
                        ring_publish(&x->ring, true);
        }
        ring_finish(&x->ring);
        return NULL;
}

static void run_both(bool overwrites)
{
        uint64_t got = 0, lost = 0, n;
        enum ring_state state;
        struct fixture x;
        struct record r;
        pthread_t thread;
        int64_t last = -1;

        fixture_init(&x, 16, overwrites);
        assert_int_equal(pthread_create(&thread, NULL, writer, &x), 0);
        while ((state = ring_reader_take(&x.reader, &r, sizeof r, &n)) != RING_FINISHED) {
                assert_true(state == RING_PACKET || state == RING_EMPTY);
                lost += n;
                if (state == RING_EMPTY)
                        continue;
                for (int i = 1; i < 5; i++)
                        assert_int_equal(r.number[i], r.number[0]);
                assert_true((int64_t)r.number[0] > last);
                last = r.number[0];
                got++;
        }
        lost += n;
        assert_int_equal(pthread_join(thread, NULL), 0);
        if (overwrites) /* the newest is always there */
                assert_int_equal(last, RECORDS - 1);
        else /* whoever finds the end may have looked at the count before the last ones were lost */
                lost = x.reader.shared->dropped;
        assert_int_equal(got + lost, RECORDS);
        fixture_fini(&x);
}

static void overwritten_while_read(void **state)
{
        (void)state;
        run_both(true);
}

static void lost_while_read(void **state)
{
        (void)state;
        run_both(false);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(in_order),
                cmocka_unit_test(oldest_is_overwritten),
                cmocka_unit_test(newest_is_lost),
                cmocka_unit_test(nonsense),
                cmocka_unit_test(overwritten_while_read),
                cmocka_unit_test(lost_while_read),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
