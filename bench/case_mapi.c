/*
 * The benchmark's cases of MAPI, written as any program would be. Each reports a line.
 *
 *     case_mapi flows TRACE N       N flows with a filter, a packet and a byte counter each, on one offline device
 *     case_mapi packets TRACE       every packet to the program through TO_BUFFER; each is looked at
 *     case_mapi results TRACE       reads of a result, after the trace has been read: seconds, reads, 0
 *     case_mapi silent TRACE        a million such reads in a thread that the kernel kills at its first system call
 *     case_mapi silent_clock        the same with reads of the clock instead: does this machine's need a system call?
 *     case_mapi silent_control      the same with a system call: must be killed
 *
 * Time runs from mapi_start_offline_device() to FLOW_FINISHED. The program sleeps and looks from time to time whether it
 * is finished, so that it takes nothing from the worker: after each 200th of the time gone by, at least 50 us, at most
 * 1 ms. That makes the times up to 0.5 % too long.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <mapi.h>

#include "common.h"
#include "silent.h"

#define READS 5000000
#define SILENT_READS 1000000

struct flow {
        int fd, packets_fid, bytes_fid;
};

static struct flow flows[BENCH_FLOWS_MAX];

__attribute__((noreturn)) static void fail(const char *what)
{
        char why[MAPI_ERRORSTR_LENGTH] = "";

        mapi_read_error(NULL, why);
        bench_die(what, why);
}

static char *open_device(const char *trace)
{
        char *device = mapi_create_offline_device(trace, MFF_PCAP);

        if (device == NULL)
                fail(trace);
        return device;
}

static void add_counters(const char *device, const char *filter, struct flow *f)
{
        f->fd = mapi_create_flow(device);
        if (f->fd < 0 || mapi_apply_function(f->fd, "BPF_FILTER", filter) < 0)
                fail(filter);
        f->packets_fid = mapi_apply_function(f->fd, "PKT_COUNTER");
        f->bytes_fid = mapi_apply_function(f->fd, "BYTE_COUNTER");
        if (f->packets_fid < 0 || f->bytes_fid < 0 || mapi_connect(f->fd) < 0)
                fail("flow");
}

static unsigned long long read_counter(int fd, int fid)
{
        mapi_results_t *result = mapi_read_results(fd, fid);

        if (result == NULL)
                fail("mapi_read_results");
        return *(unsigned long long *)result->res;
}

static void wait_for_end(int fd, double start)
{
        mapi_flow_info_t info;

        for (;;) {
                struct timespec pause = { 0, 50000 };
                double next_s = (bench_now_s() - start) / 200;

                if (mapi_get_flow_info(fd, &info) < 0)
                        fail("mapi_get_flow_info");
                if (info.status == FLOW_FINISHED)
                        return;
                if (next_s > 50e-6)
                        pause.tv_nsec = next_s > 1e-3 ? 1000000 : (long)(next_s * 1e9);
                nanosleep(&pause, NULL);
        }
}

/* Reads the trace; all flows end with it, so the last one's end is everybody's. */
static double read_trace(char *device, int fd)
{
        double start = bench_now_s();

        if (mapi_start_offline_device(device) < 0)
                fail("mapi_start_offline_device");
        wait_for_end(fd, start);
        return bench_now_s() - start;
}

static void run_flows(const char *trace, int n)
{
        char *device = open_device(trace), filter[40];
        unsigned long long packets = 0, bytes = 0;
        double seconds;
        int i;

        for (i = 0; i < n; i++) {
                bench_filter((unsigned)i, filter);
                add_counters(device, filter, &flows[i]);
        }
        seconds = read_trace(device, flows[n - 1].fd);
        for (i = 0; i < n; i++) {
                packets += read_counter(flows[i].fd, flows[i].packets_fid);
                bytes += read_counter(flows[i].fd, flows[i].bytes_fid);
                mapi_close_flow(flows[i].fd);
        }
        mapi_delete_offline_device(device);
        bench_report(seconds, packets, bytes);
}

static volatile unsigned char looked; /* so that looking is done */

static void run_packets(const char *trace)
{
        char *device = open_device(trace);
        unsigned long long packets = 0, bytes = 0;
        struct mapipkt *pkt;
        int fd = mapi_create_flow(device), fid, code = 0;
        double start;

        if (fd < 0 || (fid = mapi_apply_function(fd, "TO_BUFFER", WAIT)) < 0 || mapi_connect(fd) < 0)
                fail("TO_BUFFER");
        start = bench_now_s();
        if (mapi_start_offline_device(device) < 0)
                fail("mapi_start_offline_device");
        while ((pkt = mapi_get_next_pkt(fd, fid)) != NULL) {
                packets++;
                bytes += pkt->wlen;
                looked = pkt->pkt;
        }
        start = bench_now_s() - start;
        mapi_read_error(&code, NULL);
        if (code != 0)
                bench_die("mapi_get_next_pkt", "an error instead of the end");
        mapi_close_flow(fd);
        mapi_delete_offline_device(device);
        bench_report(start, packets, bytes);
}

/* ---- reading results ----------------------------------------------------------------------------------------------- */

static void run_results(const char *trace)
{
        char *device = open_device(trace);
        double start;
        int i;

        add_counters(device, BENCH_FILTER, &flows[0]);
        read_trace(device, flows[0].fd);
        start = bench_now_s();
        for (i = 0; i < READS; i++)
                if (mapi_read_results(flows[0].fd, flows[0].packets_fid) == NULL)
                        fail("mapi_read_results");
        bench_report(bench_now_s() - start, READS, 0);
        mapi_close_flow(flows[0].fd);
        mapi_delete_offline_device(device);
}

static void run_silent(const char *trace)
{
        char *device = open_device(trace);
        int i;

        add_counters(device, BENCH_FILTER, &flows[0]);
        read_trace(device, flows[0].fd);
        read_counter(flows[0].fd, flows[0].packets_fid); /* the first read may allocate */
        bench_report(0, SILENT_READS, 0);
        fflush(stdout);
        silent_from_now_on();
        for (i = 0; i < SILENT_READS; i++)
                if (mapi_read_results(flows[0].fd, flows[0].packets_fid) == NULL)
                        _exit(1);
        _exit(0);
}

static void run_silent_clock(int control)
{
        struct timespec t;
        int i;

        bench_report(0, 1000, 0);
        fflush(stdout);
        clock_gettime(CLOCK_REALTIME, &t);
        silent_from_now_on();
        for (i = 0; i < 1000; i++)
                clock_gettime(CLOCK_REALTIME, &t);
        if (control)
                syscall(SYS_getppid);
        _exit(0);
}

int main(int argc, char **argv)
{
        const char *name = argc > 1 ? argv[1] : "";

        if (argc == 4 && strcmp(name, "flows") == 0 && atoi(argv[3]) >= 1 && atoi(argv[3]) <= BENCH_FLOWS_MAX)
                run_flows(argv[2], atoi(argv[3]));
        else if (argc == 3 && strcmp(name, "packets") == 0)
                run_packets(argv[2]);
        else if (argc == 3 && strcmp(name, "results") == 0)
                run_results(argv[2]);
        else if (argc == 3 && strcmp(name, "silent") == 0)
                run_silent(argv[2]);
        else if (argc == 2 && (strcmp(name, "silent_clock") == 0 || strcmp(name, "silent_control") == 0))
                run_silent_clock(strcmp(name, "silent_control") == 0);
        else
                bench_die("case_mapi",
                          "flows TRACE N; packets, results or silent TRACE; silent_clock, silent_control");
        return 0;
}
