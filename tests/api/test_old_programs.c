/*
 * What the test programs of 2009 expected of their trace, told anew, for every way to get a flow on a trace.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "api.h"

#include "trace.h"

#include <mapi/errors.h>
#include <mapi/sample.h>
#include <mapi/stats.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PACKETS 893
#define TCP_PACKETS 596
#define UDP_PACKETS 110
#define WIRE_BYTES 283464
#define CAPTURED_BYTES 64834

/* ---- ways to get a flow on tracefile.pcap -------------------------------------------------------------------------- */

enum way { BY_NAME, OFFLINE_FLOW, OFFLINE_DEVICE, DEVICE_MAP, WAYS };

struct use {
        enum way way;
        char *device;
};

static struct use use_begin(enum way way)
{
        const char *path = api_real_trace("tracefile.pcap");
        struct use u = { .way = way };
        char map[5000];

        if (way == OFFLINE_DEVICE)
                u.device = check_there(mapi_create_offline_device(path, MFF_PCAP));
        if (way == DEVICE_MAP) {
                (void)snprintf(map, sizeof map, "eth7=%s", path);
                check_equal(setenv("MAPI_DEVICE_MAP", map, 1), 0);
        }
        return u;
}

static int use_flow(const struct use *u)
{
        const char *path = api_real_trace("tracefile.pcap");

        switch (u->way) {
        case BY_NAME:
                return check_ok(mapi_create_flow(path));
        case OFFLINE_FLOW:
                return check_ok(mapi_create_offline_flow(path, MFF_PCAP));
        case OFFLINE_DEVICE:
                return check_ok(mapi_create_flow(u->device));
        default:
                return check_ok(mapi_create_flow("eth7"));
        }
}

/** Everything is connected: the trace is read. */
static void use_go(const struct use *u)
{
        if (u->way == OFFLINE_DEVICE)
                check_ok(mapi_start_offline_device(u->device));
}

static void use_end(const struct use *u)
{
        if (u->way == OFFLINE_DEVICE)
                check_ok(mapi_delete_offline_device(u->device));
}

/* ---- the programs ---------------------------------------------------------------------------------------------------- */

static void bpf_filter(enum way way)
{
        struct use u = use_begin(way);
        int fd = use_flow(&u), all, tcp, other = use_flow(&u), udp;

        check_fails(mapi_apply_function(fd, "BPF_FILTER", "A string that is not valid for a filter"),
                    PCAP_BPF_ERR);
        check_fails(mapi_apply_function(4711, "BPF_FILTER", "tcp"), MAPI_INVALID_FLOW);
        all = check_ok(mapi_apply_function(fd, "PKT_COUNTER"));
        check_ok(mapi_apply_function(fd, "BPF_FILTER", "tcp"));
        tcp = check_ok(mapi_apply_function(fd, "PKT_COUNTER"));
        check_ok(mapi_apply_function(other, "BPF_FILTER", "udp"));
        udp = check_ok(mapi_apply_function(other, "PKT_COUNTER"));
        check_ok(mapi_connect(fd));
        check_ok(mapi_connect(other));
        check_fails(mapi_apply_function(fd, "BPF_FILTER", "tcp"), MFUNCT_COULD_NOT_APPLY_FUNCT);
        use_go(&u);
        api_finish(fd);
        api_finish(other);
        check_equal(api_counter(fd, all), PACKETS);
        check_equal(api_counter(fd, tcp), TCP_PACKETS);
        check_equal(api_counter(other, udp), UDP_PACKETS);
        check_ok(mapi_close_flow(fd));
        check_ok(mapi_close_flow(other));
        use_end(&u);
}

static void counters(enum way way)
{
        struct use u = use_begin(way);
        int fd = use_flow(&u), packets, bytes, again;
        mapi_results_t *r;

        packets = check_ok(mapi_apply_function(fd, "PKT_COUNTER", NULL, "ANOTHER1", 453));
        bytes = check_ok(mapi_apply_function(fd, "BYTE_COUNTER", NULL, "ANOTHER1", 453));
        again = check_ok(mapi_apply_function(fd, "stdflib:BYTE_COUNTER"));
        check_ok(mapi_connect(fd));
        check_fails(mapi_apply_function(fd, "BYTE_COUNTER"), MFUNCT_COULD_NOT_APPLY_FUNCT);
        use_go(&u);
        api_finish(fd);
        check_equal(api_counter(fd, packets), PACKETS);
        check_equal(api_counter(fd, bytes), WIRE_BYTES);
        check_equal(api_counter(fd, again), WIRE_BYTES);
        r = check_there(mapi_read_results(fd, packets));
        check_equal(r->size, 8);
        check_equal(*(int *)r->res, PACKETS); /* as many programs read it */
        check(r->ts > 1000000ull * 1700000000 && r->ts < 1000000ull * 10000000000);
        check(mapi_read_results(fd, packets) == r); /* the same place each time */
        check_ok(mapi_close_flow(fd));
        use_end(&u);
}

static void sample(enum way way)
{
        struct use u = use_begin(way);
        int fd = use_flow(&u), before, after;

        before = check_ok(mapi_apply_function(fd, "PKT_COUNTER"));
        check_ok(mapi_apply_function(fd, "SAMPLE", 20, PERIODIC));
        after = check_ok(mapi_apply_function(fd, "PKT_COUNTER"));
        check_ok(mapi_apply_function(fd, "SAMPLE", 1122320333, PERIODIC));
        check_ok(mapi_apply_function(fd, "SAMPLE", 20, 1342));
        check_ok(mapi_connect(fd));
        use_go(&u);
        api_finish(fd);
        check_equal(api_counter(fd, before), PACKETS);
        check_equal(api_counter(fd, after), 44);
        check_ok(mapi_close_flow(fd));
        use_end(&u);
}

static void str_search(enum way way)
{
        struct use u = use_begin(way);
        int fd = use_flow(&u), before, after;

        before = check_ok(mapi_apply_function(fd, "PKT_COUNTER"));
        check_ok(mapi_apply_function(fd, "STR_SEARCH", "www", 0, 1500));
        after = check_ok(mapi_apply_function(fd, "PKT_COUNTER"));
        check_fails(mapi_apply_function(fd, "STR_SEARCH", "blah", -32, 0), MFUNCT_INVALID_ARGUMENT_2);
        check_ok(mapi_apply_function(fd, "STR_SEARCH", "blah", 1, 23412));
        check_ok(mapi_connect(fd));
        use_go(&u);
        api_finish(fd);
        check_equal(api_counter(fd, before), PACKETS);
        check_equal(api_counter(fd, after), 2);
        check_ok(mapi_close_flow(fd));
        use_end(&u);
}

static void off_stats(enum way way)
{
        struct use u = use_begin(way);
        int fd = use_flow(&u), size, fid;
        mapi_results_t *r;
        stats_t stats;

        size = check_ok(mapi_apply_function(fd, "PKTINFO", 1));
        check_fails(mapi_apply_function(fd, "STATS", fd, 241234, "0"), MFUNCT_INVALID_ARGUMENT_1 + 0);
        check_fails(mapi_apply_function(fd, "STATS", 241234, size, "0"), MFUNCT_INVALID_ARGUMENT_1);
        fid = check_ok(mapi_apply_function(fd, "STATS", fd, size, "0"));
        check_ok(mapi_connect(fd));
        use_go(&u);
        api_finish(fd);
        r = check_there(mapi_read_results(fd, fid));
        check_equal(r->size, sizeof stats);
        memcpy(&stats, r->res, sizeof stats);
        check_equal(stats.count, PACKETS);
        check_equal(stats.sum, WIRE_BYTES);
        check_equal(stats.sum2, 309175572);
        check_equal(stats.min, 42);
        check_equal(stats.max, 1514);
        check_ok(mapi_close_flow(fd));
        use_end(&u);
}

static void to_file(enum way way)
{
        struct use u = use_begin(way);
        int fd = use_flow(&u), limited, all;
        struct trace original, got;
        char long_path[9000];

        memset(long_path, 'x', sizeof long_path - 1);
        long_path[sizeof long_path - 1] = '\0';
        limited = check_ok(mapi_apply_function(fd, "TO_FILE", MFF_PCAP, "limited.pcap", 50));
        all = check_ok(mapi_apply_function(fd, "TO_FILE", MFF_RAW, "all.pcap", 0));
        check_ok(mapi_apply_function(fd, "BPF_FILTER", "udp"));
        check_ok(mapi_apply_function(fd, "TO_FILE", MFF_PCAP, "udp.pcap", 0));
        check_fails(mapi_apply_function(fd, "TO_FILE", 13242312, "format.pcap", 0), MFUNCT_COULD_NOT_APPLY_FUNCT);
        check_fails(mapi_apply_function(fd, "TO_FILE", MFF_PCAP, NULL, 0), MAPI_ERROR_FILE);
        check_fails(mapi_apply_function(fd, "TO_FILE", MFF_PCAP, "no/such/folder", 0), MAPI_ERROR_FILE);
        check_fails(mapi_apply_function(fd, "TO_FILE", MFF_PCAP, ".", 0), MAPI_ERROR_FILE);
        check_fails(mapi_apply_function(fd, "TO_FILE", MFF_PCAP, long_path, 0), MAPI_ERROR_FILE);
        check_ok(mapi_connect(fd));
        use_go(&u);
        api_finish(fd);
        check_equal(api_counter(fd, limited), 0); /* complete */
        check(api_counter(fd, all) != 0);         /* there could be more */
        check_ok(mapi_close_flow(fd));
        use_end(&u);

        trace_read(api_real_trace("tracefile.pcap"), &original);
        check_equal(original.n, PACKETS);
        trace_read("limited.pcap", &got);
        check_equal(got.n, 50);
        check_equal(got.torn, 0);
        check_equal(got.snaplen, original.snaplen);
        check_equal(got.linktype, 1);
        trace_check_same(&got, &original, 50);
        trace_free(&got);
        trace_read("all.pcap", &got);
        check_equal(got.n, PACKETS);
        check_equal(got.size, original.size);
        check(memcmp(got.file, original.file, got.size) == 0); /* micro-seconds come out as they went in */
        trace_free(&got);
        trace_read("udp.pcap", &got);
        check_equal(got.n, UDP_PACKETS);
        check_equal(trace_count_ip4(&got, 17), UDP_PACKETS);
        trace_free(&got);
        trace_free(&original);
}

static void hash(enum way way)
{
        struct use u = use_begin(way);
        int fd = use_flow(&u), fid;

        check_fails(mapi_apply_function(fd, "HASH", 4), MFUNCT_INVALID_ARGUMENT_1);
        check_ok(mapi_apply_function(fd, "BPF_FILTER", "tcp"));
        fid = check_ok(mapi_apply_function(fd, "HASH", 1));
        check_ok(mapi_connect(fd));
        use_go(&u);
        api_finish(fd);
        check_equal(api_counter(fd, fid), 3176);
        check_equal(mapi_read_results(fd, fid)->size, 4);
        check_ok(mapi_close_flow(fd));
        use_end(&u);
}

static unsigned long long called, called_bytes;

static void count_call(const struct mapipkt *p)
{
        called++;
        called_bytes += p->caplen;
}

static void loop(enum way way)
{
        struct use u = use_begin(way);
        int fd = use_flow(&u), fid;

        called = called_bytes = 0;
        fid = check_ok(mapi_apply_function(fd, "TO_BUFFER", WAIT));
        check_ok(mapi_connect(fd));
        use_go(&u);
        check_fails(mapi_loop(-1, fid, 10, count_call), MAPI_INVALID_FID_FUNCID);
        check_fails(mapi_loop(fd, -1, 10, count_call), MAPI_INVALID_FID_FUNCID);
        check_fails(mapi_loop(fd, fid, 10, NULL), MFUNCT_INVALID_ARGUMENT_4);
        check_equal(called, 0);
        check_equal(mapi_loop(fd, fid, 20, count_call), 0);
        check_equal(called, 20);
        check_equal(mapi_loop(fd, fid, -1, count_call), 0);
        check_equal(called, PACKETS);
        check_equal(called_bytes, CAPTURED_BYTES);
        check_equal(mapi_loop(fd, fid, 0, count_call), 0); /* over is over */
        check_equal(mapi_loop(fd, fid, 5, count_call), 0);
        check_equal(called, PACKETS);
        check_error(0);
        check_ok(mapi_close_flow(fd));
        use_end(&u);
}

static void get_next_pkt(enum way way)
{
        struct use u = use_begin(way);
        int fd = use_flow(&u), fid;
        struct mapipkt *p;
        struct trace t;

        fid = check_ok(mapi_apply_function(fd, "TO_BUFFER", WAIT));
        check_null(mapi_get_next_pkt(-1, fid), MAPI_INVALID_FID_FUNCID);
        check_null(mapi_get_next_pkt(fd, -1), MAPI_INVALID_FID_FUNCID);
        check_null(mapi_get_next_pkt(fd, fid), MAPI_FLOW_NOT_CONNECTED);
        check_null(mapi_get_next_pkt(fd, 34234), MAPI_FLOW_NOT_CONNECTED);
        check_ok(mapi_connect(fd));
        use_go(&u);
        trace_read(api_real_trace("tracefile.pcap"), &t);
        for (size_t i = 0; i < t.n; i++) {
                p = check_there(mapi_get_next_pkt(fd, fid));
                check_equal(p->caplen, t.packet[i].caplen);
                check_equal(p->wlen, t.packet[i].wlen);
                check_equal(p->ts, t.packet[i].ts);
                check(memcmp(&p->pkt, t.packet[i].data, p->caplen) == 0);
                if (i == 0) {
                        check_equal(p->caplen, 60);
                        check_equal(p->ts >> 32, 1089376567);
                }
        }
        check_null(mapi_get_next_pkt(fd, fid), 0);
        check_null(mapi_get_next_pkt(fd, fid), 0);
        trace_free(&t);
        check_ok(mapi_close_flow(fd));
        check_null(mapi_get_next_pkt(fd, fid), MAPI_INVALID_FLOW);
        use_end(&u);
}

/** Packets that nobody reads are no reason for anything to hang. */
static void packets_unread(enum way way)
{
        struct use u = use_begin(way);
        int fd = use_flow(&u), fid;

        fid = check_ok(mapi_apply_function(fd, "TO_BUFFER", WAIT));
        check_ok(mapi_connect(fd));
        use_go(&u);
        check_equal(check_ok((int)((struct mapipkt *)check_there(mapi_get_next_pkt(fd, fid)))->caplen), 60);
        check_ok(mapi_close_flow(fd));
        use_end(&u);
}

static void flow_info(enum way way)
{
        static const char *const names[] = { "BPF_FILTER", "PKT_COUNTER", "TO_BUFFER", "GAP" };
        struct use u = use_begin(way);
        int a = use_flow(&u), b = use_flow(&u), c = use_flow(&u), at = 0;
        mapi_function_info_t function;
        mapi_flow_info_t info;

        for (int i = 0; i < 10; i++)
                check_ok(mapi_apply_function(a, "PKT_COUNTER"));
        check_ok(mapi_apply_function(b, "BPF_FILTER", "tcp"));
        check_ok(mapi_apply_function(b, "PKT_COUNTER"));
        check_ok(mapi_apply_function(b, "TO_BUFFER", NOWAIT));
        check_ok(mapi_apply_function(b, "GAP"));
        check_ok(mapi_apply_function(c, "PKT_COUNTER"));
        check_fails(mapi_apply_function(c, "MPLA"), MAPI_FUNCTION_NOT_FOUND);
        check_fails(mapi_apply_function(-1, "PKT_COUNTER"), MAPI_INVALID_FID_FUNCID);

        check_ok(mapi_get_flow_info(a, &info));
        check_equal(info.num_functions, 10);
        check_ok(mapi_get_flow_info(b, &info));
        check_equal(info.num_functions, 4);
        check_ok(mapi_get_flow_info(c, &info));
        check_equal(info.num_functions, 1);
        check_ok(mapi_get_next_flow_info(0, &info));
        check_equal(info.fd, a);
        check_ok(mapi_get_next_flow_info(a, &info));
        check_equal(info.fd, b);
        check_equal(info.num_functions, 4);
        check_ok(mapi_get_next_flow_info(b, &info));
        check_equal(info.fd, c);
        check_fails(mapi_get_next_flow_info(c, &info), MAPI_FLOW_INFO_ERR);
        check_fails(mapi_get_next_flow_info(12345, &info), MAPI_INVALID_FLOW);
        check_fails(mapi_get_flow_info(12345, &info), MAPI_INVALID_FLOW);
        check_fails(mapi_get_flow_info(a, NULL), MFUNCT_INVALID_ARGUMENT_2);
        check_fails(mapi_get_next_flow_info(a, NULL), MFUNCT_INVALID_ARGUMENT_2);

        for (size_t i = 0; i < 4; i++) {
                check_ok(mapi_get_next_function_info(b, at, &function));
                check(function.fid > at);
                at = function.fid;
                check(strcmp(function.name, names[i]) == 0);
                check(strcmp(function.libname, "stdflib") == 0);
        }
        check_fails(mapi_get_next_function_info(b, at, &function), MAPI_FUNCTION_INFO_ERR);
        check_fails(mapi_get_next_function_info(12375, 0, &function), MAPI_INIT_ERROR);
        check_fails(mapi_get_next_function_info(b, 0, NULL), MFUNCT_INVALID_ARGUMENT_3);
        check_fails(mapi_get_function_info(12375, 1, &function), MAPI_INIT_ERROR);
        check_fails(mapi_get_function_info(b, 3423, &function), MAPI_FUNCTION_INFO_ERR);
        check_fails(mapi_get_function_info(b, 1, NULL), MFUNCT_INVALID_ARGUMENT_3);
        check_ok(mapi_close_flow(a));
        check_ok(mapi_close_flow(b));
        check_ok(mapi_close_flow(c));
        check_fails(mapi_close_flow(c), MAPI_INVALID_FLOW);
        use_end(&u);
}

static void connect_and_read(enum way way)
{
        struct use u = use_begin(way);
        int fd = use_flow(&u), fid;

        fid = check_ok(mapi_apply_function(fd, "PKT_COUNTER"));
        check_fails(mapi_connect(234), MAPI_INVALID_FLOW);
        check_fails(mapi_connect(-1), MAPI_INVALID_FLOW);
        check_null(mapi_read_results(fd, fid), MAPI_FLOW_NOT_CONNECTED);
        check_ok(mapi_connect(fd));
        check_fails(mapi_connect(fd), MDLIB_FLOW_ALREADY_ACTIVE);
        check_null(mapi_read_results(-1, fid), MAPI_INVALID_FLOW);
        check_null(mapi_read_results(fd, -1), MAPI_INVALID_FLOW);
        check_null(mapi_read_results(1234, fid), MAPI_INVALID_FLOW);
        check_null(mapi_read_results(fd, 1234), MAPI_INVALID_FID_FUNCID);
        use_go(&u);
        api_finish(fd);
        check_equal(api_counter(fd, fid), PACKETS);
        check_ok(mapi_close_flow(fd));
        use_end(&u);
}

#define PROGRAM(name)                                                                                             \
        static void name##_by_name(void)                                                                          \
        {                                                                                                         \
                name(BY_NAME);                                                                                    \
        }                                                                                                         \
        static void name##_offline_flow(void)                                                                     \
        {                                                                                                         \
                name(OFFLINE_FLOW);                                                                               \
        }                                                                                                         \
        static void name##_offline_device(void)                                                                   \
        {                                                                                                         \
                name(OFFLINE_DEVICE);                                                                             \
        }                                                                                                         \
        static void name##_device_map(void)                                                                       \
        {                                                                                                         \
                name(DEVICE_MAP);                                                                                 \
        }
#define CASES(name)                                                                                               \
        { #name "_by_name", name##_by_name, 0 }, { #name "_offline_flow", name##_offline_flow, 0 },               \
                { #name "_offline_device", name##_offline_device, 0 },                                            \
                { #name "_device_map", name##_device_map, 0 },

PROGRAM(bpf_filter)
PROGRAM(counters)
PROGRAM(sample)
PROGRAM(str_search)
PROGRAM(off_stats)
PROGRAM(to_file)
PROGRAM(hash)
PROGRAM(loop)
PROGRAM(get_next_pkt)
PROGRAM(packets_unread)
PROGRAM(flow_info)
PROGRAM(connect_and_read)

static const struct api_case cases[] = { CASES(bpf_filter) CASES(counters) CASES(sample) CASES(str_search)
                                                 CASES(off_stats) CASES(to_file) CASES(hash) CASES(loop)
                                                         CASES(get_next_pkt) CASES(packets_unread) CASES(flow_info)
                                                                 CASES(connect_and_read) };
API_MAIN(cases)
