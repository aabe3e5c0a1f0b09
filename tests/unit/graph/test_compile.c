/* graph/compile: what flows share, what they do not, and in which order things are done.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "rig.h"

#include <stdio.h>

static struct rig rig;

static int setup(void **state)
{
        rig_init(&rig);
        return 0;
}

static int teardown(void **state)
{
        rig_fini(&rig);
        assert_int_equal(shapes_alive, 0);
        return 0;
}

static uint64_t matching_from(const char *expression, uint32_t from, uint32_t to)
{
        struct arena *a = arena_new(NULL);
        const struct filter *f;
        uint64_t n = 0;

        assert_int_equal(filter_compile(a, NULL, expression, 1, 2000, &f, NULL), 0);
        for (uint32_t i = from; i < to; i++)
                n += filter_match(f, &rig_packet[i]);
        arena_free(&a);
        return n;
}

static uint64_t matching(const char *expression)
{
        return matching_from(expression, 0, RIG_PACKETS);
}

static void nothing(void **state)
{
        struct graph_facts f = rig_compile(&rig, false);
        unsigned packets = 0;
        size_t bytes = 0;

        assert_int_equal(f.operations + f.filters + f.patterns + f.steps + f.queues, 0);
        rig_run(&rig, 0, RIG_PACKETS, 64);
        graph_tick(rig.graph, 1);
        graph_room(rig.graph, &packets, &bytes);
        assert_int_equal(packets, MAPI_BATCH_MAX);
        assert_true(bytes == SIZE_MAX);
        assert_false(graph_want_room(rig.graph, 1000));
        rig_flow(&rig); /* a flow without functions */
        f = rig_compile(&rig, false);
        assert_int_equal(f.operations, 0);
        rig_run(&rig, 0, RIG_PACKETS, 64);
        rig_finish(&rig);
}

static void equal_filters_are_one(void **state)
{
        struct instance *counter[10];
        struct graph_facts f;

        for (unsigned i = 0; i < 10; i++) {
                uint32_t flow = rig_flow(&rig);

                rig_filter(&rig, flow,
                           i % 2 ? "ip and tcp" : "tcp and ip"); /* the same program, said differently */
                counter[i] = rig_plain(&rig, flow, "PKT_COUNTER");
        }
        f = rig_compile(&rig, false);
        assert_int_equal(f.filters, 1);
        assert_int_equal(f.operations, 11);
        rig_run(&rig, 0, RIG_PACKETS, 64);
        for (unsigned i = 0; i < 10; i++)
                assert_int_equal(instance_u64(counter[i]), matching("ip and tcp"));
}

static void equal_prefixes(void **state)
{
        static const char *const second[] = { "port 1", "port 2", "port 1", "port 1", "port 3" };
        struct instance *counter[5];

        for (unsigned i = 0; i < 5; i++) {
                uint32_t flow = rig_flow(&rig);

                rig_filter(&rig, flow, "tcp");
                rig_filter(&rig, flow, second[i]);
                counter[i] = rig_plain(&rig, flow, "PKT_COUNTER");
        }
        assert_int_equal(rig_compile(&rig, false).filters, 4); /* tcp, and three behind it */
        rig_run(&rig, 0, RIG_PACKETS, 64);
        for (unsigned i = 0; i < 5; i++) {
                char both[40] = "tcp and ";

                strcat(both, second[i]);
                assert_int_equal(instance_u64(counter[i]), matching(both));
        }
        /* behind another filter, or none, it is another one */
        rig_filter(&rig, rig_flow(&rig), "port 1");
        assert_int_equal(rig_compile(&rig, false).filters, 5);
        rig_filter(&rig, rig_flow(&rig), "tcp");
        assert_int_equal(rig_compile(&rig, false).filters, 5);
}

static void link_types_differ(void **state)
{
        uint32_t flow = rig_flow(&rig);

        rig_filter(&rig, flow, "len > 20");
        rig.device.linktype = 113;
        rig_filter(&rig, rig_flow(&rig), "len > 20");
        assert_int_equal(rig_compile(&rig, false).filters, 2);
}

static void counters_do_not_hinder(void **state)
{
        uint32_t a = rig_flow(&rig), b = rig_flow(&rig), c = rig_flow(&rig);
        struct instance *before, *behind[3];

        before = rig_plain(&rig, a, "PKT_COUNTER");
        rig_plain(&rig, a, "BYTE_COUNTER");
        rig_filter(&rig, a, "udp");
        behind[0] = rig_plain(&rig, a, "PKT_COUNTER");
        rig_filter(&rig, b, "udp");
        rig_plain(&rig, b, "HASH");
        behind[1] = rig_plain(&rig, b, "PKT_COUNTER");
        rig_plain(&rig, c, "TO_BUFFER");
        rig_apply(&rig, c, &shapes_tally, NULL, 0, NULL, 0);
        rig_filter(&rig, c, "udp");
        behind[2] = rig_plain(&rig, c, "PKT_COUNTER");
        assert_int_equal(rig_compile(&rig, false).filters, 1);
        rig_run(&rig, 0, RIG_PACKETS, 64);
        assert_int_equal(instance_u64(before), RIG_PACKETS);
        for (unsigned i = 0; i < 3; i++)
                assert_int_equal(instance_u64(behind[i]), matching("udp"));
}

static void stateful_filters_hinder(void **state)
{
        struct instance *counter[3];

        for (unsigned i = 0; i < 3; i++) {
                uint32_t flow = rig_flow(&rig);

                rig_filter(&rig, flow, "tcp");
                rig_one(&rig, flow, &shapes_every, 2);
                rig_filter(&rig, flow, "port 1");
                counter[i] = rig_plain(&rig, flow, "PKT_COUNTER");
                if (i == 1) { /* two of them have seen some packets already when the third comes */
                        assert_int_equal(rig_compile(&rig, false).filters, 3);
                        rig_run(&rig, 0, 101, 64);
                }
        }
        assert_int_equal(rig_compile(&rig, false).filters, 4);
        rig_run(&rig, 101, RIG_PACKETS, 64);
        assert_int_equal(instance_u64(counter[0]), instance_u64(counter[1]));
        assert_true(instance_u64(counter[2]) > 0);
        assert_int_not_equal(instance_u64(counter[0]), instance_u64(counter[2]));
}

static void patterns(void **state)
{
        struct instance *counter[4];
        static const char *const text[] = { "needle", "needle", "nee", "needle" };
        uint64_t found = 0;

        for (unsigned i = 0; i < 4; i++) {
                uint32_t flow = rig_flow(&rig);

                if (i == 3)
                        rig_plain(&rig, flow, "BYTE_COUNTER");
                rig_apply(&rig, flow, &shapes_has, &STR(text[i]), 1, NULL, 0);
                counter[i] = rig_plain(&rig, flow, "PKT_COUNTER");
        }
        assert_int_equal(rig_compile(&rig, false).patterns, 2);
        rig_run(&rig, 0, RIG_PACKETS, 64);
        for (uint32_t i = 0; i < RIG_PACKETS; i++)
                found += memmem(rig_packet[i].data, rig_packet[i].caplen, "needle", 6) != NULL;
        assert_true(found > 100);
        assert_int_equal(instance_u64(counter[0]), found);
        assert_int_equal(instance_u64(counter[1]), found);
        assert_true(instance_u64(counter[2]) >= found);
        assert_int_equal(instance_u64(counter[3]), found);
}

/* Filters with code of their own are shared if they are pure and their arguments are equal; counters then are
   the rest. */
static void pure_functions(void **state)
{
        static const long long rests[] = { 0, 0, 1, 0 };
        struct instance *counter[4];
        uint64_t even = 0;

        for (unsigned i = 0; i < 4; i++) {
                uint32_t flow = rig_flow(&rig);
                struct mapi_value v[2] = { NUM(2), NUM(rests[i]) };

                rig_apply(&rig, flow, &shapes_pass, v, 2, NULL, 0);
                counter[i] = rig_plain(&rig, flow, "PKT_COUNTER");
        }
        assert_int_equal(rig_compile(&rig, false).operations, 2 + 4);
        rig_run(&rig, 0, RIG_PACKETS, 63);
        for (uint32_t i = 0; i < RIG_PACKETS; i++)
                even += rig_packet[i].caplen % 2 == 0;
        for (unsigned i = 0; i < 4; i++)
                assert_int_equal(instance_u64(counter[i]), rests[i] == 0 ? even : RIG_PACKETS - even);
}

/* What emits or changes packets is its flow's own, and so is all behind it. */
static void own_packets_hinder(void **state)
{
        for (unsigned i = 0; i < 2; i++) {
                uint32_t flow = rig_flow(&rig);

                rig_filter(&rig, flow, "tcp");
                rig_apply(&rig, flow, &shapes_triple, NULL, 0, NULL, 0);
                rig_filter(&rig, flow, "port 1");
        }
        assert_int_equal(rig_compile(&rig, false).filters, 1 + 2);
        for (unsigned i = 0; i < 2; i++) {
                uint32_t flow = rig_flow(&rig);

                rig_filter(&rig, flow, "tcp");
                rig_one(&rig, flow, &shapes_bump, 1);
                rig_filter(&rig, flow, "port 1");
        }
        assert_int_equal(rig_compile(&rig, false).filters, 1 + 4);
}

static void step_groups(void **state)
{
        uint32_t flow[6];
        struct instance *info[6];

        for (unsigned i = 0; i < 6; i++) {
                flow[i] = rig_flow(&rig);
                rig_filter(&rig, flow[i], "tcp");
                info[i] = rig_plain(&rig, flow[i], "PKTINFO");
        }
        assert_int_equal(rig_compile(&rig, false).steps, 0);
        rig_stats(&rig, flow[0], info[0], "0");
        assert_int_equal(rig_compile(&rig, false).steps, 1);
        rig_stats(&rig, flow[1], info[1], "0");
        assert_int_equal(rig_compile(&rig, false).steps, 2);
        assert_int_equal(rig_compile(&rig, false).filters, 1); /* in front of a step group still shared */
        rig_stats(&rig, flow[2], info[0], "0");
        assert_int_equal(rig_compile(&rig, false).steps, 2); /* joins the first */
        rig_stats(&rig, flow[4], info[3], "0");
        assert_int_equal(rig_compile(&rig, false).steps, 3);
        rig_watch(&rig, flow[5], info[1],
                  info[4]); /* 4 is not read by others and reads 3: all of 1, 3, 4, 5 are one */
        assert_int_equal(rig_compile(&rig, false).steps, 2);
        rig_watch(&rig, flow[5], info[2], info[5]);
        assert_int_equal(rig_compile(&rig, false).steps, 1);
}

/* Function statistics: packets in and out of every function, also of those that share one evaluation. */
static void counts(void **state)
{
        struct instance *first[3], *second[3], *sum[3];

        for (unsigned i = 0; i < 3; i++) {
                uint32_t flow = rig_flow(&rig);

                first[i] = rig_filter(&rig, flow, "tcp");
                second[i] = i < 2 ? rig_apply(&rig, flow, &shapes_has, &STR("needle"), 1, NULL, 0)
                                  : rig_one(&rig, flow, &shapes_every, 3);
                sum[i] = rig_plain(&rig, flow, "PKT_COUNTER");
        }
        rig_compile(&rig, true);
        rig_run(&rig, 0, RIG_PACKETS, 64);
        for (unsigned i = 0; i < 3; i++) {
                assert_int_equal(first[i]->packets, RIG_PACKETS);
                assert_int_equal(first[i]->passed, matching("tcp"));
                assert_int_equal(second[i]->packets, matching("tcp"));
                assert_int_equal(second[i]->passed, instance_u64(sum[i]));
                assert_int_equal(sum[i]->packets, instance_u64(sum[i]));
        }
        assert_int_equal(second[2]->passed, matching("tcp") / 3);
}

/* Sixty-four flows with filters of their own, some equal: each gives what bpf_filter() says alone. */
static void many_filters(void **state)
{
        struct instance *counter[RIG_FLOWS];
        char text[RIG_FLOWS][64];

        for (unsigned i = 0; i < RIG_FLOWS; i++) {
                (void)snprintf(text[i], sizeof text[i], "%s port %u",
                               i % 3 == 0   ? "tcp"
                               : i % 3 == 1 ? "udp src"
                                            : "not",
                               i / 3 % 10);
                rig_filter(&rig, rig_flow(&rig), text[i]);
                counter[i] = rig_plain(&rig, i, "PKT_COUNTER");
        }
        assert_int_equal(rig_compile(&rig, false).filters, 30);
        rig_run(&rig, 0, RIG_PACKETS, 64);
        for (unsigned i = 0; i < RIG_FLOWS; i++)
                assert_int_equal(instance_u64(counter[i]), matching(text[i]));
}

/* A flow that comes later counts from there on, although it shares; one that leaves does not disturb. */
static void flows_come_and_go(void **state)
{
        struct instance *counter[3];
        struct graph_flow gone;

        for (unsigned i = 0; i < 3; i++) {
                rig_filter(&rig, rig_flow(&rig), "ip");
                counter[i] = rig_plain(&rig, i, "PKT_COUNTER");
                rig_compile(&rig, false);
                rig_run(&rig, i * 100, (i + 1) * 100, 64);
        }
        gone = rig.flow[0];
        memmove(rig.flow, rig.flow + 1, 2 * sizeof gone); /* the one whose filter the others shared */
        rig.flows = 2;
        assert_int_equal(rig_compile(&rig, false).filters, 1);
        rig_run(&rig, 300, RIG_PACKETS, 64);
        memmove(rig.flow + 1, rig.flow, 2 * sizeof gone);
        rig.flow[0] = gone;
        rig.flows = 3;
        rig_compile(&rig, false);
        for (unsigned i = 0; i < 3; i++)
                assert_int_equal(instance_u64(counter[i]),
                                 matching_from("ip", i * 100, i == 0 ? 300 : RIG_PACKETS));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
                TEST(nothing),
                TEST(equal_filters_are_one),
                TEST(equal_prefixes),
                TEST(link_types_differ),
                TEST(counters_do_not_hinder),
                TEST(stateful_filters_hinder),
                TEST(patterns),
                TEST(pure_functions),
                TEST(own_packets_hinder),
                TEST(step_groups),
                TEST(counts),
                TEST(many_filters),
                TEST(flows_come_and_go),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
