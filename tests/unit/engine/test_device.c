/* engine/device: plans handed over while they are run, two engines side by side, seeds.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "bench.h"

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
        bench_init(&bench, 10 * RIG_PACKETS, true);
        return 0;
}

/* ---- control calls in the middle of a step ------------------------------------------------------------------ */

/* The driver's recv stands for "at any moment while the worker runs". */
struct moment {
        struct flow *in, *out; /* to be connected; to be detached */
        uint64_t at;
        bool done, settled, quiet;
};

static void control(struct script *s)
{
        struct moment *m = s->context;

        if (m->done || s->at < m->at)
                return;
        m->done = true;
        if (m->in != NULL)
                bench_connect(m->in);
        if (m->out != NULL)
                assert_int_equal(engine_flow_detach(m->out, NULL), 0);
        m->settled = engine_device_settled(bench.device);
        m->quiet = engine_device_quiet(bench.device);
        engine_device_reap(bench.device); /* must not free what the worker is running */
}

/* The batch under way belongs to the old plan; it is not settled before the next one begins. */
static void connected_while_running(void **state)
{
        struct flow *f = bench_flow(&bench), *g = bench_flow(&bench);
        struct instance *a = bench_plain(f, "PKT_COUNTER"), *b = bench_plain(g, "PKT_COUNTER");
        struct moment m = { .in = g, .at = 128 };

        bench.script.hook = control;
        bench.script.context = &m;
        bench_connect(f);
        assert_true(engine_device_settled(bench.device)); /* nobody runs */
        engine_device_start(bench.device);
        assert_int_equal(engine_step(bench.device, 3), ENGINE_WORKED);
        assert_true(m.done && !m.settled && !m.quiet);
        assert_true(engine_device_settled(bench.device) && engine_device_quiet(bench.device));
        assert_int_equal(instance_u64(a), 192);
        assert_int_equal(instance_u64(b), 0);
        assert_int_equal(engine_step(bench.device, 1), ENGINE_WORKED);
        assert_int_equal(instance_u64(b), 64);
        engine_device_reap(bench.device);
        assert_int_equal(bench_run(&bench), ENGINE_FINISHED);
        assert_int_equal(instance_u64(a), 10 * RIG_PACKETS);
        assert_int_equal(instance_u64(b), 10 * RIG_PACKETS - 192);
        bench_close(f);
        bench_close(g);
}

static void detached_while_running(void **state)
{
        struct flow *f = bench_flow(&bench), *g = bench_flow(&bench);
        struct instance *a = bench_plain(f, "PKT_COUNTER"), *b;
        struct moment m = { .out = g, .at = 128 };

        bench_apply(g, &shapes_triple, NULL, 0, NULL, 0);
        b = bench_plain(g, "PKT_COUNTER");
        bench.script.hook = control;
        bench.script.context = &m;
        bench_connect(f);
        bench_connect(g);
        engine_device_start(bench.device);
        assert_int_equal(engine_step(bench.device, 4), ENGINE_WORKED);
        assert_true(m.done && !m.settled);
        assert_true(engine_device_settled(bench.device));
        engine_device_reap(bench.device);
        assert_int_equal(instance_u64(a), 256);
        assert_int_equal(instance_u64(b), 3 * 192); /* the batch that was under way, and no more */
        engine_flow_finish(g);
        assert_int_equal(instance_u64(b), 3 * 192 + 1);
        engine_flow_free(&g);
        assert_int_equal(engine_step(bench.device, 1), ENGINE_WORKED);
        bench_close(f);
}

/* Many plans while one batch is under way: all of them are freed later, none too early. */
static unsigned swaps;

static void swap_often(struct script *s)
{
        struct flow *f = s->context;

        for (unsigned i = 0; i < 5; i++) {
                struct flow *g = bench_flow(&bench);

                bench_plain(g, "PKT_COUNTER");
                bench_connect(g);
                engine_device_reap(bench.device);
                assert_int_equal(engine_flow_detach(g, NULL), 0);
                engine_flow_free(&g); /* no worker has ever run it */
                swaps++;
        }
        assert_true(engine_flow_connected(f));
}

static void swapped_often(void **state)
{
        struct flow *f = bench_flow(&bench);
        struct instance *a = bench_plain(f, "PKT_COUNTER");

        bench_filter(f, "tcp");
        bench_apply(f, &shapes_triple, NULL, 0, NULL, 0);
        bench_apply(f, &shapes_bump, &NUM(1), 1, NULL, 0);
        bench.script.hook = swap_often;
        bench.script.context = f;
        bench_connect(f);
        engine_device_start(bench.device);
        assert_int_equal(bench_run(&bench), ENGINE_FINISHED);
        assert_true(swaps >= 500);
        assert_int_equal(instance_u64(a), 10 * RIG_PACKETS);
        bench.script.hook = NULL;
        bench_close(f);
}

/* ---- two engines -------------------------------------------------------------------------------------------- */

enum { RESULTS = 8 };

struct numbers {
        uint64_t n[RESULTS];
        struct shapes_tally tally;
        stats_t stats;
};

struct flows {
        struct flow *f[3];
        struct instance *in[RESULTS], *tally, *stats;
};

static void set_up(struct bench *b, struct flows *x)
{
        struct flow *f = bench_flow(b), *g = bench_flow(b), *h = bench_flow(b);
        unsigned n = 0;

        x->f[0] = f;
        x->f[1] = g;
        x->f[2] = h;
        bench_filter(f, "tcp");
        x->in[n++] = bench_plain(f, "PKT_COUNTER");
        x->in[n++] = bench_plain(f, "HASH");
        bench_apply(f, rig_function("SAMPLE"), (struct mapi_value[]){ NUM(40), NUM(3) }, 2, NULL, 0);
        x->in[n++] = bench_plain(f, "BYTE_COUNTER");
        bench_apply(g, &shapes_triple, NULL, 0, NULL, 0);
        bench_apply(g, rig_function("SAMPLE"), (struct mapi_value[]){ NUM(50), NUM(3) }, 2, NULL, 0);
        x->in[n++] = bench_plain(g, "PKT_COUNTER");
        x->tally = bench_apply(g, &shapes_tally, NULL, 0, NULL, 0);
        bench_filter(h, "port 1");
        x->in[n++] = bench_plain(h, "GAP");
        x->stats = bench_stats(h, x->in[3], "100ms");
        bench_apply(h, &shapes_bump, &NUM(2), 1, NULL, 0);
        x->in[n++] = bench_plain(h, "BYTE_COUNTER");
        while (n < RESULTS)
                x->in[n++] = x->in[0];
        for (unsigned i = 0; i < 3; i++)
                bench_connect(x->f[i]);
        engine_device_start(b->device);
}

static struct numbers take_down(struct flows *x)
{
        struct numbers n;

        memset(&n, 0, sizeof n);
        for (unsigned i = 0; i < RESULTS; i++)
                n.n[i] = instance_u64(x->in[i]);
        n.tally = rig_tally(x->tally);
        n.stats = rig_stats_of(x->stats);
        for (unsigned i = 0; i < 3; i++)
                bench_close(x->f[i]);
        return n;
}

static struct numbers alone(uint64_t seed, uint64_t packets, uint32_t width)
{
        struct bench b;
        struct flows x;
        struct numbers n;

        bench_init(&b, packets, true);
        engine_device_remove(&b.device);
        b.script.closed = 0;
        engine_free(&b.engine);
        b.engine = bench_engine(seed);
        b.script.width = width;
        b.device = bench_device(b.engine, &b.script, true);
        set_up(&b, &x);
        assert_int_equal(bench_run(&b), ENGINE_FINISHED);
        n = take_down(&x);
        bench_fini(&b);
        return n;
}

static bool same(const struct numbers *a, const struct numbers *b)
{
        return memcmp(a->n, b->n, sizeof a->n) == 0 && memcmp(&a->tally, &b->tally, sizeof a->tally) == 0 &&
               a->stats.count == b->stats.count && a->stats.sum == b->stats.sum &&
               a->stats.sum2 == b->stats.sum2 && a->stats.min == b->stats.min && a->stats.max == b->stats.max;
}

/* The same seed gives the same run, whatever the batches; another seed another one. */
static void seeds(void **state)
{
        static const uint32_t widths[] = { 1, 2, 63, 64 };
        struct numbers first = alone(5, 3000, 0), other = alone(6, 3000, 0);

        assert_in_range(first.tally.packets, 4300, 4700);
        for (unsigned w = 0; w < 4; w++) {
                struct numbers again = alone(5, 3000, widths[w]);

                assert_true(same(&first, &again));
        }
        assert_int_equal(first.n[0], other.n[0]);
        assert_int_not_equal(first.n[2], other.n[2]);
        assert_int_not_equal(first.tally.bytes, other.tally.bytes);
}

/* Two engines in one process, step by step in turn: each gives what it gives alone. */
static void two_engines(void **state)
{
        struct numbers a = alone(1, 2000, 10), b = alone(2, 5000, 64), together;
        struct bench first, second;
        struct flows x, y;
        enum engine_state s = ENGINE_WORKED, t = ENGINE_WORKED;

        bench_init(&first, 2000, true);
        first.script.width = 10;
        bench_init(&second, 5000, true);
        engine_device_remove(&second.device);
        second.script.closed = 0;
        engine_free(&second.engine);
        second.engine = bench_engine(2);
        second.device = bench_device(second.engine, &second.script, true);
        set_up(&first, &x);
        set_up(&second, &y);
        assert_int_equal(engine_flow_number(x.f[0]), engine_flow_number(y.f[0])); /* each has its own numbers */
        while (s == ENGINE_WORKED || t == ENGINE_WORKED) {
                s = engine_step(first.device, 1);
                t = engine_step(second.device, 2);
        }
        assert_int_equal(s, ENGINE_FINISHED);
        assert_int_equal(t, ENGINE_FINISHED);
        together = take_down(&x);
        assert_true(same(&a, &together));
        together = take_down(&y);
        assert_true(same(&b, &together));
        bench_fini(&first);
        bench_fini(&second);
}

/* Two devices of one engine: numbers rise over both, each has its own plan. */
static void two_devices(void **state)
{
        struct script script = { .packets = 500 };
        struct device *other = bench_device(bench.engine, &script, true);
        struct flow *f = bench_flow(&bench), *g, *h;
        struct instance *a = bench_plain(f, "PKT_COUNTER"), *b;

        assert_int_equal(engine_flow_new(bench.engine, other, &bench.home, &g, NULL), 0);
        h = bench_flow(&bench);
        assert_int_equal(engine_flow_number(g), 2);
        assert_int_equal(engine_flow_number(h), 3);
        b = bench_plain(g, "PKT_COUNTER");
        bench_connect(f);
        bench_connect(g);
        engine_device_start(other);
        while (engine_step(other, 10) == ENGINE_WORKED)
                ;
        assert_int_equal(instance_u64(b), 500);
        assert_int_equal(instance_u64(a), 0);
        assert_int_equal(engine_step(bench.device, 10), ENGINE_STOPPED);
        bench_close(f);
        bench_close(g);
        bench_close(h);
        engine_device_remove(&other);
        assert_int_equal(script.closed, 1);
}

/* A capture taken out again is not closed. */
static void disowned(void **state)
{
        struct script script = { .packets = 1 };
        struct device *other = bench_device(bench.engine, &script, true);

        engine_device_disown(other);
        engine_device_remove(&other);
        assert_int_equal(script.closed, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
                TEST(connected_while_running),
                TEST(detached_while_running),
                TEST(swapped_often),
                TEST(seeds),
                TEST(two_engines),
                TEST(two_devices),
                TEST(disowned),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
