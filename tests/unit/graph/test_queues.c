/* graph/queues: room is asked for before packets are taken, and what was promised is there.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "rig.h"

#include <mapi.h>

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

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

static uint64_t random_state = 1;

static uint32_t below(uint32_t n)
{
        random_state = random_state * 6364136223846793005u + 1442695040888963407u;
        return (uint32_t)(random_state >> 33) % n;
}

static struct instance *lines(uint32_t flow)
{
        int fd = memfd_create("test-lines", 0);

        assert_true(fd >= 0);
        return rig_apply(&rig, flow, &shapes_lines, &(struct mapi_value){ .str = "file", .fd = fd }, 1, NULL, 0);
}

static void map_reader(struct ring_reader *r, const struct instance *in)
{
        *r = (struct ring_reader){ .shared = in->ring->shared };
        assert_int_equal(ring_reader_map(r, in->ring->fd, in->ring->size, in->ring->generation), 0);
}

static void run_bytes(const uint32_t *caplen, uint32_t n)
{
        static uint8_t bytes[8192];
        static struct mapi_batch b;

        b.n = n;
        b.parsed = 0;
        for (uint32_t i = 0; i < n; i++)
                b.pkt[i] = (struct mapi_view){
                        .data = bytes, .caplen = caplen[i], .wirelen = caplen[i], .linktype = 1
                };
        graph_run(rig.graph, &b);
        graph_publish(rig.graph, true);
}

static uint64_t drops(void)
{
        uint64_t n = 0;

        for (uint32_t f = 0; f < rig.flows; f++)
                for (uint32_t k = 0; k < rig.flow[f].n; k++) {
                        if (rig.fn[f][k]->ring != NULL)
                                n += rig.fn[f][k]->ring->shared->dropped;
                        if (rig.fn[f][k]->sink != NULL)
                                n += rig.fn[f][k]->sink->dropped;
                        n += rig.fn[f][k]->emit_dropped;
                }
        return n;
}

/* Readers of all rings read some records, writers write some files. */
static void somebody_reads(struct ring_reader *readers)
{
        unsigned i = 0;

        for (uint32_t f = 0; f < rig.flows; f++)
                for (uint32_t k = 0; k < rig.flow[f].n; k++) {
                        struct instance *in = rig.fn[f][k];
                        uint32_t n = below(4) == 0 ? 1000 : below(10);
                        void *record;

                        if (in->sink != NULL && below(3) == 0)
                                (void)sink_drain(in->sink);
                        if (in->ring == NULL)
                                continue;
                        while (n-- > 0 && ring_reader_next(&readers[i], &record) == RING_PACKET)
                                ;
                        i++;
                }
}

/* Whatever the packets, as many as there is room for find room; and who is told not to wait does not come back
   for nothing. */
static void promises(void **state)
{
        for (unsigned round = 0; round < 60; round++) {
                struct ring_reader readers[8] = { 0 };
                unsigned n_readers = 0, blocked = 0, taken = 0;

                rig_fini(&rig);
                rig_init(&rig);
                random_state = round;
                rig.ring_bytes = 16384u << below(3);
                rig.sink_bytes = 4096u << below(3);
                for (unsigned f = 0; f < 4; f++) {
                        rig_flow(&rig);
                        if (below(4) == 0)
                                rig_one(&rig, f, &shapes_every, 2);
                        if (below(4) == 0) {
                                rig.device.snaplen = 300; /* of what it emits */
                                rig_apply(&rig, f, &shapes_triple, NULL, 0, NULL, 0);
                                rig.device.snaplen = 2000;
                        }
                        if (below(4) == 0)
                                (void)lines(f);
                        if (below(4) != 0)
                                map_reader(&readers[n_readers++], rig_plain(&rig, f, "TO_BUFFER"));
                }
                rig_compile(&rig, false);
                for (unsigned step = 0; step < 2000; step++) {
                        uint32_t caplen[64], n = 0, next = below(3) == 0 ? below(300) : below(60);
                        unsigned most;
                        size_t bytes;

                        graph_room(rig.graph, &most, &bytes);
                        assert_true(most <= MAPI_BATCH_MAX);
                        while (n < most && next <= bytes) {
                                caplen[n++] = next;
                                bytes -= next;
                                next = below(3) == 0 ? below(300) : below(60);
                        }
                        if (n > 0) {
                                run_bytes(caplen, n);
                                taken += n;
                                if (drops() != 0)
                                        fail_msg("round %u: %u packets were promised room", round, n);
                        } else if (!graph_want_room(rig.graph, next)) {
                                graph_room(rig.graph, &most, &bytes);
                                if (most == 0 || bytes < next)
                                        fail_msg("round %u: no room, but no reason to wait either", round);
                        } else {
                                blocked++;
                                somebody_reads(readers);
                                graph_have_room(rig.graph);
                        }
                }
                assert_true(taken > 1000);
                if (n_readers > 0)
                        assert_true(blocked > 10);
                for (unsigned i = 0; i < n_readers; i++)
                        ring_reader_unmap(&readers[i]);
        }
}

/* How much room there is, in numbers. TO_BUFFER takes 32 bytes and the packet; 32 more are reckoned for any
   queue. */
static void numbers(void **state)
{
        uint32_t f = rig_flow(&rig);
        struct instance *ring;
        unsigned most;
        size_t bytes;

        rig.ring_bytes = 65536;
        ring = rig_plain(&rig, f, "TO_BUFFER");
        assert_int_equal(rig_compile(&rig, false).queues, 1);
        graph_room(rig.graph, &most, &bytes);
        assert_int_equal(most, 64);
        assert_int_equal(bytes, 65536 - 64 * 64);
        for (unsigned i = 0; i < 30; i++)
                run_bytes((uint32_t[]){ 2028 }, 1); /* 2048 in the ring */
        assert_int_equal(ring_room(ring->ring), 4096);
        graph_room(rig.graph, &most, &bytes);
        assert_int_equal(most, 32); /* half of it for the heads */
        assert_int_equal(bytes, 2048);
        run_bytes((uint32_t[]){ 2028 }, 1);
        run_bytes((uint32_t[]){ 1900 }, 1);
        assert_int_equal(ring_room(ring->ring), 128);
        graph_room(rig.graph, &most, &bytes);
        assert_int_equal(most, 1);
        assert_int_equal(bytes, 64);
        run_bytes((uint32_t[]){ 4 }, 1);
        assert_int_equal(ring_room(ring->ring), 104);
        graph_room(rig.graph, &most, &bytes);
        assert_int_equal(most, 0);
        assert_int_equal(ring->ring->shared->dropped, 0);
}

/* Behind a transformer a packet may become several: 3, and 9 behind two. */
static void behind_transformers(void **state)
{
        uint32_t f = rig_flow(&rig);
        struct instance *ring[2];
        unsigned most;
        size_t bytes;

        rig.device.snaplen = 100;
        rig_apply(&rig, f, &shapes_triple, NULL, 0, NULL, 0);
        rig.ring_bytes = 1 << 20;
        ring[0] = rig_plain(&rig, f, "TO_BUFFER");
        rig_apply(&rig, f, &shapes_triple, NULL, 0, NULL, 0);
        rig.ring_bytes = 16384;
        ring[1] = rig_plain(&rig, f, "TO_BUFFER");
        rig_compile(&rig, false);
        assert_int_equal(ring[0]->room_packets, 3);
        assert_int_equal(ring[1]->room_packets, 9);
        graph_room(rig.graph, &most, &bytes);
        assert_int_equal(most, 16384 / (9 * 164)); /* 32 + 32 + 100 for each */
        assert_true(bytes == SIZE_MAX);            /* its length does not matter */
        assert_false(graph_want_room(rig.graph, 100));
        for (unsigned i = 0; i < most; i++)
                run_bytes((uint32_t[]){ 100 }, 1);
        assert_int_equal(drops(), 0);
}

/* Who is full gets a wish, numbered; readers that sleep on other rings are woken; going on takes the wishes
   back. */
static void wishes(void **state)
{
        struct instance *full, *empty;
        struct ring_reader reader, sleeper;
        uint32_t wake, wish;
        void *record;

        rig.ring_bytes = 16384;
        full = rig_plain(&rig, rig_flow(&rig), "TO_BUFFER");
        rig_flow(&rig);
        rig_filter(&rig, 1, "len = 1");
        empty = rig_plain(&rig, 1, "TO_BUFFER");
        rig_compile(&rig, false);
        map_reader(&reader, full);
        map_reader(&sleeper, empty);
        assert_false(graph_want_room(rig.graph, 100));
        assert_int_equal(reader.shared->want_room, 0);
        for (unsigned i = 0; i < 8; i++)
                run_bytes((uint32_t[]){ 1900 }, 1);
        wake = sleeper.shared->wake;
        assert_true(graph_want_room(rig.graph, 1000));
        assert_int_equal(sleeper.shared->wake, wake); /* nobody sleeps */
        ring_reader_waits(&sleeper);
        wish = reader.shared->want_room;
        assert_true(graph_want_room(rig.graph, 1000));
        assert_int_equal(sleeper.shared->wake, wake + 1);
        assert_int_not_equal(reader.shared->want_room, 0);
        assert_int_not_equal(reader.shared->want_room, wish); /* another wish */
        assert_int_equal(sleeper.shared->want_room, 0);
        for (unsigned i = 0; i < 8; i++) {
                assert_int_equal(ring_reader_next(&reader, &record), RING_PACKET);
                assert_int_equal(ring_reader_should_kick(&reader), i == 4); /* half is free */
        }
        assert_int_equal(ring_reader_next(&reader, &record), RING_EMPTY);
        graph_have_room(rig.graph);
        assert_int_equal(reader.shared->want_room, 0);
        assert_false(graph_want_room(rig.graph, 1000));
        ring_reader_unmap(&reader);
        ring_reader_unmap(&sleeper);
}

/* A sink's writer, too, is asked; a sink that is dead has room for everything. */
static void sinks(void **state)
{
        uint32_t f = rig_flow(&rig);
        struct instance *in;
        unsigned most;
        size_t bytes;

        rig.sink_bytes = 4096;
        in = lines(f);
        rig_compile(&rig, false);
        graph_room(rig.graph, &most, &bytes);
        assert_int_equal(most, 64);
        assert_true(bytes == SIZE_MAX);
        while (most > 0) {
                run_bytes((uint32_t[]){ 60 }, 1);
                graph_room(rig.graph, &most, &bytes);
        }
        assert_int_equal(in->sink->dropped, 0);
        assert_true(graph_want_room(rig.graph, 0));
        assert_int_not_equal(in->sink->want_room, 0);
        assert_int_equal(sink_drain(in->sink), 1);
        assert_false(graph_want_room(rig.graph, 0));
        graph_have_room(rig.graph);
        assert_int_equal(in->sink->want_room, 0);
        graph_want_drain(rig.graph, 0);
        assert_int_not_equal(in->sink->want_room, 0);
        for (most = 1; most > 0; graph_room(rig.graph, &most, &bytes))
                run_bytes((uint32_t[]){ 60 }, 1);
        in->sink->error = 28;
        graph_room(rig.graph, &most, &bytes);
        assert_int_equal(most, 64);
}

/* The end with a full ring: it is asked again and again, and everything that is emitted arrives, in order. */
static void finish_is_resumed(void **state)
{
        uint32_t f = rig_flow(&rig), refused = 0;
        struct instance *flood, *tally;
        struct ring_reader reader;
        struct mapipkt *p;
        uint64_t got = 0;

        flood = rig_apply(&rig, f, &shapes_flood, (struct mapi_value[]){ NUM(1000), NUM(100) }, 2, NULL, 0);
        rig.ring_bytes = 4096;
        map_reader(&reader, rig_plain(&rig, f, "TO_BUFFER"));
        tally = rig_apply(&rig, f, &shapes_tally, NULL, 0, NULL, 0);
        rig_compile(&rig, false);
        while (!graph_finish_flow(rig.graph, 0, MAPI_FINISH_END, true)) {
                refused++;
                assert_false(flood->ended || tally->ended);
                assert_int_not_equal(reader.shared->want_room, 0);
                assert_int_equal(rig_tally(tally).finishes, 0);
                for (unsigned i = 0; i < 9; i++, got++) {
                        assert_int_equal(ring_reader_next(&reader, (void **)&p),
                                         RING_PACKET); /* it was published */
                        assert_int_equal(p->ts, 1000 - got);
                        assert_int_equal(p->caplen, 100);
                        assert_int_equal(p->pkt, (1000 - got) % 256);
                }
        }
        graph_publish(rig.graph, true);
        assert_true(refused > 50);
        while (ring_reader_next(&reader, (void **)&p) == RING_PACKET)
                assert_int_equal(p->ts, 1000 - got++);
        assert_int_equal(got, 1000);
        assert_int_equal(drops(), 0);
        assert_int_equal(rig_tally(tally).packets, 1000);
        assert_int_equal(rig_tally(tally).finishes, 1);
        ring_reader_unmap(&reader);
}

/* Being closed it does not wait: what finds no room is counted. */
static void finish_without_waiting(void **state)
{
        uint32_t f = rig_flow(&rig);
        struct instance *ring;

        rig_apply(&rig, f, &shapes_flood, (struct mapi_value[]){ NUM(1000), NUM(108) }, 2, NULL, 0);
        rig.ring_bytes = 4096;
        ring = rig_plain(&rig, f, "TO_BUFFER");
        rig_compile(&rig, false);
        assert_true(graph_finish_flow(rig.graph, 0, MAPI_FINISH_CLOSE, false));
        assert_int_equal(ring->ring->head, 4096);
        assert_int_equal(ring->ring->shared->dropped, 1000 - 32);
}

/* A sink that ends its file with something of its own waits for room, too. */
static void last_line(void **state)
{
        uint32_t f = rig_flow(&rig);
        struct instance *in;
        unsigned refused = 0;

        rig.sink_bytes = 4096;
        in = lines(f);
        rig_compile(&rig, false);
        for (unsigned i = 0; i < 512; i++)
                assert_true(sink_put(in->sink, "x\n", 2, "", 0) || i == 512);
        assert_int_equal(sink_room(in->sink), 0);
        while (!graph_finish_flow(rig.graph, 0, MAPI_FINISH_END, true)) {
                refused++;
                assert_int_not_equal(in->sink->want_room, 0);
                assert_int_equal(sink_drain(in->sink), 1);
        }
        assert_int_equal(refused, 1);
        graph_publish(rig.graph, true);
        while (sink_drain(in->sink) != 0)
                ;
        assert_int_equal(in->sink->dropped, 0);
        assert_int_equal(in->sink->written, 2 * 512 + 4);
        assert_int_equal(instance_u64(in), 2 * 512 + 4);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
                TEST(promises), TEST(numbers),           TEST(behind_transformers),    TEST(wishes),
                TEST(sinks),    TEST(finish_is_resumed), TEST(finish_without_waiting), TEST(last_line),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
