/* engine: descriptors of flows become readable when there is something to read, in traces and on live devices.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "bench.h"

#include "results/event.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

static struct bench bench;
static unsigned descriptors_before;
static int event = -1; /* the reader's end */

static int teardown(void **state)
{
        bench_fini(&bench);
        assert_int_equal(shapes_alive, 0);
        if (event >= 0)
                close(event);
        event = -1;
        assert_int_equal(bench_descriptors(), descriptors_before);
        return 0;
}

static int setup(void **state)
{
        descriptors_before = bench_descriptors();
        bench_init(&bench, 10 * RIG_PACKETS, true);
        return 0;
}

static void attach(struct flow *f)
{
        int fd = event_new();

        event = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        assert_int_equal(engine_flow_event_fd(f), -1);
        assert_int_equal(engine_flow_event(f, fd), 0);
        assert_int_equal(engine_flow_event_fd(f), fd);
        assert_int_equal(engine_flow_event(f, event), -1); /* one is enough */
        assert_int_equal(engine_flow_event_fd(f), fd);
}

static bool readable(void)
{
        struct pollfd p = { .fd = event, .events = POLLIN };

        assert_true(poll(&p, 1, 0) >= 0);
        return (p.revents & POLLIN) != 0;
}

/** Readable now or very soon; the limit is for tests that fail. */
static bool comes(void)
{
        struct pollfd p = { .fd = event, .events = POLLIN };

        return poll(&p, 1, 20000) == 1;
}

/** What a program does that has been woken: reads until there is nothing, and may poll again then. */
static enum ring_state read_all(struct ring_reader *r, uint64_t *got)
{
        for (;;) {
                enum ring_state s = bench_read(r, got);

                if (s != RING_EMPTY)
                        return s;
                event_clear(event);
                ring_reader_waits(r);
                if (!ring_reader_news(r))
                        return s;
        }
}

/* Rings or not: the end of the trace is news, and so is the end of the flow. */
static void the_end(void **state)
{
        struct flow *f = bench_flow(&bench);

        (void)bench_plain(f, "PKT_COUNTER");
        attach(f);
        assert_true(comes()); /* there may be something: who looks will see */
        event_clear(event);
        bench_connect(f);
        engine_device_start(bench.device);
        assert_int_equal(engine_step(bench.device, 20), ENGINE_WORKED);
        assert_false(readable());
        assert_int_equal(bench_run(&bench), ENGINE_FINISHED);
        assert_int_equal(bench_status(f), FLOW_FINISHED);
        assert_true(comes());
        event_clear(event);
        assert_int_equal(bench_run(&bench), ENGINE_FINISHED);
        assert_false(readable()); /* said once */
        assert_int_equal(engine_flow_detach(f, NULL), 0);
        engine_device_reap(bench.device);
        engine_flow_finish(f);
        assert_true(comes());
        engine_flow_free(&f);
}

/* A flow that is closed but still read by another gives its descriptor back at once. */
static void still_read(void **state)
{
        struct flow *f = bench_flow(&bench), *g = bench_flow(&bench);
        struct instance *counter = bench_plain(f, "PKT_COUNTER");
        unsigned before;

        (void)bench_plain(f, "TO_BUFFER");
        (void)bench_stats(g, counter, "0");
        before = bench_descriptors();
        attach(f);
        bench_connect(f);
        bench_connect(g);
        engine_device_start(bench.device);
        assert_int_equal(engine_step(bench.device, 1), ENGINE_WORKED);
        bench_close(f);
        assert_int_equal(bench_descriptors(), before + 1); /* our own */
        assert_int_equal(engine_step(bench.device, 1), ENGINE_WORKED);
        bench_close(g);
}

/* A trace and a reader that polls only: it is woken while a quarter of the ring is not there yet, too, if that is all there
   will be, and not for every batch. early: the descriptor is there before the ring. */
static void trace(void **state)
{
        for (unsigned early = 0; early < 2; early++) {
                struct ring_reader reader = { 0 };
                enum ring_state s = RING_EMPTY;
                uint64_t got = 0, blocked = 0, wakes = 0, steps = 0;
                struct instance *ring;
                struct flow *f, *g;

                bench_fini(&bench);
                bench_init(&bench, 10 * RIG_PACKETS, true);
                f = bench_flow(&bench);
                g = bench_flow(&bench);
                if (early)
                        attach(f);
                ring = bench_plain(f, "TO_BUFFER");
                if (!early)
                        attach(f);
                (void)bench_plain(g,
                                  "TO_BUFFER"); /* another ring, which is read when nothing else is to be done */
                bench_connect(f);
                bench_connect(g);
                bench_map(&reader, ring);
                engine_device_start(bench.device);
                while (s != RING_FINISHED) {
                        struct instance *other = engine_function(g, 1, false);
                        enum engine_state e;

                        if (readable()) {
                                wakes++;
                                s = read_all(&reader, &got);
                                continue;
                        }
                        e = engine_step(bench.device, 1);
                        steps++;
                        if (e == ENGINE_WORKED)
                                continue;
                        /* Nothing more will come by itself: so it is said that there is something, if there is. */
                        assert_int_equal(e == ENGINE_BLOCKED || e == ENGINE_FINISHED, 1);
                        if (ring_reader_news(&reader)) {
                                assert_true(comes());
                                continue;
                        }
                        assert_int_equal(e, ENGINE_BLOCKED);
                        blocked++;
                        other->ring->reader->tail = other->ring->head; /* all of it read */
                        event_clear(event);
                        ring_reader_waits(&reader);
                }
                assert_int_equal(got, 10 * RIG_PACKETS);
                assert_true(blocked >= 5);
                assert_true(steps > 150 && wakes < 60);
                assert_true(comes());
                ring_reader_unmap(&reader);
                bench_close(f);
                bench_close(g);
                close(event);
                event = -1;
        }
}

/* The ring is the one that is full, and its reader has not looked for long: the next packets wake it again. */
static void full(void **state)
{
        struct flow *f = bench_flow(&bench);
        struct instance *ring = bench_plain(f, "TO_BUFFER");
        struct ring_reader reader = { 0 };
        uint64_t got = 0;

        attach(f);
        bench_connect(f);
        bench_map(&reader, ring);
        engine_device_start(bench.device);
        assert_int_equal(read_all(&reader, &got), RING_EMPTY);
        while (bench_run(&bench) == ENGINE_BLOCKED) {
                assert_true(comes());
                (void)read_all(&reader, &got);
                assert_false(readable());
        }
        assert_true(comes());
        assert_int_equal(read_all(&reader, &got), RING_FINISHED);
        assert_int_equal(got, 10 * RIG_PACKETS);
        ring_reader_unmap(&reader);
        bench_close(f);
}

/* Live, under load that never ends: at the end of every step at the latest, if there is something for this reader. */
static void live(void **state)
{
        struct ring_reader reader = { 0 };
        struct instance *ring;
        uint64_t got = 0;
        struct flow *f, *g;

        bench_fini(&bench);
        bench_init(&bench, UINT64_MAX, false);
        bench.script.width = 4;
        f = bench_flow(&bench);
        g = bench_flow(&bench);
        ring = bench_plain(f, "TO_BUFFER");
        (void)bench_filter(g, "less 1");
        (void)bench_plain(g, "TO_BUFFER");
        attach(f);
        bench_connect(f);
        bench_connect(g);
        bench_map(&reader, ring);
        engine_device_start(bench.device);
        assert_int_equal(read_all(&reader, &got), RING_EMPTY);
        for (unsigned i = 0; i < 50; i++) {
                assert_false(readable());
                assert_int_equal(engine_step(bench.device, 1 + i % 16), ENGINE_WORKED);
                assert_true(comes());
                assert_int_equal(read_all(&reader, &got), RING_EMPTY);
                assert_int_equal(got, bench.script.at);
        }
        ring_reader_unmap(&reader);
        bench_close(f);
        bench_close(g);
}

/* Nothing for this reader: it is left alone, however often the worker steps. */
static void live_and_quiet(void **state)
{
        struct ring_reader reader = { 0 };
        struct instance *ring;
        uint64_t first = 0;
        struct flow *f;

        bench_fini(&bench);
        bench_init(&bench, UINT64_MAX, false);
        bench.script.width = 1;
        f = bench_flow(&bench);
        (void)bench_apply(f, &shapes_every, &NUM(100), 1, NULL, 0);
        ring = bench_plain(f, "TO_BUFFER");
        attach(f);
        event_clear(event);
        bench_connect(f);
        bench_map(&reader, ring);
        engine_device_start(bench.device);
        ring_reader_waits(&reader);
        for (unsigned i = 1; i <= 1000; i++) {
                void *record;

                assert_int_equal(engine_step(bench.device, 1), ENGINE_WORKED);
                if (i % 100 != 0) {
                        assert_false(readable());
                        continue;
                }
                assert_true(comes());
                assert_int_equal(ring_reader_next(&reader, &record), RING_PACKET);
                assert_int_equal(ring_reader_next(&reader, &record), RING_EMPTY);
                event_clear(event);
                ring_reader_waits(&reader);
                first++;
        }
        assert_int_equal(first, 10);
        ring_reader_unmap(&reader);
        bench_close(f);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
                TEST(the_end), TEST(still_read), TEST(trace), TEST(full), TEST(live), TEST(live_and_quiet),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
