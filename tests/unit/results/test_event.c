/* results/event, and rings whose reader polls: no wake-up is lost, and nobody is made to wait.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "results/event.h"

#include "results/ring.h"
#include "results/ring_reader.h"
#include "results/segment.h"

#include <mapi.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <cmocka.h>

/** A second descriptor of the same event, as the other side has it. */
static int again(int fd)
{
        int other = fcntl(fd, F_DUPFD_CLOEXEC, 3);

        assert_true(fd >= 0 && other >= 0);
        return other;
}

static bool readable(int fd)
{
        struct pollfd p = { .fd = fd, .events = POLLIN };

        assert_true(poll(&p, 1, 0) >= 0);
        return (p.revents & POLLIN) != 0;
}

/** Readable now or very soon; the limit is for tests that fail. */
static bool comes(int fd)
{
        struct pollfd p = { .fd = fd, .events = POLLIN };

        return poll(&p, 1, 20000) == 1 && p.revents == POLLIN;
}

static void signal_and_clear(void **state)
{
        for (int kind = 0; kind < 2; kind++) { /* an eventfd will do inside of one process */
                int ours = kind == 0 ? event_new() : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), theirs = again(ours);

                assert_int_equal(fcntl(ours, F_GETFD), FD_CLOEXEC);
                errno = 4711;
                assert_false(readable(theirs));
                event_clear(theirs); /* does not wait */
                assert_false(readable(theirs));
                event_signal(ours);
                assert_true(comes(theirs));
                assert_true(comes(theirs)); /* until it is cleared */
                for (unsigned i = 0; i < 100; i++)
                        event_signal(ours);
                assert_true(comes(theirs));
                event_clear(theirs); /* many are one */
                assert_false(readable(theirs));
                event_signal(theirs); /* from either side */
                assert_true(comes(ours));
                event_clear(ours);
                assert_int_equal(errno, 4711);
                close(ours);
                close(theirs);
        }
        errno = 4711;
        event_signal(-1);
        event_clear(-1);
        assert_int_equal(errno, 4711);
}

/* Whatever the other side does to what we share, signalling does not wait. */
static void hostile_readers(void **state)
{
        const struct itimerspec never = { .it_value = { .tv_sec = 1u << 30 } },
                                always = { .it_value = { .tv_nsec = 1 }, .it_interval.tv_nsec = 1 };
        int ours = event_new(), theirs = again(ours);
        uint64_t full = UINT64_MAX - 1;

        assert_int_equal(fcntl(theirs, F_SETFL, 0), 0);
        assert_int_equal(write(theirs, &full, sizeof full), -1);
        for (unsigned i = 0; i < 1000; i++)
                event_signal(ours);
        assert_true(comes(theirs));
        assert_int_equal(timerfd_settime(theirs, 0, &always, NULL), 0);
        event_signal(ours);
        assert_true(comes(theirs));
        assert_int_equal(timerfd_settime(theirs, 0, &never, NULL), 0);
        event_signal(ours);
        assert_true(comes(theirs));
        close(theirs);
        event_signal(ours);
        close(ours);
}

/* ---- rings -------------------------------------------------------------------------------------------------- */

enum { RINGS = 2 };

/* A flow with two rings, one descriptor for both, and its reader. */
struct fixture {
        struct quota quota;
        struct segments *segments;
        struct segment_place place[RINGS];
        struct ring ring[RINGS];
        struct ring_reader reader[RINGS];
        int event, theirs; /* our end of the event, and the reader's */
        uint64_t put[RINGS], got[RINGS];
};

static void fixture_init(struct fixture *x, uint64_t size)
{
        *x = (struct fixture){ .quota.limit_bytes = 64u << 20, .event = event_new() };
        x->theirs = again(x->event);
        x->segments = segments_new(NULL);
        for (unsigned i = 0; i < RINGS; i++) {
                assert_int_equal(segments_alloc(x->segments, RESULTS_RING, 1, 1 + (int)i,
                                                sizeof(struct results_ring), 1, MAPI_COMBINE_SERIAL, &x->place[i],
                                                NULL),
                                 0);
                assert_int_equal(ring_init(&x->ring[i], size, x->place[i].mem, &x->quota, NULL), 0);
                assert_int_equal(x->ring[i].event_fd, -1);
                x->ring[i].event_fd = x->event;
                x->reader[i].shared = x->ring[i].shared;
                assert_int_equal(ring_reader_map(&x->reader[i], x->ring[i].fd, x->ring[i].size, 0), 0);
        }
}

static void fixture_fini(struct fixture *x)
{
        for (unsigned i = 0; i < RINGS; i++) {
                ring_reader_unmap(&x->reader[i]);
                ring_fini(&x->ring[i]);
                assert_int_equal(x->ring[i].event_fd, -1);
        }
        close(x->event);
        close(x->theirs);
        segments_free(&x->segments);
}

static bool put(struct fixture *x, unsigned ring)
{
        uint8_t bytes[100] = { 0 };
        struct mapi_view v = { .data = bytes, .caplen = 1 + (uint32_t)(x->put[ring] % 100), .ts = x->put[ring] };

        if (!ring_put(&x->ring[ring], &v))
                return false;
        x->put[ring]++;
        return true;
}

/** What the client does in a call that does not wait: a packet (1), nothing (0), the end (-1). */
static int next(struct fixture *x, unsigned ring)
{
        struct ring_reader *r = &x->reader[ring];

        for (;;) {
                struct mapipkt *p;

                switch (ring_reader_next(r, (void **)&p)) {
                case RING_PACKET:
                        assert_int_equal(p->ts, x->got[ring]++);
                        return 1;
                case RING_FINISHED:
                        return -1;
                case RING_REPLACED:
                        assert_int_equal(
                                ring_reader_map(r, x->ring[ring].fd, x->ring[ring].size, x->ring[ring].generation),
                                0);
                        continue;
                case RING_EMPTY:
                        break;
                default:
                        fail();
                }
                event_clear(x->theirs);
                ring_reader_waits(r);
                for (unsigned i = 0; i < RINGS; i++)
                        if (ring_reader_news(&x->reader[i]))
                                event_signal(x->theirs);
                return 0;
        }
}

static void one_ring(void **state)
{
        struct fixture x;

        fixture_init(&x, 4096);
        assert_true(put(&x, 0));
        ring_publish(&x.ring[0], true);
        assert_false(readable(x.theirs)); /* it has not said that it waits */
        assert_int_equal(next(&x, 0), 1);
        assert_int_equal(next(&x, 0), 0);
        assert_false(readable(x.theirs));
        ring_publish(&x.ring[0], true);
        assert_false(readable(x.theirs)); /* nothing new */
        assert_true(put(&x, 0));
        ring_publish(&x.ring[0], false);
        assert_false(readable(x.theirs)); /* a trace: not for every batch */
        ring_publish(&x.ring[0], true);
        assert_true(comes(x.theirs));
        assert_int_equal(next(&x, 0), 1);
        assert_true(comes(x.theirs)); /* until somebody finds nothing */
        assert_int_equal(next(&x, 0), 0);
        assert_false(readable(x.theirs));
        while (x.ring[0].head - x.reader[0].next < 1024)
                assert_true(put(&x, 0));
        ring_publish(&x.ring[0], false); /* a quarter is reason enough */
        assert_true(comes(x.theirs));
        while (next(&x, 0) == 1)
                ;
        assert_int_equal(x.got[0], x.put[0]);
        assert_true(put(&x, 0));
        ring_finish(&x.ring[0]);
        assert_true(comes(x.theirs));
        assert_int_equal(next(&x, 0), 1);
        assert_int_equal(next(&x, 0), -1);
        assert_int_equal(next(&x, 0), -1);
        assert_true(comes(x.theirs)); /* for good */
        fixture_fini(&x);
}

/* Whoever finds one ring empty clears the descriptor of both: he must look at the other one, too. */
static void two_rings(void **state)
{
        struct fixture x;

        fixture_init(&x, 4096);
        assert_int_equal(next(&x, 0), 0);
        assert_int_equal(next(&x, 1), 0);
        assert_true(put(&x, 1));
        ring_publish(&x.ring[1], true);
        assert_true(comes(x.theirs));
        assert_int_equal(next(&x, 0), 0);
        assert_true(comes(x.theirs));
        assert_int_equal(next(&x, 1), 1);
        assert_int_equal(next(&x, 1), 0);
        assert_false(readable(x.theirs));
        fixture_fini(&x);
}

/* The ring is replaced while its reader says, in the old one, that it waits. */
static void waits_in_the_old_ring(void **state)
{
        struct fixture x;

        fixture_init(&x, 4096);
        while (put(&x, 0))
                ;
        ring_publish(&x.ring[0], true);
        while (next(&x, 0) == 1)
                ;
        assert_false(readable(x.theirs));
        assert_false(ring_reader_news(&x.reader[0]));
        assert_int_equal(ring_grow(&x.ring[0], NULL), 0);
        assert_true(comes(x.theirs));
        assert_true(ring_reader_news(&x.reader[0]));
        assert_int_equal(next(&x, 0), 0); /* maps the new one and waits there */
        assert_false(readable(x.theirs));
        assert_false(ring_reader_news(&x.reader[0]));
        assert_true(put(&x, 0));
        ring_publish(&x.ring[0], true);
        assert_true(comes(x.theirs));
        assert_int_equal(next(&x, 0), 1);
        fixture_fini(&x);
}

/* ---- threads -------------------------------------------------------------------------------------------------- */

enum { PACKETS = 60000 };

struct producer {
        struct fixture *x;
        pthread_mutex_t growing; /* the reader maps, or the writer replaces */
};

static void *produce(void *argument)
{
        struct producer *p = argument;
        struct fixture *x = p->x;
        uint32_t seed = 1;

        while (x->put[0] + x->put[1] < PACKETS) {
                unsigned ring;

                seed = seed * 1664525 + 1013904223;
                ring = seed >> 31;
                for (uint32_t n = (seed >> 8) % 40; n > 0; n--)
                        if (!put(x, ring))
                                sched_yield();
                ring_publish(&x->ring[ring], true); /* as a live device does when there is nothing for a moment */
                if ((seed >> 16) % 64 == 0)
                        sched_yield();
                if ((seed >> 12) % 512 == 0 && x->ring[ring].generation < 4) {
                        pthread_mutex_lock(&p->growing);
                        assert_int_equal(ring_grow(&x->ring[ring], NULL), 0);
                        pthread_mutex_unlock(&p->growing);
                }
        }
        for (unsigned i = 0; i < RINGS; i++)
                ring_finish(&x->ring[i]);
        return NULL;
}

static void polling(void **state)
{
        struct fixture x;
        struct producer p = { .x = &x, .growing = PTHREAD_MUTEX_INITIALIZER };
        bool finished[RINGS] = { false };
        pthread_t thread;

        fixture_init(&x, 4096);
        assert_int_equal(pthread_create(&thread, NULL, produce, &p), 0);
        for (unsigned turn = 0; !finished[0] || !finished[1]; turn++) {
                for (unsigned i = 0; i < RINGS; i++) {
                        unsigned ring = (turn + i) % 2;
                        int r = 1;

                        while (r == 1) {
                                pthread_mutex_lock(&p.growing);
                                r = next(&x, ring);
                                pthread_mutex_unlock(&p.growing);
                        }
                        finished[ring] = r < 0;
                }
                if (!finished[0] || !finished[1])
                        assert_true(comes(x.theirs)); /* a wake-up that got lost is an error, not a delay */
        }
        assert_int_equal(pthread_join(thread, NULL), 0);
        for (unsigned i = 0; i < RINGS; i++)
                assert_int_equal(x.got[i], x.put[i]);
        fixture_fini(&x);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(signal_and_clear),
                cmocka_unit_test(hostile_readers),
                cmocka_unit_test(one_ring),
                cmocka_unit_test(two_rings),
                cmocka_unit_test(waits_in_the_old_ring),
                cmocka_unit_test(polling),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
