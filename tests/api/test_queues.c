/*
 * Results that are read one by one (BUCKET), and functions that read others, also of other flows.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "api.h"

#include "trace.h"

#include <mapi/bucket.h>
#include <mapi/errors.h>
#include <mapi/res2file.h>
#include <mapi/stats.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MS (4294967296.0 / 1000)
#define TRACE_KEEPS 65536 /* records of a queue on a trace */

/** The next record must be this one, with nothing lost. */
static void expect(int fd, int fid, unsigned long long ts, unsigned long long data)
{
        mapi_results_t *r = check_there(mapi_read_results(fd, fid));
        const struct bucket_data *b = r->res;

        check_error(0);
        check_equal(r->size, sizeof *b);
        check_equal(b->data, data);
        check_equal(b->timestamp, ts);
}

/** 1000 packets, one each millisecond from second 0 of the trace on; see trace.c for its beginning. */
static unsigned long long first_stamp(const char *path)
{
        unsigned long long ts;
        struct trace t;

        trace_read(path, &t);
        ts = t.packet[0].ts;
        trace_free(&t);
        return ts;
}

static void buckets(void)
{
        unsigned long long begin;
        int fd, counter, bucket;

        trace_make("t.pcap", 1000, 60);
        begin = first_stamp("t.pcap");
        fd = check_ok(mapi_create_offline_flow("t.pcap", MFF_PCAP));
        counter = check_ok(mapi_apply_function(fd, "PKT_COUNTER"));
        bucket = check_ok(mapi_apply_function(fd, "BUCKET", fd, counter, "100ms", 1));
        check_ok(mapi_connect(fd));
        for (unsigned k = 1; k <= 9; k++) /* the tenth interval is not over */
                expect(fd, bucket, begin + (k * ((unsigned long long)1 << 32)) / 10, 100);
        check_null(mapi_read_results(fd, bucket), 0);
        check_null(mapi_read_results(fd, bucket), 0);
        check_null(mapi_get_next_pkt(fd, bucket), MAPI_INVALID_FID_FUNCID);
        check_equal(api_counter(fd, counter), 100); /* since the last reset */
        check_ok(mapi_close_flow(fd));
}

/** The reader comes too late: the oldest are gone, and it is told how many. */
static void overwritten(void)
{
        const unsigned n = TRACE_KEEPS + 1000;
        mapi_results_t *r;
        int fd, counter, bucket;
        char text[512];
        int code = 0;

        trace_make("t.pcap", n, 60);
        fd = check_ok(mapi_create_offline_flow("t.pcap", MFF_PCAP));
        counter = check_ok(mapi_apply_function(fd, "PKT_COUNTER"));
        bucket = check_ok(mapi_apply_function(fd, "BUCKET", fd, counter, "0", 0));
        check_ok(mapi_connect(fd));
        api_finish(fd);
        for (unsigned i = 1001; i <= n; i++) {
                r = check_there(mapi_read_results(fd, bucket));
                check_equal(((struct bucket_data *)r->res)->data, i);
                (void)mapi_read_error(&code, text);
                if (i == 1001) {
                        check_equal(code, MAPI_RESULTS_LOST);
                        check(strstr(text, "1000 of function") != NULL);
                } else {
                        check_equal(code, 0);
                }
        }
        check_null(mapi_read_results(fd, bucket), 0);
        check_ok(mapi_close_flow(fd));
}

/* ---- a trace that does not go on ------------------------------------------------------------------------------------ */

struct reader {
        int fd, fid;
        int code;
        void *got;
};

static void *read_one(void *context)
{
        struct reader *x = context;
        char text[512];

        x->got = mapi_read_results(x->fd, x->fid);
        x->code = 0;
        (void)mapi_read_error(&x->code, text);
        return NULL;
}

/** A flow on a FIFO into which nobody writes a packet behind the head of the file. */
static int silent_flow(int *ret_writer)
{
        static const uint32_t head[6] = { TRACE_MAGIC, 4u << 16 | 2, 0, 0, 65535, 1 };
        int fd;

        check_equal(mkfifo("pipe", 0600), 0);
        *ret_writer = check_ok(open("pipe", O_RDWR | O_CLOEXEC));
        check_equal(write(*ret_writer, head, sizeof head), sizeof head);
        fd = check_ok(mapi_create_offline_flow("pipe", MFF_PCAP));
        return fd;
}

static int sleeps(void *context)
{
        char path[64], text[64] = "";
        FILE *f;

        (void)snprintf(path, sizeof path, "/proc/self/task/%d/syscall", *(int *)context);
        f = fopen(path, "r");
        if (f != NULL) {
                (void)fgets(text, sizeof text, f);
                (void)fclose(f);
        }
        return strncmp(text, "202 ", 4) == 0; /* futex */
}

static _Atomic int reader_tid;

static void *read_and_tell(void *context)
{
        reader_tid = gettid();
        return read_one(context);
}

/** A reader that waits blocks itself only, and returns when the flow is closed. */
static void closed_while_waiting(void)
{
        int fd, writer, counter, other, tid;
        struct reader x;
        pthread_t thread;

        trace_make("t.pcap", 10, 60);
        fd = silent_flow(&writer);
        counter = check_ok(mapi_apply_function(fd, "PKT_COUNTER"));
        x = (struct reader){ .fd = fd };
        x.fid = check_ok(mapi_apply_function(fd, "BUCKET", fd, counter, "1s", 1));
        check_ok(mapi_connect(fd));
        check_equal(pthread_create(&thread, NULL, read_and_tell, &x), 0);
        while ((tid = reader_tid) == 0)
                (void)sched_yield();
        api_until(sleeps, &tid, "the reader does not wait");
        other = check_ok(mapi_create_offline_flow("t.pcap", MFF_PCAP)); /* everybody else goes on */
        counter = check_ok(mapi_apply_function(other, "PKT_COUNTER"));
        check_ok(mapi_connect(other));
        api_finish(other);
        check_equal(api_counter(other, counter), 10);
        check_ok(mapi_close_flow(fd));
        check_equal(pthread_join(thread, NULL), 0);
        check(x.got == NULL);
        check_equal(x.code, MAPI_INVALID_FLOW);
        check_ok(mapi_close_flow(other));
        (void)close(writer);
}

static void not_waiting(void)
{
        int fd, writer, counter, bucket;

        fd = silent_flow(&writer);
        counter = check_ok(mapi_apply_function(fd, "PKT_COUNTER"));
        bucket = check_ok(mapi_apply_function(fd, "BUCKET", fd, counter, "1s", 1));
        check_ok(mapi_connect(fd));
        check_ok(mapi_set_nonblocking(fd, 1));
        check_null(mapi_read_results(fd, bucket), 0);
        check_ok(mapi_close_flow(fd));
        (void)close(writer);
}

/* ---- across flows ------------------------------------------------------------------------------------------------------ */

/**
 * Two flows that begin together, and a third that writes what they have, before and behind them in the order of numbers:
 * the packet that opens a period is in no result of the period before.
 */
static void across_flows(int writer_first)
{
        char list[100], line[256], path[] = "lines";
        int fd[3], counter, size, stats, writer, packets;
        char *device;
        FILE *f;

        trace_make("t.pcap", 1000, 60);
        device = check_there(mapi_create_offline_device("t.pcap", MFF_PCAP));
        for (int i = 0; i < 3; i++)
                fd[i] = check_ok(mapi_create_flow(device));
        writer = writer_first ? fd[0] : fd[2];
        packets = fd[1];
        counter = check_ok(mapi_apply_function(packets, "PKT_COUNTER"));
        size = check_ok(mapi_apply_function(packets, "PKTINFO", 1));
        stats = check_ok(mapi_apply_function(packets, "STATS", packets, size, "0"));
        (void)snprintf(list, sizeof list, "%d@%d,%d@%d", counter, packets, stats, packets);
        check_ok(mapi_apply_function(writer, "RES2FILE", "1,3", list, "HEAD", path, "250ms", 1));
        check_ok(mapi_connect(writer));
        check_ok(mapi_connect(packets));
        check_ok(mapi_start_offline_device(device));
        api_finish(writer);
        check_ok(mapi_close_flow(writer));
        f = check_there(fopen(path, "r"));
        check_there(fgets(line, sizeof line, f));
        check_equal(strcmp(line, "HEAD\n"), 0);
        for (int i = 0; i < 3; i++) {
                unsigned long long n, count;

                check_there(fgets(line, sizeof line, f));
                if (sscanf(line, "%llu %llu", &n, &count) != 2 || n != 250 || count != 250)
                        fail("line %d is '%s'", i, line);
        }
        check(fgets(line, sizeof line, f) == NULL);
        (void)fclose(f);
        check_ok(mapi_close_flow(packets));
        check_ok(mapi_delete_offline_device(device));
}

static void writer_behind(void)
{
        across_flows(0);
}

static void writer_before(void)
{
        across_flows(1);
}

/** A filter between the function that is read and its reader does not hide the packets that end an interval. */
static void filter_between(void)
{
        unsigned long long begin;
        int fd, counter, bucket;

        trace_make("t.pcap", 1000, 60);
        begin = first_stamp("t.pcap");
        fd = check_ok(mapi_create_offline_flow("t.pcap", MFF_PCAP));
        counter = check_ok(mapi_apply_function(fd, "PKT_COUNTER"));
        check_ok(mapi_apply_function(fd, "BPF_FILTER", "tcp")); /* none is */
        bucket = check_ok(mapi_apply_function(fd, "BUCKET", fd, counter, "500ms", 1));
        check_ok(mapi_connect(fd));
        expect(fd, bucket, begin + ((unsigned long long)1 << 31), 500);
        check_null(mapi_read_results(fd, bucket), 0);
        check_ok(mapi_close_flow(fd));
}

static void synchronised(void)
{
        int a, b, ca, cb;
        char list[64], *device;

        trace_make("t.pcap", 100, 60);
        device = check_there(mapi_create_offline_device("t.pcap", MFF_PCAP));
        a = check_ok(mapi_create_flow(device));
        b = check_ok(mapi_create_flow(device));
        (void)snprintf(list, sizeof list, "%d,%d", a, b);
        check_ok(mapi_apply_function(a, "SYNC", list));
        ca = check_ok(mapi_apply_function(a, "PKT_COUNTER"));
        cb = check_ok(mapi_apply_function(b, "PKT_COUNTER"));
        check_ok(mapi_connect(a));
        check_ok(mapi_connect(b));
        check_ok(mapi_start_offline_device(device));
        api_finish(a);
        api_finish(b);
        check_equal(api_counter(a, ca), 100);
        check_equal(api_counter(b, cb), 100);
        check_ok(mapi_close_flow(a));
        check_ok(mapi_close_flow(b));
        check_ok(mapi_delete_offline_device(device));
        device = check_there(mapi_create_offline_device("t.pcap", MFF_PCAP));
        a = check_ok(mapi_create_flow(device));
        b = check_ok(mapi_create_flow(device)); /* never connected */
        (void)snprintf(list, sizeof list, "%d,%d", a, b);
        check_ok(mapi_apply_function(a, "SYNC", list));
        ca = check_ok(mapi_apply_function(a, "PKT_COUNTER"));
        check_ok(mapi_connect(a));
        check_ok(mapi_start_offline_device(device));
        api_finish(a);
        check_equal(api_counter(a, ca), 0);
        check_ok(mapi_close_flow(a));
        check_ok(mapi_close_flow(b));
        check_ok(mapi_delete_offline_device(device));
}

/* ---- what may not be referred to ------------------------------------------------------------------------------------- */

static void bad_references(void)
{
        int fd, other, elsewhere, gone, buffer, counter, filter;
        char list[64], *device;

        trace_make("t.pcap", 10, 60);
        device = check_there(mapi_create_offline_device("t.pcap", MFF_PCAP));
        fd = check_ok(mapi_create_flow(device));
        other = check_ok(mapi_create_flow(device));
        gone = check_ok(mapi_create_flow(device));
        elsewhere = check_ok(mapi_create_offline_flow("t.pcap", MFF_PCAP));
        counter = check_ok(mapi_apply_function(other, "PKT_COUNTER"));
        check_equal(check_ok(mapi_apply_function(gone, "PKT_COUNTER")), counter);
        check_equal(check_ok(mapi_apply_function(elsewhere, "PKT_COUNTER")), counter);
        check_ok(mapi_close_flow(gone));
        buffer = check_ok(mapi_apply_function(other, "TO_BUFFER", 0));
        filter = check_ok(mapi_apply_function(other, "BPF_FILTER", "udp"));

        check_fails(mapi_apply_function(fd, "BUCKET", gone, counter, "1s", 0), 7001);
        check_fails(mapi_apply_function(fd, "BUCKET", elsewhere, counter, "1s", 0), 7001);
        check_fails(mapi_apply_function(fd, "BUCKET", fd, 1, "1s", 0), 7001); /* itself */
        check_fails(mapi_apply_function(fd, "BUCKET", -1, counter, "1s", 0), 7001);
        check_fails(mapi_apply_function(fd, "BUCKET", other, buffer, "1s", 0), 7001);
        check_fails(mapi_apply_function(fd, "BINOP", 0, other, counter, gone, counter), 7004);
        check_fails(mapi_apply_function(fd, "BINOP", 0, other, filter, other, counter), 7002);
        check_fails(mapi_apply_function(fd, "DIST", other, 77, "0", "10", "1"), 7001);
        check_fails(mapi_apply_function(fd, "THRESHOLD", 2, gone, counter, 5ULL, 1, 0, 0, 1), 7002);
        check_fails(mapi_apply_function(fd, "SYNC", ""), 7001);
        check_fails(mapi_apply_function(fd, "SYNC", "1,,2"), 7001);
        (void)snprintf(list, sizeof list, "%d,%d", other, elsewhere);
        check_fails(mapi_apply_function(fd, "SYNC", list), 7001);
        (void)snprintf(list, sizeof list, "%d@%d,%d@%d", counter, other, counter, gone);
        check_fails(mapi_apply_function(fd, "RES2FILE", "1,1", list, "h", "f", "1s", 0), 7002);
        check_fails(mapi_apply_function(fd, "RES2FILE", "1", "1", "h", "f", "1s", 0), 7002);
        (void)snprintf(list, sizeof list, "%d@%d", buffer, other);
        check_fails(mapi_apply_function(fd, "RES2FILE", "1", list, "h", "f", "1s", 0), 7002);
        check_fails(mapi_apply_function(fd, "RES2FILE", "x", "y", "h", (char *)NULL, "1s", 234), MAPI_ERROR_FILE);
        check_fails(mapi_apply_function(fd, "RES2FILE", "x", "y", "h", "f", "1s", 234), 7011);
        (void)snprintf(list, sizeof list, "%d@%d", counter, other);
        check_ok(mapi_apply_function(fd, "RES2FILE", "1", list, "h", "f", "1s",
                                     0)); /* and after all that it works */
        check_ok(mapi_close_flow(other)); /* what it reads stands still */
        check_ok(mapi_connect(fd));
        check_ok(mapi_close_flow(fd));
        check_ok(mapi_close_flow(elsewhere));
        check_ok(mapi_delete_offline_device(device));
}

/* ---- files -------------------------------------------------------------------------------------------------------------- */

/** What the test program of 2009 asked for, with packets that open an interval in that interval: 26 and 873 for 27 and 874. */
static void lines_of_2009(void)
{
        int fd, counter, size, stamp, lines = 0, sum = 0, packets, first = 0;
        char list[64], line[256];
        FILE *f;

        fd = check_ok(mapi_create_offline_flow(api_real_trace("tracefile.pcap"), MFF_PCAP));
        counter = check_ok(mapi_apply_function(fd, "PKT_COUNTER"));
        size = check_ok(mapi_apply_function(fd, "PKTINFO", 1));
        stamp = check_ok(mapi_apply_function(fd, "PKTINFO", 0));
        (void)snprintf(list, sizeof list, "%d@%d,%d@%d,%d@%d", counter, fd, size, fd, stamp, fd);
        check_ok(mapi_apply_function(fd, "RES2FILE", "1,1,2", list, "TEST", "res", "5s", 1));
        check_ok(mapi_connect(fd));
        api_finish(fd);
        check_ok(mapi_close_flow(fd));
        f = check_there(fopen("res", "r"));
        check_there(fgets(line, sizeof line, f));
        check_equal(strcmp(line, "TEST\n"), 0);
        for (; fgets(line, sizeof line, f) != NULL; lines++) {
                check_equal(sscanf(line, "%d", &packets), 1);
                first = lines == 0 ? packets : first;
                sum += packets;
        }
        (void)fclose(f);
        check_equal(lines, 23);
        check_equal(first, 26);
        check_equal(sum, 873);
}

/** A disk without room: the result says so, and everything else goes on. */
static void full_disk(void)
{
        int fd, counter, file;
        mapi_results_t *r;
        char list[64];

        trace_make("t.pcap", 2000, 60);
        fd = check_ok(mapi_create_offline_flow("t.pcap", MFF_PCAP));
        counter = check_ok(mapi_apply_function(fd, "PKT_COUNTER"));
        (void)snprintf(list, sizeof list, "%d@%d", counter, fd);
        check_fails(mapi_apply_function(fd, "RES2FILE", "1", list, "h", "no/such/folder/f", "0", 0),
                    MAPI_ERROR_FILE);
        file = check_ok(mapi_apply_function(fd, "RES2FILE", "1", list, "h", "/dev/full", "0", 0));
        check_ok(mapi_connect(fd));
        api_finish(fd);
        check_equal(api_counter(fd, counter), 2000);
        r = check_there(mapi_read_results(fd, file));
        check_equal(*(int *)r->res, -28); /* ENOSPC */
        check_error(MAPI_ERROR_FILE);
        check_fails(mapi_close_flow(fd), MAPI_ERROR_FILE);
}

static const struct api_case cases[] = {
        { "buckets", buckets, 0 },
        { "overwritten", overwritten, 60 },
        { "closed_while_waiting", closed_while_waiting, 0 },
        { "not_waiting", not_waiting, 0 },
        { "writer_behind", writer_behind, 0 },
        { "writer_before", writer_before, 0 },
        { "filter_between", filter_between, 0 },
        { "synchronised", synchronised, 0 },
        { "bad_references", bad_references, 0 },
        { "lines_of_2009", lines_of_2009, 0 },
        { "full_disk", full_disk, 0 },
};
API_MAIN(cases)
