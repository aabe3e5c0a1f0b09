/* engine/flow: connecting, closing, flows that read one another and end in any order.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "bench.h"

#include <stdio.h>
#include <sys/mman.h>

static struct bench bench;
static unsigned descriptors_before;

static int teardown(void **state)
{
        bench_fini(&bench);
        assert_int_equal(shapes_alive, 0);
        assert_int_equal(bench_descriptors(), descriptors_before);
        return 0;
}

static int setup(void **state)
{
        descriptors_before = bench_descriptors();
        bench_init(&bench, 10 * RIG_PACKETS, true);
        return 0;
}

static void step(unsigned batches)
{
        engine_device_start(bench.device);
        assert_int_equal(engine_step(bench.device, batches), ENGINE_WORKED);
}

static void numbers(void **state)
{
        struct flow *f = bench_flow(&bench), *g = bench_flow(&bench);
        struct mapi_error err = { 0 };
        struct instance *in, *bad;

        assert_int_equal(engine_flow_number(f), 1);
        assert_int_equal(engine_flow_number(g), 2);
        assert_ptr_equal(engine_flow_device(f), bench.device);
        assert_int_equal(bench_plain(f, "PKT_COUNTER")->fid, 1);
        in = bench_plain(f, "BYTE_COUNTER");
        assert_int_equal(in->fid, 2);
        /* one that fails does not take a number */
        assert_int_equal(engine_apply_begin(f, rig_function("BPF_FILTER"), "test", &STR("nonsense ("), 1, NULL, 0,
                                            &bad, &err),
                         0);
        assert_int_equal(engine_apply_end(f, bad, instance_start(bad, &err), &err), -PCAP_BPF_ERR);
        assert_int_equal(engine_flow_functions(f), 2);
        assert_int_equal(bench_plain(f, "GAP")->fid, 3);
        assert_int_equal(engine_function(f, 0, true)->fid, 1);
        assert_int_equal(engine_function(f, 1, true)->fid, 2);
        assert_null(engine_function(f, 3, true));
        assert_null(engine_function(f, 4, false));
        assert_null(engine_function(f, 0, false));
        assert_null(engine_function(g, 0, true));
        bench_close(f);
        assert_int_equal(engine_flow_number(g), 2);
        f = bench_flow(&bench);
        assert_int_equal(engine_flow_number(f), 3); /* never used again */
        bench_close(g);
        bench_close(f);
}

static void connected_once(void **state)
{
        struct flow *f = bench_flow(&bench);
        struct mapi_error err = { 0 };

        assert_false(engine_flow_connected(f));
        bench_connect(f);
        assert_true(engine_flow_connected(f));
        assert_int_equal(engine_flow_connect(f, &err), -MDLIB_FLOW_ALREADY_ACTIVE);
        bench_close(f);
}

/* In any order of connecting, the plan has them by number: reading works the same. */
static void any_order(void **state)
{
        static const unsigned order[][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
                                             { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };

        for (unsigned o = 0; o < 6; o++) {
                struct instance *a, *below, *above;
                struct flow *f[3];

                bench_fini(&bench);
                bench_init(&bench, 1000, true);
                for (unsigned i = 0; i < 3; i++)
                        f[i] = bench_flow(&bench);
                a = bench_plain(f[1], "PKT_COUNTER");
                below = bench_stats(f[0], a, "0");
                above = bench_stats(f[2], a, "0");
                for (unsigned i = 0; i < 3; i++)
                        bench_connect(f[order[o][i]]);
                engine_device_start(bench.device);
                assert_int_equal(bench_run(&bench), ENGINE_FINISHED);
                assert_int_equal(rig_stats_of(below).count, 1000);
                assert_true(rig_stats_of(below).sum == 999 * 1000 / 2); /* it has each packet first */
                assert_true(rig_stats_of(above).sum == 1000 * 1001 / 2);
                assert_int_equal(instance_u64(a), 1000);
                for (unsigned i = 0; i < 3; i++)
                        bench_close(f[order[5 - o][i]]);
        }
}

/* Closed in the middle: its functions say their last word, into its own rings and files; the others do not
   notice. */
static void closed_in_the_middle(void **state)
{
        struct flow *f = bench_flow(&bench), *g = bench_flow(&bench);
        struct ring_reader reader = { 0 };
        struct instance *ring, *tally, *other;
        struct mapipkt *p = NULL;
        unsigned got = 0, last = 0;
        uint64_t before;

        bench_filter(f, "udp");
        bench_apply(f, &shapes_triple, NULL, 0, NULL, 0);
        ring = bench_plain(f, "TO_BUFFER");
        tally = bench_apply(f, &shapes_tally, NULL, 0, NULL, 0);
        other = bench_plain(g, "PKT_COUNTER");
        bench_connect(f);
        bench_connect(g);
        bench_map(&reader, ring);
        step(2);
        assert_int_equal(engine_flow_detach(f, NULL), 0);
        assert_true(engine_device_settled(bench.device));
        engine_device_reap(bench.device);
        assert_int_equal(bench_status(f), FLOW_ACTIVE);
        engine_flow_finish(f);
        assert_int_equal(bench_status(f), FLOW_CLOSED);
        assert_int_equal(rig_tally(tally).finishes, 1);
        while (ring_reader_next(&reader, (void **)&p) == RING_PACKET) {
                got++;
                last = p->wlen;
        }
        assert_int_equal(ring_reader_next(&reader, (void **)&p), RING_FINISHED);
        assert_int_equal(got, rig_tally(tally).packets);
        assert_int_equal(got % 3, 1);
        assert_int_equal(last, 9); /* the one more */
        engine_flow_free(&f);
        before = instance_u64(other);
        step(1);
        assert_int_equal(instance_u64(other), before + 64);
        ring_reader_unmap(&reader);
        bench_close(g);
}

/* Every place to stop, with everything in the flow: nothing is lost and nothing left. */
static void closed_anywhere(void **state)
{
        for (unsigned stop = 0; stop < 40; stop++) {
                struct flow *f, *g;
                struct instance *a, *b;

                bench_fini(&bench);
                bench_init(&bench, 2000, true);
                bench.script.width = 50;
                f = bench_flow(&bench);
                g = bench_flow(&bench);
                a = bench_plain(f, "PKT_COUNTER");
                bench_apply(f, &shapes_bump, &NUM(1), 1, NULL, 0);
                bench_stats(f, a, "0");
                bench_apply(f, &shapes_triple, NULL, 0, NULL, 0);
                bench_plain(f, "TO_BUFFER");
                b = bench_plain(g, "PKT_COUNTER");
                bench_connect(f);
                bench_connect(g);
                engine_device_start(bench.device);
                (void)engine_step(bench.device, stop);
                assert_int_equal(instance_u64(a), instance_u64(b));
                bench_close(f);
                (void)bench_run(&bench); /* also if it was blocked before */
                assert_int_equal(bench_run(&bench), ENGINE_FINISHED);
                assert_int_equal(instance_u64(b), 2000);
                bench_close(g);
        }
}

/* Connected when the trace is over: finished at once, with its last words. */
static void after_the_end(void **state)
{
        struct flow *f = bench_flow(&bench), *g = bench_flow(&bench);
        struct instance *tally;
        struct ring_reader reader = { 0 };
        struct instance *ring;
        void *record;

        bench_connect(f);
        engine_device_start(bench.device);
        assert_int_equal(bench_run(&bench), ENGINE_FINISHED);
        bench_apply(g, &shapes_triple, NULL, 0, NULL, 0);
        tally = bench_apply(g, &shapes_tally, NULL, 0, NULL, 0);
        ring = bench_plain(g, "TO_BUFFER");
        bench_connect(g);
        bench_map(&reader, ring);
        assert_int_equal(bench_status(g), FLOW_ACTIVE);
        assert_int_equal(engine_step(bench.device, 1), ENGINE_FINISHED);
        assert_int_equal(bench_status(g), FLOW_FINISHED);
        assert_int_equal(rig_tally(tally).packets, 1); /* the one more */
        assert_int_equal(rig_tally(tally).finishes, 1);
        assert_int_equal(ring_reader_next(&reader, &record), RING_PACKET);
        assert_int_equal(ring_reader_next(&reader, &record), RING_FINISHED);
        assert_int_equal(engine_step(bench.device, 1), ENGINE_FINISHED);
        assert_int_equal(rig_tally(tally).packets, 1);
        ring_reader_unmap(&reader);
        bench_close(g);
        bench_close(f);
}

static void never_connected(void **state)
{
        struct flow *f = bench_flow(&bench);
        struct instance *tally = bench_apply(f, &shapes_tally, NULL, 0, NULL, 0);

        assert_int_equal(engine_flow_detach(f, NULL), 0);
        engine_flow_finish(f);
        assert_int_equal(bench_status(f), FLOW_CLOSED);
        assert_int_equal(rig_tally(tally).finishes, 0);
        engine_flow_free(&f);
        engine_flow_free(&f);
}

/* Flows that come and go for ever take no more memory than those that are there. */
static void slots_come_back(void **state)
{
        size_t used = 0;

        for (unsigned i = 0; i < 3000; i++) {
                struct flow *f = bench_flow(&bench);

                bench_apply(f, &shapes_tally, NULL, 0, NULL, 0);
                bench_stats(f, bench_plain(f, "PKT_COUNTER"), "0");
                if (i % 2)
                        bench_connect(f);
                bench_close(f);
                if (i == 1)
                        used = bench.quota.used_bytes;
        }
        assert_int_equal(bench.quota.used_bytes, used);
}

/* ---- flows that are read after they are closed -------------------------------------------------------------- */

/* Its value stands still; when the last reader goes, it goes, too. */
static void read_after_close(void **state)
{
        struct flow *f = bench_flow(&bench), *g = bench_flow(&bench);
        struct instance *counter = bench_plain(f, "PKT_COUNTER"), *stats = bench_stats(g, counter, "0");
        long double sum_then;
        struct engine_device_facts facts;
        size_t used;

        bench_connect(f);
        bench_connect(g);
        step(2);
        bench_close(f);
        assert_int_equal(instance_u64(counter), 128);
        sum_then = rig_stats_of(stats).sum;
        step(2);
        assert_int_equal(instance_u64(counter), 128);
        assert_int_equal(rig_stats_of(stats).count, 256);
        assert_true(rig_stats_of(stats).sum - sum_then == 128 * 128);
        engine_device_facts(bench.device, &facts);
        assert_int_equal(facts.flows, 2);
        used = bench.quota.used_bytes;
        bench_close(g);
        engine_device_facts(bench.device, &facts);
        assert_int_equal(facts.flows, 0);
        assert_true(bench.quota.used_bytes < used);
}

static struct instance *watch(struct flow *f, struct instance *a, struct instance *b)
{
        struct mapi_value v[4] = { NUM(a->flow), NUM(a->fid), NUM(b->flow), NUM(b->fid) };
        struct instance *refs[2] = { a, b };

        return bench_apply(f, &shapes_watch, v, 4, refs, 2);
}

/* One reader of two functions of a flow that has gone. */
static void two_references(void **state)
{
        struct flow *f = bench_flow(&bench), *g = bench_flow(&bench);
        struct instance *a = bench_plain(f, "PKT_COUNTER"), *b = bench_plain(f, "BYTE_COUNTER");

        watch(g, a, b);
        watch(g, b, b);
        bench_connect(f);
        bench_connect(g);
        step(1);
        bench_close(f);
        step(1);
        bench_close(g);
}

/* Two flows that read each other can be closed in any order, alone or with a third that reads both. */
static void reading_each_other(void **state)
{
        static const unsigned order[][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
                                             { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };

        for (unsigned o = 0; o < 6; o++) {
                struct instance *a, *b;
                struct flow *f[3];

                for (unsigned i = 0; i < 3; i++)
                        f[i] = bench_flow(&bench);
                a = bench_plain(f[0], "PKT_COUNTER");
                b = bench_plain(f[1], "PKT_COUNTER");
                watch(f[0], a, b);
                watch(f[1], b, a);
                watch(f[2], a, b);
                for (unsigned i = 0; i < 3; i++)
                        bench_connect(f[i]);
                step(1);
                for (unsigned i = 0; i < 3; i++) {
                        bench_close(f[order[o][i]]);
                        step(1);
                }
        }
        /* bench_fini() looks: no flow is left */
}

/* A long chain: a closed flow reads no more, so it keeps nothing. */
static void long_chain(void **state)
{
        enum { CHAIN = 3000 };
        static struct flow *f[CHAIN];
        struct instance *last = NULL;
        struct engine_device_facts facts;

        bench.home.ring_bytes = 4096;
        for (unsigned i = 0; i < CHAIN; i++) {
                struct instance *counter;

                f[i] = bench_flow(&bench);
                counter = bench_plain(f[i], "PKT_COUNTER");
                if (last != NULL)
                        bench_stats(f[i], last, "0");
                last = counter;
        }
        for (unsigned i = 0; i + 1 < CHAIN; i++)
                bench_close(f[i]);
        engine_device_facts(bench.device, &facts);
        assert_int_equal(facts.flows, 2); /* the last, and the one that it reads */
        bench_close(f[CHAIN - 1]);
        engine_device_facts(bench.device, &facts);
        assert_int_equal(facts.flows, 0);
}

/* ---- limits ------------------------------------------------------------------------------------------------- */

static void many_functions(void **state)
{
        struct flow *f = bench_flow(&bench);
        struct mapi_error err = { 0 };
        struct instance *in;
        size_t used;

        for (unsigned i = 0; i < 256; i++)
                bench_plain(f, "PKT_COUNTER");
        used = bench.quota.used_bytes;
        for (unsigned i = 0; i < 3; i++) {
                assert_int_equal(
                        engine_apply_begin(f, rig_function("PKT_COUNTER"), "test", NULL, 0, NULL, 0, &in, &err),
                        0);
                assert_int_equal(engine_apply_end(f, in, instance_start(in, &err), &err), -MAPI_LIMIT_ERROR);
        }
        assert_int_equal(err.code, MAPI_LIMIT_ERROR);
        assert_true(bench.quota.used_bytes <= used + (64 << 10));
        bench_connect(f);
        step(1);
        assert_int_equal(instance_u64(engine_function(f, 256, false)), 64);
        bench_close(f);
}

/* Whatever the limit of memory: each step works or fails cleanly, and everything comes back. */
static void little_memory(void **state)
{
        unsigned worked = 0, failed = 0;

        for (size_t limit = 0; limit < (3u << 20); limit += 40000) {
                struct mapi_error err = { 0 };
                struct flow *f = NULL;
                struct instance *in;
                size_t before = bench.quota.used_bytes;
                int r;

                bench.quota.limit_bytes = before + limit;
                r = engine_flow_new(bench.engine, bench.device, &bench.home, &f, &err);
                if (r == 0) {
                        struct mapi_value v = { .str = "x", .fd = memfd_create("x", MFD_CLOEXEC) };

                        r = engine_apply_begin(f, &shapes_lines, "test", &v, 1, NULL, 0, &in, &err);
                        if (r == 0)
                                r = engine_apply_end(f, in, instance_start(in, &err), &err);
                        if (r > 0) {
                                r = engine_apply_begin(f, rig_function("TO_BUFFER"), "test", &NUM(0), 1, NULL, 0,
                                                       &in, &err);
                                if (r == 0)
                                        r = engine_apply_end(f, in, instance_start(in, &err), &err);
                        }
                        worked += r > 0;
                        engine_flow_free(&f);
                }
                if (r <= 0) {
                        assert_int_equal(r, -err.code);
                        assert_true(err.code == MAPI_LIMIT_ERROR || err.code == MAPID_MEM_ALLOCATION_ERROR ||
                                    err.code == MDLIB_SHM_ERR);
                        failed++;
                }
                assert_true(bench.quota.used_bytes >= before && bench.quota.used_bytes <= bench.quota.limit_bytes);
        }
        assert_true(worked > 0 && failed > 10);
        bench.quota.limit_bytes = SIZE_MAX;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
                TEST(numbers),          TEST(connected_once), TEST(any_order),          TEST(closed_in_the_middle),
                TEST(closed_anywhere),  TEST(after_the_end),  TEST(never_connected),    TEST(slots_come_back),
                TEST(read_after_close), TEST(two_references), TEST(reading_each_other), TEST(long_chain),
                TEST(many_functions),   TEST(little_memory),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
