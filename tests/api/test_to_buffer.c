/* Packets on their way to the program: each arrives, as it was, whoever reads when. SPDX-License-Identifier: BSD-2-Clause */
#include "packets.h"

#include <mapi/errors.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/** A generated trace of about 330 bytes a packet; fewer packets where everything is slow. */
static void make_big(unsigned packets, struct trace *ret)
{
        char count[32];
        int status;
        pid_t child = fork();

        if (child == 0) {
                (void)snprintf(count, sizeof count, "%u", packets / (api_slowness() > 1 ? 8 : 1));
                (void)execl(MAKE_TRACE, "make_trace", "-n", count, "-o", "big.pcap", (char *)NULL);
                fail("%s does not run", MAKE_TRACE);
        }
        check_equal(waitpid(child, &status, 0), child);
        check_equal(status, 0);
        trace_read("big.pcap", ret);
        check_equal(ret->torn, 0);
}

static char *big_device(void)
{
        return check_there(mapi_create_offline_device("big.pcap", MFF_PCAP));
}

/* ---- one thread, several flows of one trace ---------------------------------------------------------------------------- */

static void one_after_the_other(void)
{
        struct trace t;
        char *device;
        int a, b;

        make_big(160000, &t);
        device = big_device();
        a = buffer_flow(device);
        b = buffer_flow(device);
        check_ok(mapi_start_offline_device(device));
        check_all_packets(a, 1, &t);
        check_all_packets(b, 1, &t);
        check_ok(mapi_close_flow(a));
        check_ok(mapi_close_flow(b));
        check_ok(mapi_delete_offline_device(device));
        trace_free(&t);
}

static void ten_flows(void)
{
        static const int order[10] = { 7, 2, 9, 0, 4, 1, 8, 3, 6, 5 };
        struct trace t;
        char *device;
        int fd[10];

        make_big(40000, &t);
        device = big_device();
        for (int i = 0; i < 10; i++)
                fd[i] = buffer_flow(device);
        check_ok(mapi_start_offline_device(device));
        for (int i = 0; i < 10; i++)
                check_all_packets(fd[order[i]], 1, &t);
        for (int i = 0; i < 10; i++)
                check_ok(mapi_close_flow(fd[i]));
        check_ok(mapi_delete_offline_device(device));
        trace_free(&t);
}

/** As worker threads of old programs do it: a piece of this, a piece of that. */
static void in_turns(void)
{
        size_t at[3] = { 0 }, total = 0;
        unsigned seed = api_seed();
        struct trace t;
        char *device;
        int fd[3];

        make_big(40000, &t);
        device = big_device();
        for (int i = 0; i < 3; i++)
                fd[i] = buffer_flow(device);
        check_ok(mapi_start_offline_device(device));
        while (total < 3 * t.n) {
                int i = rand_r(&seed) % 3;
                size_t n = (size_t)rand_r(&seed) % (t.n / 5);

                n = n < t.n - at[i] ? n : t.n - at[i];
                check_packets(fd[i], 1, &t, at[i], n);
                at[i] += n;
                total += n;
        }
        for (int i = 0; i < 3; i++) {
                check_null(mapi_get_next_pkt(fd[i], 1), 0);
                check_ok(mapi_close_flow(fd[i]));
        }
        check_ok(mapi_delete_offline_device(device));
        trace_free(&t);
}

static void two_buffers_of_one_flow(void)
{
        struct trace t;
        int fd;

        make_big(40000, &t);
        fd = check_ok(mapi_create_flow("big.pcap"));
        check_ok(mapi_apply_function(fd, "TO_BUFFER"));
        check_ok(mapi_apply_function(fd, "PKT_COUNTER"));
        check_ok(mapi_apply_function(fd, "TO_BUFFER"));
        check_ok(mapi_connect(fd));
        check_all_packets(fd, 3, &t);
        check_all_packets(fd, 1, &t);
        check_equal(api_counter(fd, 2), t.n);
        check_ok(mapi_close_flow(fd));
        trace_free(&t);
}

static void private_flows(void)
{
        struct trace t;
        int a, b;

        make_big(40000, &t);
        a = buffer_flow("big.pcap");
        b = buffer_flow("big.pcap");
        check_packets(a, 1, &t, 0, t.n / 2);
        check_all_packets(b, 1, &t);
        check_packets(a, 1, &t, t.n / 2, t.n - t.n / 2);
        check_null(mapi_get_next_pkt(a, 1), 0);
        check_ok(mapi_close_flow(a));
        check_ok(mapi_close_flow(b));
        trace_free(&t);
}

/** The packet that was handed out stays where it is while its ring is replaced by larger ones. */
static void held_while_the_ring_grows(void)
{
        const struct mapipkt *held;
        struct trace t;
        char *device;
        int a, b;

        make_big(40000, &t);
        device = big_device();
        a = buffer_flow(device);
        b = buffer_flow(device);
        check_ok(mapi_start_offline_device(device));
        for (size_t i = 0; i < 10; i++)
                check_packet(mapi_get_next_pkt(a, 1), &t, i);
        held = mapi_get_next_pkt(a, 1);
        check_packet(held, &t, 10);
        check_all_packets(b, 1, &t);
        check_packet(held, &t, 10);
        check_packets(a, 1, &t, 11, t.n - 11);
        check_null(mapi_get_next_pkt(a, 1), 0);
        check_ok(mapi_close_flow(a));
        check_ok(mapi_close_flow(b));
        check_ok(mapi_delete_offline_device(device));
        trace_free(&t);
}

/* ---- the limit ------------------------------------------------------------------------------------------------------------ */

/** Reads what it can. Returns how many packets came before the trace was over (error 0) or waiting was refused (9001). */
static size_t read_some(int fd, const struct trace *t, size_t from, int full)
{
        char text[MAPI_ERRORSTR_LENGTH], wanted[32];
        const struct mapipkt *p;
        size_t i = from;
        int code;

        while ((p = mapi_get_next_pkt(fd, 1)) != NULL)
                check_packet(p, t, i++);
        check_equal(mapi_read_error(&code, text), 0);
        if (code == 0) {
                check_equal(i, t->n);
        } else {
                check_equal(code, MAPI_RING_LIMIT_ERROR);
                (void)snprintf(wanted, sizeof wanted, "flow %d", full);
                if (strstr(text, wanted) == NULL)
                        fail("'%s' does not name flow %d", text, full);
        }
        return i;
}

static void limit(void)
{
        size_t at_a = 0, at_b = 0;
        struct trace t;
        char *device;
        int a, b, turns = 0;

        api_only_embedded("MAPI_MEMORY_MAX");
        check_equal(setenv("MAPI_MEMORY_MAX", "8000000", 1), 0);
        make_big(160000, &t);
        device = big_device();
        a = buffer_flow(device);
        b = buffer_flow(device);
        check_ok(mapi_start_offline_device(device));
        for (; at_a < t.n || at_b < t.n; turns++) {
                size_t before = at_a + at_b;

                at_a = read_some(a, &t, at_a, b);
                at_b = read_some(b, &t, at_b, a);
                if (at_a + at_b == before)
                        fail("no packet comes any more after %zu and %zu of %zu", at_a, at_b, t.n);
        }
        check(turns > 1); /* otherwise the limit was not reached */
        check_null(mapi_get_next_pkt(a, 1), 0);
        check_null(mapi_get_next_pkt(b, 1), 0);
        check_ok(mapi_close_flow(a));
        check_ok(mapi_close_flow(b));
        check_ok(mapi_delete_offline_device(device));
        trace_free(&t);
}

/** The refusal is not the end: when the full flow is closed, the other has everything. */
static void limit_then_close(void)
{
        struct trace t;
        char *device;
        size_t n;
        int a, b;

        api_only_embedded("MAPI_MEMORY_MAX");
        check_equal(setenv("MAPI_MEMORY_MAX", "8000000", 1), 0);
        make_big(160000, &t);
        device = big_device();
        a = buffer_flow(device);
        b = buffer_flow(device);
        check_ok(mapi_start_offline_device(device));
        n = read_some(a, &t, 0, b);
        check(n > 0 && n < t.n);
        check_null(mapi_get_next_pkt(a, 1), MAPI_RING_LIMIT_ERROR);
        check_ok(mapi_close_flow(b));
        check_packets(a, 1, &t, n, t.n - n);
        check_null(mapi_get_next_pkt(a, 1), 0);
        check_ok(mapi_close_flow(a));
        check_ok(mapi_delete_offline_device(device));
        trace_free(&t);
}

/** What flows had goes back to the limit, rings of all sizes. */
static void limit_is_given_back(void)
{
        struct api_held before = { 0 };
        struct trace t;
        size_t n = 0;

        api_only_embedded("MAPI_MEMORY_MAX");
        check_equal(setenv("MAPI_MEMORY_MAX", "12000000", 1), 0);
        make_big(80000, &t);
        for (int i = 0; i < 40; i++) {
                char *device = big_device();
                int a = buffer_flow(device), b = buffer_flow(device);
                size_t now;

                check_ok(mapi_start_offline_device(device));
                now = read_some(a, &t, 0, b);
                if (i > 0 && now != n)
                        fail("round %d: %zu packets before the limit, in the round before %zu", i, now, n);
                n = now;
                check_ok(mapi_close_flow(i % 2 == 0 ? a : b));
                check_ok(mapi_close_flow(i % 2 == 0 ? b : a));
                check_ok(mapi_delete_offline_device(device));
                if (i == 5)
                        before = api_count_held();
        }
        check_held(&before, 12);
        trace_free(&t);
}

static void limit_too_small(void)
{
        int fd;

        api_only_embedded("MAPI_MEMORY_MAX");
        check_equal(setenv("MAPI_MEMORY_MAX", "1000000", 1), 0);
        fd = check_ok(mapi_create_flow(api_trace("demo.pcap")));
        check_fails(mapi_apply_function(fd, "TO_BUFFER"), MAPI_LIMIT_ERROR);
        check_ok(mapi_apply_function(fd, "PKT_COUNTER"));
        check_ok(mapi_connect(fd));
        api_finish(fd);
        check_equal(api_counter(fd, 1), 2800);
        check_ok(mapi_close_flow(fd));
}

/* ---- NOWAIT, writing into packets, loops ----------------------------------------------------------------------------------- */

static void nowait(void)
{
        char *device = check_there(mapi_create_offline_device(api_trace("demo.pcap"), MFF_PCAP));
        int fd = check_ok(mapi_create_flow(device));
        mapi_flow_info_t info = { 0 };
        struct mapipkt *p;
        struct trace t;
        size_t i = 0;

        trace_read(api_trace("demo.pcap"), &t);
        check_ok(mapi_apply_function(fd, "TO_BUFFER", NOWAIT));
        check_ok(mapi_connect(fd));
        for (int k = 0; k < 100; k++)
                check_null(mapi_get_next_pkt(fd, 1), 0); /* nothing was started */
        check_ok(mapi_start_offline_device(device));
        while (info.status != FLOW_FINISHED) {
                check_ok(mapi_get_flow_info(fd, &info));
                while ((p = mapi_get_next_pkt(fd, 1)) != NULL)
                        check_packet(p, &t, i++);
                check_error(0);
        }
        check_equal(i, t.n);
        check_ok(mapi_close_flow(fd));
        check_ok(mapi_delete_offline_device(device));
        trace_free(&t);
}

/** Programs cut payload into words where it lies. Nobody else notices, and the next packets are right. */
static void written_into(void)
{
        int writer, reader;
        struct trace t, got;
        char *device;

        make_big(40000, &t);
        device = big_device();
        writer = buffer_flow(device);
        reader = check_ok(mapi_create_flow(device));
        check_ok(mapi_apply_function(reader, "TO_BUFFER"));
        check_ok(mapi_apply_function(reader, "TO_FILE", MFF_PCAP, "copy.pcap", 0));
        check_ok(mapi_connect(reader));
        check_ok(mapi_start_offline_device(device));
        for (size_t i = 0; i < t.n; i++) {
                struct mapipkt *p = mapi_get_next_pkt(writer, 1);

                check_packet(p, &t, i);
                memset(&p->pkt, 0xa5, p->caplen);
                memset(p, 0xff, offsetof(struct mapipkt, pkt)); /* even this */
        }
        check_null(mapi_get_next_pkt(writer, 1), 0);
        check_all_packets(reader, 1, &t);
        check_ok(mapi_close_flow(writer));
        check_ok(mapi_close_flow(reader));
        check_ok(mapi_delete_offline_device(device));
        trace_read("copy.pcap", &got);
        check_equal(got.n, t.n);
        trace_check_same(&got, &t, t.n);
        trace_free(&got);
        trace_free(&t);
}

static struct trace looped;
static size_t loop_at;
static int loop_fd;

static void compare(const struct mapipkt *p)
{
        check_packet(p, &looped, loop_at++);
}

static void compare_and_close(const struct mapipkt *p)
{
        check_packet(p, &looped, loop_at++);
        if (loop_at == 100)
                check_ok(mapi_close_flow(loop_fd));
}

static void loops(void)
{
        make_big(40000, &looped);
        loop_fd = buffer_flow("big.pcap");
        check_equal(mapi_loop(loop_fd, 1, 1, compare), 0);
        check_equal(loop_at, 1);
        check_equal(mapi_loop(loop_fd, 1, 17, compare), 0);
        check_equal(loop_at, 18);
        check_packet(mapi_get_next_pkt(loop_fd, 1), &looped, loop_at++);
        check_equal(mapi_loop(loop_fd, 1, 0, compare), 0);
        check_equal(loop_at, looped.n);
        check_equal(mapi_loop(loop_fd, 1, 3, compare), 0);
        check_equal(loop_at, looped.n);
        check_error(0);
        check_ok(mapi_close_flow(loop_fd));

        loop_fd = buffer_flow("big.pcap");
        loop_at = 0;
        check_fails(mapi_loop(loop_fd, 1, -1, compare_and_close), MAPI_INVALID_FLOW); /* it is gone, and says so */
        check_equal(loop_at, 100);
        trace_free(&looped);
}

/* ---- sizes and traces ---------------------------------------------------------------------------------------------------------- */

static void large_packets(void)
{
        static uint8_t frame[262144];
        struct trace t;
        char *device;
        FILE *f;
        int a, b;

        f = trace_create("large.pcap", TRACE_MAGIC, 262144, 1);
        for (unsigned i = 0; i < 40; i++) {
                static const uint32_t sizes[] = { 262144, 60, 0, 262143, 1, 200000, 65536, 7 };
                uint32_t n = sizes[i % 8];

                memset(frame, (int)i, sizeof frame);
                trace_put(f, 1700000000 + i, 999999, n, n == 0 ? 1514 : n, frame, n);
        }
        trace_done(f);
        trace_read("large.pcap", &t);
        check_equal(t.n, 40);
        device = check_there(mapi_create_offline_device("large.pcap", MFF_PCAP));
        a = buffer_flow(device);
        b = buffer_flow(device);
        check_ok(mapi_start_offline_device(device));
        check_all_packets(a, 1, &t);
        check_all_packets(b, 1, &t);
        check_ok(mapi_close_flow(a));
        check_ok(mapi_close_flow(b));
        check_ok(mapi_delete_offline_device(device));
        trace_free(&t);
}

/** Everything that our own reader finds, also in front of damage. */
static void compare_trace(const char *path)
{
        const struct mapipkt *p;
        struct trace t;
        size_t i = 0;
        int fd, code;

        trace_read(path, &t);
        fd = buffer_flow(path);
        while ((p = mapi_get_next_pkt(fd, 1)) != NULL)
                check_packet(p, &t, i++);
        check_equal(mapi_read_error(&code, NULL), 0);
        if (i != t.n || code != (t.torn > 0 ? MAPI_TRACE_DAMAGED : 0))
                fail("%s: %zu packets, then error %d; expected %zu and %zu bytes that are no packet", path, i,
                     code, t.n, t.torn);
        check_ok(mapi_close_flow(fd));
        trace_free(&t);
}

static void bundled_traces(void)
{
        static const char *const names[] = { "demo.pcap",      "few-us-be.pcap",  "few-ns-le.pcap",
                                             "few-ns-be.pcap", "few-snap68.pcap", "few-snap37.pcap",
                                             "few-raw.pcap",   "few-sll.pcap",    "few-small.pcap",
                                             "few-cut.pcap",   "none.pcap" };

        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
                compare_trace(api_trace(names[i]));
}

static void real_traces(void)
{
        const char *folder = getenv("MAPI_TEST_TRACES");
        DIR *d = folder != NULL ? opendir(folder) : NULL;
        struct dirent *e;
        int n = 0;

        if (d == NULL)
                api_skip("no folder MAPI_TEST_TRACES");
        while ((e = readdir(d)) != NULL) {
                char path[4096];
                unsigned char magic[4] = { 0 };
                FILE *f;

                (void)snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
                f = fopen(path, "rb");
                if (f == NULL || fread(magic, 1, 4, f) != 4 || !(memcmp(magic, "\xd4\xc3\xb2\xa1", 4) == 0)) {
                        if (f != NULL)
                                (void)fclose(f);
                        continue;
                }
                (void)fclose(f);
                compare_trace(path);
                n++;
        }
        (void)closedir(d);
        if (n == 0)
                api_skip("no pcap file in MAPI_TEST_TRACES");
        (void)printf("%d traces\n", n);
}

static const struct api_case cases[] = {
        { "one_after_the_other", one_after_the_other, 60 },
        { "ten_flows", ten_flows, 60 },
        { "in_turns", in_turns, 60 },
        { "two_buffers_of_one_flow", two_buffers_of_one_flow, 60 },
        { "private_flows", private_flows, 60 },
        { "held_while_the_ring_grows", held_while_the_ring_grows, 60 },
        { "limit", limit, 60 },
        { "limit_then_close", limit_then_close, 60 },
        { "limit_is_given_back", limit_is_given_back, 60 },
        { "limit_too_small", limit_too_small, 0 },
        { "nowait", nowait, 0 },
        { "written_into", written_into, 60 },
        { "loops", loops, 60 },
        { "large_packets", large_packets, 0 },
        { "bundled_traces", bundled_traces, 0 },
        { "real_traces", real_traces, 60 },
};
API_MAIN(cases)
