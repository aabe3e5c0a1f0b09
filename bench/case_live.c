/*
 * The programs of MAPI that bench/live runs against a mapid of its own (MAPI_SOCKET); they are what a user would write.
 *
 *     case_live count DEVICE FILTER           BPF_FILTER and PKT_COUNTER
 *     case_live buffer DEVICE FILTER          BPF_FILTER and TO_BUFFER, every packet is looked at
 *     case_live first DEVICE ROUNDS HOLD      time of each call from mapi_create_flow to the first counted packet; HOLD 1: the
 *                                             device is in use already
 *     case_live results DEVICE                reads of a result of a busy device: seconds, reads, growth of the counter
 *     case_live silent DEVICE                 a million such reads in a thread that the kernel kills at its first system call
 *     case_live many DEVICE N                 N flows one after the other, all open until the end: of each, microseconds of BPF_FILTER,
 *                                             of mapi_connect, of all until connected, of mapi_close_flow
 *
 * The first two say "ready", and answer each line on standard input with one of numbers: counted by the program; of the
 * flow seen, delivered, filtered, dropped; of the device seen, delivered, dropped. They end with their input.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include <mapi.h>

#include "common.h"
#include "silent.h"

#define READS 5000000
#define SILENT_READS 1000000
#define ROUNDS_MAX 1000
#define FILTER "udp and dst port 9000"

__attribute__((noreturn)) static void fail(const char *what)
{
        char why[MAPI_ERRORSTR_LENGTH] = "";

        mapi_read_error(NULL, why);
        bench_die(what, why);
}

static unsigned long long counter(int fd, int fid)
{
        mapi_results_t *result = mapi_read_results(fd, fid);

        if (result == NULL)
                fail("mapi_read_results");
        return *(unsigned long long *)result->res;
}

static int make_flow(const char *device, const char *filter, const char *function, int *ret_fid)
{
        int fd = mapi_create_flow(device);

        if (fd < 0)
                fail(device);
        if (mapi_apply_function(fd, "BPF_FILTER", filter) < 0)
                fail(filter);
        *ret_fid = mapi_apply_function(fd, function);
        if (*ret_fid < 0 || mapi_connect(fd) < 0)
                fail(function);
        return fd;
}

/* ---- count, buffer -------------------------------------------------------------------------------------------------- */

static int flow, fid;
static unsigned long long buffered; /* by the reader's thread */

static unsigned long long dropped(const struct mapi_stat64 *s)
{
        unsigned long long sum = s->dropped_interface + s->dropped_kernel + s->dropped_ring + s->dropped_file;

        for (unsigned i = 0; i < sizeof(s->dropped_other) / sizeof(s->dropped_other[0]); i++)
                sum += s->dropped_other[i];
        return sum;
}

static void answer(const char *device, int reads)
{
        struct mapi_stat64 f, d;
        unsigned long long counted;

        counted = reads ? __atomic_load_n(&buffered, __ATOMIC_RELAXED) : counter(flow, fid);
        if (mapi_flow_stats64(flow, &f) < 0 || mapi_stats64(device, &d) < 0)
                fail("statistics");
        printf("%llu %llu %llu %llu %llu %llu %llu %llu\n", counted, f.seen, f.delivered, f.filtered, dropped(&f),
               d.seen, d.delivered, dropped(&d));
        fflush(stdout);
}

static volatile unsigned char looked; /* so that looking is done */

static void *read_packets(void *nothing)
{
        const struct mapipkt *pkt;
        unsigned long long n = 0;

        (void)nothing;
        while ((pkt = mapi_get_next_pkt(flow, fid)) != NULL) {
                looked = pkt->pkt;
                __atomic_store_n(&buffered, ++n, __ATOMIC_RELAXED);
        }
        fail("mapi_get_next_pkt"); /* a live device has no end */
}

static void run_program(const char *device, const char *filter, int reads)
{
        char line[16];
        pthread_t thread;

        flow = make_flow(device, filter, reads ? "TO_BUFFER" : "PKT_COUNTER", &fid);
        if (reads && pthread_create(&thread, NULL, read_packets, NULL) != 0)
                bench_die("a thread", "cannot be made");
        puts("ready");
        fflush(stdout);
        while (fgets(line, sizeof(line), stdin) != NULL)
                answer(device, reads);
        _exit(0); /* mapid clears up; the other thread may be waiting */
}

/* ---- first ---------------------------------------------------------------------------------------------------------- */

enum { CREATE, APPLY_FILTER, APPLY_COUNTER, CONNECT, FIRST, TO_FIRST, CLOSE, CALLS };

static const char *const call_names[CALLS] = {
        "mapi_create_flow", "mapi_apply_function BPF_FILTER", "mapi_apply_function PKT_COUNTER",
        "mapi_connect",     "connected to first packet",      "in all, to the first packet",
        "mapi_close_flow"
};

static double took_us[CALLS][ROUNDS_MAX];

static void one_flow(const char *device, int round)
{
        double t[CALLS + 1];
        char filter[40];
        int fd;

        snprintf(filter, sizeof(filter), "tcp or udp or sctp port %d",
                 1 + round); /* not one that is known already */
        t[CREATE] = bench_now_s();
        fd = mapi_create_flow(device);
        t[APPLY_FILTER] = bench_now_s();
        if (fd < 0 || mapi_apply_function(fd, "BPF_FILTER", filter) < 0)
                fail("BPF_FILTER");
        t[APPLY_COUNTER] = bench_now_s();
        fid = mapi_apply_function(fd, "PKT_COUNTER");
        t[CONNECT] = bench_now_s();
        if (fid < 0 || mapi_connect(fd) < 0)
                fail("mapi_connect");
        t[FIRST] = bench_now_s();
        while (counter(fd, fid) == 0)
                if (bench_now_s() - t[FIRST] > 5)
                        bench_die(device, "no packet within 5 seconds");
        t[CLOSE] = bench_now_s();
        if (mapi_close_flow(fd) < 0)
                fail("mapi_close_flow");
        t[CALLS] = bench_now_s();
        for (int i = 0; i < CALLS; i++)
                took_us[i][round] = 1e6 * (i == TO_FIRST ? t[CLOSE] - t[CREATE]
                                           : i == FIRST  ? t[CLOSE] - t[FIRST]
                                                         : t[i + 1] - t[i]);
}

static void run_first(const char *device, int rounds, int hold)
{
        int unused;

        if (hold)
                make_flow(device, FILTER, "PKT_COUNTER", &unused);
        one_flow(device, ROUNDS_MAX - 1); /* the program's first flow also connects to mapid; not counted */
        for (int i = 0; i < rounds; i++)
                one_flow(device, i);
        for (int i = 0; i < CALLS; i++) {
                qsort(took_us[i], (size_t)rounds, sizeof(double), bench_by_size);
                printf("%.3f %.3f %.3f %s\n", took_us[i][rounds / 2], took_us[i][rounds / 10],
                       took_us[i][rounds - 1 - rounds / 10], call_names[i]);
        }
}

/* ---- results -------------------------------------------------------------------------------------------------------- */

static void run_results(const char *device)
{
        unsigned long long before;
        double start;

        flow = make_flow(device, "tcp or udp", "PKT_COUNTER", &fid);
        before = counter(flow, fid);
        start = bench_now_s();
        for (int i = 0; i < READS; i++)
                if (mapi_read_results(flow, fid) == NULL)
                        fail("mapi_read_results");
        start = bench_now_s() - start;
        bench_report(start, READS, counter(flow, fid) - before);
        mapi_close_flow(flow);
}

static void run_silent(const char *device)
{
        flow = make_flow(device, "tcp or udp", "PKT_COUNTER", &fid);
        counter(flow, fid); /* the first read may allocate */
        bench_report(0, SILENT_READS, 0);
        fflush(stdout);
        silent_from_now_on();
        for (int i = 0; i < SILENT_READS; i++)
                if (mapi_read_results(flow, fid) == NULL)
                        _exit(1);
        _exit(0);
}

/* ---- many ----------------------------------------------------------------------------------------------------------- */

/* Closed last one first, so that line n is about a program with n flows both ways. */
static void run_many(const char *device, int n)
{
        static double took[BENCH_FLOWS_MAX][4];
        static int fds[BENCH_FLOWS_MAX];

        for (int i = 0; i < n; i++) {
                double t[4], start = bench_now_s();
                char filter[40];

                bench_filter((unsigned)i, filter);
                fds[i] = mapi_create_flow(device);
                t[0] = bench_now_s();
                if (fds[i] < 0 || mapi_apply_function(fds[i], "BPF_FILTER", filter) < 0)
                        fail(filter);
                t[1] = bench_now_s();
                if (mapi_apply_function(fds[i], "PKT_COUNTER") < 0)
                        fail("PKT_COUNTER");
                t[2] = bench_now_s();
                if (mapi_connect(fds[i]) < 0)
                        fail("mapi_connect");
                t[3] = bench_now_s();
                took[i][0] = t[1] - t[0];
                took[i][1] = t[3] - t[2];
                took[i][2] = t[3] - start;
        }
        for (int i = n - 1; i >= 0; i--) {
                double start = bench_now_s();

                if (mapi_close_flow(fds[i]) < 0)
                        fail("mapi_close_flow");
                took[i][3] = bench_now_s() - start;
        }
        for (int i = 0; i < n; i++)
                printf("%.3f %.3f %.3f %.3f\n", took[i][0] * 1e6, took[i][1] * 1e6, took[i][2] * 1e6,
                       took[i][3] * 1e6);
}

int main(int argc, char **argv)
{
        const char *name = argc > 1 ? argv[1] : "";
        int n = argc > 3 ? atoi(argv[3]) : 0;

        if (argc == 4 && (strcmp(name, "count") == 0 || strcmp(name, "buffer") == 0))
                run_program(argv[2], argv[3], strcmp(name, "buffer") == 0);
        else if (argc == 5 && strcmp(name, "first") == 0 && n >= 1 && n <= ROUNDS_MAX)
                run_first(argv[2], n, atoi(argv[4]));
        else if (argc == 3 && strcmp(name, "results") == 0)
                run_results(argv[2]);
        else if (argc == 3 && strcmp(name, "silent") == 0)
                run_silent(argv[2]);
        else if (argc == 4 && strcmp(name, "many") == 0 && n >= 1 && n <= BENCH_FLOWS_MAX)
                run_many(argv[2], n);
        else
                bench_die("case_live",
                          "count|buffer DEVICE FILTER, first DEVICE ROUNDS HOLD, results|silent DEVICE, "
                          "many DEVICE N");
        return 0;
}
