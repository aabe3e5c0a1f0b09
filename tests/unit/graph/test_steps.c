/* Step groups: functions that read others see exactly what those have at each packet.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "rig.h"

static struct rig rig;

static int setup(void **state)
{
        rig_init(&rig);
        return 0;
}

static int teardown(void **state)
{
        rig_fini(&rig);
        return 0;
}

static struct instance *size_info(uint32_t flow)
{
        return rig_one(&rig, flow, rig_function("PKTINFO"), 1);
}

static const uint32_t widths[] = { 1, 2, 63, 64 };

static void again(void)
{
        rig_fini(&rig);
        rig_init(&rig);
}

/* STATS over PKTINFO: every packet's size counts, not the last of each batch. */
static void stats_over_sizes(void **state)
{
        for (unsigned w = 0; w < 4; w++)
                for (unsigned across = 0; across < 2; across++) {
                        struct instance *info, *stats;
                        long double sum = 0, sum2 = 0;
                        double min = 1e9, max = 0;
                        uint32_t f;
                        stats_t s;

                        again();
                        f = rig_flow(&rig);
                        info = size_info(f);
                        if (across)
                                f = rig_flow(&rig);
                        stats = rig_stats(&rig, f, info, "0");
                        assert_int_equal(rig_compile(&rig, false).steps, 1);
                        rig_run(&rig, 0, RIG_PACKETS, widths[w]);
                        for (uint32_t i = 0; i < RIG_PACKETS; i++) {
                                double n = rig_packet[i].wirelen;

                                sum += n;
                                sum2 += n * n;
                                min = n < min ? n : min;
                                max = n > max ? n : max;
                        }
                        s = rig_stats_of(stats);
                        assert_int_equal(s.count, RIG_PACKETS);
                        assert_true(s.sum == sum && s.sum2 == sum2 && s.min == min && s.max == max);
                }
}

/* In the order of the flows' numbers, also for a flow that reads one with a higher number. */
static void order_of_flows(void **state)
{
        for (unsigned w = 0; w < 4; w++) {
                struct instance *counter, *below, *above, *own;
                struct shapes_watch v;
                uint32_t f[3];
                const uint64_t n = RIG_PACKETS, sum = n * (n + 1) / 2;

                again();
                for (unsigned i = 0; i < 3; i++)
                        f[i] = rig_flow(&rig);
                counter = rig_plain(&rig, f[1], "PKT_COUNTER");
                own = rig_watch(&rig, f[1], counter, counter);
                below = rig_watch(&rig, f[0], counter, counter);
                above = rig_watch(&rig, f[2], counter, counter);
                assert_int_equal(rig_compile(&rig, false).steps, 1);
                rig_run(&rig, 0, RIG_PACKETS, widths[w]);
                v = rig_watched(own);
                assert_int_equal(v.packets, n);
                assert_int_equal(v.together, 0);
                assert_int_equal(v.now[0], sum);
                assert_int_equal(v.before[0], sum - n);
                v = rig_watched(above);
                assert_int_equal(v.now[1], sum);
                assert_int_equal(v.before[1], sum - n);
                v = rig_watched(below); /* it has the packet first */
                assert_int_equal(v.now[0], sum - n);
                assert_int_equal(v.before[0], sum - n);
                assert_int_equal(v.together, 0);
        }
}

/* Filters in front of reader and target: the reader reads at its own packets. */
static void behind_filters(void **state)
{
        for (unsigned w = 0; w < 4; w++) {
                struct instance *counter, *watch, *stats;
                uint64_t tcp = 0, now = 0, before = 0, n = 0;
                uint32_t a, b;

                again();
                a = rig_flow(&rig);
                b = rig_flow(&rig);
                rig_filter(&rig, a, "tcp");
                counter = rig_plain(&rig, a, "PKT_COUNTER");
                rig_filter(&rig, b, "port 1");
                watch = rig_watch(&rig, b, counter, counter);
                rig_filter(&rig, b, "udp"); /* behind a reader */
                stats = rig_stats(&rig, b, counter, "0");
                rig_compile(&rig, false);
                rig_run(&rig, 0, RIG_PACKETS, widths[w]);
                for (uint32_t i = 0; i < RIG_PACKETS; i++) {
                        const struct mapi_view *v = &rig_packet[i];
                        uint64_t was = tcp;

                        tcp += v->caplen >= 24 && i % 3 != 0;
                        if (v->caplen < 38 || (v->data[35] != 1 && v->data[37] != 1))
                                continue;
                        now += tcp;
                        before += was;
                        n += i % 3 == 0;
                }
                assert_int_equal(instance_u64(counter), tcp);
                assert_int_equal(rig_watched(watch).now[0], now);
                assert_int_equal(rig_watched(watch).before[0], before);
                assert_true(n > 10);
                assert_int_equal(rig_stats_of(stats).count, n);
        }
}

/* A reads B reads C: one group; all three in step. */
static void through_a_third(void **state)
{
        for (unsigned w = 0; w < 4; w++) {
                struct instance *c, *b, *watch_b, *watch_a;
                const uint64_t n = RIG_PACKETS;
                uint32_t f[3];

                again();
                for (unsigned i = 0; i < 3; i++)
                        f[i] = rig_flow(&rig);
                c = rig_plain(&rig, f[2], "PKT_COUNTER");
                b = rig_plain(&rig, f[1], "BYTE_COUNTER");
                watch_b = rig_watch(&rig, f[1], c, b);
                watch_a = rig_watch(&rig, f[0], b, b);
                assert_int_equal(rig_compile(&rig, false).steps, 1);
                rig_run(&rig, 0, RIG_PACKETS, widths[w]);
                assert_int_equal(rig_watched(watch_b).now[0], n * (n - 1) / 2); /* flow 3 has the packet later */
                assert_int_equal(rig_watched(watch_a).now[0], rig_watched(watch_b).before[1]);
                assert_int_equal(rig_watched(watch_b).now[1], rig_watched(watch_b).before[1] + instance_u64(b));
        }
}

/* A transformer in the group: what it emits goes one by one as well. */
static void transformer_in_front(void **state)
{
        for (unsigned w = 0; w < 4; w++) {
                struct instance *counter, *watch, *stats;
                struct shapes_watch v;
                const uint64_t n = 3 * RIG_PACKETS;
                uint32_t f;

                again();
                f = rig_flow(&rig);
                rig_apply(&rig, f, &shapes_triple, NULL, 0, NULL, 0);
                counter = rig_plain(&rig, f, "PKT_COUNTER");
                watch = rig_watch(&rig, f, counter, counter);
                stats = rig_stats(&rig, f, counter, "1");
                rig_compile(&rig, false);
                rig_run(&rig, 0, RIG_PACKETS, widths[w]);
                v = rig_watched(watch);
                assert_int_equal(v.packets, n);
                assert_int_equal(v.together, 0);
                assert_int_equal(v.now[0], n * (n + 1) / 2);
                assert_int_equal(v.before[0], n * (n - 1) / 2);
                assert_int_equal(rig_stats_of(stats).count, n - 1);
                assert_true(rig_stats_of(stats).min == 2);
                rig_finish(&rig); /* one more */
                assert_int_equal(rig_watched(watch).packets, n + 1);
                assert_int_equal(rig_watched(watch).now[0], (n + 1) * (n + 2) / 2);
        }
}

/* A function that modifies, in the group. */
static void copies_in_front(void **state)
{
        for (unsigned w = 0; w < 4; w++) {
                struct instance *counter, *watch, *other;
                const uint64_t n = RIG_PACKETS;
                uint32_t f, g;

                again();
                f = rig_flow(&rig);
                g = rig_flow(&rig);
                rig_one(&rig, f, &shapes_bump, 1);
                counter = rig_plain(&rig, f, "PKT_COUNTER");
                watch = rig_watch(&rig, f, counter, counter);
                other = rig_watch(&rig, g, counter, counter);
                rig_compile(&rig, false);
                rig_run(&rig, 0, RIG_PACKETS, widths[w]);
                assert_int_equal(rig_watched(watch).now[0], n * (n + 1) / 2);
                assert_int_equal(rig_watched(watch).before[0], n * (n - 1) / 2);
                assert_int_equal(rig_watched(other).now[0], n * (n + 1) / 2);
                assert_int_equal(rig_watched(other).before[0], n * (n - 1) / 2);
                assert_int_equal(rig_watched(other).together, 0);
        }
}

/*
 * The target stands behind a transformer, the reader in another flow: for the reader one packet of the device is
 * one packet, and "before" is before all that came of it.
 */
static void target_behind_transformer(void **state)
{
        for (unsigned w = 0; w < 4; w++) {
                struct instance *counter, *watch;
                const uint64_t n = RIG_PACKETS;
                uint32_t f, g;

                again();
                f = rig_flow(&rig);
                g = rig_flow(&rig);
                rig_apply(&rig, f, &shapes_triple, NULL, 0, NULL, 0);
                counter = rig_plain(&rig, f, "PKT_COUNTER");
                watch = rig_watch(&rig, g, counter, counter);
                rig_compile(&rig, false);
                rig_run(&rig, 0, RIG_PACKETS, widths[w]);
                assert_int_equal(rig_watched(watch).now[0], 3 * n * (n + 1) / 2);
                assert_int_equal(rig_watched(watch).before[0], 3 * n * (n - 1) / 2);
        }
}

/* The reader stands behind a transformer, the target in another flow. */
static void reader_behind_transformer(void **state)
{
        for (unsigned w = 0; w < 4; w++) {
                struct instance *counter, *watch;
                const uint64_t n = RIG_PACKETS;
                uint32_t f, g;

                again();
                f = rig_flow(&rig);
                g = rig_flow(&rig);
                counter = rig_plain(&rig, f, "PKT_COUNTER");
                rig_apply(&rig, g, &shapes_triple, NULL, 0, NULL, 0);
                watch = rig_watch(&rig, g, counter, counter);
                rig_compile(&rig, false);
                rig_run(&rig, 0, RIG_PACKETS, widths[w]);
                assert_int_equal(rig_watched(watch).packets, 3 * n);
                assert_int_equal(rig_watched(watch).now[0], 3 * n * (n + 1) / 2);
                assert_int_equal(rig_watched(watch).before[0], 3 * n * (n - 1) / 2);
        }
}

/* STATS with a period resets what it reads: nothing is counted twice or not at all, whichever flow comes first. */
static void resets(void **state)
{
        for (unsigned w = 0; w < 4; w++)
                for (unsigned first = 0; first < 2; first++) {
                        struct instance *counter, *stats;
                        uint64_t count = 0, in_period = 0, sum = 0, start, period = 0;
                        uint32_t f[2];
                        stats_t s;

                        again();
                        f[0] = rig_flow(&rig);
                        f[1] = rig_flow(&rig);
                        counter = rig_plain(&rig, f[first], "PKT_COUNTER");
                        stats = rig_stats(&rig, f[!first], counter, "100ms");
                        rig_compile(&rig, false);
                        rig_run(&rig, 0, RIG_PACKETS, widths[w]);
                        start = rig_packet[0].ts;
                        for (uint32_t i = 0; i < RIG_PACKETS;
                             i++) { /* a packet opens the period that it lies in */
                                uint64_t now = (rig_packet[i].ts - start) * 10 >> 32;

                                if (now > period) {
                                        sum += in_period;
                                        count += now - period;
                                        in_period = 0;
                                        period = now;
                                }
                                in_period++;
                        }
                        s = rig_stats_of(stats);
                        assert_true(count > 20);
                        assert_int_equal(s.count, count);
                        assert_true(s.sum == sum);
                        assert_int_equal(instance_u64(counter), in_period);
                }
}

/* The target's flow is not in the plan any more: its value stands still, and so does what was before it. */
static void target_has_gone(void **state)
{
        struct instance *counter, *watch;
        uint32_t f = rig_flow(&rig), g = rig_flow(&rig);
        struct shapes_watch before, after;
        struct graph_flow gone;

        counter = rig_plain(&rig, f, "PKT_COUNTER");
        watch = rig_watch(&rig, g, counter, counter);
        rig_compile(&rig, false);
        rig_run(&rig, 0, 100, 64);
        before = rig_watched(watch);
        gone = rig.flow[0];
        rig.flow[0] = rig.flow[1];
        rig.flows = 1;
        rig_compile(&rig, false);
        rig_run(&rig, 100, 200, 64);
        after = rig_watched(watch);
        rig.flow[1] = rig.flow[0];
        rig.flow[0] = gone;
        rig.flows = 2;
        rig_compile(&rig, false);
        assert_int_equal(instance_u64(counter), 100);
        assert_int_equal(after.now[0] - before.now[0], 100 * 100);
        assert_int_equal(after.before[0] - before.before[0], 100 * 100);
}

static void reset_of_what_has_gone(void **state)
{
        struct instance *counter, *stats;
        uint32_t f = rig_flow(&rig), g = rig_flow(&rig);
        struct graph_flow gone;

        counter = rig_plain(&rig, f, "PKT_COUNTER");
        stats = rig_stats(&rig, g, counter, "100ms");
        rig_compile(&rig, false);
        rig_run(&rig, 0, 100, 64); /* 0.23 s: two periods are over */
        gone = rig.flow[0];
        rig.flow[0] = rig.flow[1];
        rig.flows = 1;
        rig_compile(&rig, false);
        rig_run(&rig, 100, 1000, 64);
        assert_true(rig_stats_of(stats).count > 20);
        assert_true(rig_stats_of(stats).sum == 100); /* each of its packets once */
        assert_int_equal(instance_u64(counter), 0);
        rig.flow[1] = rig.flow[0];
        rig.flow[0] = gone;
        rig.flows = 2;
        rig_compile(&rig, false);
}

/* The target is not connected yet: 0, and from then on it counts. */
static void target_comes_later(void **state)
{
        struct instance *counter, *watch;
        uint32_t f = rig_flow(&rig), g = rig_flow(&rig);
        struct graph_flow later;
        const uint64_t n = 100;

        counter = rig_plain(&rig, g, "PKT_COUNTER");
        watch = rig_watch(&rig, f, counter, counter);
        later = rig.flow[1];
        rig.flows = 1;
        rig_compile(&rig, false);
        rig_run(&rig, 0, 100, 64);
        assert_int_equal(rig_watched(watch).packets, n);
        assert_int_equal(rig_watched(watch).now[0], 0);
        rig.flow[1] = later;
        rig.flows = 2;
        rig_compile(&rig, false);
        rig_run(&rig, 100, 200, 64);
        assert_int_equal(rig_watched(watch).now[0], n * (n - 1) / 2);
}

/* In a tick there is no current packet: before is now. */
static void ticks(void **state)
{
        struct instance *counter, *watch;
        uint32_t f = rig_flow(&rig);

        counter = rig_plain(&rig, f, "PKT_COUNTER");
        watch = rig_watch(&rig, f, counter, counter);
        rig_compile(&rig, false);
        rig_run(&rig, 0, 10, 64);
        assert_int_equal(rig_watched(watch).now[0], 55);
        graph_tick(rig.graph, (uint64_t)2000 << 32);
        assert_int_equal(rig_watched(watch).ticks, 1);
        assert_int_equal(rig_watched(watch).now[0], 55 + 10);
        assert_int_equal(rig_watched(watch).before[0], 45 + 10);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
                TEST(stats_over_sizes),
                TEST(order_of_flows),
                TEST(behind_filters),
                TEST(through_a_third),
                TEST(transformer_in_front),
                TEST(copies_in_front),
                TEST(target_behind_transformer),
                TEST(reader_behind_transformer),
                TEST(resets),
                TEST(target_has_gone),
                TEST(reset_of_what_has_gone),
                TEST(target_comes_later),
                TEST(ticks),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
