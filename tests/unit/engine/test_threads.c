/* The engine with a worker thread beside the control thread: plans, rings and closing, at any moment.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "bench.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

static struct bench bench;

struct worker {
        pthread_t thread;
        struct device *device;
        atomic_uint stop;
        atomic_uint state;
};

static void *work(void *argument)
{
        struct worker *w = argument;

        while (atomic_load(&w->stop) == 0) {
                enum engine_state s = engine_step(w->device, 4);

                atomic_store(&w->state, s);
                if (s != ENGINE_WORKED)
                        sched_yield();
        }
        return NULL;
}

static void worker_start(struct worker *w)
{
        *w = (struct worker){ .device = bench.device };
        assert_int_equal(pthread_create(&w->thread, NULL, work, w), 0);
}

static void worker_stop(struct worker *w)
{
        atomic_store(&w->stop, 1);
        assert_int_equal(pthread_join(w->thread, NULL), 0);
}

static void settle(void)
{
        while (!engine_device_settled(bench.device))
                sched_yield();
        engine_device_reap(bench.device);
}

static void close_flow(struct flow *f)
{
        assert_int_equal(engine_flow_detach(f, NULL), 0);
        settle();
        engine_flow_finish(f);
        engine_flow_free(&f);
}

/* Flows come and go while packets run; what is detached and settled is never touched again. */
static void flows_come_and_go(void **state)
{
        static const char *const expressions[] = { "tcp", "udp", "port 1", "ip" };
        struct flow *stays, *f[6] = { 0 };
        struct instance *all, *counter[6] = { 0 };
        struct worker w;
        uint32_t rnd = 1;

        bench_init(&bench, UINT64_MAX, false);
        stays = bench_flow(&bench);
        all = bench_plain(stays, "PKT_COUNTER");
        bench_connect(stays);
        engine_device_start(bench.device);
        worker_start(&w);
        for (unsigned i = 0; i < 600; i++) {
                unsigned k;

                rnd = rnd * 1664525 + 1013904223;
                k = (rnd >> 16) % 6;
                if (f[k] == NULL) {
                        uint64_t before = instance_u64(all);

                        f[k] = bench_flow(&bench);
                        bench_filter(f[k], expressions[(rnd >> 8) % 4]);
                        counter[k] = bench_plain(f[k], "PKT_COUNTER");
                        if ((rnd >> 10) % 3 == 0)
                                bench_stats(f[k], counter[k], "0");
                        if ((rnd >> 12) % 4 == 0)
                                bench_apply(f[k], &shapes_triple, NULL, 0, NULL, 0);
                        bench_apply(f[k], &shapes_tally, NULL, 0, NULL, 0);
                        bench_plain(f[k], "TO_BUFFER");
                        bench_connect(f[k]);
                        settle();
                        /* what comes from here on is counted: so wait until something has come */
                        for (before = instance_u64(all); instance_u64(all) < before + 200;)
                                sched_yield();
                        assert_true(instance_u64(counter[k]) > 0);
                } else {
                        uint64_t then;

                        assert_int_equal(engine_flow_detach(f[k], NULL), 0);
                        settle();
                        then = instance_u64(counter[k]);
                        if (i % 16 == 0)
                                for (uint64_t before = instance_u64(all); instance_u64(all) < before + 500;)
                                        sched_yield();
                        assert_int_equal(instance_u64(counter[k]), then);
                        engine_flow_finish(f[k]);
                        engine_flow_free(&f[k]);
                }
        }
        for (unsigned k = 0; k < 6; k++)
                if (f[k] != NULL)
                        close_flow(f[k]);
        worker_stop(&w);
        bench_close(stays);
        bench_fini(&bench);
        assert_int_equal(shapes_alive, 0);
}

/* One thread reads two rings of a trace, one to its end before the other: the full one grows, nothing is lost. */
static void one_after_the_other(void **state)
{
        enum { PACKETS = 30000 };
        struct ring_reader first = { 0 }, second = { 0 };
        struct instance *a, *b;
        struct flow *f, *g;
        enum ring_state s;
        uint64_t got = 0;
        struct worker w;

        bench_init(&bench, PACKETS, true);
        f = bench_flow(&bench);
        g = bench_flow(&bench);
        a = bench_plain(f, "TO_BUFFER");
        b = bench_plain(g, "TO_BUFFER");
        bench_connect(f);
        bench_connect(g);
        bench_map(&first, a);
        engine_device_start(bench.device);
        worker_start(&w);
        while ((s = bench_read(&first, &got)) != RING_FINISHED) {
                assert_int_equal(s, RING_EMPTY);
                if (!engine_device_blocked(bench.device))
                        continue;
                engine_device_hold(bench.device, true);
                while (!engine_device_quiet(bench.device))
                        sched_yield();
                if (engine_device_blocked(bench.device))
                        assert_true(engine_grow_rings(f, a->ring, NULL) >= 0);
                engine_device_hold(bench.device, false);
        }
        assert_int_equal(got, PACKETS);
        got = 0;
        bench_map(&second, b);
        while ((s = bench_read(&second, &got)) == RING_EMPTY)
                sched_yield();
        assert_int_equal(s, RING_FINISHED);
        assert_int_equal(got, PACKETS);
        assert_int_equal(b->ring->shared->dropped, 0);
        ring_reader_unmap(&first);
        ring_reader_unmap(&second);
        worker_stop(&w);
        bench_close(f);
        bench_close(g);
        bench_fini(&bench);
}

/* A flow whose ring is full and whose reader never reads is closed: the others go on. */
static void closed_while_blocked(void **state)
{
        struct instance *counter;
        struct flow *f, *g;
        struct worker w;

        bench_init(&bench, 5000, true);
        f = bench_flow(&bench);
        g = bench_flow(&bench);
        bench_plain(f, "TO_BUFFER");
        counter = bench_plain(g, "PKT_COUNTER");
        bench_connect(f);
        bench_connect(g);
        engine_device_start(bench.device);
        worker_start(&w);
        while (!engine_device_blocked(bench.device))
                sched_yield();
        close_flow(f);
        while (bench_status(g) != FLOW_FINISHED)
                sched_yield();
        assert_int_equal(instance_u64(counter), 5000);
        assert_false(engine_device_blocked(bench.device));
        worker_stop(&w);
        bench_close(g);
        bench_fini(&bench);
}

/* The source of a reader is closed while the reader runs on. */
static void closed_while_read(void **state)
{
        struct worker w;

        bench_init(&bench, UINT64_MAX, false);
        engine_device_start(bench.device);
        worker_start(&w);
        for (unsigned i = 0; i < 100; i++) {
                struct flow *f = bench_flow(&bench), *g = bench_flow(&bench);
                struct instance *counter = bench_plain(f, "PKT_COUNTER");
                uint64_t then;

                bench_stats(g, counter, i % 2 ? "0" : "10ms");
                bench_connect(f);
                bench_connect(g);
                while (instance_u64(counter) == 0)
                        sched_yield();
                close_flow(f);
                then = instance_u64(counter);
                if (i % 2)
                        assert_int_equal(instance_u64(counter), then);
                close_flow(g);
        }
        worker_stop(&w);
        bench_fini(&bench);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(flows_come_and_go),
                cmocka_unit_test(one_after_the_other),
                cmocka_unit_test(closed_while_blocked),
                cmocka_unit_test(closed_while_read),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
