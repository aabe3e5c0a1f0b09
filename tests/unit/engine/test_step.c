/* engine/step: the loop over a scripted device: idle, damaged, blocked, ended.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

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

static struct instance *lines(struct flow *f, int *ret_fd)
{
        struct mapi_value v = { .str = "lines", .fd = memfd_create("lines", MFD_CLOEXEC) };

        *ret_fd = fcntl(v.fd, F_DUPFD_CLOEXEC, 3);
        return bench_apply(f, &shapes_lines, &v, 1, NULL, 0);
}

static void not_started(void **state)
{
        struct flow *f = bench_flow(&bench);
        struct instance *in = bench_plain(f, "PKT_COUNTER");

        assert_int_equal(bench_status(f), FLOW_INIT);
        bench_connect(f);
        assert_int_equal(bench_status(f), FLOW_ACTIVE);
        assert_int_equal(engine_step(bench.device, 100), ENGINE_STOPPED);
        assert_int_equal(bench.script.at, 0);
        engine_device_start(bench.device);
        assert_int_equal(engine_step(bench.device, 1), ENGINE_WORKED);
        assert_int_equal(instance_u64(in), 64);
        engine_device_hold(bench.device, true);
        assert_int_equal(engine_step(bench.device, 1), ENGINE_STOPPED);
        assert_int_equal(instance_u64(in), 64);
        engine_device_hold(bench.device, false);
        assert_int_equal(engine_step(bench.device, 2), ENGINE_WORKED);
        assert_int_equal(instance_u64(in), 3 * 64);
        bench_close(f);
}

static void to_the_end(void **state)
{
        struct flow *f = bench_flow(&bench);
        struct instance *counter = bench_plain(f, "PKT_COUNTER"), *bytes = bench_plain(f, "BYTE_COUNTER");
        const struct results_flow *status = engine_flow_place(f)->mem;
        struct engine_device_facts facts;
        struct mapi_error err = { 0 };
        uint64_t sum = 0;

        bench_connect(f);
        engine_device_start(bench.device);
        engine_device_facts(bench.device, &facts);
        assert_true(facts.started && !facts.finished);
        assert_int_equal(facts.number, -1);
        assert_string_equal(facts.name, "player");
        assert_string_equal(facts.driver, "player");
        assert_int_equal(facts.flows, 1);
        assert_int_equal(facts.plan.operations, 3); /* two counters, and the end */
        assert_int_equal(bench_run(&bench), ENGINE_FINISHED);
        assert_int_equal(engine_step(bench.device, 1), ENGINE_FINISHED);
        for (uint32_t i = 0; i < RIG_PACKETS; i++)
                sum += rig_packet[i].wirelen;
        assert_int_equal(instance_u64(counter), 10 * RIG_PACKETS);
        assert_int_equal(instance_u64(bytes), 10 * sum);
        assert_int_equal(bench_status(f), FLOW_FINISHED);
        assert_int_equal(status->error, 0);
        assert_int_equal(status->end_s, BENCH_NOW);
        engine_device_facts(bench.device, &facts);
        assert_true(facts.finished);
        assert_int_equal(facts.stats.received, 10 * RIG_PACKETS);
        assert_int_equal(engine_device_error(bench.device, &err), 0);
        bench_close(f);
}

/* A damaged trace: everything before it counts, and everybody can learn about it. */
static void damage(void **state)
{
        static const uint64_t places[] = { 1, 63, 64, 65, 777, 10000 };

        for (unsigned i = 0; i < 6; i++) {
                struct mapi_error err = { 0 };
                const struct results_flow *status;
                struct instance *counter;
                struct flow *f;

                bench_fini(&bench);
                bench_init(&bench, 10 * RIG_PACKETS, true);
                bench.script.damage_at = places[i];
                f = bench_flow(&bench);
                counter = bench_plain(f, "PKT_COUNTER");
                status = engine_flow_place(f)->mem;
                bench_connect(f);
                engine_device_start(bench.device);
                assert_int_equal(engine_device_error(bench.device, &err), 0);
                assert_int_equal(bench_run(&bench), ENGINE_FINISHED);
                assert_int_equal(instance_u64(counter), places[i]);
                assert_int_equal(bench_status(f), FLOW_FINISHED);
                assert_int_equal(status->error, MAPI_TRACE_DAMAGED);
                assert_int_equal(engine_device_error(bench.device, &err), -MAPI_TRACE_DAMAGED);
                assert_non_null(strstr(err.text, "at packet"));
                bench_close(f);
        }
}

/* Nothing there: IDLE, and a sleeping reader gets what came before. */
static void idle(void **state)
{
        struct ring_reader reader = { 0 };
        struct instance *ring;
        uint64_t got = 0;
        struct flow *f;
        uint32_t wake;

        bench_fini(&bench);
        bench_init(&bench, 500, false);
        bench.script.idle_at = 100;
        f = bench_flow(&bench);
        ring = bench_plain(f, "TO_BUFFER");
        bench_connect(f);
        bench_map(&reader, ring);
        engine_device_start(bench.device);
        ring_reader_waits(&reader);
        wake = reader.shared->wake;
        assert_int_equal(bench_run(&bench), ENGINE_IDLE);
        assert_int_equal(bench.script.at, 100);
        assert_int_equal(reader.shared->wake, wake + 1);
        assert_int_equal(bench_read(&reader, &got), RING_EMPTY);
        assert_int_equal(got, 100);
        assert_int_equal(engine_device_fd(bench.device), -1);
        assert_int_equal(bench_run(&bench), ENGINE_FINISHED);
        assert_int_equal(bench_read(&reader, &got), RING_FINISHED);
        assert_int_equal(got, 500);
        ring_reader_unmap(&reader);
        bench_close(f);
}

/* A full ring stops a trace and nothing is lost; reading on lets it go on. */
static void blocked(void **state)
{
        struct ring_reader reader = { 0 };
        struct flow *f = bench_flow(&bench), *g = bench_flow(&bench);
        struct instance *ring, *counter;
        unsigned times = 0;
        uint64_t got = 0;
        enum engine_state s;

        ring = bench_plain(f, "TO_BUFFER");
        counter = bench_plain(g, "PKT_COUNTER");
        bench_connect(f);
        bench_connect(g);
        bench_map(&reader, ring);
        engine_device_start(bench.device);
        assert_false(engine_device_blocked(bench.device));
        while ((s = bench_run(&bench)) == ENGINE_BLOCKED) {
                uint64_t at = bench.script.at;

                times++;
                assert_true(engine_device_blocked(bench.device));
                assert_int_not_equal(reader.shared->want_room, 0);
                assert_int_equal(engine_step(bench.device, 10), ENGINE_BLOCKED); /* still, and nothing was taken */
                assert_int_equal(bench.script.at, at);
                assert_int_equal(instance_u64(counter), at);
                assert_int_equal(bench_read(&reader, &got), RING_EMPTY);
                assert_int_equal(got, at); /* all is there to be read */
        }
        assert_int_equal(s, ENGINE_FINISHED);
        assert_true(times >= 5);
        assert_false(engine_device_blocked(bench.device));
        assert_int_equal(bench_read(&reader, &got), RING_FINISHED);
        assert_int_equal(got, 10 * RIG_PACKETS);
        assert_int_equal(reader.shared->dropped, 0);
        assert_int_equal(instance_u64(counter), 10 * RIG_PACKETS);
        ring_reader_unmap(&reader);
        bench_close(f);
        bench_close(g);
}

/* A packet of the greatest length comes when there is room for short ones only. */
static void long_packet(void **state)
{
        for (uint64_t at = 600; at < 1400; at += 13) {
                struct ring_reader reader = { 0 };
                struct instance *ring;
                uint64_t got = 0;
                struct flow *f;

                bench_fini(&bench);
                bench_init(&bench, 2 * RIG_PACKETS, true);
                bench.script.long_at = at;
                bench.script.long_bytes = MAPI_CAPLEN_MAX;
                f = bench_flow(&bench);
                ring = bench_plain(f, "TO_BUFFER");
                bench_connect(f);
                bench_map(&reader, ring);
                engine_device_start(bench.device);
                while (bench_run(&bench) == ENGINE_BLOCKED)
                        assert_int_equal(bench_read(&reader, &got), RING_EMPTY);
                assert_int_equal(bench_read(&reader, &got), RING_FINISHED);
                assert_int_equal(got, 2 * RIG_PACKETS);
                assert_int_equal(reader.shared->dropped, 0);
                assert_true(at > 1200 || bench.script.needed <= 2); /* it is asked for once and waits then */
                ring_reader_unmap(&reader);
                bench_close(f);
        }
}

/* A live device never waits: what does not fit is dropped for that reader alone, and counted. */
static void live(void **state)
{
        struct ring_reader reader = { 0 };
        struct instance *ring, *counter;
        struct flow *f, *g;
        uint64_t got = 0;

        bench_fini(&bench);
        bench_init(&bench, 10 * RIG_PACKETS, false);
        f = bench_flow(&bench);
        g = bench_flow(&bench);
        ring = bench_plain(f, "TO_BUFFER");
        counter = bench_plain(g, "PKT_COUNTER");
        bench_connect(f);
        bench_connect(g);
        bench_map(&reader, ring);
        engine_device_start(bench.device);
        assert_int_equal(bench_run(&bench), ENGINE_FINISHED);
        assert_int_equal(instance_u64(counter), 10 * RIG_PACKETS);
        for (void *record; ring_reader_next(&reader, &record) == RING_PACKET;)
                got++;
        assert_true(got > 500 && reader.shared->dropped > 5000);
        assert_int_equal(got + reader.shared->dropped, 10 * RIG_PACKETS);
        ring_reader_unmap(&reader);
        bench_close(f);
        bench_close(g);
}

/* A file of a live device: the queue drops what it has no room for, and its writer is called in time. */
static void live_file(void **state)
{
        struct instance *in;
        struct flow *f;
        int fd;

        bench_fini(&bench);
        bench_init(&bench, UINT64_MAX, false);
        f = bench_flow(&bench);
        in = lines(f, &fd);
        bench_connect(f);
        engine_device_start(bench.device);
        in->sink->idle = 1;
        assert_int_equal(engine_step(bench.device, 1), ENGINE_WORKED);
        assert_int_equal(in->sink->idle, 0); /* the end of a step is urgent */
        assert_int_equal(engine_step(bench.device, 2000), ENGINE_WORKED);
        assert_true(in->passed > 20000 && in->sink->dropped > 20000);
        assert_int_equal(in->packets, 2001 * 64);
        assert_int_equal(in->passed + in->sink->dropped, in->packets);
        while (sink_drain(in->sink) > 0)
                ;
        assert_int_equal(engine_step(bench.device, 10), ENGINE_WORKED); /* there is room again */
        assert_int_equal(in->passed + in->sink->dropped, 2011 * 64);
        assert_true(in->packets - in->passed < 2001 * 64 - 20000);
        close(fd);
        bench_close(f);
}

/* Live devices never wait, also if the driver asks for room. */
static void live_needs(void **state)
{
        struct instance *in;
        struct flow *f;

        bench_fini(&bench);
        bench_init(&bench, 10 * RIG_PACKETS, false);
        f = bench_flow(&bench);
        in = bench_plain(f, "TO_BUFFER");
        bench_connect(f);
        engine_device_start(bench.device);
        assert_int_equal(engine_step(bench.device, 100), ENGINE_WORKED);
        assert_true(in->packets > in->passed); /* full */
        bench.script.needs = 1000;
        assert_int_equal(engine_step(bench.device, 100), ENGINE_IDLE);
        assert_false(engine_device_blocked(bench.device));
        bench_close(f);
}

/* Two rings, one reader that reads one of them first: the other grows when the device is held and quiet. */
static void growing(void **state)
{
        struct ring_reader first = { 0 }, second = { 0 };
        struct flow *f = bench_flow(&bench), *g = bench_flow(&bench);
        struct instance *a = bench_plain(f, "TO_BUFFER"), *b = bench_plain(g, "TO_BUFFER");
        unsigned grown = 0;
        uint64_t got = 0;
        enum engine_state s;

        bench_connect(f);
        bench_connect(g);
        bench_map(&first, a);
        bench_map(&second, b);
        engine_device_start(bench.device);
        while ((s = bench_run(&bench)) == ENGINE_BLOCKED) {
                enum ring_state r = bench_read(&first, &got);

                assert_int_equal(r, RING_EMPTY);
                if (engine_step(bench.device, 1) != ENGINE_BLOCKED)
                        continue;
                assert_true(engine_device_blocked(bench.device));
                engine_device_hold(bench.device, true);
                assert_true(engine_device_quiet(bench.device));
                assert_int_equal(engine_grow_rings(f, a->ring, NULL), 1); /* the other one */
                grown++;
                assert_int_equal(engine_step(bench.device, 1), ENGINE_STOPPED);
                engine_device_hold(bench.device, false);
        }
        assert_int_equal(s, ENGINE_FINISHED);
        assert_true(grown >= 2 && grown < 8);
        assert_int_equal(a->ring->generation, 0);
        assert_int_equal(bench_read(&first, &got), RING_FINISHED);
        assert_int_equal(got, 10 * RIG_PACKETS);
        got = 0;
        assert_int_equal(bench_read(&second, &got), RING_REPLACED);
        assert_int_equal(got, 0); /* it had never looked: all is in the new ring */
        bench_map(&second, b);
        assert_int_equal(bench_read(&second, &got), RING_FINISHED);
        assert_int_equal(got, 10 * RIG_PACKETS);
        ring_reader_unmap(&first);
        ring_reader_unmap(&second);
        bench_close(f);
        bench_close(g);
}

static void growing_to_the_limit(void **state)
{
        struct ring_reader first = { 0 };
        struct flow *f = bench_flow(&bench), *g = bench_flow(&bench);
        struct instance *a = bench_plain(f, "TO_BUFFER");
        struct mapi_error err = { 0 };
        uint64_t got = 0, room;

        (void)bench_plain(g, "TO_BUFFER");
        bench_connect(f);
        bench_connect(g);
        bench_map(&first, a);
        engine_device_start(bench.device);
        assert_int_equal(bench_run(&bench), ENGINE_BLOCKED);
        assert_int_equal(bench_read(&first, &got), RING_EMPTY);
        while (bench_run(&bench) == ENGINE_BLOCKED && bench_read(&first, &got) == RING_EMPTY &&
               got < bench.script.at)
                ;
        assert_int_equal(engine_step(bench.device, 1), ENGINE_BLOCKED);
        room = bench.quota.limit_bytes;
        bench.quota.limit_bytes = bench.quota.used_bytes + (1 << 20);
        assert_int_equal(engine_grow_rings(f, a->ring, &err), -MAPI_RING_LIMIT_ERROR);
        assert_int_equal(err.code, MAPI_RING_LIMIT_ERROR);
        assert_non_null(strstr(err.text, "function 1 of flow 2"));
        bench.quota.limit_bytes = room;
        assert_int_equal(engine_grow_rings(f, a->ring, &err), 1);
        ring_reader_unmap(&first);
        bench_close(f);
        bench_close(g);
}

/* At the end a transformer has more to say than fits: BLOCKED until it has been read, FINISHED afterwards. */
static void end_without_room(void **state)
{
        struct flow *f = bench_flow(&bench);
        struct ring_reader reader = { 0 };
        struct instance *ring;
        uint64_t got = 0;
        unsigned times = 0;
        struct mapipkt *p;

        bench_apply(f, &shapes_flood, (struct mapi_value[]){ NUM(5000), NUM(1000) }, 2, NULL, 0);
        ring = bench_plain(f, "TO_BUFFER");
        bench_connect(f);
        bench_map(&reader, ring);
        engine_device_start(bench.device);
        while (bench_run(&bench) == ENGINE_BLOCKED) {
                enum ring_state s;

                times++;
                assert_int_equal(bench_status(f), FLOW_ACTIVE);
                assert_true(engine_device_blocked(bench.device));
                assert_int_not_equal(reader.shared->want_room, 0);
                while ((s = ring_reader_next(&reader, (void **)&p)) == RING_PACKET)
                        assert_int_equal(p->ts, 5000 - got++);
                assert_int_equal(s, RING_EMPTY);
        }
        assert_true(times > 10);
        assert_int_equal(bench_status(f), FLOW_FINISHED);
        assert_false(engine_device_blocked(bench.device)); /* nobody waits any more */
        assert_int_equal(reader.shared->want_room, 0);
        while (ring_reader_next(&reader, (void **)&p) == RING_PACKET)
                assert_int_equal(p->ts, 5000 - got++);
        assert_int_equal(got, 5000);
        assert_int_equal(reader.shared->dropped, 0);
        ring_reader_unmap(&reader);
        bench_close(f);
}

/* The same while a reader sleeps on the other ring of that flow: it is woken, so that it may ask for a larger
   one. */
static void end_wakes_sleepers(void **state)
{
        struct flow *f = bench_flow(&bench);
        struct ring_reader first = { 0 };
        struct instance *a;
        uint32_t wake;

        bench_filter(f, "len = 1");
        a = bench_plain(f, "TO_BUFFER");
        bench_apply(f, &shapes_flood, (struct mapi_value[]){ NUM(5000), NUM(1000) }, 2, NULL, 0);
        bench_plain(f, "TO_BUFFER");
        bench_connect(f);
        bench_map(&first, a);
        engine_device_start(bench.device);
        ring_reader_waits(&first);
        wake = first.shared->wake;
        assert_int_equal(bench_run(&bench), ENGINE_BLOCKED);
        assert_int_not_equal(first.shared->wake, wake);
        ring_reader_unmap(&first);
        bench_close(f);
}

/* A flow with a file: a full queue stops the trace, and it is not FINISHED before everything is written. */
static void files(void **state)
{
        struct flow *f = bench_flow(&bench);
        unsigned times = 0;
        int fd, error = 77;
        struct instance *in = lines(f, &fd);
        static char buf[1 << 20];
        ssize_t n;
        unsigned newlines = 0;

        bench_connect(f);
        engine_device_start(bench.device);
        while (bench_run(&bench) == ENGINE_BLOCKED) {
                times++;
                assert_int_equal(bench_status(f), FLOW_ACTIVE);
                assert_int_not_equal(in->sink->want_room, 0);
                assert_false(engine_flow_drained(f, &error));
                assert_int_equal(sink_drain(in->sink), 1); /* one writev */
        }
        assert_true(times > 10);
        assert_int_equal(bench_status(f), FLOW_FINISHED);
        assert_true(engine_flow_drained(f, &error));
        assert_int_equal(error, 0);
        assert_int_equal(in->sink->dropped, 0);
        n = pread(fd, buf, sizeof buf, 0);
        assert_true(n > 4);
        for (ssize_t i = 0; i < n; i++)
                newlines += buf[i] == '\n';
        assert_int_equal(newlines, 10 * RIG_PACKETS + 1);
        assert_int_equal(memcmp(buf + n - 5, "\nend\n", 5), 0);
        assert_int_equal(instance_u64(in), (uint64_t)n);
        close(fd);
        bench_close(f);
}

/* A file that cannot be written stops nobody. */
static void dead_file(void **state)
{
        struct flow *f = bench_flow(&bench), *g = bench_flow(&bench);
        struct mapi_value v = { .str = "/dev/full", .fd = open("/dev/full", O_WRONLY | O_CLOEXEC) };
        struct instance *in = bench_apply(f, &shapes_lines, &v, 1, NULL, 0),
                        *counter = bench_plain(g, "PKT_COUNTER");
        int error = 0;

        bench_connect(f);
        bench_connect(g);
        engine_device_start(bench.device);
        assert_int_equal(engine_step(bench.device, 1), ENGINE_WORKED);
        assert_int_equal(sink_drain(in->sink), 1);
        assert_int_equal(bench_run(&bench), ENGINE_FINISHED);
        assert_int_equal(instance_u64(counter), 10 * RIG_PACKETS);
        assert_true(engine_flow_drained(f, &error));
        assert_int_equal(error, ENOSPC);
        assert_true(instance_u64(in) == UINT64_MAX);
        assert_int_equal(in->sink->dropped, 10 * RIG_PACKETS - 64 + 1);
        bench_close(f);
        bench_close(g);
}

/* The embedder ends the device: its flows finish as if the trace did. */
static void ended_early(void **state)
{
        struct flow *f = bench_flow(&bench);
        struct instance *in = bench_plain(f, "PKT_COUNTER");

        bench_connect(f);
        engine_device_start(bench.device);
        assert_int_equal(engine_step(bench.device, 5), ENGINE_WORKED);
        engine_device_end(bench.device);
        assert_int_equal(bench_run(&bench), ENGINE_FINISHED);
        assert_int_equal(bench_status(f), FLOW_FINISHED);
        assert_int_equal(instance_u64(in), 320);
        assert_int_equal(bench.script.at, 320);
        bench_close(f);
}

static void ended_before_it_began(void **state)
{
        struct flow *f = bench_flow(&bench);

        bench_connect(f);
        engine_device_end(bench.device);
        assert_int_equal(bench_run(&bench), ENGINE_FINISHED);
        assert_int_equal(bench_status(f), FLOW_FINISHED);
        bench_close(f);
}

/* Time on a silent device. */
static void ticks(void **state)
{
        struct instance *counter, *watch, *refs[2];
        struct mapi_value v[4];
        struct flow *f;

        bench_fini(&bench);
        bench_init(&bench, 100, false);
        bench.script.idle_at = 50;
        f = bench_flow(&bench);
        counter = bench_plain(f, "PKT_COUNTER");
        v[0] = v[2] = NUM(engine_flow_number(f));
        v[1] = v[3] = NUM(counter->fid);
        refs[0] = refs[1] = counter;
        watch = bench_apply(f, &shapes_watch, v, 4, refs, 2);
        engine_tick(bench.device, 1); /* not started, not connected */
        bench_connect(f);
        engine_tick(bench.device, 2);
        assert_int_equal(rig_watched(watch).ticks, 0);
        engine_device_start(bench.device);
        assert_int_equal(bench_run(&bench), ENGINE_IDLE);
        engine_tick(bench.device, 3);
        assert_int_equal(rig_watched(watch).ticks, 1);
        assert_int_equal(rig_watched(watch).now[0], 50 * 51 / 2 + 50);
        engine_device_hold(bench.device, true);
        engine_tick(bench.device, 4);
        assert_int_equal(rig_watched(watch).ticks, 1);
        engine_device_hold(bench.device, false);
        engine_tick(bench.device, 5);
        assert_int_equal(rig_watched(watch).ticks, 2);
        assert_int_equal(bench_run(&bench), ENGINE_FINISHED);
        engine_tick(bench.device, 6); /* its functions have finished */
        assert_int_equal(rig_watched(watch).ticks, 2);
        bench_close(f);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
                TEST(not_started),
                TEST(to_the_end),
                TEST(damage),
                TEST(idle),
                TEST(blocked),
                TEST(long_packet),
                TEST(live),
                TEST(live_file),
                TEST(live_needs),
                TEST(growing),
                TEST(growing_to_the_limit),
                TEST(end_without_room),
                TEST(end_wakes_sleepers),
                TEST(files),
                TEST(dead_file),
                TEST(ended_early),
                TEST(ended_before_it_began),
                TEST(ticks),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
