/* Traces that are damaged, are none, or hold what no sane network sends. SPDX-License-Identifier: BSD-2-Clause */
#include "packets.h"

#include <mapi/errors.h>
#include <mapi/stats.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- what cannot be opened -------------------------------------------------------------------------------------------- */

/** Refused by every call that opens traces, with this code, again and again, and nothing stays behind. */
static void check_refused(const char *path, int code)
{
        struct api_held before;

        check_fails(mapi_create_offline_flow(path, MFF_PCAP), code);
        before = api_count_held();
        for (int i = 0; i < 40; i++) {
                check_fails(mapi_create_offline_flow(path, i % 2 == 0 ? MFF_PCAP : MFF_RAW), code);
                check_null(mapi_create_offline_device(path, MFF_PCAP), code);
                check(mapi_create_flow(path) == -1);
        }
        check_held(&before, 4);
}

static void no_traces(void)
{
        static const char pcap[] = "\xd4\xc3\xb2\xa1\x02\x00\x04\x00\0\0\0\0\0\0\0\0\xff\xff\0\0\x01\0\0\0";
        char garbage[5000], path[32];

        file_make("empty", "", 0);
        check_refused("empty", MAPI_ERROR_FILE);
        for (size_t n = 1; n < 24; n++) {
                (void)snprintf(path, sizeof path, "head-%zu", n);
                file_make(path, pcap, n);
                check_refused(path, MAPI_ERROR_FILE);
        }
        for (size_t i = 0; i < sizeof garbage; i++)
                garbage[i] = (char)(i * 7 + i / 256);
        file_make("garbage", garbage, sizeof garbage);
        check_refused("garbage", MAPI_ERROR_FILE);
        file_make("text", "The quick brown fox jumps over the lazy dog. Over and over and over again.\n", 75);
        check_refused("text", MAPI_ERROR_FILE);
        memset(garbage, 0, sizeof garbage);
        file_make("zeros", garbage, sizeof garbage);
        check_refused("zeros", MAPI_ERROR_FILE);
        memcpy(garbage, pcap, 24);
        garbage[4] = 9; /* a version that there never was */
        file_make("version", garbage, sizeof garbage);
        check_refused("version", MAPI_ERROR_FILE);
        check_refused("/dev/null", MAPI_ERROR_FILE);
        check_refused("/dev/zero", MAPI_ERROR_FILE);
        file_make("gzip", "\x1f\x8b\x08\0\0\0\0\0\0\x03this is not deflated", 30);
        check_refused("gzip", MAPI_ERROR_FILE);
        file_make("pcapng", "\x0a\x0d\x0d\x0a\xff\xff\xff\xff\x4d\x3c\x2b\x1a", 12);
        check_refused("pcapng", MAPI_ERROR_FILE);
}

static void no_files(void)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "socket" };
        int s = socket(AF_UNIX, SOCK_STREAM, 0);
        uid_t user = geteuid();
        char name[300];

        check_refused("missing.pcap", MAPI_ERROR_FILE);
        check_refused("missing/missing.pcap", MAPI_ERROR_FILE);
        check_refused(".", MAPI_ERROR_FILE);
        check_refused("/", MAPI_ERROR_FILE);
        check_refused("/dev", MAPI_ERROR_FILE);
        check_equal(symlink("loop", "loop"), 0);
        check_refused("loop", MAPI_ERROR_FILE);
        check_equal(bind(s, (struct sockaddr *)&address, sizeof address), 0);
        check_refused("socket", MAPI_ERROR_FILE);
        memset(name, 'n', sizeof name - 1);
        name[sizeof name - 1] = '\0';
        check_refused(name, MAPI_ERROR_FILE);
        trace_make("secret.pcap", 3, 60);
        check_equal(chmod("secret.pcap", 0), 0);
        if (user == 0)
                check_equal(seteuid(65534), 0);
        check_refused("secret.pcap", MAPI_ERROR_FILE);
        check_equal(seteuid(user), 0);
        check_equal(chmod("secret.pcap", 0600), 0);
        check_ok(mapi_close_flow(check_ok(mapi_create_flow("secret.pcap"))));
        (void)close(s);
}

/* ---- pipes ---------------------------------------------------------------------------------------------------------------- */

struct feeding {
        const char *path;
        const struct trace *t;
        size_t bytes; /* how many of the trace */
        int piece;
};

static void *feed(void *argument)
{
        const struct feeding *f = argument;
        int fd = open(f->path, O_WRONLY);

        check(fd >= 0);
        for (size_t at = 0; at < f->bytes;) {
                size_t n = f->bytes - at < (size_t)f->piece ? f->bytes - at : (size_t)f->piece;
                ssize_t w = write(fd, f->t->file + at, n);

                if (w < 0)
                        break; /* nobody reads any more */
                at += (size_t)w;
        }
        (void)close(fd);
        return NULL;
}

static void fifo(void)
{
        static const int pieces[] = { 1000000, 7, 4096 };
        struct trace t;

        trace_read(api_trace("demo.pcap"), &t);
        check_equal(mkfifo("fifo", 0600), 0);
        for (int i = 0; i < 3; i++) {
                struct feeding f = { .path = "fifo", .t = &t, .bytes = t.size, .piece = pieces[i] };
                pthread_t thread;
                int fd;

                if (i == 1)
                        f.bytes = 20000; /* by sevens, and cut somewhere */
                check_equal(pthread_create(&thread, NULL, feed, &f), 0);
                fd = check_ok(mapi_create_flow("fifo"));
                check_ok(mapi_apply_function(fd, "TO_BUFFER"));
                check_ok(mapi_connect(fd));
                if (i == 1) {
                        size_t n = 0;

                        for (const struct mapipkt *p; (p = mapi_get_next_pkt(fd, 1)) != NULL; n++)
                                check_packet(p, &t, n);
                        check_error(MAPI_TRACE_DAMAGED);
                        check(n > 10 && n < t.n);
                } else {
                        check_all_packets(fd, 1, &t);
                }
                check_ok(mapi_close_flow(fd));
                check_equal(pthread_join(thread, NULL), 0);
        }
        trace_free(&t);
}

/** Closed while its writer still has much to say, or says nothing. */
static void fifo_closed_early(void)
{
        struct api_held before;
        struct trace t;

        trace_read(api_trace("demo.pcap"), &t);
        check_equal(mkfifo("fifo", 0600), 0);
        check_ok(mapi_close_flow(counter_flow(api_trace("demo.pcap")))); /* what every process keeps */
        before = api_count_held();
        for (int i = 0; i < 10; i++) {
                struct feeding f = { .path = "fifo", .t = &t, .bytes = i % 2 == 0 ? t.size : 24, .piece = 100000 };
                pthread_t thread;
                int fd, hold = -1;

                check_equal(pthread_create(&thread, NULL, feed, &f), 0);
                fd = check_ok(mapi_create_flow("fifo"));
                if (i % 2 != 0)
                        hold = open("fifo", O_WRONLY); /* a writer stays, silent: there is no end */
                check_ok(mapi_apply_function(fd, "PKT_COUNTER"));
                if (i % 3 != 0)
                        check_ok(mapi_connect(fd));
                check_ok(mapi_close_flow(fd));
                if (hold >= 0)
                        (void)close(hold);
                check_equal(pthread_join(thread, NULL), 0);
        }
        check_held(&before, 12);
        trace_free(&t);
}

static void fifo_empty(void)
{
        struct feeding f = { .path = "fifo", .bytes = 0 };
        pthread_t thread;

        check_equal(mkfifo("fifo", 0600), 0);
        check_equal(pthread_create(&thread, NULL, feed, &f), 0);
        /* Without a writer in time or with one that says nothing: the same. */
        check_fails(mapi_create_offline_flow("fifo", MFF_PCAP), MAPI_ERROR_FILE);
        (void)open("fifo", O_RDONLY | O_NONBLOCK); /* so that the thread ends in any case */
        check_equal(pthread_join(thread, NULL), 0);
}

/** The one slow test: it waits as long as the library does. */
static void fifo_without_writer(void)
{
        struct timespec begin, end;
        struct api_held before;

        check(mapi_create_flow("nothing") == -1);
        before = api_count_held();
        check_equal(mkfifo("fifo", 0600), 0);
        (void)clock_gettime(CLOCK_MONOTONIC, &begin);
        check_fails(mapi_create_flow("fifo"), MAPI_ERROR_FILE);
        (void)clock_gettime(CLOCK_MONOTONIC, &end);
        check(end.tv_sec - begin.tv_sec <= 20);
        check_held(&before, 4);
}

/* ---- damage: everything in front of it is delivered -------------------------------------------------------------------------- */

/** n packets come, then the trace ends with this code: for packets and for results. */
static void check_ends(const char *path, unsigned n, int code)
{
        char *device = check_there(mapi_create_offline_device(path, MFF_PCAP));
        int a = buffer_flow(device), b = counter_flow(device);
        struct trace t;
        mapi_flow_info_t info;

        trace_read(path, &t);
        check_equal(t.n, n);
        check_ok(mapi_start_offline_device(device));
        check_packets(a, 1, &t, 0, n);
        check_null(mapi_get_next_pkt(a, 1), code);
        check_null(mapi_get_next_pkt(a, 1), code); /* it stays so */
        api_finish(b);
        check_there(mapi_read_results(b, 1)); /* the result is there, and the reason can be read */
        check_error(code);
        check_equal(*(unsigned long long *)mapi_read_results(b, 1)->res, n);
        check_ok(mapi_get_flow_info(b, &info));
        check_equal(info.status, FLOW_FINISHED);
        check_ok(mapi_close_flow(a));
        check_ok(mapi_close_flow(b));
        check_ok(mapi_delete_offline_device(device));
        trace_free(&t);
}

static void truncated(void)
{
        struct trace t;

        trace_make("whole.pcap", 100, 100);
        trace_read("whole.pcap", &t);
        check_ends("whole.pcap", 100, 0);
        for (size_t cut = 1; cut < 116; cut += cut < 20 || cut > 95 ? 1 : 13) {
                file_make("cut.pcap", t.file, t.size - cut);
                check_ends("cut.pcap", 99, MAPI_TRACE_DAMAGED);
        }
        file_make("cut.pcap", t.file, t.size - 116);
        check_ends("cut.pcap", 99, 0);
        file_make("cut.pcap", t.file, 25);
        check_ends("cut.pcap", 0, MAPI_TRACE_DAMAGED);
        file_make("cut.pcap", t.file, 24);
        check_ends("cut.pcap", 0, 0);
        trace_free(&t);
}

static void impossible_records(void)
{
        static const uint32_t caplens[] = { 262145, 300000, 0x7fffffff, 0x80000000, 0xffffffff };
        static uint8_t frame[300000];
        FILE *f;

        for (size_t i = 0; i < sizeof caplens / sizeof caplens[0]; i++) {
                f = trace_create("long.pcap", TRACE_MAGIC, 262144, 1);
                trace_put(f, 1, 1, 100, 100, frame, 100);
                trace_put(f, 1, 1, caplens[i], caplens[i], frame, 300000);
                trace_put(f, 1, 1, 100, 100, frame, 100);
                trace_done(f);
                {
                        int fd = buffer_flow("long.pcap");

                        check(mapi_get_next_pkt(fd, 1) != NULL);
                        check_null(mapi_get_next_pkt(fd, 1), MAPI_TRACE_DAMAGED);
                        check_ok(mapi_close_flow(fd));
                }
        }
        /* Longer than the file, and not longer than a packet may be. */
        f = trace_create("long.pcap", TRACE_MAGIC, 262144, 1);
        trace_put(f, 1, 1, 100, 100, frame, 100);
        trace_put(f, 1, 1, 262144, 262144, frame, 1000);
        trace_done(f);
        check_ends("long.pcap", 1, MAPI_TRACE_DAMAGED);
        /* More captured than there was: as the file says. */
        f = trace_create("more.pcap", TRACE_MAGIC, 262144, 1);
        trace_put(f, 1, 1, 100, 60, frame, 100);
        trace_put(f, 2, 2, 1000, 0, frame, 1000);
        trace_put(f, 3, 3, 0, 0, frame, 0);
        trace_put(f, 4, 4, 60, 0xffffffff, frame, 60);
        trace_done(f);
        check_ends("more.pcap", 4, 0);
}

/** A trace that somebody cuts while it is read. */
static void cut_meanwhile(void)
{
        for (int i = 0; i < 10; i++) {
                int fd, n = 0, code;

                trace_make("shrinking.pcap", 30000, 300);
                fd = buffer_flow("shrinking.pcap");
                check_there(mapi_get_next_pkt(fd, 1));
                check_equal(truncate("shrinking.pcap", i * 900000), 0);
                while (mapi_get_next_pkt(fd, 1) != NULL)
                        n++;
                check_equal(mapi_read_error(&code, NULL), 0);
                check(code == 0 || code == MAPI_TRACE_DAMAGED);
                check(n > 0 && n < 30000);
                check_ok(mapi_close_flow(fd));
        }
}

/* ---- strange contents ---------------------------------------------------------------------------------------------------------- */

static const char *const filters[] = { "tcp",
                                       "udp port 53",
                                       "icmp or arp",
                                       "ip6",
                                       "vlan and ip",
                                       "mpls",
                                       "pppoes and tcp",
                                       "tcp[tcpflags] & tcp-syn != 0",
                                       "ip[6:2] & 0x1fff != 0",
                                       "ip6 proto 17",
                                       "len > 100",
                                       "ip[40] = 1",
                                       "ether[100:4] = 0x01020304",
                                       "net 10.0.0.0/8",
                                       "sctp",
                                       "ether host 2:0:0:0:0:1" };

/** Everything that looks at headers, on a trace of anything. Returns the packets; a sanitizer sees what else goes wrong. */
static unsigned long long look_at_everything(const char *path)
{
        char *device = check_there(mapi_create_offline_device(path, MFF_PCAP));
        int fd[32], n = 0, all = counter_flow(device), search;
        unsigned long long total;

        for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++) {
                int one = check_ok(mapi_create_flow(device)), code;

                if (mapi_apply_function(one, "BPF_FILTER", filters[i]) <
                    0) { /* not every link type has everything */
                        check_equal(mapi_read_error(&code, NULL), 0);
                        check_equal(code, PCAP_BPF_ERR);
                        check_ok(mapi_close_flow(one));
                        continue;
                }
                for (int layer = 0; layer < 4; layer++)
                        check_ok(mapi_apply_function(one, "HASH", layer));
                check_ok(mapi_apply_function(one, "PKT_COUNTER"));
                check_ok(mapi_connect(one));
                fd[n++] = one;
        }
        search = check_ok(mapi_create_flow(device));
        for (int layer = 0; layer < 4; layer++)
                check_ok(mapi_apply_function(search, "HASH", layer));
        check_ok(mapi_apply_function(search, "GAP"));
        check_ok(mapi_apply_function(search, "STATS", search, check_ok(mapi_apply_function(search, "PKTINFO", 0)),
                                     "1s"));
        check_ok(mapi_apply_function(search, "STR_SEARCH", "|00 00|||www", 10, 20));
        check_ok(mapi_apply_function(search, "TO_FILE", MFF_PCAP, "copy.pcap", 0));
        check_ok(mapi_connect(search));
        check_ok(mapi_start_offline_device(device));
        api_finish(all);
        total = api_counter(all, 1);
        for (int i = 0; i < n; i++) {
                api_finish(fd[i]);
                check(api_counter(fd[i], 6) <= total);
                check_ok(mapi_close_flow(fd[i]));
        }
        api_finish(search);
        check_ok(mapi_close_flow(search));
        check_ok(mapi_close_flow(all));
        check_ok(mapi_delete_offline_device(device));
        return total;
}

/** Every frame of the demonstration trace that is new in its kind, cut after every byte of its first hundred. */
static void cut_frames(void)
{
        struct trace t;
        unsigned n = 0, every = api_slowness() > 1 ? 40 : 7;
        FILE *f = trace_create("cut.pcap", TRACE_MAGIC, 262144, 1);

        trace_read(api_trace("demo.pcap"), &t);
        for (size_t i = 0; i < t.n; i += every)
                for (uint32_t len = 0; len < 100 && len <= t.packet[i].caplen; len++, n++)
                        trace_put(f, 1700000000 + n, n % 1000000, len, t.packet[i].wlen, t.packet[i].data, len);
        trace_done(f);
        check_equal(look_at_everything("cut.pcap"), n);
        trace_free(&t);
}

static void unknown_link_types(void)
{
        static const uint32_t linktypes[] = { 147, 162, 276, 999, 0xffff, 2,   3,   105, 127,        195, 0,
                                              9,   50,  51,  104, 108,    113, 228, 229, 0xfc000001, 101 };
        struct trace t;

        trace_read(api_trace("demo.pcap"), &t);
        for (size_t i = 0; i < sizeof linktypes / sizeof linktypes[0]; i++) {
                FILE *f = trace_create("link.pcap", TRACE_MAGIC, 262144, linktypes[i]);

                for (size_t k = 0; k < 300; k++)
                        trace_put(f, (uint32_t)k, 0, t.packet[k].caplen, t.packet[k].wlen, t.packet[k].data,
                                  t.packet[k].caplen);
                trace_done(f);
                check_equal(look_at_everything("link.pcap"), 300);
        }
        trace_free(&t);
}

static void strange_times(void)
{
        static const struct {
                uint32_t seconds, fraction;
        } times[] = { { 1700000000, 0 },
                      { 1700000001, 0 },
                      { 1699999999, 999999 },
                      { 0, 0 },
                      { 4294967295, 0 },
                      { 4294967295, 999999 },
                      { 1, 1 },
                      { 1700000002, 0 },
                      { 2000000000, 0 },
                      { 1700000003, 999999 } };
        static uint8_t frame[60];
        FILE *f = trace_create("times.pcap", TRACE_MAGIC, 262144, 1);
        int fd, gap, stats, size;
        mapi_results_t *r;
        unsigned n = sizeof times / sizeof times[0];

        for (unsigned i = 0; i < n; i++)
                trace_put(f, times[i].seconds, times[i].fraction, 60, 60, frame, 60);
        trace_done(f);
        check_ends("times.pcap", n, 0); /* the stamps come as they are */
        fd = check_ok(mapi_create_flow("times.pcap"));
        gap = check_ok(mapi_apply_function(fd, "GAP"));
        size = check_ok(mapi_apply_function(fd, "PKTINFO", 1));
        stats = check_ok(mapi_apply_function(fd, "STATS", fd, size,
                                             "1us")); /* a period a million times a second, for decades */
        check_ok(mapi_connect(fd));
        api_finish(fd);
        check_equal(api_counter(fd, gap), 0); /* the last goes back */
        r = check_there(mapi_read_results(fd, stats));
        check(((stats_t *)r->res)->count > 0);
        check_equal(((stats_t *)r->res)->max, 60);
        check_ok(mapi_close_flow(fd));

        f = trace_create("times.pcap", TRACE_MAGIC, 262144, 1); /* fractions that are none */
        for (unsigned i = 0; i < 100; i++)
                trace_put(f, 0xffffffffu - i, 0xffffffffu - i * 12345678u, 60, 60, frame, 60);
        trace_done(f);
        check_equal(look_at_everything("times.pcap"), 100);
        f = trace_create("times.pcap", TRACE_MAGIC_NS, 262144, 1);
        for (unsigned i = 0; i < 100; i++)
                trace_put(f, 0xffffffffu - i, 0xffffffffu - i * 12345678u, 60, 60, frame, 60);
        trace_done(f);
        check_equal(look_at_everything("times.pcap"), 100);
}

static void wrong_filters(void)
{
        static const char *const bad[] = { "(",
                                           "no such filter",
                                           "ip host (",
                                           "port 65536",
                                           "port -1",
                                           "ip[70000000000]",
                                           "tcp[",
                                           "and",
                                           "len >",
                                           "\xff\xfe",
                                           "%n%n%s",
                                           "a'b\"c",
                                           "vlan 5000",
                                           "1/0 = 1",
                                           "ether host 1:2:3" };
        int fd = check_ok(mapi_create_flow(api_trace("demo.pcap")));
        static char huge[200000];
        struct api_held before;

        check_fails(mapi_apply_function(fd, "BPF_FILTER", "("), PCAP_BPF_ERR);
        before = api_count_held();
        for (int round = 0; round < 20; round++)
                for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
                        if (mapi_apply_function(fd, "BPF_FILTER", bad[i]) != -1)
                                fail("the filter '%s' compiles", bad[i]);
                        else
                                check_error(PCAP_BPF_ERR);
        check_held(&before, 20);
        memset(huge, '(', sizeof huge - 1);
        check(mapi_apply_function(fd, "BPF_FILTER", huge) == -1);
        memset(huge, ' ', sizeof huge - 1);
        memcpy(huge + sizeof huge - 4, "tcp", 3);
        (void)mapi_apply_function(fd, "BPF_FILTER", huge); /* may be too long, or the filter "tcp" */
        check_fails(mapi_apply_function(fd, "BPF_FILTER", NULL), MFUNCT_INVALID_ARGUMENT_1);
        check_fails(mapi_apply_function(fd, "BPF_FILTER", ""), MFUNCT_INVALID_ARGUMENT_1);
        check_ok(mapi_connect(fd)); /* the flow has not suffered */
        api_finish(fd);
        check_ok(mapi_close_flow(fd));
}

static const struct api_case cases[] = {
        { "no_traces", no_traces, 60 },
        { "no_files", no_files, 0 },
        { "fifo", fifo, 0 },
        { "fifo_closed_early", fifo_closed_early, 0 },
        { "fifo_empty", fifo_empty, 30 },
        { "fifo_without_writer", fifo_without_writer, 30 },
        { "truncated", truncated, 0 },
        { "impossible_records", impossible_records, 0 },
        { "cut_meanwhile", cut_meanwhile, 0 },
        { "cut_frames", cut_frames, 60 },
        { "unknown_link_types", unknown_link_types, 0 },
        { "strange_times", strange_times, 0 },
        { "wrong_filters", wrong_filters, 60 },
};
API_MAIN(cases)
