/* graph/run and graph/emit: every flow gives what it would give alone, packet by packet.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "rig.h"

#include "packet/parse.h"

#include <mapi.h>

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

static struct instance *tally(uint32_t flow)
{
        return rig_apply(&rig, flow, &shapes_tally, NULL, 0, NULL, 0);
}

/* ---- transformers ------------------------------------------------------------------------------------------- */

static void three_for_one(void **state)
{
        static const uint32_t widths[] = { 1, 2, 63, 64 };

        for (unsigned w = 0; w < 4; w++) {
                struct instance *all, *three, *udp, *plain, *ends;
                struct shapes_tally t;
                uint64_t caplen = 0, wirelen = 0, n_udp = 0, parsed;
                uint32_t a, b;

                rig_fini(&rig);
                rig_init(&rig);
                a = rig_flow(&rig);
                b = rig_flow(&rig);
                plain = tally(a);
                rig_apply(&rig, a, &shapes_triple, NULL, 0, NULL, 0);
                three = tally(a);
                rig_filter(&rig, a, "udp");
                udp = rig_plain(&rig, a, "PKT_COUNTER");
                all = tally(b);
                rig_apply(&rig, b, &shapes_triple, NULL, 0, NULL, 0);
                rig_filter(&rig, b, "len = 9"); /* the one at the end says so in its wire length */
                ends = tally(b);
                rig_compile(&rig, false);
                rig_run(&rig, 0, RIG_PACKETS, widths[w]);
                t = rig_tally(three);
                assert_int_equal(t.packets, 3 * RIG_PACKETS);
                rig_finish(&rig);
                for (uint32_t i = 0; i < RIG_PACKETS; i++) {
                        caplen += rig_packet[i].caplen;
                        wirelen += rig_packet[i].wirelen;
                        n_udp += i % 3 == 0 && rig_packet[i].caplen >= 24;
                }
                t = rig_tally(plain);
                parsed = t.parsed;
                assert_int_equal(t.packets, RIG_PACKETS);
                assert_int_equal(t.caplen, caplen);
                t = rig_tally(three);
                assert_int_equal(t.packets, 3 * RIG_PACKETS + 1);
                assert_int_equal(t.caplen, 3 * caplen + 20);
                assert_int_equal(t.wirelen, 3 * wirelen + 3 * RIG_PACKETS + 9);
                assert_int_equal(t.parsed, 3 * parsed); /* decoded anew */
                assert_int_equal(t.finishes, 1);
                assert_int_equal(instance_u64(udp), 3 * n_udp);
                t = rig_tally(all); /* the other flow does not notice */
                assert_int_equal(t.packets, RIG_PACKETS);
                t = rig_tally(ends);
                assert_int_equal(t.packets, 1);
                assert_int_equal(t.caplen, 20);
        }
}

static void two_in_a_row(void **state)
{
        uint32_t f = rig_flow(&rig);
        struct instance *first, *second;

        first = rig_apply(&rig, f, &shapes_triple, NULL, 0, NULL, 0);
        rig_apply(&rig, f, &shapes_triple, NULL, 0, NULL, 0);
        second = tally(f);
        rig_compile(&rig, false);
        rig_run(&rig, 0, 500, 64);
        assert_int_equal(rig_tally(second).packets, 9 * 500);
        rig_finish(&rig);
        assert_int_equal(rig_tally(second).packets, 9 * 500 + 3 + 1);
        assert_true(first->ended && second->ended);
        rig_finish(&rig); /* they have said their last */
        assert_int_equal(rig_tally(second).packets, 9 * 500 + 3 + 1);
        assert_int_equal(first->emit_dropped, 0);
}

/* More than declared, or longer: dropped and counted, whatever the function tries. */
static void over_its_budget(void **state)
{
        uint32_t f = rig_flow(&rig);
        struct instance *greedy = rig_apply(&rig, f, &shapes_greedy, NULL, 0, NULL, 0), *t = tally(f);

        rig_compile(&rig, false);
        rig_run(&rig, 0, 100, 1);
        assert_int_equal(rig_tally(t).packets, 200);
        assert_int_equal(rig_tally(t).caplen, 2000);
        assert_int_equal(greedy->emit_dropped, 100 * (1 + 3));
        rig_run(&rig, 0, 192, 64);
        assert_int_equal(rig_tally(t).packets, 200 + 2 * 192);
        assert_int_equal(greedy->emit_dropped, (100 + 192) * (1 + 3));
}

/* Emitted packets of the greatest length fill the buffer often: none is lost, none damaged. */
static void long_packets(void **state)
{
        uint8_t *bytes = malloc(MAPI_CAPLEN_MAX);
        static struct mapi_batch b;
        uint32_t f = rig_flow(&rig);
        struct instance *t;
        uint64_t expected = 0;

        assert_non_null(bytes);
        for (uint32_t i = 0; i < MAPI_CAPLEN_MAX; i++)
                bytes[i] = (uint8_t)(i * 2654435761u >> 24);
        rig.device.snaplen = MAPI_CAPLEN_MAX;
        rig_apply(&rig, f, &shapes_triple, NULL, 0, NULL, 0);
        rig_one(&rig, f, &shapes_bump, 1);
        t = tally(f);
        rig_compile(&rig, false);
        b.n = 7;
        for (uint32_t i = 0; i < b.n; i++)
                b.pkt[i] =
                        (struct mapi_view){ .data = bytes, .caplen = MAPI_CAPLEN_MAX - i * 40001, .linktype = 1 };
        graph_run(rig.graph, &b);
        for (uint32_t i = 0; i < b.n; i++)
                for (uint32_t three = 0; three < 3; three++)
                        for (uint32_t k = 0; k < b.pkt[i].caplen; k++)
                                expected = expected * 31 + (uint8_t)(bytes[k] + 1) + 1;
        assert_int_equal(rig_tally(t).packets, 21);
        assert_true(rig_tally(t).bytes == expected);
        free(bytes);
}

/* ---- functions that modify ---------------------------------------------------------------------------------- */

/* Other flows see the bytes as they came, whichever runs first; behind the function they are changed for its
   own flow. */
static void private_copies(void **state)
{
        struct instance *before, *after, *twice, *other[2], *changed, *unchanged, *half;
        uint64_t same, plus1 = 0, plus2 = 0, n8 = 0, even = 0;
        uint32_t f[5];

        for (unsigned i = 0; i < 5; i++)
                f[i] = rig_flow(&rig);
        other[0] = tally(f[0]);
        before = tally(f[1]);
        rig_one(&rig, f[1], &shapes_bump, 1);
        after = tally(f[1]);
        rig_one(&rig, f[1], &shapes_bump, 1);
        twice = tally(f[1]);
        rig_one(&rig, f[2], &shapes_bump, 1);
        rig_filter(&rig, f[2], "ether[12] = 9"); /* was 8 */
        changed = rig_plain(&rig, f[2], "PKT_COUNTER");
        rig_filter(&rig, f[2], "ether[12] = 8");
        unchanged = rig_plain(&rig, f[2], "PKT_COUNTER");
        rig_one(&rig, f[3], &shapes_bump, 2);
        half = tally(f[3]);
        other[1] = tally(f[4]);
        rig_compile(&rig, false);
        rig_run(&rig, 0, RIG_PACKETS, 64);
        for (uint32_t i = 0; i < RIG_PACKETS; i++) {
                n8 += rig_packet[i].caplen > 12;
                even += rig_packet[i].wirelen % 2 == 0;
                for (uint32_t k = 0; k < rig_packet[i].caplen; k++) {
                        plus1 = plus1 * 31 + (uint8_t)(rig_packet[i].data[k] + 1) + 1;
                        plus2 = plus2 * 31 + (uint8_t)(rig_packet[i].data[k] + 2) + 1;
                }
        }
        same = rig_tally(other[0]).bytes;
        assert_true(rig_tally(other[1]).bytes == same && rig_tally(before).bytes == same);
        assert_true(rig_tally(after).bytes == plus1 && plus1 != same);
        assert_true(rig_tally(twice).bytes == plus2);
        assert_int_equal(rig_tally(twice).packets, RIG_PACKETS);
        assert_int_equal(rig_tally(after).order, rig_tally(other[0]).order);
        assert_int_equal(rig_tally(after).wirelen, rig_tally(other[0]).wirelen);
        assert_true(rig_tally(before).parsed > 900);
        assert_int_equal(rig_tally(after).parsed, 0); /* the type was changed: decoded anew */
        assert_int_equal(instance_u64(changed), n8);
        assert_int_equal(instance_u64(unchanged), 0);
        assert_int_equal(rig_tally(half).packets, even);
}

/* ---- packet rings ------------------------------------------------------------------------------------------- */

static void to_the_application(void **state)
{
        uint32_t f = rig_flow(&rig), g = rig_flow(&rig);
        struct instance *ring, *all;
        struct ring_reader reader = { 0 };
        struct mapipkt *p = NULL;

        rig_filter(&rig, f, "tcp");
        ring = rig_plain(&rig, f, "TO_BUFFER");
        all = rig_plain(&rig, g, "TO_BUFFER");
        rig_compile(&rig, false);
        rig_run(&rig, 0, RIG_PACKETS, 64);
        for (unsigned only_tcp = 0; only_tcp < 2; only_tcp++) {
                struct instance *in = only_tcp ? ring : all;

                memset(&reader, 0, sizeof reader);
                reader.shared = in->ring->shared;
                assert_int_equal(ring_reader_map(&reader, in->ring->fd, in->ring->size, 0), 0);
                for (uint32_t i = 0; i < RIG_PACKETS; i++) {
                        const struct mapi_view *v = &rig_packet[i];

                        if (only_tcp && (i % 3 == 0 || v->caplen < 24))
                                continue;
                        assert_int_equal(ring_reader_next(&reader, (void **)&p), RING_PACKET);
                        assert_int_equal(p->ts, v->ts);
                        assert_int_equal(p->caplen, v->caplen);
                        assert_int_equal(p->wlen, v->wirelen);
                        assert_int_equal(memcmp(&p->pkt, v->data, v->caplen), 0);
                }
                assert_int_equal(ring_reader_next(&reader, (void **)&p), RING_EMPTY);
                graph_finish_rings(rig.graph, only_tcp ? 0 : 1);
                assert_int_equal(ring_reader_next(&reader, (void **)&p), RING_FINISHED);
                ring_reader_unmap(&reader);
        }
}

/* ---- skipping ----------------------------------------------------------------------------------------------- */

/* A filter passes nothing in some batches: what hangs on it sees nothing then, and not what was left of the
   batch before. */
static void nothing_stale(void **state)
{
        struct instance *counter[4], *steps;
        uint32_t f[3];

        for (unsigned i = 0; i < 3; i++)
                f[i] = rig_flow(&rig);
        rig_filter(&rig, f[0], "ip src 10.0.0.1");
        counter[0] = rig_plain(&rig, f[0], "PKT_COUNTER");
        rig_filter(&rig, f[0], "ip dst 10.0.0.3");
        counter[1] = rig_plain(&rig, f[0], "PKT_COUNTER");
        rig_apply(&rig, f[1], &shapes_has, &STR("needle"), 1, NULL, 0);
        counter[2] = rig_plain(&rig, f[1], "PKTINFO");
        steps = rig_stats(&rig, f[1], counter[2], "0");
        rig_apply(&rig, f[2], &shapes_pass, (struct mapi_value[]){ NUM(97), NUM(5) }, 2, NULL, 0);
        rig_filter(&rig, f[2], "tcp");
        counter[3] = rig_plain(&rig, f[2], "PKT_COUNTER");
        rig_compile(&rig, false);
        for (uint32_t i = 0; i < RIG_PACKETS; i++) { /* one packet is a batch: most of them pass nothing */
                rig_run(&rig, i, i + 1, 64);
                rig_run(&rig, 0, 0, 64);
        }
        for (unsigned i = 0; i < 4; i++) {
                uint64_t n = 0;
                unsigned long long got;

                for (uint32_t k = 0; k < RIG_PACKETS; k++) {
                        const struct mapi_view *v = &rig_packet[k];
                        int src = v->caplen >= 30 && v->data[29] == 1;
                        int dst = v->caplen >= 34 && v->data[33] == 3;
                        int needle = memmem(v->data, v->caplen, "needle", 6) != NULL;
                        int odd = v->caplen % 97 == 5 && v->caplen >= 24 && k % 3 != 0;

                        n += i == 0 ? src : i == 1 ? src && dst : i == 2 ? needle : odd;
                }
                assert_true(n > 0);
                memcpy(&got, i == 2 ? (const void *)steps->fn.slot->data : (const void *)counter[i]->fn.slot->data,
                       8);
                assert_int_equal(got, n); /* STATS begins with its count */
        }
}

/* ---- alone and together ------------------------------------------------------------------------------------- */

static uint64_t random_state;

static uint32_t below(uint32_t n)
{
        random_state = random_state * 6364136223846793005u + 1442695040888963407u;
        return (uint32_t)(random_state >> 33) % n;
}

static const char *const expressions[] = {
        "tcp",        "udp",        "port 1",    "port 2",        "ip",
        "not port 3", "src port 4", "len > 700", "ether[40] < 9", "dst net 10.0.0.0/30"
};

/** Anything; with few kinds of arguments, so that flows often begin alike. */
static void random_function(struct rig *r, uint32_t flow, bool own_packets)
{
        switch (below(own_packets ? 12 : 10)) {
        case 0:
        case 1:
        case 2:
                rig_filter(r, flow, expressions[below(10)]);
                break;
        case 3:
                rig_apply(r, flow, &shapes_has, &STR(below(2) ? "needle" : "\1\2"), 1, NULL, 0);
                break;
        case 4:
                rig_apply(r, flow, &shapes_pass, (struct mapi_value[]){ NUM(2 + below(2)), NUM(below(2)) }, 2,
                          NULL, 0);
                break;
        case 5:
                rig_one(r, flow, &shapes_every, 1 + below(3));
                break;
        case 6:
                rig_apply(r, flow, rig_function("SAMPLE"),
                          (struct mapi_value[]){ NUM(below(2) ? 70 : 2), NUM(2 + below(2)) }, 2, NULL, 0);
                break;
        case 7:
                rig_plain(r, flow, below(2) ? "PKT_COUNTER" : "BYTE_COUNTER");
                break;
        case 8:
                rig_plain(r, flow, below(2) ? "GAP" : "PKTINFO");
                break;
        case 9:
                rig_apply(r, flow, rig_function("HASH"), &NUM(below(4)), 1, NULL, 0);
                break;
        case 10:
                rig_one(r, flow, &shapes_bump, 1 + below(2));
                break;
        default:
                rig_apply(r, flow, &shapes_triple, NULL, 0, NULL, 0);
        }
}

/** Some functions that read: of this flow, or of any before. */
static void random_reader(struct rig *r, uint32_t flow)
{
        struct instance *number[RIG_FLOWS * RIG_FUNCTIONS];
        uint32_t n = 0;

        for (uint32_t f = 0; f <= flow; f++)
                for (uint32_t k = 0; k < r->flow[f].n; k++)
                        if (r->fn[f][k]->fn.def->result.kind == MAPI_RESULT_COUNTER &&
                            r->fn[f][k]->fn.result_size == 8)
                                number[n++] = r->fn[f][k];
        if (n == 0)
                return;
        if (below(2))
                rig_watch(r, flow, number[below(n)], number[below(n)]);
        else
                rig_stats(r, flow, number[below(n)], below(2) ? "0" : below(2) ? "1" : "50ms");
}

enum { RANDOM_FLOWS = 6 };

static void random_flows(struct rig *r, uint64_t seed, bool own_packets, bool readers)
{
        random_state = seed;
        for (uint32_t f = 0; f < RANDOM_FLOWS; f++) {
                uint32_t n = 1 + below(5);

                rig_flow(r);
                for (uint32_t k = 0; k < n; k++)
                        random_function(r, f, own_packets);
                if (readers && below(2))
                        random_reader(r, f);
                if (below(2))
                        random_function(r, f, own_packets);
                rig_apply(r, f, &shapes_tally, NULL, 0, NULL, 0);
        }
}

/** Everything that can be read of all flows, one after the other. Returns its bytes. */
static size_t results(const struct rig *r, uint8_t *to)
{
        size_t at = 0;

        for (uint32_t f = 0; f < r->flows; f++)
                for (uint32_t k = 0; k < r->flow[f].n; k++) {
                        const struct instance *in = r->fn[f][k];

                        if (in->fn.slot == NULL)
                                continue;
                        memcpy(to + at, in->fn.slot->data, in->fn.result_size);
                        at += in->fn.result_size;
                        memcpy(to + at, &in->fn.slot->base, 8);
                        at += 8;
                }
        return at;
}

enum { RESULT_BYTES = 65536 };

static void same_at_any_width(void **state)
{
        static const uint32_t widths[] = { 64, 63, 2, 1, 17 };
        static uint8_t first[RESULT_BYTES], now[RESULT_BYTES];

        for (uint64_t seed = 1; seed <= 40; seed++)
                for (unsigned w = 0; w < 5; w++) {
                        size_t n;

                        rig_fini(&rig);
                        rig_init(&rig);
                        random_flows(&rig, seed, true, true);
                        rig_compile(&rig, w == 2);
                        rig_run(&rig, 0, 333, widths[w]);
                        rig_compile(&rig, w == 3); /* a new plan takes over where the old one stood */
                        rig_run(&rig, 333, RIG_PACKETS, widths[w]);
                        rig_finish(&rig);
                        n = results(&rig, w == 0 ? first : now);
                        if (w > 0 && memcmp(first, now, n) != 0)
                                fail_msg("seed %u: width %u and width 64 differ", (unsigned)seed, widths[w]);
                }
}

/* A flow's results do not depend on the flows beside it. */
static void same_alone(void **state)
{
        static uint8_t together[RESULT_BYTES], alone[RESULT_BYTES];

        for (uint64_t seed = 1; seed <= 40; seed++) {
                size_t n;

                rig_fini(&rig);
                rig_init(&rig);
                random_flows(&rig, seed, true, false);
                rig_compile(&rig, false);
                rig_run(&rig, 0, RIG_PACKETS, 64);
                rig_finish(&rig);
                n = results(&rig, together);
                rig_fini(&rig);
                rig_init(&rig);
                random_flows(&rig, seed, true, false);
                for (uint32_t f = 0; f < RANDOM_FLOWS; f++) { /* a plan with one flow, for each in turn */
                        struct graph_flow one = rig.flow[f];
                        struct graph *g;

                        assert_int_equal(graph_compile(&one, 1, false, &g, NULL), 0);
                        graph_free(&rig.graph);
                        rig.graph = g;
                        graph_adopt(g, 0);
                        rig_run(&rig, 0, RIG_PACKETS, 64);
                        rig_finish(&rig);
                }
                assert_int_equal(results(&rig, alone), n);
                if (memcmp(together, alone, n) != 0)
                        fail_msg("seed %u: a flow alone gives something else", (unsigned)seed);
        }
}

/* The plainest way to do it: packet by packet, function by function, each flow for itself. */
static void run_naively(struct rig *r)
{
        static struct mapi_batch b;

        for (uint32_t i = 0; i < RIG_PACKETS; i++)
                for (uint32_t f = 0; f < r->flows; f++)
                        for (uint32_t k = 0; k < r->flow[f].n; k++) {
                                struct instance *in = r->fn[f][k];
                                mapi_sel out = 1;

                                b.n = 1;
                                b.parsed = 0;
                                b.pkt[0] = rig_packet[i];
                                packet_parse(&b, 1);
                                if (in->filter != NULL)
                                        out = filter_match(in->filter, &b.pkt[0]);
                                else if (in->match != NULL)
                                        out = match_test(in->match, b.pkt[0].data, b.pkt[0].caplen);
                                else
                                        out = in->fn.def->run(&in->fn, &b, 1) & 1;
                                if ((in->fn.def->traits & MAPI_FILTERS) != 0 && out == 0)
                                        break;
                        }
        for (uint32_t f = 0; f < r->flows; f++)
                for (uint32_t k = 0; k < r->flow[f].n; k++)
                        if (r->fn[f][k]->fn.def->finish != NULL)
                                (void)r->fn[f][k]->fn.def->finish(&r->fn[f][k]->fn, MAPI_FINISH_END);
}

static void same_as_naively(void **state)
{
        static uint8_t planned[RESULT_BYTES], naive[RESULT_BYTES];

        for (uint64_t seed = 100; seed <= 160; seed++) {
                size_t n;

                rig_fini(&rig);
                rig_init(&rig);
                random_flows(&rig, seed, false, false);
                rig_compile(&rig, false);
                rig_run(&rig, 0, RIG_PACKETS, 64);
                rig_finish(&rig);
                n = results(&rig, planned);
                rig_fini(&rig);
                rig_init(&rig);
                random_flows(&rig, seed, false, false);
                run_naively(&rig);
                assert_int_equal(results(&rig, naive), n);
                if (memcmp(planned, naive, n) != 0)
                        fail_msg("seed %u: the plan gives something else", (unsigned)seed);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
                TEST(three_for_one),  TEST(two_in_a_row),       TEST(over_its_budget), TEST(long_packets),
                TEST(private_copies), TEST(to_the_application), TEST(nothing_stale),   TEST(same_at_any_width),
                TEST(same_alone),     TEST(same_as_naively),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
