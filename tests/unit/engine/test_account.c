/* engine: accounts of devices and flows are exact, whatever comes, goes or is lost.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "bench.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

static struct bench bench;

static int teardown(void **state)
{
        bench_fini(&bench);
        assert_int_equal(shapes_alive, 0);
        return 0;
}

static int setup(void **state)
{
        bench_init(&bench, 10 * RIG_PACKETS, false);
        return 0;
}

static void check_sum(const struct engine_account *a)
{
        assert_int_equal(a->seen, a->delivered + a->filtered + a->dropped_interface + a->dropped_kernel +
                                          a->dropped_ring + a->dropped_file);
}

/** The device is held and quiet: nobody steps it in this file, except where it says so. */
static struct engine_account account(const struct flow *f)
{
        struct engine_account a;

        engine_flow_account(f, &a);
        check_sum(&a);
        return a;
}

static struct engine_account device_account(void)
{
        struct engine_account a;

        engine_device_account(bench.device, &a);
        check_sum(&a);
        return a;
}

/** How many of the packets [from, to) of the device are of this kind. */
static uint64_t matching(uint64_t from, uint64_t to, bool (*is)(const struct mapi_view *))
{
        uint64_t n = 0;

        for (; from < to; from++)
                n += is(&rig_packet[from % RIG_PACKETS]);
        return n;
}

static bool is_long(const struct mapi_view *v)
{
        return v->wirelen >= 700;
}

static void lose(struct script *s)
{
        s->lost += 3;
        s->if_lost += s->lost % 2;
}

static void of_a_device(void **state)
{
        struct engine_account a;

        bench.script.lost = 5; /* before it is started: that is since it was opened */
        a = device_account();
        assert_int_equal(a.seen, 5);
        assert_int_equal(a.dropped_kernel, 5);
        assert_false(a.down);
        bench.script.hook = lose;
        engine_device_start(bench.device);
        assert_int_equal(engine_step(bench.device, 10), ENGINE_WORKED);
        a = device_account();
        assert_int_equal(a.delivered, 640);
        assert_int_equal(a.dropped_kernel, 5 + 30);
        assert_int_equal(a.dropped_interface, 5);
        assert_int_equal(a.seen, 640 + 35 + 5);
        assert_int_equal(a.filtered + a.dropped_ring + a.dropped_file, 0);
        bench.script.down = 1;
        assert_true(device_account().down);
        bench.script.down = 0;
        assert_int_equal(bench_run(&bench), ENGINE_FINISHED);
        a = device_account();
        assert_int_equal(a.delivered, 10 * RIG_PACKETS);
        assert_int_equal(a.dropped_kernel, bench.script.lost);
        bench.script.lost += 1000; /* after the end: nobody's affair */
        assert_int_equal(device_account().seen, a.seen);
}

static void new_flows(void **state)
{
        struct engine_account a;
        struct flow *f = bench_flow(&bench);

        bench.script.lost = 7;
        a = account(f);
        assert_int_equal(a.seen, 0);
        bench_connect(f);
        a = account(f);
        assert_int_equal(a.seen, 0); /* what was lost before is not its affair */
        bench.script.lost = 9;
        a = account(f);
        assert_int_equal(a.seen, 2);
        assert_int_equal(a.dropped_kernel, 2);
        engine_device_start(bench.device);
        assert_int_equal(engine_step(bench.device, 1), ENGINE_WORKED);
        a = account(f);
        assert_int_equal(a.seen, 66);
        assert_int_equal(a.delivered, 64); /* a flow without functions */
        bench_close(f);
}

/* One flow is there from the start, one comes later; others come and go all the time. */
static void come_and_go(void **state)
{
        struct flow *f = bench_flow(&bench), *g = NULL, *h[3] = { NULL };
        uint64_t since = 0, lost_since = 0;
        struct engine_account a;

        (void)bench_filter(f, "greater 700");
        (void)bench_plain(f, "PKT_COUNTER");
        bench_connect(f);
        bench.script.hook = lose;
        bench.script.width = 37;
        bench.script.packets = UINT64_MAX;
        engine_device_start(bench.device);
        for (unsigned i = 0; i < 200; i++) {
                unsigned k = i * 7 % 3;

                if (i == 70) {
                        g = bench_flow(&bench);
                        (void)bench_filter(g, "greater 700");
                        (void)bench_plain(g, "BYTE_COUNTER");
                        (void)bench_filter(g, "udp");
                        since = bench.script.at;
                        lost_since = bench.script.lost;
                        bench_connect(g);
                        assert_int_equal(account(g).seen, 0);
                }
                if (h[k] == NULL) {
                        h[k] = bench_flow(&bench);
                        (void)bench_filter(h[k], i % 2 ? "greater 700" : "tcp");
                        (void)bench_plain(h[k], "TO_BUFFER");
                        bench_connect(h[k]);
                } else {
                        bench_close(h[k]);
                        h[k] = NULL;
                }
                assert_int_equal(engine_step(bench.device, 1 + i % 2), ENGINE_WORKED);
                a = account(f);
                assert_int_equal(a.seen, bench.script.at + bench.script.lost + bench.script.if_lost);
                assert_int_equal(a.delivered, matching(0, bench.script.at, is_long));
                assert_int_equal(a.filtered, bench.script.at - a.delivered);
                assert_int_equal(a.dropped_kernel, bench.script.lost);
                assert_int_equal(a.dropped_interface, bench.script.if_lost);
                assert_int_equal(a.dropped_ring + a.dropped_file + a.emit_dropped, 0);
                if (g == NULL)
                        continue;
                a = account(g);
                assert_int_equal(a.delivered + a.filtered, bench.script.at - since);
                assert_int_equal(a.dropped_kernel, bench.script.lost - lost_since);
                assert_true(a.filtered >= bench.script.at - since - matching(since, bench.script.at, is_long));
        }
        assert_true(account(g).delivered > 500);
        for (unsigned k = 0; k < 3; k++)
                if (h[k] != NULL)
                        bench_close(h[k]);
        bench_close(f);
        bench_close(g);
}

/* Far more than fits: what the reader finds was delivered, the rest was dropped; no other flow notices. */
static void overload(void **state)
{
        struct flow *f = bench_flow(&bench), *g = bench_flow(&bench), *h = bench_flow(&bench);
        struct mapi_value file = { .str = "/dev/full", .fd = open("/dev/full", O_WRONLY | O_CLOEXEC) };
        struct ring_reader reader = { 0 };
        struct instance *ring, *filtered_ring, *sink;
        struct engine_account a;
        uint64_t got = 0;

        ring = bench_plain(f, "TO_BUFFER");
        (void)bench_filter(g, "greater 700");
        filtered_ring = bench_plain(g, "TO_BUFFER");
        (void)bench_filter(g, "greater 800");
        (void)bench_plain(g, "TO_BUFFER"); /* as large, gets less: never loses what the first has not lost */
        sink = bench_apply(h, &shapes_lines, &file, 1, NULL, 0);
        bench_connect(f);
        bench_connect(g);
        bench_connect(h);
        bench_map(&reader, ring);
        engine_device_start(bench.device);
        assert_int_equal(engine_step(bench.device, 10), ENGINE_WORKED);
        assert_int_equal(sink_drain(sink->sink), 1); /* fails: what is in the queue by now is lost, too */
        assert_int_equal(sink->sink->lost, 640);
        assert_int_equal(bench_run(&bench), ENGINE_FINISHED);
        for (void *record; ring_reader_next(&reader, &record) == RING_PACKET;)
                got++;
        a = account(f);
        assert_int_equal(a.seen, 10 * RIG_PACKETS);
        assert_int_equal(a.delivered, got);
        assert_int_equal(a.dropped_ring, 10 * RIG_PACKETS - got);
        assert_int_equal(ring->packets, 10 * RIG_PACKETS); /* function statistics, without being asked */
        assert_int_equal(ring->passed, got);
        a = account(g);
        assert_int_equal(a.seen, 10 * RIG_PACKETS);
        assert_int_equal(filtered_ring->packets, matching(0, 10 * RIG_PACKETS, is_long));
        assert_int_equal(a.dropped_ring, filtered_ring->packets - filtered_ring->passed);
        assert_true(a.dropped_ring > 0 && a.delivered > 0);
        assert_true(a.delivered < filtered_ring->passed);
        assert_true(a.filtered > 10 * RIG_PACKETS - filtered_ring->packets);
        a = account(h);
        assert_int_equal(a.delivered, 0);
        assert_int_equal(a.dropped_file, 10 * RIG_PACKETS);
        assert_int_equal(bench_status(h), FLOW_FINISHED);
        bench.script.lost += 10; /* FINISHED: the account stands still */
        assert_int_equal(account(h).seen, 10 * RIG_PACKETS);
        ring_reader_unmap(&reader);
        bench_close(f);
        bench_close(g);
        bench_close(h);
}

/* A trace loses nothing. */
static void trace(void **state)
{
        struct ring_reader reader = { 0 };
        struct instance *ring, *lines;
        struct mapi_value file = { .str = "/dev/null", .fd = open("/dev/null", O_WRONLY | O_CLOEXEC) };
        struct engine_account a;
        struct flow *f, *late;
        unsigned times = 0;
        uint64_t got = 0;

        bench_fini(&bench);
        bench_init(&bench, 10 * RIG_PACKETS, true);
        f = bench_flow(&bench);
        ring = bench_plain(f, "TO_BUFFER");
        lines = bench_apply(f, &shapes_lines, &file, 1, NULL, 0);
        (void)bench_filter(f, "greater 700");
        bench_connect(f);
        bench_map(&reader, ring);
        engine_device_start(bench.device);
        while (bench_run(&bench) == ENGINE_BLOCKED) {
                a = account(f);
                assert_int_equal(a.seen, bench.script.at);
                assert_int_equal(a.delivered, matching(0, bench.script.at, is_long));
                assert_int_equal(a.filtered, a.seen - a.delivered);
                (void)bench_read(&reader, &got);
                while (sink_drain(lines->sink) > 0)
                        ;
                times++;
        }
        assert_true(times > 5);
        a = account(f);
        assert_int_equal(a.seen, 10 * RIG_PACKETS);
        assert_int_equal(a.delivered, matching(0, 10 * RIG_PACKETS, is_long));
        assert_int_equal(a.filtered, 10 * RIG_PACKETS - a.delivered);
        late = bench_flow(&bench); /* on a trace that is over */
        bench_connect(late);
        assert_int_equal(bench_run(&bench), ENGINE_FINISHED);
        assert_int_equal(bench_status(late), FLOW_FINISHED);
        assert_int_equal(account(late).seen, 0);
        assert_int_equal(account(f).seen, 10 * RIG_PACKETS);
        ring_reader_unmap(&reader);
        bench_close(f);
        bench_close(late);
}

static void transformers(void **state)
{
        struct flow *f = bench_flow(&bench), *g = bench_flow(&bench);
        struct instance *ring;
        struct engine_account a;

        (void)bench_filter(f, "greater 700");
        (void)bench_apply(f, &shapes_triple, NULL, 0, NULL, 0);
        ring = bench_plain(f, "TO_BUFFER");
        (void)bench_apply(g, &shapes_greedy, NULL, 0, NULL, 0);
        bench_connect(f);
        bench_connect(g);
        engine_device_start(bench.device);
        assert_int_equal(engine_step(bench.device, 100), ENGINE_WORKED);
        a = account(f);
        assert_int_equal(a.seen, 6400);
        assert_int_equal(a.delivered, matching(0, 6400, is_long));
        assert_int_equal(a.dropped_ring + a.emit_dropped, 0);
        assert_int_equal(ring->packets,
                         3 * a.delivered); /* what becomes of what it emits is told by the function */
        assert_true(ring->passed < ring->packets);
        a = account(g);
        assert_int_equal(a.delivered, 6400);
        assert_int_equal(a.emit_dropped, 6400 * 4); /* tries 6, may 2 */
        bench_close(f);
        bench_close(g);
}

/* STATS in one flow reads a counter of another: packet by packet. */
static void groups(void **state)
{
        struct flow *f = bench_flow(&bench), *g = bench_flow(&bench);
        struct instance *counter, *ring;
        struct engine_account a;

        (void)bench_filter(f, "greater 700");
        counter = bench_plain(f, "PKT_COUNTER");
        (void)bench_plain(f, "TO_BUFFER");
        ring = bench_plain(g, "TO_BUFFER");
        (void)bench_stats(g, counter, "0");
        (void)bench_apply(g, &shapes_bump, &NUM(2), 1, NULL, 0);
        bench_connect(f);
        bench_connect(g);
        engine_device_start(bench.device);
        assert_int_equal(bench_run(&bench), ENGINE_FINISHED);
        a = account(f);
        assert_int_equal(a.delivered + a.dropped_ring, matching(0, 10 * RIG_PACKETS, is_long));
        assert_true(a.dropped_ring > 0);
        a = account(g);
        assert_int_equal(a.dropped_ring, ring->packets - ring->passed);
        assert_int_equal(a.delivered + a.filtered, ring->passed);
        assert_true(a.filtered > 100 && a.delivered > 100);
        bench_close(f);
        bench_close(g);
}

/* ---- with a worker -------------------------------------------------------------------------------------------- */

static atomic_uint stop;

static void *work(void *argument)
{
        (void)argument;
        while (atomic_load(&stop) == 0)
                if (engine_step(bench.device, 4) != ENGINE_WORKED)
                        sched_yield();
        return NULL;
}

static void lose_at_random(struct script *s)
{
        static uint32_t seed = 1;

        seed = seed * 1664525 + 1013904223;
        __atomic_store_n(&s->lost, s->lost + (seed >> 24) % 3, __ATOMIC_RELAXED);
}

/* Under full load: at every moment the sums are exact, and a flow sees exactly what its device sees. */
static void at_any_moment(void **state)
{
        struct engine_account device[2] = { { 0 } }, flow[2][2] = { { { 0 } } };
        struct flow *f, *g;
        pthread_t thread;

        bench_fini(&bench);
        bench_init(&bench, UINT64_MAX, false);
        bench.script.hook = lose_at_random;
        f = bench_flow(&bench);
        g = bench_flow(&bench);
        (void)bench_plain(f, "TO_BUFFER");
        (void)bench_filter(f, "greater 700");
        (void)bench_filter(g, "udp");
        (void)bench_plain(g, "PKT_COUNTER");
        bench_connect(f);
        bench_connect(g);
        engine_device_start(bench.device);
        atomic_store(&stop, 0);
        assert_int_equal(pthread_create(&thread, NULL, work, NULL), 0);
        for (unsigned i = 0; i < 400 || flow[0][0].dropped_ring == 0; i++) {
                engine_device_hold(bench.device, true);
                while (!engine_device_quiet(bench.device))
                        sched_yield();
                device[i % 2] = device_account();
                flow[0][i % 2] = account(f);
                flow[1][i % 2] = account(g);
                if (i > 0)
                        for (unsigned k = 0; k < 2; k++) {
                                const struct engine_account *now = &flow[k][i % 2], *then = &flow[k][(i + 1) % 2];

                                assert_int_equal(now->seen - then->seen,
                                                 device[i % 2].seen - device[(i + 1) % 2].seen);
                                assert_int_equal(now->dropped_kernel - then->dropped_kernel,
                                                 device[i % 2].dropped_kernel -
                                                         device[(i + 1) % 2].dropped_kernel);
                                assert_true(now->delivered >= then->delivered && now->filtered >= then->filtered &&
                                            now->dropped_ring >= then->dropped_ring);
                        }
                engine_device_hold(bench.device, false);
                for (unsigned n = 0; n < i % 5; n++)
                        sched_yield();
        }
        atomic_store(&stop, 1);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_true(account(f).dropped_ring > 0 && account(f).delivered > 0 && account(f).dropped_kernel > 0);
        assert_true(account(g).filtered > account(g).delivered && account(g).delivered > 0);
        bench_close(f);
        bench_close(g);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
                TEST(of_a_device), TEST(new_flows),    TEST(come_and_go), TEST(overload),
                TEST(trace),       TEST(transformers), TEST(groups),      TEST(at_any_moment),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
