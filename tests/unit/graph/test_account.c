/* graph/account: every packet of a flow is delivered, filtered or dropped, and counted once; against a slow model.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "model.h"

#include <mapi.h>

#include <fcntl.h>
#include <stdio.h>

static struct model model;

static int setup(void **state)
{
        model_init(&model);
        return 0;
}

static int teardown(void **state)
{
        model_fini(&model);
        assert_int_equal(shapes_alive, 0);
        return 0;
}

/** Runs all packets through flows of these words, in batches of every kind of width; the model judges. */
static void flows(const char *const *words, uint32_t n)
{
        static const uint32_t widths[] = { 1, 3, 63, 64 };

        for (unsigned w = 0; w < 4; w++) {
                model_fini(&model);
                model_init(&model);
                for (uint32_t i = 0; i < n; i++)
                        (void)model_flow(&model, words[i]);
                model_compile(&model, w % 2 == 0);
                model_run(&model, 0, RIG_PACKETS, widths[w]);
        }
}

#define FLOWS(...)                                                                                                \
        flows((const char *const[]){ __VA_ARGS__ }, sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *))

static void expect(uint32_t flow, uint64_t delivered, uint64_t filtered, uint64_t ring, uint64_t file)
{
        const struct flow_account *a = &model.flow[flow].account;

        assert_int_equal(a->delivered, delivered);
        assert_int_equal(a->dropped_ring, ring);
        assert_int_equal(a->dropped_file, file);
        assert_int_equal(model.flow[flow].given - delivered - ring - file, filtered);
}

/* Without queues: what passes all functions, and the rest. Numbers by hand for what they can be seen from. */
static void filters(void **state)
{
        uint64_t cut = 0, udp = 0;

        for (uint32_t i = 0; i < RIG_PACKETS; i++) {
                cut += rig_packet[i].caplen < 24;
                udp += rig_packet[i].caplen >= 24 && i % 3 == 0;
        }
        assert_true(cut > 0);
        FLOWS("", "c", "u", "t c", "u c t", "h", "l0", "l99999", "t e7 c", "u p3,1 c", "p3,1 u");
        expect(0, 1000, 0, 0, 0); /* no functions at all */
        expect(1, 1000, 0, 0, 0);
        expect(2, udp, 1000 - udp, 0, 0);
        expect(3, 1000 - udp - cut, udp + cut, 0, 0);
        expect(4, 0, 1000, 0, 0);
        expect(6, 1000, 0, 0, 0);
        expect(7, 0, 1000, 0, 0);
        expect(8, (1000 - udp - cut) / 7, 1000 - (1000 - udp - cut) / 7, 0, 0);
}

/* A ring that nobody reads: the packets that found no room are dropped, wherever they would have gone. */
static void ring(void **state)
{
        uint64_t used = 0, fit = 0;

        for (uint32_t i = 0; i < RIG_PACKETS; i++)
                if (used + ring_record(rig_packet[i].caplen) <= 65536) {
                        used += ring_record(rig_packet[i].caplen);
                        fit++;
                }
        FLOWS("b65536", "b65536 c", "c b65536", "b65536 l99999", "l99999 b65536", "u b4096", "b4096 u c",
              "b4096 h");
        assert_true(fit > 80 && fit < 200);
        expect(0, fit, 0, 1000 - fit, 0);
        expect(1, fit, 0, 1000 - fit, 0);
        expect(2, fit, 0, 1000 - fit, 0);
        expect(3, 0, fit, 1000 - fit, 0); /* lost first, filtered later: dropped */
        expect(4, 0, 1000, 0, 0);
}

/* Lost twice counts once, under the first that lost it. */
static void queues(void **state)
{
        FLOWS("b4096 b16384", "b16384 b4096", "b4096 u b16384", "u b16384 t b4096", "f4096 b16384", "b16384 f4096",
              "f8192 u b4096 f4096 c", "b8192 b8192 b8192", "b4096 f4096 e3 b65536");
        assert_true(model.flow[0].dropped_ring == model.flow[1].dropped_ring); /* in whatever order */
        assert_true(model.flow[4].dropped_file > 0 && model.flow[4].dropped_ring > 0);
        assert_true(model.flow[5].dropped_ring > model.flow[4].dropped_ring);
        assert_int_equal(model.flow[4].dropped_file + model.flow[4].dropped_ring,
                         model.flow[5].dropped_file + model.flow[5].dropped_ring);
}

/* Copies: what was lost before the flow had packets of its own stays lost. */
static void copies(void **state)
{
        FLOWS("m", "M", "M c", "b4096 m", "b4096 M u", "m b4096", "M b8192 e2",
              "b8192 M b16384 m b32768 M f4096 c", "m h", "h m b4096", "b65536 m M");
        expect(0, 1000, 0, 0, 0);
        expect(8, 0, 1000, 0, 0);
        assert_int_equal(model.flow[3].dropped_ring, model.flow[5].dropped_ring);
}

/* Copies of more bytes than there is room for at once. */
static void long_copies(void **state)
{
        static uint8_t bytes[100000];
        struct mapi_view kept[RIG_PACKETS];

        memcpy(kept, rig_packet, sizeof kept);
        for (uint32_t i = 0; i < RIG_PACKETS; i++) {
                rig_packet[i].data = bytes;
                rig_packet[i].caplen = rig_packet[i].wirelen = i % 3 == 0 ? 100000 : 100 + i % 2;
        }
        FLOWS("m", "b2000000 m", "b500000 m e2", "e7 b100000 M c b200000 m f4096", "b4096 M M");
        memcpy(rig_packet, kept, sizeof kept);
        expect(0, 1000, 0, 0, 0);
        assert_true(model.flow[1].delivered > 20 && model.flow[1].dropped_ring > 300);
}

/* What reaches the first transformer is delivered; what happens to what it emits is not the account's. */
static void transformers(void **state)
{
        FLOWS("x", "u x", "x u", "b4096 x", "x b4096", "b8192 t x c b4096 x b4096", "m x b4096",
              "b4096 m x m b4096", "x m");
        expect(0, 1000, 0, 0, 0);
        assert_int_equal(model.flow[1].delivered, model.flow[1].given - model.flow[1].filtered);
        expect(2, 1000, 0, 0, 0);
        expect(4, 1000, 0, 0, 0);
        assert_int_equal(model.flow[4].fn[1].packets, 3000); /* its statistics tell */
        assert_true(model.flow[4].fn[1].passed < 300);
        expect(6, 1000, 0, 0, 0);
}

/* Step groups: parts run by batches, then packet by packet. */
static void groups(void **state)
{
        FLOWS("c", "s1,1", "b4096 c s1,1", "b4096 u s1,1 b8192 c", "c s3,2 b4096 M b4096", "t s4,5 x b4096",
              "c b4096", "m b4096 s7,1 m c f4096", "b4096 s1,1 m c", "b16384 m s1,1 b4096 M e2", "b4096 c s9,3 x");
        expect(1, 1000, 0, 0, 0);
        assert_int_equal(model.flow[2].dropped_ring, model.flow[6].dropped_ring);
}

/* Flows that share a filter with code of its own, which another one has laid first. */
static void shared(void **state)
{
        FLOWS("p2,0", "b4096 p2,0", "p2,0 b4096", "b4096 p2,0 c", "p2,0 p3,0 f4096", "b4096 p2,0 b8192 p3,0");
        assert_int_equal(model.flow[1].dropped_ring, model.flow[3].dropped_ring);
        assert_true(model.flow[1].delivered > 0);
}

/* A file that cannot be written drops what comes from then on. */
static void full_disk(void **state)
{
        uint32_t f = model_flow(&model, "F65536 u"), g = model_flow(&model, "b4096 F65536");

        model_compile(&model, false);
        model_run(&model, 0, 100, 64);
        expect(f, model.flow[f].delivered, 100 - model.flow[f].delivered, 0, 0);
        model_drain(&model, f, 0);
        model_drain(&model, g, 1);
        model_run(&model, 100, 1000, 64);
        assert_int_equal(model.flow[f].account.dropped_file, 900);
        assert_true(model.flow[g].account.dropped_ring > 900); /* it had no room before it came to the file */
        assert_int_equal(model.flow[g].account.dropped_file,
                         1000 - model.flow[g].account.dropped_ring - model.flow[g].account.delivered);
}

/* TO_FILE: packets of another link type have no place in the file; those beyond the wanted number do not miss one. */
static void other_links(void **state)
{
        struct mapi_value v[3] = { NUM(MFF_PCAP),
                                   { .str = "file", .fd = open("/dev/null", O_WRONLY | O_CLOEXEC) },
                                   { .u64 = 5, .fd = -1 } };
        struct flow_account account = { 0 };
        uint32_t f = rig_flow(&model.rig);
        struct instance *in = rig_apply(&model.rig, f, rig_function("TO_FILE"), v, 3, NULL, 0);

        model.rig.flow[f].account = &account;
        (void)rig_compile(&model.rig, true);
        rig_packet[2].linktype = rig_packet[4].linktype = 113;
        rig_run(&model.rig, 0, 100, 64);
        rig_packet[2].linktype = rig_packet[4].linktype = 1;
        assert_int_equal(account.delivered, 98);
        assert_int_equal(account.dropped_file, 2);
        assert_int_equal(in->packets, 100);
        assert_int_equal(in->passed, 98);
}

/* Who has a queue lets everything pass: otherwise nobody could tell a drop from a filter. */
static void no_filtering_queues(void **state)
{
        struct rig *r = &model.rig;
        struct instance_env env = { .arena = r->arena,
                                    .quota = &r->quota,
                                    .segments = r->segments,
                                    .device = &r->device,
                                    .library = "test",
                                    .flow = 1,
                                    .fid = 1,
                                    .ring_bytes = 4096 };
        struct mapi_error err = { 0 };
        struct instance *in;

        assert_int_equal(instance_prepare(&shapes_jam, &env, NULL, 0, NULL, 0, &in, &err), 0);
        assert_int_equal(instance_start(in, &err), -MFUNCT_COULD_NOT_INIT_FUNCT);
        assert_non_null(strstr(err.text, "T_JAM"));
        instance_free(in, r->segments);
}

/* ---- flows of any kind ---------------------------------------------------------------------------------------- */

static uint32_t seed;

/** Less than n; 0 if that is nothing. */
static uint32_t any(uint32_t n)
{
        seed = seed * 1664525 + 1013904223;
        return n == 0 ? 0 : (seed >> 8) % n;
}

static void any_words(const struct model *m, char *words, size_t size)
{
        static const char *const simple[] = { "c",      "t",     "u",     "h",      "e2",    "e5",
                                              "m",      "M",     "x",     "l100",   "l700",  "p2,0",
                                              "p2,1",   "p3,0",  "p5,4",  "b4096",  "b4096", "b9000",
                                              "b40000", "f4096", "f4096", "f20000", "F4096", "c" };
        uint32_t n = any(8), transformers = 0;
        size_t at = 0;

        words[0] = '\0';
        for (uint32_t i = 0; i < n; i++) {
                const char *word = simple[any(sizeof simple / sizeof simple[0])];
                uint32_t f = any(m->rig.flows), k = any(8);

                if (strcmp(word, "x") == 0 && ++transformers > 2)
                        word = "c";
                at += (size_t)snprintf(words + at, size - at, " %s", word);
                if (any(4) == 0 && f < m->rig.flows && k < m->flow[f].n && m->flow[f].fn[k].letter == 'c')
                        at += (size_t)snprintf(words + at, size - at, " s%u,%u", f + 1, k + 1), i++;
        }
}

/** A flow from words that may ask for a number of functions only that a rig has room for. */
static void add_any(void)
{
        char words[200];

        any_words(&model, words, sizeof words);
        (void)model_flow(&model, words);
}

static void read_some(void)
{
        for (uint32_t f = 0; f < model.rig.flows; f++)
                for (uint32_t k = 0; k < model.flow[f].n; k++) {
                        char letter = model.flow[f].fn[k].letter;

                        if (any(3) != 0)
                                continue;
                        if (letter == 'b')
                                model_read(&model, f, k, any(3) == 0 ? UINT32_MAX : any(20));
                        if (letter == 'f' || letter == 'F')
                                model_drain(&model, f, k);
                }
}

static void any_flows(void **state)
{
        uint64_t sums[4] = { 0 };

        for (unsigned round = 0; round < 150; round++) {
                model_fini(&model);
                model_init(&model);
                seed = round;
                for (uint32_t n = 2 + any(6); n > 0; n--)
                        add_any();
                for (unsigned i = 0; i < 25; i++) {
                        uint32_t from = any(900), upto = from + any(100);

                        for (uint32_t f = 0; f < model.rig.flows; f++) /* plans are swapped in the middle */
                                if (any(8) == 0)
                                        model.flow[f].connected = !model.flow[f].connected;
                        if (i % 8 == 7 && model.rig.flows < 20)
                                add_any();
                        model_compile(&model, any(2) == 0);
                        model_run(&model, from, upto, 1 + any(64));
                        read_some();
                }
                for (uint32_t f = 0; f < model.rig.flows; f++) {
                        sums[0] += model.flow[f].delivered;
                        sums[1] += model.flow[f].filtered;
                        sums[2] += model.flow[f].dropped_ring;
                        sums[3] += model.flow[f].dropped_file;
                }
        }
        for (unsigned i = 0; i < 4; i++) /* all of it has happened, and often */
                assert_true(sums[i] > 20000);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
                TEST(filters),     TEST(ring),      TEST(queues),    TEST(copies),      TEST(transformers),
                TEST(groups),      TEST(shared),    TEST(full_disk), TEST(other_links), TEST(no_filtering_queues),
                TEST(long_copies), TEST(any_flows),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
