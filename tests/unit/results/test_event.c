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
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

/** Both kinds: ours to signal, theirs to poll. */
struct pair {
        int ours, theirs;
};

static struct pair pair_new(bool sockets)
{
        int end[2];

        if (sockets) {
                assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, end), 0);
        } else {
                end[0] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
                end[1] = fcntl(end[0], F_DUPFD_CLOEXEC, 3);
        }
        assert_true(end[0] >= 0 && end[1] >= 0);
        return (struct pair){ .ours = end[0], .theirs = end[1] };
}

static void pair_close(const struct pair *p)
{
        close(p->ours);
        close(p->theirs);
}

static bool readable(int fd)
{
        struct pollfd p = { .fd = fd, .events = POLLIN };

        assert_true(poll(&p, 1, 0) >= 0);
        return (p.revents & POLLIN) != 0;
}

static void signal_and_clear(void **state)
{
        for (int sockets = 0; sockets <= 1; sockets++) {
                struct pair p = pair_new(sockets);

                errno = 4711;
                assert_false(readable(p.theirs));
                event_clear(p.theirs); /* does not wait */
                event_signal(p.ours);
                assert_true(readable(p.theirs));
                for (unsigned i = 0; i < 100; i++)
                        event_signal(p.ours);
                event_clear(p.theirs); /* many are one */
                assert_false(readable(p.theirs));
                event_signal(p.ours);
                assert_true(readable(p.theirs));
                assert_int_equal(errno, 4711);
                pair_close(&p);
        }
        event_signal(-1);
}

/* A reader that never looks, or has gone, costs nothing; one that has gone from our side is readable for good. */
static void careless_readers(void **state)
{
        struct pair p = pair_new(true);

        assert_int_equal(fcntl(p.theirs, F_SETFL, 0), 0);
        for (unsigned i = 0; i < 100000; i++)
                event_signal(p.ours);
        assert_true(readable(p.theirs));
        close(p.theirs);
        event_signal(p.ours); /* no SIGPIPE */
        close(p.ours);
        p = pair_new(true);
        close(p.ours);
        event_clear(p.theirs);
        assert_true(readable(p.theirs));
        close(p.theirs);
        p = pair_new(false);
        assert_int_equal(eventfd_write(p.theirs, UINT64_MAX - 1), 0); /* as full as it can be */
        event_signal(p.ours);
        assert_true(readable(p.theirs));
        pair_close(&p);
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
        struct pair event;
        int mine; /* what the reader signals itself with */
        uint64_t put[RINGS], got[RINGS];
};

static void fixture_init(struct fixture *x, uint64_t size, bool sockets)
{
        *x = (struct fixture){ .quota.limit_bytes = 64u << 20, .event = pair_new(sockets),
                                .mine = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
        x->segments = segments_new(NULL);
        for (unsigned i = 0; i < RINGS; i++) {
                assert_int_equal(segments_alloc(x->segments, RESULTS_RING, 1, 1 + (int)i,
                                                sizeof(struct results_ring), 1, MAPI_COMBINE_SERIAL, &x->place[i],
                                                NULL),
                                 0);
                assert_int_equal(ring_init(&x->ring[i], size, x->place[i].mem, &x->quota, NULL), 0);
                assert_int_equal(x->ring[i].event_fd, -1);
                x->ring[i].event_fd = x->event.ours;
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
        pair_close(&x->event);
        close(x->mine);
        segments_free(&x->segments);
}

/** What poll() says to a program. */
static bool woken(const struct fixture *x)
{
        return readable(x->event.theirs) || readable(x->mine);
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
                        assert_int_equal(ring_reader_map(r, x->ring[ring].fd, x->ring[ring].size,
                                                         x->ring[ring].generation),
                                         0);
                        continue;
                case RING_EMPTY:
                        break;
                default:
                        fail();
                }
                event_clear(x->event.theirs);
                event_clear(x->mine);
                ring_reader_waits(r);
                for (unsigned i = 0; i < RINGS; i++)
                        if (ring_reader_news(&x->reader[i]))
                                event_signal(x->mine);
                return 0;
        }
}

static void one_ring(void **state)
{
        for (int sockets = 0; sockets <= 1; sockets++) {
                struct fixture x;

                fixture_init(&x, 4096, sockets);
                assert_true(put(&x, 0));
                ring_publish(&x.ring[0], true);
                assert_false(woken(&x)); /* it has not said that it waits */
                assert_int_equal(next(&x, 0), 1);
                assert_int_equal(next(&x, 0), 0);
                assert_false(woken(&x));
                ring_publish(&x.ring[0], true);
                assert_false(woken(&x)); /* nothing new */
                assert_true(put(&x, 0));
                ring_publish(&x.ring[0], false);
                assert_false(woken(&x)); /* a trace: not for every batch */
                ring_publish(&x.ring[0], true);
                assert_true(woken(&x));
                assert_int_equal(next(&x, 0), 1);
                assert_true(woken(&x)); /* until somebody finds nothing */
                assert_int_equal(next(&x, 0), 0);
                assert_false(woken(&x));
                while (x.ring[0].head - x.reader[0].next < 1024)
                        assert_true(put(&x, 0));
                ring_publish(&x.ring[0], false); /* a quarter is reason enough */
                assert_true(woken(&x));
                while (next(&x, 0) == 1)
                        ;
                assert_int_equal(x.got[0], x.put[0]);
                assert_true(put(&x, 0));
                ring_finish(&x.ring[0]);
                assert_true(woken(&x));
                assert_int_equal(next(&x, 0), 1);
                assert_int_equal(next(&x, 0), -1);
                assert_int_equal(next(&x, 0), -1);
                assert_true(woken(&x)); /* for good */
                fixture_fini(&x);
        }
}

/* Whoever finds one ring empty clears the descriptor of both: he must look at the other one, too. */
static void two_rings(void **state)
{
        struct fixture x;

        fixture_init(&x, 4096, true);
        assert_int_equal(next(&x, 0), 0);
        assert_int_equal(next(&x, 1), 0);
        assert_true(put(&x, 1));
        ring_publish(&x.ring[1], true);
        assert_true(woken(&x));
        assert_int_equal(next(&x, 0), 0);
        assert_true(woken(&x));
        assert_int_equal(next(&x, 1), 1);
        assert_int_equal(next(&x, 1), 0);
        assert_false(woken(&x));
        fixture_fini(&x);
}

/* The ring is replaced while its reader says, in the old one, that it waits. */
static void waits_in_the_old_ring(void **state)
{
        struct fixture x;

        fixture_init(&x, 4096, true);
        while (put(&x, 0))
                ;
        ring_publish(&x.ring[0], true);
        while (next(&x, 0) == 1)
                ;
        assert_false(woken(&x));
        assert_false(ring_reader_news(&x.reader[0]));
        assert_int_equal(ring_grow(&x.ring[0], NULL), 0);
        assert_true(woken(&x));
        assert_true(ring_reader_news(&x.reader[0]));
        assert_int_equal(next(&x, 0), 0); /* maps the new one and waits there */
        assert_false(woken(&x));
        assert_false(ring_reader_news(&x.reader[0]));
        assert_true(put(&x, 0));
        ring_publish(&x.ring[0], true);
        assert_true(woken(&x));
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
        for (int sockets = 0; sockets <= 1; sockets++) {
                struct fixture x;
                struct producer p = { .x = &x, .growing = PTHREAD_MUTEX_INITIALIZER };
                bool finished[RINGS] = { false };
                pthread_t thread;

                fixture_init(&x, 4096, sockets);
                assert_int_equal(pthread_create(&thread, NULL, produce, &p), 0);
                for (unsigned turn = 0; !finished[0] || !finished[1]; turn++) {
                        struct pollfd fd[2] = { { .fd = x.event.theirs, .events = POLLIN },
                                                { .fd = x.mine, .events = POLLIN } };

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
                        if (!finished[0] || !finished[1]) /* a wake-up that got lost is an error, not a delay */
                                assert_true(poll(fd, 2, 20000) > 0);
                }
                assert_int_equal(pthread_join(thread, NULL), 0);
                for (unsigned i = 0; i < RINGS; i++)
                        assert_int_equal(x.got[i], x.put[i]);
                fixture_fini(&x);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(signal_and_clear), cmocka_unit_test(careless_readers),
                cmocka_unit_test(one_ring),         cmocka_unit_test(two_rings),
                cmocka_unit_test(waits_in_the_old_ring), cmocka_unit_test(polling),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
